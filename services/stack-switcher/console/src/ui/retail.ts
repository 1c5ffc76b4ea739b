/** What customers are charged: a price a minute by tier, the same on both stacks. */
import { html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { ApiError, del, get, post } from "../api";
import { confirm } from "./confirm";
import { count, dateTime } from "./format";
import { microusd, price } from "./money";
import { Page, waiting } from "./page";
import { toast } from "./toast";

export interface RetailPrice {
  id: string;
  tier: string;
  microusd_per_minute: number;
  valid_from: string;
  valid_to: string | null;
  state: "past" | "in_force" | "future";
  note: string | null;
}

export interface Retail {
  tiers: { tier: string; users: number; microusd_per_minute: number | null }[];
  prices: RetailPrice[];
}

const states = { past: "Past", in_force: "In force", future: "To come" };
const fields = ["tier", "microusd_per_minute", "valid_from", "note"];

@customElement("pb-retail")
export class RetailSection extends Page {
  @state() private retail: Retail | null = null;
  @state() private wrong: { field: string | null; text: string } | null = null;
  @state() private past = false;

  connectedCallback(): void {
    super.connectedCallback();
    void this.load();
  }

  private load(): Promise<void> {
    return this.attempt(async () => {
      this.retail = await get<Retail>("/v1/retail");
    });
  }

  private typed(name: string): string {
    return (this.querySelector(`[name=${name}]`) as HTMLInputElement).value.trim();
  }

  private async save(e: Event): Promise<void> {
    e.preventDefault();
    const amount = microusd(this.typed("microusd_per_minute"));
    const at = this.typed("valid_from");

    this.wrong = null;
    if (amount === null) {
      this.wrong = { field: "microusd_per_minute", text: "Must be an amount in dollars." };
      return;
    }
    try {
      await post<RetailPrice>("/v1/retail", {
        tier: this.typed("tier"), microusd_per_minute: amount, note: this.typed("note") || null,
        ...(at ? { valid_from: new Date(at).toISOString() } : {}),
      });
    } catch (e) {
      if (!(e instanceof ApiError)) throw e;
      this.wrong = { field: e.field, text: e.message };
      return;
    }
    (e.target as HTMLFormElement).reset();
    toast("The price is set.");
    await this.load();
  }

  private async drop(p: RetailPrice): Promise<void> {
    if (!(await confirm({ title: "Take this price away?", yes: "Take it away", danger: true, body: "It has never held." }))) return;
    await this.attempt(async () => {
      await del(`/v1/retail/${p.id}`);
      toast("It is gone.");
    });
    if (!this.failed) await this.load();
  }

  private row(p: RetailPrice) {
    return html`<tr class=${p.state === "past" ? "muted" : ""}>
      <th scope="row">${p.tier}</th>
      <td class="number">${price(p.microusd_per_minute)} <span class="help">per minute</span></td>
      <td>${states[p.state]}</td>
      <td>${dateTime(p.valid_from)}</td>
      <td>${p.valid_to ? dateTime(p.valid_to) : "–"}</td>
      <td class="wrap">${p.note ?? ""}</td>
      <td class="rate-actions">${p.state === "future"
        ? html`<button class="link" aria-label=${`Remove the price of ${p.tier} from ${dateTime(p.valid_from)}`} @click=${() => void this.drop(p)}>Remove</button>`
        : nothing}</td></tr>`;
  }

  private table(r: Retail) {
    const shown = r.prices.filter((p) => this.past || p.state !== "past");
    const gone = r.prices.length - r.prices.filter((p) => p.state !== "past").length;

    return html`
      <p>${r.tiers.map((t, i) => html`${i ? " · " : ""}<strong>${t.tier}</strong>: ${count(t.users)} ${t.users === 1 ? "user" : "users"}, ${
        t.microusd_per_minute === null ? "no price" : `${price(t.microusd_per_minute)} a minute`}`)}</p>
      ${shown.length ? html`<div class="scroll" tabindex="0" role="region" aria-label="What customers are charged"><table>
        <thead><tr><th>Tier</th><th class="number">Price</th><th>State</th><th>From</th><th>Until</th><th>Note</th><th><span class="unseen">Change</span></th></tr></thead>
        <tbody>${shown.map((p) => this.row(p))}</tbody></table></div>` : html`<p class="muted">No price is set.</p>`}
      ${gone ? html`<label class="check"><input type="checkbox" .checked=${this.past} @change=${(e: Event) => { this.past = (e.target as HTMLInputElement).checked; }}>
        past ones, too</label>` : nothing}`;
  }

  private field(name: string, label: string, help: string, type = "text", list: string | typeof nothing = nothing) {
    const bad = this.wrong?.field === name;

    return html`<label class="field"><span>${label}</span>
      <input name=${name} type=${type} list=${list} aria-invalid=${bad ? "true" : nothing}>
      ${bad ? html`<span class="wrong" role="alert">${this.wrong!.text}</span>` : html`<span class="help">${help}</span>`}</label>`;
  }

  private form(r: Retail) {
    return html`<details ?open=${!r.prices.length}><summary>Set a price</summary>
      <form @submit=${(e: Event) => void this.save(e)} novalidate>
        ${this.wrong && !fields.includes(this.wrong.field ?? "") ? html`<p class="alert alert-error" role="alert">${this.wrong.text}</p>` : nothing}
        <datalist id="retail-tiers">${r.tiers.map((t) => html`<option value=${t.tier}></option>`)}</datalist>
        <div class="rate-fields">
          ${this.field("tier", "Tier", "standard, or one of your own", "text", "retail-tiers")}
          ${this.field("microusd_per_minute", "Dollars a minute", "0: nothing")}
          ${this.field("valid_from", "From", "Your own time; empty: from now on", "datetime-local")}
          ${this.field("note", "Note", "")}
        </div>
        <button class="button primary">Set the price</button>
      </form></details>`;
  }

  render() {
    return html`<section class="card" aria-labelledby="retail-title"><h2 id="retail-title">What customers are charged</h2>
      <p class="muted">The same on both stacks. A call is counted by the price that held when it began, of the tier its user was on.</p>
      ${this.failed ? this.failure(() => void this.load()) : this.retail ? html`${this.table(this.retail)}${this.form(this.retail)}` : waiting(4)}
    </section>`;
  }
}
