/** Many users moved at once: what has been rolled out, and a new one with its plan. */
import { html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { get, post } from "../api";
import { rolloutName, rolloutState, stepText, type Rollout, type RolloutPlan } from "../rollouts";
import { go } from "../router";
import { session } from "../session";
import "../ui/badge";
import { ago, count, words } from "../ui/format";
import { Page, waiting } from "../ui/page";

const AGAIN_MS = 5000;

@customElement("pb-rollouts")
export class RolloutsPage extends Page {
  @state() private rollouts: Rollout[] | null = null;
  @state() private next: string | null = null;
  @state() private plan: RolloutPlan | null = null;
  @state() private mode: "users" | "calls" = "users";
  @state() private by: "filter" | "list" = "filter";
  @state() private busy = false;
  /** The form comes after the list, which would push it down. */
  @state() private looked = false;
  private planned = "";
  private key = "";
  private timer = 0;

  connectedCallback(): void {
    super.connectedCallback();
    void this.load();
    this.timer = window.setInterval(() => void this.load(), AGAIN_MS);
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.timer);
  }

  /** Not by attempt: what the form has to say stays. */
  private async load(before: string | null = null): Promise<void> {
    try {
      const page = await get<{ rollouts: Rollout[]; next: string | null }>(`/v1/rollouts?limit=50${before ? `&before=${before}` : ""}`);
      if (!before && (this.rollouts?.length ?? 0) > 50) return; // older ones are shown: they stay
      this.rollouts = before ? [...this.rollouts!, ...page.rollouts] : page.rollouts;
      this.next = page.next;
    } catch (e) {
      if (session.token && !this.rollouts) await this.attempt(() => Promise.reject(e));
    }
    this.looked = true;
  }

  /* ---------------------------------------------------------------- a new one */

  private request(form: FormData): Record<string, unknown> {
    const text = (name: string): string => String(form.get(name) ?? "").trim();
    const gate = (name: string, unit: string, by: number) =>
      text(name) === "" ? null : { [unit]: Number(text(name)) / by, min_calls: Number(text("min_calls")) };

    return {
      name: text("name") || undefined,
      to_stack: text("to_stack"),
      cohort: this.by === "list"
        ? { user_ids: text("user_ids").toLowerCase().split(/[\s,;]+/).filter(Boolean) }
        : { filter: { ...(text("search") ? { search: text("search") } : {}), ...(text("limit") ? { limit: Number(text("limit")) } : {}) } },
      mode: this.mode,
      steps: text("steps").split(/[\s,;%]+/).filter(Boolean).map((p) => ({ percent: Number(p) })),
      at_a_time: Number(text("at_a_time")),
      gates: {
        failure_rate: gate("failure_rate", "margin", 100),
        response_ms: gate("response_ms", "margin_percent", 1),
        cost_per_minute: gate("cost_per_minute", "margin_percent", 1),
        bake_s: Math.round(Number(text("bake_min")) * 60),
        wait_s: Math.round(Number(text("wait_min")) * 60),
      },
      verify: { first: Number(text("verify_first")), every: Number(text("verify_every")) },
      hold: form.has("hold"),
      retire: text("retire"),
      why: text("why") || undefined,
    };
  }

  private async ask(e: SubmitEvent): Promise<void> {
    const body = this.request(new FormData(e.target as HTMLFormElement));
    const starts = this.plan !== null && this.planned === JSON.stringify(body);

    e.preventDefault();
    this.busy = true;
    await this.attempt(async () => {
      if (starts) {
        const begun = await post<Rollout>("/v1/rollouts", body, { "Idempotency-Key": this.key });
        go(`/admin/rollouts/${begun.id}`);
        return;
      }
      this.plan = null;
      this.plan = await post<RolloutPlan>("/v1/rollouts?dry_run=1", body);
      this.planned = JSON.stringify(body);
      this.key = crypto.randomUUID();
    });
    this.busy = false;
  }

  /** What was planned is not what the form says any more. */
  private changed(): void {
    this.plan = null;
  }

  private cohort() {
    const choice = (by: "filter" | "list", text: string) => html`<label><input type="radio" name="by" value=${by}
      .checked=${this.by === by} @change=${() => (this.by = by)}> ${text}</label>`;

    return html`<fieldset class="field"><legend>Who</legend>
      ${choice("filter", "Everybody who matches")} ${choice("list", "A list of user ids")}
      ${this.by === "filter"
        ? html`<div class="filters">
            <label class="field"><span>Search</span><input type="search" name="search" placeholder="Name, e-mail or number; empty: everybody"></label>
            <label class="field"><span>At most</span><input type="number" name="limit" min="1" max="10000" placeholder="10000"></label></div>`
        : html`<label class="field"><span>User ids</span><textarea name="user_ids" rows="4" required></textarea></label>`}
    </fieldset>`;
  }

  private number(name: string, label: string, value: number, help: string, required = false) {
    return html`<label class="field"><span>${label}</span><input type="number" name=${name} min="0" step="any" .defaultValue=${String(value)} ?required=${required}>
      <span class="help">${help}</span></label>`;
  }

  private how() {
    const choice = (mode: "users" | "calls", text: string) => html`<label><input type="radio" name="mode" value=${mode}
      .checked=${this.mode === mode} @change=${() => (this.mode = mode)}> ${text}</label>`;

    return html`
      <fieldset class="field"><legend>How</legend>
        ${choice("users", "So many users, then more")}
        ${choice("calls", "So many of each user's new calls first, then the cut-over")}
        <div class="two">
          <label class="field"><span>Steps, in percent</span><input name="steps" required pattern="[0-9 ,;%]+"
            .value=${this.mode === "users" ? "5, 25, 100" : "5, 25, 50"}></label>
          ${this.number("at_a_time", "At a time", 20, "Switches under way at once", true)}
          ${this.number("verify_first", "Test calls to the first", 3, "Before they cut over", true)}
          ${this.number("verify_every", "And to one in", 50, "0: to nobody else", true)}
        </div>
      </fieldset>
      <fieldset class="field"><legend>Back by itself, when the new stack is worse by more than</legend>
        <div class="two">
          ${this.number("failure_rate", "Failed calls, percentage points", 5, "Empty: not looked at")}
          ${this.number("response_ms", "Response time, percent", 25, "Empty: not looked at")}
          ${this.number("cost_per_minute", "Cost per minute, percent", 25, "Empty: not looked at")}
          ${this.number("min_calls", "Calls needed on either side", 30, "Fewer tell nothing", true)}
          ${this.number("bake_min", "A step takes, minutes", 5, "At least", true)}
          ${this.number("wait_min", "Then waits, minutes", 60, "While it is inconclusive; then you are asked", true)}
        </div>
      </fieldset>`;
  }

  private form() {
    return html`<section class="card" aria-labelledby="new-title">
      <h2 id="new-title">New rollout</h2>
      <form @submit=${this.ask} @input=${this.changed}>
        <div class="two">
          <label class="field"><span>Name</span><input name="name" maxlength="120"></label>
          <label class="field"><span>To</span><select name="to_stack"><option value="livekit">LiveKit</option><option value="retell">Retell</option></select></label>
        </div>
        ${this.cohort()} ${this.how()}
        <label class="check"><input type="checkbox" name="hold"> Ask me before each further step</label>
        <label class="field"><span>The old agents</span><select name="retire">
          <option value="keep">Keep for the time to go back, then delete</option><option value="delete">Delete once their calls are over</option></select></label>
        <label class="field"><span>Why (for the audit)</span><input name="why" maxlength="500"></label>
        ${this.failed ? html`<p class="alert alert-error" role="alert">${this.failed.message}</p>` : nothing}
        ${this.plan ? this.shown(this.plan) : nothing}
        <div class="buttons left">
          <button class="button primary" ?disabled=${this.busy || this.plan?.movable === 0}>${this.plan ? "Start" : this.busy ? "Planning…" : "Show the plan"}</button>
        </div>
      </form>
    </section>`;
  }

  private shown(p: RolloutPlan) {
    const lossy = Object.entries(p.fields);

    return html`<div class="plan" role="status">
      <h3>The plan</h3>
      ${p.blockers.map((b) => html`<p class="alert alert-error">${b}</p>`)}
      <dl class="facts">
        <div><dt>To be moved</dt><dd>${count(p.movable)} <span class="help">of ${count(p.total)}</span></dd></div>
        <div><dt>There already</dt><dd>${count(p.already_there)}</dd></div>
        <div><dt>Lose something</dt><dd>${count(p.lossy_users)}</dd></div>
        <div><dt>Agents to make</dt><dd>${count(p.creates_agents)}</dd></div>
        <div><dt>Test calls</dt><dd>${count(p.verified_by_call)}</dd></div>
        <div><dt>Calls under way</dt><dd>${count(p.live_calls)}</dd></div>
      </dl>
      <p class="muted">${p.steps.map((s) => `${stepText(s)}${p.mode === "users" ? ` (${count(s.users)} users)` : " of the calls"}`).join(" → ")}${p.mode === "calls" ? " → cut-over" : ""}</p>
      ${Object.entries(p.blocked_by).map(([why, n]) => html`<p class="alert">${count(n)}: ${why}</p>`)}
      ${lossy.length
        ? html`<div class="scroll" tabindex="0" role="region" aria-label="Settings that change"><table>
            <thead><tr><th>Setting</th><th class="number">Nearly</th><th class="number">Lossy</th><th class="number">Parked</th></tr></thead>
            <tbody>${lossy.map(([name, g]) => html`<tr><td>${words(name)}</td>
              <td class="number">${g.near ?? ""}</td><td class="number">${g.lossy ?? ""}</td><td class="number">${g.parked ?? ""}</td></tr>`)}</tbody>
          </table></div>`
        : nothing}
    </div>`;
  }

  /* ---------------------------------------------------------------- those there are */

  private row(r: Rollout) {
    return html`<tr class="clickable" @click=${(e: Event) => (e.target as Element).closest("a") || go(`/admin/rollouts/${r.id}`)}>
      <td><a href=${`/admin/rollouts/${r.id}`}>${rolloutName(r)}</a></td>
      <td><pb-badge short .stack=${r.to_stack}></pb-badge></td>
      <td>${words(rolloutState(r))}</td>
      <td class="number">${count(r.counts.moved)} of ${count(r.counts.total)}</td>
      <td>${ago(r.created_at)}</td>
      <td class="wrap">${r.reason ?? r.why ?? ""}</td>
    </tr>`;
  }

  render() {
    return html`<h1>Rollouts</h1>
      <section class="card" aria-labelledby="list-title">
        <h2 id="list-title">So far</h2>
        ${!this.rollouts ? (this.failed ? this.failure(() => void this.load()) : waiting(4)) : this.rollouts.length
          ? html`<div class="scroll"><table>
              <thead><tr><th>Name</th><th>To</th><th>State</th><th class="number">Moved</th><th>Begun</th><th>Why</th></tr></thead>
              <tbody>${this.rollouts.map((r) => this.row(r))}</tbody></table></div>
              ${this.next ? html`<button class="button" @click=${() => void this.load(this.next)}>More</button>` : nothing}`
          : html`<p class="muted">Nothing has been rolled out yet.</p>`}
      </section>
      ${this.looked ? this.form() : nothing}`;
  }
}
