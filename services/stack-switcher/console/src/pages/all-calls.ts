/** Everybody's calls: those under way, and all others by who, where, how, when. The filter is in the address. */
import { html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { get, query, type Call, type Calls } from "../api";
import "../ui/badge";
import { outcomeOf } from "../ui/call-list";
import { count, dateTime, duration, phone } from "../ui/format";
import { Page, waiting } from "../ui/page";
import { Poll } from "../ui/poll";

const PAUSE_MS = 300, LIVE_MS = 3000;
const names = ["number", "stack", "state", "outcome", "since", "until"] as const;
type Name = (typeof names)[number];

const choices: Record<"stack" | "state" | "outcome", [string, string][]> = {
  stack: [["", "Both"], ["retell", "Retell"], ["livekit", "LiveKit"]],
  state: [["", "Any"], ["live", "Under way"], ["ended", "Over"]],
  outcome: [["", "Any"], ["answered", "Answered"], ["transferred", "Transferred"], ["screened", "Screened"], ["voicemail", "Voicemail"], ["failed", "Failed"]],
};

@customElement("pb-all-calls")
export class AllCallsPage extends Page {
  @state() private live: Call[] | null = null;
  @state() private calls: Call[] | null = null;
  @state() private next: string | null = null;
  @state() private filter: Record<Name, string> = this.fromAddress();
  @state() private wrong = "";
  private timer = 0;
  private asked = 0;
  private poll: Poll | null = null;

  connectedCallback(): void {
    super.connectedCallback();
    void this.load(null);
    this.poll = new Poll(() => this.look(), LIVE_MS);
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    this.poll?.end();
    clearTimeout(this.timer);
  }

  private fromAddress(): Record<Name, string> {
    const given = new URLSearchParams(location.search);

    return Object.fromEntries(names.map((n) => [n, given.get(n) ?? ""])) as Record<Name, string>;
  }

  /** The browser keeps the answer and asks whether it still holds (ETag): nothing travels while nothing happens. */
  private async look(): Promise<void> {
    try {
      this.live = (await get<Calls>("/v1/calls?all=true&state=live&limit=200")).calls;
    } catch {
      // shown by the list below, which asks the same server
    }
  }

  private question(before: string | null): Record<string, string | number | null> {
    // A day in the address means the whole of it, here.
    const until = this.filter.until && new Date(Date.parse(`${this.filter.until}T00:00`) + 86_400_000).toISOString();
    const since = this.filter.since && new Date(`${this.filter.since}T00:00`).toISOString();
    return { all: "true", limit: 50, before, ...this.filter, since, until };
  }

  private load(before: string | null): Promise<void> {
    const mine = ++this.asked;

    return this.attempt(async () => {
      const page = await get<Calls>(query("/v1/calls", this.question(before)));
      if (mine !== this.asked) return;
      this.calls = [...((before && this.calls) || []), ...page.calls];
      this.next = page.next;
    });
  }

  private set(name: Name, value: string): void {
    this.filter = { ...this.filter, [name]: value };
    this.wrong = /^\+?\d{4,15}$/.test(this.filter.number) || !this.filter.number ? "" : "At least the last four digits.";
    clearTimeout(this.timer);
    if (this.wrong) return;
    this.timer = window.setTimeout(() => {
      history.replaceState(null, "", query(location.pathname, this.filter));
      void this.load(null);
    }, PAUSE_MS);
  }

  private choice(name: keyof typeof choices, label: string) {
    return html`<label class="field"><span>${label}</span><select @change=${(e: Event) => this.set(name, (e.target as HTMLSelectElement).value)}>
      ${choices[name].map(([v, text]) => html`<option value=${v} ?selected=${v === this.filter[name]}>${text}</option>`)}
    </select></label>`;
  }

  private day(name: "since" | "until", label: string) {
    return html`<label class="field"><span>${label}</span><input type="date" .value=${this.filter[name]}
      @change=${(e: Event) => this.set(name, (e.target as HTMLInputElement).value)}></label>`;
  }

  private row(c: Call) {
    return html`<tr>
      <td><a href=${`/calls/${c.id}`}>${dateTime(c.offered_at)}</a></td>
      <td><a href=${`/admin/users/${c.user_id}`}>${c.user_name ?? "–"}</a></td>
      <td>${phone(c.from)}</td>
      <td><pb-badge short .stack=${c.stack}></pb-badge>${c.fallback ? html` <span class="badge warn">fallback</span>` : nothing}</td>
      <td>${outcomeOf(c)}</td>
      <td class="number">${c.state === "ended" ? duration(c.duration_ms) : duration(c.answered_at ? Math.max(0, Date.now() - Date.parse(c.answered_at)) : null)}</td>
      <td>${c.recorded ? html`<span class="badge">recorded</span>` : nothing}</td>
    </tr>`;
  }

  private table(calls: Call[], caption: string) {
    return html`<div class="scroll" tabindex="0" role="region" aria-label=${caption}><table>
      <thead><tr><th>When</th><th>Whose</th><th>From</th><th>Stack</th><th>Outcome</th><th class="number">Length</th><th>Sound</th></tr></thead>
      <tbody>${calls.map((c) => this.row(c))}</tbody>
    </table></div>`;
  }

  private underWay() {
    if (!this.live) return waiting(2);
    if (!this.live.length) return html`<p class="muted">Nobody is on the phone just now.</p>`;
    return this.table(this.live, "Calls under way");
  }

  private past() {
    if (this.failed) return this.failure(() => void this.load(null));
    if (!this.calls) return waiting(10);
    if (!this.calls.length) return html`<p class="muted">No call like that.</p>`;
    return html`${this.table(this.calls, "Calls")}
      ${this.next ? html`<button class="button" @click=${() => void this.load(this.next)}>Older calls</button>` : nothing}`;
  }

  render() {
    return html`
      <h1>Calls</h1>
      <section class="card" aria-labelledby="live-title">
        <h2 id="live-title">Under way <span class="badge" aria-live="polite">${this.live ? count(this.live.length) : "…"}</span></h2>
        ${this.underWay()}
      </section>
      <section class="card" aria-labelledby="all-title">
        <h2 id="all-title">All calls</h2>
        <div class="filters" role="search">
          <label class="field"><span>Number</span><input type="search" inputmode="tel" placeholder="Last digits" .value=${this.filter.number}
            aria-describedby="number-wrong" @input=${(e: Event) => this.set("number", (e.target as HTMLInputElement).value.replace(/[\s()-]/g, ""))}>
            <span id="number-wrong" class="wrong" role="status">${this.wrong}</span></label>
          ${this.choice("stack", "Stack")} ${this.choice("state", "State")} ${this.choice("outcome", "Outcome")}
          ${this.day("since", "From")} ${this.day("until", "To")}
        </div>
        ${this.past()}
      </section>
    `;
  }
}
