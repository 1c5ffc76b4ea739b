/** A price of the house's own: a new one, or one that follows another. */
import { html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { ApiError, post } from "../api";
import type { Rate } from "../pages/rates";
import { microusd } from "./money";
import { Page } from "./page";
import { toast } from "./toast";

const localNow = (): string => new Date(Date.now() - new Date().getTimezoneOffset() * 60_000).toISOString().slice(0, 16);

@customElement("pb-rate-dialog")
export class RateDialog extends Page {
  @state() private from: Partial<Rate> | null = null;
  @state() private wrong: { field: string | null; text: string } | null = null;

  async open(from: Partial<Rate>): Promise<void> {
    this.from = from;
    this.wrong = null;
    await this.updateComplete;
    this.querySelector("dialog")!.showModal();
  }

  private close(): void {
    this.querySelector("dialog")!.close();
  }

  private value(name: string): string {
    return (this.querySelector(`[name=${name}]`) as HTMLInputElement).value.trim();
  }

  private async save(e: Event): Promise<void> {
    e.preventDefault();
    const amount = microusd(this.value("price_microusd"));
    const at = this.value("valid_from");

    if (amount === null) {
      this.wrong = { field: "price_microusd", text: "Must be an amount in dollars, a millionth of one at the least." };
      return;
    }
    try {
      await post<Rate>("/v1/rates", {
        provider: this.value("provider"), component: this.value("component"), model: this.value("model"),
        account: this.value("account"), unit: this.value("unit"), price_microusd: amount, per: Number(this.value("per")),
        minimum: Number(this.value("minimum") || 0), step: Number(this.value("step") || 0),
        ...(at ? { valid_from: new Date(at).toISOString() } : {}), source: this.value("source"),
        source_url: this.value("source_url") || null, note: this.value("note") || null, end_previous: true,
      });
    } catch (e) {
      if (!(e instanceof ApiError)) throw e;
      this.wrong = { field: e.field, text: e.message };
      return;
    }
    this.close();
    toast("The price is in the book.");
    this.dispatchEvent(new CustomEvent("changed"));
  }

  private field(name: string, label: string, value: string | number, more: { help?: string; type?: string; needed?: boolean } = {}) {
    const bad = this.wrong?.field === name;

    return html`<label class="field"><span>${label}</span>
      <input name=${name} type=${more.type ?? "text"} .value=${String(value)} ?required=${more.needed} aria-invalid=${bad ? "true" : nothing}>
      ${bad ? html`<span class="wrong" role="alert">${this.wrong!.text}</span>` : html`<span class="help">${more.help ?? ""}</span>`}
    </label>`;
  }

  private form(f: Partial<Rate>) {
    const known = ["provider", "component", "model", "account", "unit", "price_microusd", "per", "minimum", "step", "valid_from", "source", "source_url", "note"];

    return html`<form @submit=${(e: Event) => void this.save(e)} novalidate>
      <h2 id="rate-title">${f.id ? "Another price from a day on" : "Add a price"}</h2>
      <p class="muted">It goes before the shipped one. A price of ours that holds then ends then; calls of before keep it.</p>
      ${this.wrong && !known.includes(this.wrong.field ?? "") ? html`<p class="alert alert-error" role="alert">${this.wrong.text}</p>` : nothing}
      <div class="rate-fields">
        ${this.field("provider", "Provider", f.provider ?? "", { needed: true, help: "openai, deepgram …" })}
        ${this.field("component", "Component", f.component ?? "", { needed: true, help: "stt, llm_in, tts_chars, agent …" })}
        ${this.field("model", "Model", f.model ?? "", { help: "Empty: every model" })}
        ${this.field("account", "Account", f.account ?? "", { help: "Empty: every account" })}
        ${this.field("price_microusd", "Price in dollars", f.price_microusd !== undefined ? f.price_microusd / 1e6 : "", { needed: true })}
        ${this.field("per", "For so many", f.per ?? 1, { type: "number", needed: true })}
        ${this.field("unit", "Unit", f.unit ?? "", { needed: true, help: "second, token, character" })}
        ${this.field("minimum", "Billed at least", f.minimum ?? 0, { type: "number", help: "units" })}
        ${this.field("step", "In steps of", f.step ?? 0, { type: "number", help: "units; 0: none" })}
        ${this.field("valid_from", "From", localNow(), { type: "datetime-local", help: "Your own time" })}
        ${this.field("source", "Where the figure was read", "", { needed: true })}
        ${this.field("source_url", "Its address", f.source_url ?? "", { type: "url" })}
      </div>
      ${this.field("note", "Note", "")}
      <div class="buttons">
        <button type="button" class="button" @click=${() => this.close()}>Cancel</button>
        <button class="button primary">Put it in the book</button>
      </div>
    </form>`;
  }

  render() {
    return html`<dialog class="dialog wide" aria-labelledby="rate-title" @close=${() => (this.from = null)}>
      ${this.from ? this.form(this.from) : nothing}
    </dialog>`;
  }
}
