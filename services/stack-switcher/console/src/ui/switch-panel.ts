/** Which stack answers a user's calls, and moving him to the other: plan, start, watch, promote, abort, roll back. */
import { html, nothing, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { get, post, query, type Stack } from "../api";
import { follow, type Plan, type PlanField, type Price, type Switch, type Wish } from "../switches";
import "./badge";
import { confirm } from "./confirm";
import { ago, dateTime, span, timeOfDay, words } from "./format";
import { Page, waiting } from "./page";

const names: Record<Stack, string> = { retell: "Retell", livekit: "LiveKit" };
/** The steps in their order, and what is so once each is done. */
const course: [string, string][] = [
  ["validate", "Nothing speaks against it"],
  ["provision", "Agent made on the new stack"],
  ["verify", "Test call reached its greeting"],
  ["cutover", "New calls go to the new stack"],
  ["observe", "Every router knows"],
  ["drain", "Calls in flight have ended"],
  ["retire", "Old agent deleted"],
];
const asked: Record<Wish, { label: string; title: string; body: string; danger?: boolean }> = {
  abort: { label: "Abort", title: "Abort the switch?", body: "What was made on the new stack is taken away. Calls never noticed." },
  rollback: {
    label: "Roll back",
    title: "Go back to the old stack?",
    body: "New calls go to the old agent at once, with the settings it had. Calls in flight end where they are.",
    danger: true,
  },
  promote: { label: "Promote", title: "Go on?", body: "A held switch cuts over now. After the cut-over: the old agent is deleted now, and there is no way back." },
};
const bases: Record<Price["basis"], string> = {
  measured: "measured on his own calls of 30 days",
  reckoned: "reckoned from his calls on the other stack",
  assumed: "assumed: no calls yet",
  list_price: "list price: no calls yet",
};

const money = (p: Price): string => (p.microusd_per_minute === null ? "unknown" : `$${(p.microusd_per_minute / 1e6).toFixed(4)} a minute`);
const shown = (v: unknown): string => (v === null || v === undefined || v === "" ? "–" : typeof v === "object" ? JSON.stringify(v) : String(v));

@customElement("pb-switch-panel")
export class SwitchPanel extends Page {
  @property() user = "";
  @property() stack: Stack | null = null;
  @state() private plan: Plan | null = null;
  @state() private current: Switch | null = null;
  @state() private earlier: Switch[] = [];
  @state() private busy = false;
  private following = new AbortController();

  willUpdate(p: PropertyValues<this>): void {
    if (p.has("user") && this.user) void this.load();
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    this.following.abort();
  }

  private load(): Promise<void> {
    return this.attempt(async () => {
      const { switches } = await get<{ switches: Switch[] }>(query("/v1/switches", { user_id: this.user, limit: 10 }));
      this.earlier = switches.filter((s) => s.finished_at);
      const open = switches.find((s) => !s.finished_at);
      if (open) this.watch(open);
    });
  }

  private watch(s: Switch): void {
    this.following.abort();
    this.following = new AbortController();
    this.current = s;
    const { signal } = this.following;
    void this.attempt(() => follow<Switch>(`/v1/switches/${s.id}`, (now) => this.seen(now), signal));
  }

  private seen(s: Switch): void {
    const before = this.current?.done.length;

    this.current = s;
    if (s.done.length !== before || s.finished_at) this.dispatchEvent(new CustomEvent("switched", { bubbles: true }));
    if (s.finished_at) void this.load();
  }

  private async open(): Promise<void> {
    this.plan = null;
    this.querySelector<HTMLDialogElement>("dialog")!.showModal();
    await this.attempt(async () => {
      this.plan = await post<Plan>(`/v1/users/${this.user}/switch?dry_run=1`, { stack: this.stack === "retell" ? "livekit" : "retell" });
    });
  }

  private close(): void {
    this.querySelector<HTMLDialogElement>("dialog")!.close();
  }

  private async start(e: SubmitEvent): Promise<void> {
    const form = new FormData(e.target as HTMLFormElement);

    e.preventDefault();
    this.busy = true;
    await this.attempt(async () => {
      const begun = await post<Switch>(
        `/v1/users/${this.user}/switch`,
        {
          stack: this.plan!.to,
          why: form.get("why") || undefined,
          retire: form.get("retire"),
          hold: form.has("hold"),
          force: form.has("force"),
        },
        { "Idempotency-Key": crypto.randomUUID() },
      );
      this.close();
      this.watch(begun);
    });
    this.busy = false;
  }

  private async wish(w: Wish): Promise<void> {
    const a = asked[w];

    if (!(await confirm({ title: a.title, body: a.body, yes: a.label, danger: a.danger }))) return;
    await this.attempt(async () => {
      this.watch(await post<Switch>(`/v1/switches/${this.current!.id}/${w}`, {}));
    });
  }

  /* ---------------------------------------------------------------- the dialog */

  private row(f: PlanField) {
    const changes = "becomes" in f && shown(f.becomes) !== shown(f.value);

    return html`<tr>
      <td>${words(f.field)}</td>
      <td><span class="badge grade ${f.grade}">${f.grade}</span></td>
      <td class="wrap">${shown(f.value)}${changes ? html` → <b>${shown(f.becomes)}</b>` : nothing}${f.note ? html`<br><span class="muted">${f.note}</span>` : nothing}</td>
    </tr>`;
  }

  private fields(plan: Plan) {
    const differ = plan.fields.filter((f) => f.grade !== "exact");
    const same = plan.fields.filter((f) => f.grade === "exact");
    const table = (rows: PlanField[]) => html`<div class="scroll"><table>
      <thead><tr><th>Setting</th><th>Carries over</th><th>Value</th></tr></thead>
      <tbody>${rows.map((f) => this.row(f))}</tbody></table></div>`;

    return html`
      ${differ.length ? table(differ) : html`<p>Everything carries over exactly.</p>`}
      ${differ.length ? html`<p class="help">Parked settings are kept and come back with the old stack.</p>` : nothing}
      <details><summary>${same.length} settings carry over exactly</summary>${table(same)}</details>`;
  }

  private forecast(plan: Plan) {
    const saving = plan.cost.saving_percent;

    return html`<dl class="facts">
      ${(["retell", "livekit"] as Stack[]).map((s) => html`<div>
        <dt>${names[s]}</dt>
        <dd>${money(plan.cost[s])} <span class="help">${bases[plan.cost[s].basis]}; the stack is ${plan.health[s]?.state ?? "unknown"}</span></dd>
      </div>`)}
      ${saving === null ? nothing : html`<div><dt>LiveKit against Retell</dt><dd>${saving >= 0 ? `${saving} % less` : `${-saving} % more`}</dd></div>`}
    </dl>`;
  }

  private options(plan: Plan) {
    return html`
      <fieldset class="field">
        <legend>The old agent</legend>
        ${plan.keep_ms ? html`<label><input type="radio" name="retire" value="keep" checked> Keep for ${span(plan.keep_ms)}, to be able to go back</label>` : nothing}
        <label><input type="radio" name="retire" value="delete" ?checked=${!plan.keep_ms}> Delete once its calls are over</label>
      </fieldset>
      <label class="check"><input type="checkbox" name="hold"> Stop before the cut-over until I say go on</label>
      ${plan.blockers.length ? html`<label class="check"><input type="checkbox" name="force" required> Begin in spite of that</label>` : nothing}
      <label class="field"><span>Why (for the audit)</span><input name="why" maxlength="500"></label>`;
  }

  private dialog() {
    const plan = this.plan;

    return html`<dialog class="dialog wide" aria-labelledby="switch-title">
      <form @submit=${this.start}>
        <h2 id="switch-title">Switching stacks will recreate agent. Continue?</h2>
        ${this.failed ? html`<p class="alert alert-error" role="alert">${this.failed.message}</p>` : nothing}
        ${plan
          ? html`<p><pb-badge short .stack=${plan.from}></pb-badge> → <pb-badge short .stack=${plan.to}></pb-badge>
                ${plan.creates_agent ? "An agent is made on the new stack and has to answer a test call first." : "It has to answer a test call first."}</p>
              ${plan.blockers.map((b) => html`<p class="alert alert-error">${b}</p>`)}
              ${plan.warnings.map((w) => html`<p class="alert">${w}</p>`)}
              ${this.fields(plan)} ${this.forecast(plan)} ${this.options(plan)}`
          : this.failed ? nothing : waiting(6)}
        <div class="buttons">
          <button type="button" class="button" @click=${() => this.close()}>Cancel</button>
          <button class="button primary" ?disabled=${!plan || this.busy}>Switch to ${plan ? names[plan.to] : "…"}</button>
        </div>
      </form>
    </dialog>`;
  }

  /* ---------------------------------------------------------------- as it goes */

  private progress(s: Switch) {
    const back = s.undo || s.state === "rolled_back" || s.state === "failed";
    const next = course.find(([step]) => !s.done.includes(step))?.[0];

    return html`<div class="switching" aria-live="polite">
      <h3>${names[s.from_stack]} → ${names[s.to_stack]} <span class="badge ${back ? "warn" : ""}">${words(s.outcome ?? s.state)}</span></h3>
      <ol class="course">
        ${course.map(([name, text]) => {
          const ended = s.steps?.findLast((x) => x.step === name)?.ended_at;
          return html`<li class=${s.done.includes(name) ? "done" : name === next && !back && !s.finished_at ? "now" : ""}>
            <span>${text}</span>${ended ? html` <time class="muted">${timeOfDay(ended)}</time>` : nothing}
          </li>`;
        })}
      </ol>
      ${s.error ? html`<p class=${back ? "alert alert-error" : "alert"}>${words(s.error)}</p>` : nothing}
      ${s.hold && !s.promoted && s.state === "verified" ? html`<p class="alert">Held: nothing happens until you promote it.</p>` : nothing}
      ${s.window_until && !s.finished_at ? html`<p class="muted">You can go back until ${dateTime(s.window_until)}.</p>` : nothing}
      <div class="buttons left">
        ${s.may.map((w) => html`<button class="button ${asked[w].danger ? "danger" : ""}" @click=${() => void this.wish(w)}>${asked[w].label}</button>`)}
      </div>
    </div>`;
  }

  private history() {
    const past = this.earlier.filter((s) => s.id !== this.current?.id);

    if (!past.length) return nothing;
    return html`<details><summary>Earlier switches</summary><ul class="plain">
      ${past.map((s) => html`<li>${names[s.from_stack]} → ${names[s.to_stack]}, ${words(s.outcome ?? s.state)}, ${ago(s.created_at)}${s.why ? html` <span class="muted">“${s.why}”</span>` : nothing}</li>`)}
    </ul></details>`;
  }

  render() {
    const other: Stack = this.stack === "retell" ? "livekit" : "retell";
    const waits = !!this.current && this.current.open && !this.current.finished_at;

    return html`<section class="card" aria-labelledby="stack-title">
      <h2 id="stack-title">Voice stack</h2>
      <p class="spread"><pb-badge .stack=${this.stack}></pb-badge>
        <button class="button" ?disabled=${waits || !this.stack} @click=${() => void this.open()}>Switch to ${names[other]}…</button></p>
      ${this.failed && !this.querySelector("dialog")?.open ? html`<p class="alert alert-error" role="alert">${this.failed.message}</p>` : nothing}
      ${this.current ? this.progress(this.current) : nothing} ${this.history()} ${this.dialog()}
    </section>`;
  }
}
