/** One call: who, how long, what was said beside its sound, and everything that happened in it with the reason. */
import { html, nothing, type PropertyValues } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { get, post, ApiError, type CallEvent, type Me, type Recording, type WholeCall } from "../api";
import "../ui/badge";
import "../ui/call-cost";
import { outcomeOf } from "../ui/call-list";
import { confirm } from "../ui/confirm";
import { caller, dateTime, duration, position, timeOfDay, words } from "../ui/format";
import { Page, waiting } from "../ui/page";
import "../ui/recording";
import type { RecordingPlayer } from "../ui/recording";
import { Poll } from "../ui/poll";
import { nameOf, tell } from "../ui/story";
import { toast } from "../ui/toast";

const AGAIN_MS = 2000;

interface Turn {
  agent: boolean;
  text: string;
  time: string;
  /** Seconds into the recording; null: there is none. */
  from: number | null;
}

/** In our store, or still where it was made. */
const audible = (r: Recording): boolean => r.state === "stored" || r.state === "remote";

@customElement("pb-call")
export class CallPage extends Page {
  @property({ attribute: false }) params!: { id: string };
  @property({ attribute: false }) me!: Me;
  @state() private call: WholeCall | null = null;
  @state() private events: CallEvent[] = [];
  @state() private now = -1;
  @query("pb-recording") private player?: RecordingPlayer;
  private poll: Poll | null = null;

  willUpdate(p: PropertyValues<this>): void {
    if (p.has("params")) this.begin();
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    this.poll?.end();
  }

  /** A call under way is asked about again until it is over, and a little longer: its last words come late. */
  private begin(): void {
    this.poll?.end();
    this.call = null;
    this.poll = new Poll(async () => {
      await this.load();
      const over = this.call?.ended_at && Date.now() - Date.parse(this.call.ended_at) > 60_000;
      if (over || this.failed?.status === 404) this.poll?.end();
    }, AGAIN_MS);
  }

  private load(): Promise<void> {
    return this.attempt(async () => {
      const [call, story] = await Promise.all([
        get<WholeCall>(`/v1/calls/${this.params.id}`),
        get<{ events: CallEvent[] }>(`/v1/calls/${this.params.id}/events`),
      ]);
      this.call = call;
      this.events = story.events;
    });
  }

  private async hangUp(): Promise<void> {
    if (!(await confirm({ title: "End this call now?", body: "The caller is cut off in the middle. It is written into the audit.", yes: "End the call", danger: true })))
      return;
    try {
      await post(`/v1/calls/${this.params.id}/hangup`, {});
      toast("The call is being ended.");
    } catch (e) {
      toast((e as ApiError).message, "bad");
    }
  }

  /* ---------------------------------------------------------------- what was said */

  /** An event is told when its turn is over. */
  private turns(r: Recording | null): Turn[] {
    const began = r && audible(r) ? Date.parse(r.began_at) : null;

    return this.events.filter((e) => ["turn.user", "turn.agent"].includes(nameOf(e))).map((e) => {
      const d = e.data as { heard?: string; text?: string; started_ms?: number; ended_ms?: number };
      const length = Math.max(0, (d.ended_ms ?? 0) - (d.started_ms ?? 0));
      return {
        agent: nameOf(e) === "turn.agent",
        text: (d.heard ?? d.text ?? "").trim(),
        time: e.time,
        from: began === null ? null : Math.max(0, (Date.parse(e.time) - length - began) / 1000),
      };
    }).filter((t) => t.text);
  }

  private follow(at: number): void {
    const turns = this.turns(this.call!.recording);
    const now = turns.findLastIndex((t) => t.from !== null && t.from <= at + 0.05);

    if (now === this.now) return;
    this.now = now;
    const line = this.querySelectorAll<HTMLElement>(".bubbles li")[now], box = line?.closest<HTMLElement>(".follows");
    if (box) box.scrollTop = line.offsetTop - box.offsetTop - box.clientHeight / 2;
  }

  private bubble(t: Turn, i: number) {
    const time = t.from === null ? html`<time>${timeOfDay(t.time)}</time>`
      : html`<button class="link" @click=${() => this.player?.seek(t.from!)} aria-label=${`Play from ${position(t.from)}`}>${position(t.from)}</button>`;

    return html`<li class="${t.agent ? "agent" : "caller"} ${i === this.now ? "now" : ""}">
      <span class="speaker">${t.agent ? "Agent" : "Caller"} ${time}</span><span>${t.text}</span>
    </li>`;
  }

