/** What the other stack would have cost: the figure, and everything it rests on. */
import { html, nothing } from "lit";
import type { Assumption, Missing, Summary } from "../usage";
import { comparedWithRetell, money, share } from "../usage";
import { count, words } from "./format";

const valueOf = (a: Assumption): string =>
  a.value === null ? "" : a.unit === "share" ? share(a.value) : a.unit.startsWith("microusd")
    ? `${money(a.value)}${a.unit.slice(8)}` : `${count(a.value)} ${a.unit}`;

export const assumptions = (list: Assumption[]) => html`<details class="assumptions">
  <summary>What this rests on</summary>
  <dl>${list.map((a) => html`<div><dt>${a.words}</dt><dd>${valueOf(a)}</dd></div>`)}</dl>
</details>`;

export const missing = (list: Missing[]) => list.length
  ? html`<div class="alert alert-warn"><span>Sums are without what has no price: ${list.map((m, i) =>
      html`${i ? ", " : ""}${m.provider} ${words(m.component).toLowerCase()}${m.model ? ` (${m.model})` : ""}: ${m.reason}`)}.</span></div>`
  : nothing;

export function saving(s: Summary) {
  const k = s.comparison;

  if (k.saving_share === null) return html`<p class="muted">No call in this time of which both figures are known.</p>`;
  return html`
    <p class="big">${comparedWithRetell(k.saving_share)}</p>
    <p>The same ${count(k.calls)} ${k.calls === 1 ? "call" : "calls"} (${count(k.minutes)} minutes): all on Retell
      <strong>${money(k.all_on_retell_microusd)}</strong>, all on LiveKit <strong>${money(k.all_on_livekit_microusd)}</strong>.
      ${count(k.measured_on_retell)} ran on Retell and ${count(k.measured_on_livekit)} on LiveKit: those figures are measured, the others
      are an estimate.</p>
    ${k.plan_microusd === null ? nothing : html`<p>With the fee of LiveKit's plan for this time (${money(k.plan_microusd)}):
      ${k.saving_share_with_plan === null ? "–" : comparedWithRetell(k.saving_share_with_plan).toLowerCase().replace("livekit", "LiveKit").replace("retell", "Retell")}.</p>`}
    <p class="muted">${k.break_even_minutes_per_month === null ? "At these figures the plan never pays." :
      `The plan pays from ${count(k.break_even_minutes_per_month)} minutes a month on.`}</p>
    ${assumptions(s.assumptions)}
  `;
}
