/** A button that plays a sound: by Web Audio, so that no page's policy has to let media in from anywhere. */
import { html, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { duration } from "./format";
import { Page } from "./page";

@customElement("pb-player")
export class Player extends Page {
  @property() label = "Play";
  /** What is heard, said for those who do not see where the button stands. */
  @property() what = "";
  /** Fetches it, each time it is to be heard. */
  @property({ attribute: false }) sound: () => Promise<Blob> = async () => new Blob();
  @property({ type: Boolean }) disabled = false;
  @property({ type: Boolean }) timed = false;
  @state() private state: "" | "loading" | "playing" = "";
  @state() private at = 0;
  private context: AudioContext | null = null;
  private source: AudioBufferSourceNode | null = null;
  private length = 0;
  private timer = 0;
  private turn = 0;

  disconnectedCallback(): void {
    super.disconnectedCallback();
    this.stop();
    void this.context?.close();
    this.context = null;
  }

  stop(): void {
    this.turn++;
    clearInterval(this.timer);
    if (this.source) this.source.onended = null;
    this.source?.stop();
    this.source = null;
    this.state = "";
  }

  private async play(): Promise<void> {
    const turn = ++this.turn;

    this.state = "loading";
    this.context ??= new AudioContext();
    await this.attempt(async () => {
      const bytes = await (await this.sound()).arrayBuffer();
      const heard = await this.context!.decodeAudioData(bytes);
      if (turn === this.turn) this.begin(heard);
    });
    if (this.failed && turn === this.turn) {
      this.state = "";
      this.dispatchEvent(new CustomEvent("failed", { detail: this.failed.message, bubbles: true }));
    }
  }

  private begin(heard: AudioBuffer): void {
    const context = this.context!, source = context.createBufferSource(), from = context.currentTime;

    void context.resume();
    source.buffer = heard;
    source.connect(context.destination);
    source.onended = () => this.stop();
    source.start();
    this.source = source;
    this.length = heard.duration;
    this.at = 0;
    this.state = "playing";
    this.timer = window.setInterval(() => (this.at = Math.min(this.length, context.currentTime - from)), 200);
  }

  render() {
    const playing = this.state === "playing";

    return html`<button type="button" class="button play" data-state=${this.state || "quiet"} ?disabled=${this.disabled || this.state === "loading"}
        @click=${() => (playing ? this.stop() : void this.play())}>
        <span aria-hidden="true">${playing ? "■" : "▶"}</span>
        ${playing ? "Stop" : this.label}${playing ? nothing : html`<span class="unseen"> ${this.what}</span>`}</button>
      ${this.timed && playing
        ? html`<progress max="1" .value=${this.length ? this.at / this.length : 0} aria-label="Played"></progress>
            <span class="timer">${duration(this.at * 1000)} / ${duration(this.length * 1000)}</span>`
        : nothing}`;
  }
}
