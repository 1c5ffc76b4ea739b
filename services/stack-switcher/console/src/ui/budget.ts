/** What a user may spend, has spent, and has reserved for calls under way. Admins set it. */
import { html, nothing, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { ApiError, get, put } from "../api";
import { dateTime } from "./format";
import { microusd, money } from "./money";
import { Page, waiting } from "./page";
import { toast } from "./toast";

interface Period {
  cap_microusd: number | null;
  used_microusd: number;
  reserved_microusd: number;
  left_microusd: number | null;
  forecast_microusd: number | null;
  calls: number;
}

interface Budget {
  version: number;
  daily_microusd: number | null;
  monthly_microusd: number | null;
  reserve_minutes: number;
  alert_percents: number[];
  per_minute_microusd: number;
  allows: boolean;
  periods: { day: Period; month: Period };
  alerts: { period: string; percent: number; at: string }[];
}

@customElement("pb-budget")
export class BudgetSection extends Page {
  @property() user = "";
  @property({ type: Boolean }) editable = false;
  @state() private budget: Budget | null = null;
  @state() private wrong: { field: string | null; text: string } | null = null;

  willUpdate(p: PropertyValues<this>): void {
    if (p.has("user") && this.user) void this.load();
  }

  private load(): Promise<void> {
    return this.attempt(async () => {
      this.budget = await get<Budget>(`/v1/users/${this.user}/budget`);
    });
  }

  private typed(name: string): string {
    return (this.querySelector(`[name=${name}]`) as HTMLInputElement).value.trim();
  }

  private async save(e: Event): Promise<void> {
    e.preventDefault();
    const b = this.budget!;
    const caps: Record<string, number | null> = {};

    this.wrong = null;
    for (const name of ["monthly_microusd", "daily_microusd"]) {
      caps[name] = this.typed(name) ? microusd(this.typed(name)) : null;
      if (this.typed(name) && caps[name] === null) {
        this.wrong = { field: name, text: "Must be an amount in dollars." };
        return;
      }
    }
    try {
      this.budget = await put<Budget>(`/v1/users/${this.user}/budget`,
        { ...caps, reserve_minutes: Number(this.typed("reserve_minutes")) || null, alert_percents: b.alert_percents },
        { "If-Match": `"${b.version}"` });
      toast("The budget is set.");
    } catch (e) {
      if (!(e instanceof ApiError)) throw e;
      this.wrong = { field: e.field, text: e.message };
    }
  }

  private bar(label: string, p: Period) {
    const cap = p.cap_microusd;
    const most = Math.max(cap ?? 0, p.used_microusd + p.reserved_microusd, p.forecast_microusd ?? 0, 1);
    const share = (n: number) => (100 * n) / most;
    const forecast = p.forecast_microusd;
    const words = `${money(p.used_microusd)} used${p.reserved_microusd ? `, ${money(p.reserved_microusd)} reserved` : ""}${
      cap === null ? ", no cap" : ` of ${money(cap)}`}`;

    return html`<div class="budget-period">
      <div class="spread"><strong>${label}</strong><span>${words}</span></div>
      <svg class="budget-bar" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label=${`${label}: ${words}`}>
        <rect class="all" width="100" height="6"></rect>
        <rect class="reserved" width=${share(p.used_microusd + p.reserved_microusd)} height="6"></rect>
        <rect class=${cap !== null && p.used_microusd >= cap ? "over" : "used"} width=${share(p.used_microusd)} height="6"></rect>
      </svg>
      ${forecast === null ? nothing : html`<span class="help">As it goes: ${money(forecast)} by the end${
        cap !== null && forecast > cap ? html` – <strong>more than the cap</strong>` : nothing}</span>`}
    </div>`;
  }

  private field(name: string, label: string, value: string, help: string) {
    const bad = this.wrong?.field === name;

    return html`<label class="field"><span>${label}</span><input name=${name} inputmode="decimal" .value=${value} aria-invalid=${bad ? "true" : nothing}>
      ${bad ? html`<span class="wrong" role="alert">${this.wrong!.text}</span>` : html`<span class="help">${help}</span>`}</label>`;
  }

  private form(b: Budget) {
    const dollars = (n: number | null) => (n === null ? "" : String(n / 1e6));

    return html`<details ?open=${b.version === 0}><summary>Change it</summary>
      <form @submit=${(e: Event) => void this.save(e)} novalidate>
        ${this.wrong && !["monthly_microusd", "daily_microusd", "reserve_minutes"].includes(this.wrong.field ?? "")
          ? html`<p class="alert alert-error" role="alert">${this.wrong.text}</p>` : nothing}
        <div class="rate-fields">
          ${this.field("monthly_microusd", "A month, in dollars", dollars(b.monthly_microusd), "Empty: no cap")}
          ${this.field("daily_microusd", "A day, in dollars", dollars(b.daily_microusd), "Empty: no cap")}
          ${this.field("reserve_minutes", "Minutes a call reserves", String(b.reserve_minutes), `A minute costs this user ${money(b.per_minute_microusd)}`)}
        </div>
        <button class="button primary">Set the budget</button>
      </form></details>`;
  }

  private show(b: Budget) {
    return html`
      ${b.allows ? nothing : html`<p class="alert alert-warn">Calls are not served now: the next one might cost more than is left.</p>`}
      ${this.bar("This month", b.periods.month)}
      ${this.bar("Today", b.periods.day)}
      ${b.alerts.length ? html`<ul class="plain muted">${b.alerts.slice(0, 3).map((a) => html`<li>${a.percent} % of the ${a.period} reached, ${dateTime(a.at)}</li>`)}</ul>` : nothing}
      ${this.editable ? this.form(b) : nothing}`;
  }

  render() {
    return html`<section class="card" aria-labelledby="budget-title"><h2 id="budget-title">Budget</h2>
      ${this.failed ? this.failure(() => void this.load()) : this.budget ? this.show(this.budget) : waiting(4)}
    </section>`;
  }
}