  private said(c: WholeCall) {
    const turns = this.turns(c.recording);

    if (!turns.length) return html`<p class="muted">${c.state === "ended" ? "Nothing was said, or it is not written down yet." : "Nothing has been said yet."}</p>`;
    return html`<div class="follows" tabindex="0" role="region" aria-label="Transcript"><ol class="bubbles" aria-live=${c.state === "ended" ? "off" : "polite"}>
      ${turns.map((t, i) => this.bubble(t, i))}
    </ol></div>`;
  }

  private sound(c: WholeCall) {
    const states: Partial<Record<Recording["state"], string>> = {
      recording: "It is being recorded.", joining: "The recording is being put together.", fetching: "The recording is being fetched.",
      failed: "Nothing could be recorded.",
    };

    if (!c.recording) return nothing;
    return html`<section class="card" aria-labelledby="sound-title"><h2 id="sound-title">Recording</h2>
      ${audible(c.recording)
        ? html`<pb-recording .call=${c.id} .ms=${c.recording.duration_ms} @moved=${(e: CustomEvent<number>) => this.follow(e.detail)}></pb-recording>
            ${c.recording.filled_ms ? html`<p class="help">${duration(c.recording.filled_ms)} of it were lost and are silence.</p>` : nothing}`
        : html`<p class="muted">${states[c.recording.state]}</p>`}
    </section>`;
  }

  /* ---------------------------------------------------------------- what happened */

  private story() {
    const lines = this.events.flatMap((e) => {
      const line = tell(e);
      return line ? [{ e, line }] : [];
    });

    if (!lines.length) return html`<p class="muted">Nothing is written down yet.</p>`;
    return html`<ol class="timeline">
      ${lines.map(({ e, line }) => html`<li class=${line.kind}>
        <time datetime=${e.time}>${timeOfDay(e.time)}</time>
        <div>
          <p class="happened">${line.title}</p>
          ${line.because.filter(Boolean).map((b) => html`<p class="help">${b}</p>`)}
          <details><summary>All of it<span class="unseen"> about: ${line.title}</span></summary><pre tabindex="0">${JSON.stringify(e.data, null, 2)}</pre></details>
        </div>
      </li>`)}
    </ol>`;
  }

  private facts(c: WholeCall) {
    const rows: [string, unknown][] = [
      ["Whose", this.me?.admin ? html`<a href=${`/admin/users/${c.user_id}`}>${c.user_name ?? c.user_id}</a>` : c.user_name ?? "–"],
      ["From", caller(c)],
      ["To", c.to ?? "the agent"],
      ["Began", dateTime(c.offered_at)],
      ["Length", duration(c.duration_ms)],
      ["Outcome", outcomeOf(c)],
      ["Why it ended", c.ended_means ?? (c.ended_reason ? words(c.ended_reason) : "–")],
      ["Greeting after", c.greeting_ms === null ? "–" : `${c.greeting_ms} ms`],
    ];

    return html`<dl class="facts">${rows.map(([k, v]) => html`<div><dt>${k}</dt><dd>${v}</dd></div>`)}</dl>`;
  }

  render() {
    if (this.failed && !this.call) return this.failure(() => this.begin());
    if (!this.call) return waiting(8);
    const c = this.call;

    return html`
      <h1>Call from ${caller(c)} <pb-badge short .stack=${c.stack}></pb-badge>
        ${c.state === "ended" ? nothing : html`<span class="badge live">live</span>`}
        ${c.state !== "ended" && this.me?.admin ? html`<button class="button danger small" @click=${() => void this.hangUp()}>End the call</button>` : nothing}</h1>
      <section class="card">${this.facts(c)}</section>
      ${this.sound(c)}
      <div class="two">
        <section class="card" aria-labelledby="said-title"><h2 id="said-title">Conversation</h2>${this.said(c)}</section>
        <section class="card" aria-labelledby="story-title"><h2 id="story-title">What happened, and why</h2>${this.story()}</section>
      </div>
      <pb-call-cost .call=${c.id}></pb-call-cost>
    `;
  }
}
