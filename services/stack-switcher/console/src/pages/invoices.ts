/** What vendors say they bill, beside what we counted. */
import { html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { get, query } from "../api";
import { ago, count } from "../ui/format";
import { money, vendor } from "../ui/money";
import { Page, waiting } from "../ui/page";

interface Invoice {
  vendor: string;
  day: string;
  unit: "microusd" | "character";
  ours: number;
  theirs: number | null;
  calls: number;
  percent: number | null;
  differs: boolean;
  asked_at: string | null;
  error: string | null;
}

@customElement("pb-invoices")
export class InvoicesPage extends Page {
  @state() private told: { margin_percent: number; invoices: Invoice[] } | null = null;
  @state() private days = "14";

  connectedCallback(): void {
    super.connectedCallback();
    void this.load();
  }

  private load(): Promise<void> {
    return this.attempt(async () => {
      this.told = await get(query("/v1/invoices", { days: this.days }));
    });
  }

  private amount(i: Invoice, n: number | null): string {
    if (n === null) return "–";
    return i.unit === "microusd" ? money(n) : `${count(n)} characters`;
  }

  private row(i: Invoice) {
    return html`<tr>
      <td>${i.day}</td>
      <td class="number">${count(i.calls)}</td>
      <td class="number">${this.amount(i, i.ours)}</td>
      <td class="number">${this.amount(i, i.theirs)}</td>
      <td class="number">${i.percent === null ? "–" : `${i.percent > 0 ? "+" : ""}${i.percent} %`}</td>
      <td class="wrap">${i.error ? html`<span class="badge warn">Not told: ${i.error}</span>` : i.differs ? html`<span class="badge warn">Differs</span>` : ""}
        <span class="help">${i.asked_at ? `asked ${ago(i.asked_at)}` : "not asked yet"}</span></td>
    </tr>`;
  }

  private table(name: string, rows: Invoice[]) {
    return html`<section class="card"><h2>${vendor(name)}</h2>
      <div class="scroll" tabindex="0" role="region" aria-label=${vendor(name)}><table class="rates">
        <thead><tr><th>Day (UTC)</th><th class="number">Calls</th><th class="number">Ours</th><th class="number">Theirs</th>
          <th class="number">Difference</th><th>State</th></tr></thead>
        <tbody>${rows.map((r) => this.row(r))}</tbody>
      </table></div></section>`;
  }

  private shown(told: { margin_percent: number; invoices: Invoice[] }) {
    const names = [...new Set(told.invoices.map((i) => i.vendor))].sort();

    if (!names.length) return html`<p class="muted">No vendor is asked: that needs keys in the settings. LiveKit has nothing to be asked.</p>`;
    return names.map((n) => this.table(n, told.invoices.filter((i) => i.vendor === n)));
  }

  render() {
    return html`<h1>Invoices</h1>
      <div class="filters"><label class="field"><span>Days</span><select
        @change=${(e: Event) => { this.days = (e.target as HTMLSelectElement).value; void this.load(); }}>
        ${["7", "14", "30", "90"].map((d) => html`<option value=${d} ?selected=${d === this.days}>${d}</option>`)}</select></label></div>
      ${this.told ? html`<p class="muted">Each night vendors are asked for the days before. More than ${this.told.margin_percent} % is told.</p>` : nothing}
      ${this.failed ? this.failure(() => void this.load()) : this.told ? this.shown(this.told) : waiting(8)}`;
  }
}
