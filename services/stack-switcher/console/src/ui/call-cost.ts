/** What one call cost, line by line, and what it would have cost on the other stack. */
import { html, nothing, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { get } from "../api";
import { comparedWithRetell, money, stackName, type CallCost, type CostLine } from "../usage";
import { count, words } from "./format";
import { Page, waiting } from "./page";
import { assumptions, missing } from "./saving";

@customElement("pb-call-cost")
export class CallCostSection extends Page {
  @property() call = "";
  @state() private cost: CallCost | null = null;

  willUpdate(p: PropertyValues<this>): void {
    if (p.has("call") && this.call) void this.load();
  }

  private load(): Promise<void> {
    return this.attempt(async () => {
      this.cost = await get<CallCost>(`/v1/calls/${this.call}/cost`);
    });
  }

  private line(l: CostLine) {
    return html`<tr>
      <td>${words(l.leg ?? "")}${(l.segment ?? 1) > 1 ? ` ${l.segment}` : ""}</td>
      <td>${words(l.component)}</td>
      <td>${l.provider}${l.model ? ` ${l.model}` : ""}</td>
      <td class="number">${l.quantity === undefined ? "–" : `${count(l.quantity)} ${l.unit.replace("usd_cent", "cent")}${l.quantity === 1 ? "" : "s"}`}</td>
      <td class="number">${l.cost_microusd === undefined ? html`<span title=${l.reason ?? ""}>no price</span>` : money(l.cost_microusd)}</td>
    </tr>`;
  }

  private other(c: CallCost) {
    if (!c.other) return nothing;
    return html`<p>On ${stackName(c.other.stack)} it would have cost about <strong>${money(c.other.cost_microusd)}</strong>${
      c.saving_share === null ? "" : `: ${comparedWithRetell(c.saving_share)}`}.
      <span class="muted">An estimate: ${c.other.measured.length ? `${c.other.measured.map((m) => words(m).toLowerCase()).join(", ")} as measured` : ""}${
        c.other.assumed.length ? `; supposed: ${c.other.assumed.map((m) => words(m).toLowerCase()).join(", ")}` : ""}.</span></p>
      ${c.other.missing.length ? missing(c.other.missing) : nothing}
      ${assumptions(c.assumptions)}`;
  }

  render() {
    const c = this.cost;

    return html`<section class="card"><h2>What it cost</h2>
      ${this.failed ? this.failure(() => void this.load()) : !c ? waiting(4) : html`
        ${c.lines.length ? html`
          <p class="big">${c.cost_microusd === null ? `${money(c.known_microusd)} without what has no price` : money(c.cost_microusd)}</p>
          ${missing(c.missing)}
          <div class="scroll" tabindex="0" role="region" aria-label="What it cost, line by line"><table>
            <thead><tr><th>Leg</th><th>What</th><th>Of whom</th><th class="number">How much</th><th class="number">Cost</th></tr></thead>
            <tbody>${c.lines.map((l) => this.line(l))}</tbody>
          </table></div>` : html`<p class="muted">Nothing was used, or it is not written down yet.</p>`}
        ${this.other(c)}`}
    </section>`;
  }
}
