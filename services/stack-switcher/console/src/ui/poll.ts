/** Asks again every few seconds while the page is looked at: not in a tab behind, and at once when it comes to the front. */
export class Poll {
  private timer = 0;
  private readonly seen = () => {
    if (!document.hidden) this.run();
  };

  constructor(
    private readonly work: () => Promise<void>,
    private readonly everyMs: number,
  ) {
    document.addEventListener("visibilitychange", this.seen);
    this.run();
  }

  private run(): void {
    clearTimeout(this.timer);
    if (document.hidden) return;
    void this.work().finally(() => (this.timer = window.setTimeout(() => this.run(), this.everyMs)));
  }

  end(): void {
    document.removeEventListener("visibilitychange", this.seen);
    clearTimeout(this.timer);
    this.run = () => {};
  }
}
