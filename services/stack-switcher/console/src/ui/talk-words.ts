/** What is said in a call, as it becomes known: lines that grow, whoever tells of them. */
export interface Line {
  key: string;
  who: "agent" | "caller";
  text: string;
  final: boolean;
  /** ms from the caller's last sound to the agent's first, heard here */
  after?: number;
  /** what the agent itself says of this answer */
  timings?: Record<string, number | null>;
}

export class Words {
  lines: Line[] = [];
  private answered: number | null = null; // heard, and its line is not there yet

  constructor(private changed: () => void) {}

  put(key: string, who: Line["who"], text: string, final: boolean): void {
    const line = this.lines.find((l) => l.key === key);

    if (line) Object.assign(line, { text, final: final || line.final });
    else if (text) this.add({ key, who, text, final });
    this.lines = [...this.lines];
    this.changed();
  }

  private add(line: Line): void {
    if (line.who === "agent" && this.answered !== null) {
      line.after = this.answered;
      this.answered = null;
    }
    this.lines.push(line);
  }

  /** The agent is heard to answer. Its words may have come first. */
  answer(ms: number): void {
    const last = this.lines.at(-1);

    this.answered = null;
    if (last?.who === "agent" && !last.final && last.after === undefined && this.lines.length > 1) last.after = ms;
    else this.answered = ms;
    this.lines = [...this.lines];
    this.changed();
  }

  /** The newest lines of a whole conversation, told again with each change of them (Retell's `update`). */
  tail(told: { role: string; content: string }[]): void {
    const who = (role: string) => (role === "agent" ? "agent" : "caller");
    const same = (l: Line, t: { role: string; content: string }) =>
      l.who === who(t.role) && (l.text.startsWith(t.content) || t.content.startsWith(l.text));
    let from = this.lines.length;

    for (let i = Math.max(0, this.lines.length - told.length); i < this.lines.length; i++)
      if (told.length && same(this.lines[i], told[0])) {
        from = i;
        break;
      }
    told.forEach((t, i) => {
      const line = this.lines[from + i], final = i < told.length - 1;
      if (line) Object.assign(line, { text: t.content, final });
      else this.add({ key: `told-${from + i}`, who: who(t.role), text: t.content, final });
    });
    this.lines = [...this.lines];
    this.changed();
  }

  /** What the agent's own events say of its answers, in order. */
  timed(answers: { text: string; timings: Record<string, number | null> }[]): void {
    const plain = (s: string) => s.replaceAll(/\s+/g, " ").trim();

    for (const a of answers) {
      const line = this.lines.find((l) => l.who === "agent" && !l.timings && plain(l.text) === plain(a.text));
      if (line) line.timings = a.timings;
    }
    this.lines = [...this.lines];
    this.changed();
  }
}
