/** One rollout as it goes: how many are where, what the gates say, what may be done, and what was. */
import { html, nothing, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { get, post, query } from "../api";
import { rolloutName, rolloutState, stackNames, stepText, type Rollout, type RolloutEntry, type RolloutUser, type RolloutWish, type Verdict } from "../rollouts";
import { follow } from "../switches";
import "../ui/badge";
import { confirm } from "../ui/confirm";
import { count, dateTime, words } from "../ui/format";
import { Page, waiting } from "../ui/page";

const asked: Record<RolloutWish, { label: string; title?: string; body?: string; danger?: boolean }> = {
  pause: { label: "Pause" },
  resume: { label: "Resume" },
  promote: { label: "Go on", title: "Go on to the next step?", body: "Whatever the gates say so far." },
  abort: { label: "Stop here", title: "Stop here?", body: "Nobody else is moved. Who has been moved stays on the new stack." },
  rollback: {
    label: "Everybody back",
    title: "Everybody back to the old stack?",
    body: "Who has been moved goes back, with the settings of before. Calls in flight end where they are.",
    danger: true,
  },
};
const gateNames: Record<Verdict["gate"], string> = {
  failure_rate: "Failed calls",
  answer_ms: "Time to answer",
  response_ms: "Response time",
  cost_per_minute: "Cost per minute",
};
const states = ["waiting", "moving", "ready", "moved", "failed", "skipped", "returning", "returned", "left", "kept"];
const phases: Record<Rollout["phase"], string> = { moving: "Preparing", sharing: "Sharing calls", cutting: "Cutting over" };

function figure(gate: Verdict["gate"], v: number | undefined): string {
  if (v === undefined) return "–";
  if (gate === "failure_rate") return `${(v * 100).toFixed(1)} %`;
  return gate === "cost_per_minute" ? `$${(v / 1e6).toFixed(4)}` : `${Math.round(v)} ms`;
}

@customElement("pb-rollout")
export class RolloutPage extends Page {
  @property({ attribute: false }) params: { id?: string } = {};
  @state() private rollout: Rollout | null = null;
  @state() private users: RolloutUser[] | null = null;
  @state() private next: string | null = null;
  @state() private only = "";
  private following = new AbortController();
  private counted = "";

  willUpdate(p: PropertyValues<this>): void {
    if (p.has("params") && this.params.id) this.watch();
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    this.following.abort();
  }

  private get path(): string {
    return `/v1/rollouts/${this.params.id}`;
  }

  private watch(): void {
    this.following.abort();
    this.following = new AbortController();
    const { signal } = this.following;
    void this.attempt(() => follow<Rollout>(this.path, (now) => this.seen(now), signal));
  }

  private seen(now: Rollout): void {
    this.rollout = now;
    if (this.counted === JSON.stringify(now.counts)) return;
    this.counted = JSON.stringify(now.counts);
    void this.load(null);
  }

  private async load(after: string | null): Promise<void> {
    try {
      const page = await get<{ users: RolloutUser[]; next: string | null }>(query(`${this.path}/users`, { limit: 50, state: this.only, after }));
      this.users = after ? [...(this.users ?? []), ...page.users] : page.users;
      this.next = page.next;
    } catch (e) {
      await this.attempt(() => Promise.reject(e));
    }
  }

  private async wish(w: RolloutWish): Promise<void> {
    const a = asked[w];

    if (a.title && !(await confirm({ title: a.title, body: a.body, yes: a.label, danger: a.danger }))) return;
    await this.attempt(async () => {
      this.seen(await post<Rollout>(`${this.path}/${w}`, {}));
    });
    this.watch();
  }

  private async report(): Promise<void> {
    await this.attempt(async () => {
      const text = JSON.stringify(await get(`${this.path}/report`), null, 2);
      const a = document.createElement("a");

      a.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
      a.download = `rollout-${this.params.id}.json`;
      a.target = "_self"; // not a page of ours
      a.click();
      URL.revokeObjectURL(a.href);
    });
  }

  /* ---------------------------------------------------------------- what is shown */

  private head(r: Rollout) {
    const done = r.counts.moved + r.counts.failed + r.counts.skipped;

    return html`<section class="card" aria-labelledby="state-title">
      <h2 id="state-title">${words(rolloutState(r))}</h2>
      ${r.reason ? html`<p class=${r.outcome === "halted" || r.state === "returning" ? "alert alert-error" : "alert"} role="status">${words(r.reason)}</p>` : nothing}
      <label class="field"><span>${count(r.counts.moved)} of ${count(r.counts.total)} moved</span><progress max=${r.counts.total} .value=${done}></progress></label>
      <dl class="facts">
        ${states.filter((s) => r.counts[s]).map((s) => html`<div><dt>${words(s)}</dt><dd>${count(r.counts[s])}</dd></div>`)}
      </dl>
      <h3>Steps</h3>
      <ol class="course">
        ${[...r.steps.map(stepText), ...(r.mode === "calls" ? ["cut-over"] : [])].map((text, i) => {
          const past = i < r.step || r.outcome === "completed";
          return html`<li class=${past ? "done" : i === r.step && !r.finished_at ? "now" : ""}>${r.mode === "calls" && text !== "cut-over" ? `${text} of the calls` : text}${
            i === r.step && r.mode === "calls" && !r.finished_at ? html` <span class="muted">${phases[r.phase]}</span>` : nothing}</li>`;
        })}
      </ol>
      ${r.wait_until ? html`<p class="muted">Gates that do not tell are waited for until ${dateTime(r.wait_until)}; then you are asked.</p>` : nothing}
      <div class="buttons left">
        ${r.may.map((w) => html`<button class="button ${asked[w].danger ? "danger" : ""}" @click=${() => void this.wish(w)}>${asked[w].label}</button>`)}
        <button class="button" @click=${() => void this.report()}>Report</button>
      </div>
    </section>`;
  }

  private gate(v: Verdict) {
    const side = (s: Verdict["new"]) => html`${figure(v.gate, s.value)} <span class="muted">of ${count(s.n)}</span>`;

    return html`<tr>
      <td>${gateNames[v.gate]}</td>
      <td><span class="badge verdict ${v.verdict}">${words(v.verdict)}</span></td>
      <td class="number">${side(v.new)}</td>
      <td class="number">${side(v.old)}</td>
      <td class="number">${figure(v.gate, v.difference)}${v.low === undefined ? nothing : html` <span class="muted">(${figure(v.gate, v.low)} to ${figure(v.gate, v.high)})</span>`}</td>
      <td class="number">${figure(v.gate, v.margin)}</td>
      <td class="wrap">${v.why}</td>
    </tr>`;
  }

  private gates(r: Rollout) {
    if (!r.gates?.length) return nothing;
    return html`<section class="card" aria-labelledby="gates-title">
      <h2 id="gates-title">Gates</h2>
      <div class="scroll" tabindex="0" role="region" aria-labelledby="gates-title"><table>
        <thead><tr><th>What</th><th>Verdict</th><th class="number">New stack</th><th class="number">Old stack</th>
          <th class="number">Difference (95 %)</th><th class="number">Allowed</th><th>Why</th></tr></thead>
        <tbody>${r.gates.map((v) => this.gate(v))}</tbody></table></div>
    </section>`;
  }

  private entry(e: RolloutEntry) {
    return html`<li><time datetime=${e.at}>${dateTime(e.at)}</time>
      <span>${words(e.event)}, step ${e.step + 1}${e.detail ? html` <span class="muted">${e.detail}</span>` : nothing}${
        e.verdicts ? html` <span class="muted">${e.verdicts.map((v) => `${gateNames[v.gate]}: ${v.verdict}`).join(", ")}</span>` : nothing}</span></li>`;
  }

  private people(r: Rollout) {
    return html`<section class="card" aria-labelledby="users-title">
      <h2 id="users-title">Users</h2>
      <div class="filters"><label class="field"><span>State</span><select @change=${(e: Event) => {
        this.only = (e.target as HTMLSelectElement).value;
        void this.load(null);
      }}><option value="">All</option>${states.filter((s) => r.counts[s]).map((s) => html`<option value=${s} ?selected=${s === this.only}>${words(s)}</option>`)}</select></label></div>
      ${this.users ? this.table(this.users) : this.failed ? nothing : waiting(10)}
      ${this.next ? html`<button class="button" @click=${() => void this.load(this.next)}>More</button>` : nothing}
    </section>`;
  }

  private table(users: RolloutUser[]) {
    return html`<div class="scroll" tabindex="0" role="region" aria-labelledby="users-title"><table>
        <thead><tr><th>Name</th><th>State</th><th>Test call</th><th>Note</th></tr></thead>
        <tbody>${users.map((u) => html`<tr>
          <td><a href=${`/admin/users/${u.user_id}`}>${u.name ?? u.user_id}</a></td>
          <td>${words(u.state)}${u.state === "moving" && u.switch_state ? html` <span class="muted">${words(u.switch_state)}</span>` : nothing}</td>
          <td>${u.verify ? "Yes" : "No"}</td>
          <td class="wrap">${u.note ?? (u.state === "moved" ? "" : u.switch_error ?? "")}</td></tr>`)}</tbody></table></div>`;
  }

  /** What comes below the users, once they are there: it would be pushed down. */
  private past(r: Rollout) {
    return html`<section class="card" aria-labelledby="log-title"><h2 id="log-title">What happened</h2>
        <ol class="timeline">${(r.log ?? []).map((e) => this.entry(e))}</ol></section>
      <p class="muted">To ${stackNames[r.to_stack]}, ${r.at_a_time} at a time; begun ${dateTime(r.created_at)}.</p>`;
  }

  render() {
    const r = this.rollout;

    if (!r) return html`<h1>Rollout</h1>${this.failed ? this.failure(() => this.watch()) : waiting(8)}`;
    return html`<h1>${rolloutName(r)} <pb-badge short .stack=${r.to_stack}></pb-badge></h1>
      ${r.why ? html`<p class="muted">“${r.why}”</p>` : nothing}
      ${this.failed ? html`<p class="alert alert-error" role="alert">${this.failed.message}</p>` : nothing}
      ${this.head(r)} ${this.gates(r)} ${this.people(r)} ${this.users || this.failed ? this.past(r) : nothing}`;
  }
}
