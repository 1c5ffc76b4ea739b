/** What a user is charged a minute, and the tier he is on. For admins. */
import { html, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { get, put } from "../api";
import { price } from "./money";
import { Page, waiting } from "./page";
import type { Retail } from "./retail";
import { toast } from "./toast";

interface Tier {
  tier: string;
  microusd_per_minute: number | null;
}

@customElement("pb-tier")
export class TierSection extends Page {
  @property() user = "";
  @state() private tier: Tier | null = null;
  @state() private tiers: string[] = [];

  willUpdate(p: PropertyValues<this>): void {
    if (p.has("user") && this.user) void this.load();
  }

  private load(): Promise<void> {
    return this.attempt(async () => {
      const [tier, retail] = await Promise.all([get<Tier>(`/v1/users/${this.user}/tier`), get<Retail>("/v1/retail")]);

      this.tiers = [...new Set([...retail.tiers.map((t) => t.tier), tier.tier])];
      this.tier = tier;
    });
  }

  private change(to: string): Promise<void> {
    return this.attempt(async () => {
      this.tier = await put<Tier>(`/v1/users/${this.user}/tier`, { tier: to });
      toast("The tier is set: calls from now on are counted by it.");
    });
  }

  private show(t: Tier) {
    return html`<label class="field"><span>Tier</span>
      <select @change=${(e: Event) => void this.change((e.target as HTMLSelectElement).value)}>
        ${this.tiers.map((name) => html`<option value=${name} ?selected=${name === t.tier}>${name}</option>`)}</select>
      <span class="help">${t.microusd_per_minute === null ? "No price is set for it." : `${price(t.microusd_per_minute)} a minute now.`}
        <a href="/admin/rates">Prices</a></span></label>`;
  }

  render() {
    return html`<section class="card" aria-labelledby="tier-title"><h2 id="tier-title">What this user is charged</h2>
      ${this.failed ? this.failure(() => void this.load()) : this.tier ? this.show(this.tier) : waiting(2)}
    </section>`;
  }
}
