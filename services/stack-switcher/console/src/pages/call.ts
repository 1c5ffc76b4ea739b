/** One call: who, how long, what was said, and everything that happened in it, in order. */
import { html, nothing, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { get, type Call, type CallEvent } from "../api";
import "../ui/badge";
import "../ui/call-cost";
import { outcomeOf } from "../ui/call-list";
import { dateTime, duration, phone, timeOfDay, words } from "../ui/format";
import { Page, waiting } from "../ui/page";

const text = (e: CallEvent, ...names: string[]): string => {
  for (const n of names) if (typeof e.data[n] === "string" && e.data[n]) return e.data[n] as string;
  return "";
};
/** pat.call.v1.failed_over: call, failed_over */
const kind = (e: CallEvent): { area: string; name: string } => {
  const [, area, , name] = e.type.split(".");
  return { area, name };
};

@customElement("pb-call")
export class CallPage extends Page {
  @property({ attribute: false }) params!: { id: string };
  @state() private call: Call | null = null;
  @state() private events: CallEvent[] = [];

  willUpdate(p: PropertyValues<this>): void {
    if (p.has("params")) void this.load();
  }

  private load(): Promise<void> {
    return this.attempt(async () => {
      const [call, story] = await Promise.all([
        get<Call>(`/v1/calls/${this.params.id}`),
        get<{ events: CallEvent[] }>(`/v1/calls/${this.params.id}/events`),
      ]);
      this.call = call;
      this.events = story.events;
    });
  }

  private said() {
    const turns = this.events.filter((e) => ["pat.turn.v1.user", "pat.turn.v1.agent"].includes(e.type));

    if (!turns.length) return html`<p class="muted">Nothing was said, or it is not written down yet.</p>`;
    return html`<ol class="bubbles">
      ${turns.map((e) => {
        const agent = kind(e).name === "agent";
        return html`<li class=${agent ? "agent" : "caller"}>
          <span class="speaker">${agent ? "Agent" : "Caller"} <time>${timeOfDay(e.time)}</time></span>
          <span>${text(e, "text_heard", "text", "heard")}</span>
        </li>`;
      })}
    </ol>`;
  }

  private story() {
    const shown = this.events.filter((e) => kind(e).area !== "turn" || kind(e).name === "tool");

    return html`<ol class="timeline">
      ${shown.map((e) => html`<li>
        <time>${timeOfDay(e.time)}</time>
        <details>
          <summary>${words(kind(e).name)}${this.why(e)}</summary>
          <pre>${JSON.stringify(e.data, null, 2)}</pre>
        </details>
      </li>`)}
    </ol>`;
  }

  /** The one thing about an event that says why. */
  private why(e: CallEvent) {
    const reasons = e.data.reasons;
    const why = Array.isArray(reasons) ? reasons.map((r) => words(String(r))).join(", ") : text(e, "reason", "outcome", "state", "tool");

    return why ? html` <span class="muted">${words(why)}</span>` : nothing;
  }

  private facts(c: Call) {
    const rows: [string, unknown][] = [
      ["From", phone(c.from)],
      ["To", phone(c.to)],
      ["Began", dateTime(c.offered_at)],
      ["Length", duration(c.duration_ms)],
      ["Outcome", outcomeOf(c)],
      ["Ended by", c.ended_owner ? words(c.ended_owner) : "–"],
      ["Greeting after", c.greeting_ms === null ? "–" : `${c.greeting_ms} ms`],
    ];

    return html`<dl class="facts">${rows.map(([k, v]) => html`<div><dt>${k}</dt><dd>${v}</dd></div>`)}</dl>`;
  }

  render() {
    if (this.failed) return this.failure(() => void this.load());
    if (!this.call) return waiting(8);
    const c = this.call;

    return html`
      <h1>Call from ${phone(c.from)} <pb-badge short .stack=${c.stack}></pb-badge></h1>
      <section class="card">${this.facts(c)}</section>
      <div class="two">
        <section class="card"><h2>Conversation</h2>${this.said()}</section>
        <section class="card"><h2>What happened</h2>${this.story()}</section>
      </div>
      <pb-call-cost .call=${c.id}></pb-call-cost>
    `;
  }
}
