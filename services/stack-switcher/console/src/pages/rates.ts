/** The book of prices: the house's own and those shipped, what holds, what comes, what was. */
import { html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { del, get, patch, query } from "../api";
import { confirm } from "../ui/confirm";
import { dateTime } from "../ui/format";
import { perUnits, price, vendor } from "../ui/money";
import { Page, waiting } from "../ui/page";
import "../ui/rate-dialog";
import type { RateDialog } from "../ui/rate-dialog";
import "../ui/rerate";
import "../ui/retail";
import { toast } from "../ui/toast";

export interface Rate {
  id: string;
  origin: "house" | "shipped";
  version: number;
  provider: string;
  component: string;
  model: string;
  account: string;
  unit: string;
  price_microusd: number;
  per: number;
  minimum: number;
  step: number;
  valid_from: string | null;
  valid_to: string | null;
  state: "in_force" | "future" | "past";
  overruled: boolean;
  source: string;
  source_url: string | null;
  read_on: string | null;
  note: string | null;
}

const states = [["in_force", "In force"], ["future", "To come"], ["past", "Past"], ["", "All"]];

@customElement("pb-rates")
export class RatesPage extends Page {
  @state() private rates: Rate[] | null = null;
  @state() private shown = "in_force";
  @state() private origin = "";

  connectedCallback(): void {
    super.connectedCallback();
    void this.load();
  }

  private load(): Promise<void> {
    return this.attempt(async () => {
      let rates: Rate[] = [];
      let after: string | null = null;

      do {
        const page: { rates: Rate[]; next: string | null } = await get(
          query("/v1/rates", { state: this.shown, origin: this.origin, limit: 200, after }));
        rates = [...rates, ...page.rates];
        after = page.next;
      } while (after);
      this.rates = rates;
    });
  }

  private open(from: Partial<Rate>): void {
    void (this.querySelector("pb-rate-dialog") as RateDialog).open(from);
  }

  private async end(r: Rate): Promise<void> {
    if (await confirm({ title: "End this price now?", yes: "End it", danger: true,
                        body: "It is not changed. What is used from now on is counted by the shipped price, if there is one." }))
      await this.change(() => patch(`/v1/rates/${r.id}`, { valid_to: new Date().toISOString() }, { "If-Match": `"${r.version}"` }), "It is over.");
  }

  private async drop(r: Rate): Promise<void> {
    if (await confirm({ title: "Take this price away?", yes: "Take it away", danger: true, body: "It has never held." }))
      await this.change(() => del(`/v1/rates/${r.id}`, { "If-Match": `"${r.version}"` }), "It is gone.");
  }

  private async change(work: () => Promise<unknown>, done: string): Promise<void> {
    await this.attempt(async () => {
      await work();
      toast(done);
    });
    if (!this.failed) await this.load();
  }

  private actions(r: Rate) {
    if (r.state === "past") return nothing;
    return html`<button class="link" @click=${() => this.open(r)} aria-label=${`New price for ${r.provider} ${r.component} ${r.model}`}>New price</button>
      ${r.origin === "shipped" ? nothing : r.state === "future"
        ? html`<button class="link" @click=${() => void this.drop(r)} aria-label=${`Remove ${r.provider} ${r.component} ${r.model}`}>Remove</button>`
        : html`<button class="link" @click=${() => void this.end(r)} aria-label=${`End ${r.provider} ${r.component} ${r.model}`}>End</button>`}`;
  }

  private row(r: Rate) {
    return html`<tr class=${r.overruled ? "muted" : ""}>
      <td>${r.component}</td>
      <td>${r.model || "any"}${r.account ? html` <span class="help">account ${r.account}</span>` : nothing}</td>
      <td class="number">${price(r.price_microusd)} <span class="help">${perUnits(r.per, r.unit)}${r.minimum ? `, at least ${r.minimum}` : ""}${
        r.step ? `, in steps of ${r.step}` : ""}</span></td>
      <td>${r.origin === "house" ? html`<span class="badge livekit">Ours</span>` : html`<span class="badge">Shipped</span>`}
        ${r.overruled ? html`<span class="help">ours holds</span>` : nothing}</td>
      <td>${r.valid_from ? dateTime(r.valid_from) : "always"}</td>
      <td>${r.valid_to ? dateTime(r.valid_to) : "–"}</td>
      <td class="wrap">${r.source_url ? html`<a href=${r.source_url} rel="noreferrer noopener" target="_blank">${r.source}</a>` : r.source}
        ${r.note ? html`<span class="help">${r.note}</span>` : nothing}</td>
      <td class="rate-actions">${this.actions(r)}</td>
    </tr>`;
  }

  private table(rates: Rate[]) {
    const providers = [...new Set(rates.map((r) => r.provider))];

    if (!rates.length) return html`<p class="muted">No such price.</p>`;
    return providers.map((p) => html`<h3>${vendor(p)}</h3>
      <div class="scroll" tabindex="0" role="region" aria-label=${vendor(p)}><table class="rates">
        <thead><tr><th>Component</th><th>Model</th><th class="number">Price</th><th>Whose</th><th>From</th><th>Until</th><th>Read at</th><th><span class="unseen">Change</span></th></tr></thead>
        <tbody>${rates.filter((r) => r.provider === p).map((r) => this.row(r))}</tbody>
      </table></div>`);
  }

  private choice(label: string, value: string, options: string[][], set: (v: string) => void) {
    return html`<label class="field"><span>${label}</span><select @change=${(e: Event) => { set((e.target as HTMLSelectElement).value); void this.load(); }}>
      ${options.map(([v, t]) => html`<option value=${v} ?selected=${v === value}>${t}</option>`)}</select></label>`;
  }

  render() {
    return html`<h1 class="spread">Prices <button class="button primary" @click=${() => this.open({})}>Add a price</button></h1>
      <section class="card">
        <div class="filters">
          ${this.choice("Which", this.shown, states, (v) => (this.shown = v))}
          ${this.choice("Whose", this.origin, [["", "Both"], ["house", "Ours"], ["shipped", "Shipped"]], (v) => (this.origin = v))}
        </div>
        ${this.failed ? this.failure(() => void this.load()) : this.rates ? this.table(this.rates) : waiting(10)}
      </section>
      ${this.rates || this.failed ? html`<pb-rerate></pb-rerate><pb-retail></pb-retail>` : nothing /* they would be pushed down */}
      <pb-rate-dialog @changed=${() => void this.load()}></pb-rate-dialog>`;
  }
}
