/** "What would happen if they called now": a router says it, rule by rule. */
import { html, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { post } from "../api";
import { isPhone, type Explained } from "../policies";
import { words } from "./format";
import { Page } from "./page";
import { why } from "./reasons";

const verdicts = { silent: "says nothing", spoke: "says something", decides: "decides" };
const rules: Record<string, string> = {
  self_call: "Calls from the number itself", block_list: "Blocked numbers", caller_burst: "Too often, this caller", number_burst: "Too often, this number", rate: "Calls a minute",
  concurrency: "Calls at once", budget: "Budget", withheld: "Hidden numbers", whitelist: "Whitelisted contacts", business_hours: "Hours", vetting: "Screening", unknown_callers: "Callers who are no contact",
};

@customElement("pb-explain")
export class Explain extends Page {
  @property() number = "";
  @state() private answer: Explained | null = null;
  @state() private wrong = "";

  private async ask(e: SubmitEvent): Promise<void> {
    const form = new FormData(e.target as HTMLFormElement), from = String(form.get("from")).replace(/[\s()./-]/g, ""), at = String(form.get("at"));

    e.preventDefault();
    this.answer = null;
    this.wrong = from && from !== "anonymous" && !isPhone(from) ? "With country code: +12025550100; or anonymous; empty: somebody nobody knows." : "";
    if (this.wrong) return;
    await this.attempt(async () => {
      this.answer = await post<Explained>("/v1/explain", { to: this.number, ...(from ? { from } : {}), ...(at ? { at } : {}) });
    });
  }

  private outcome(a: Explained): string {
    if (!a.known) return "Nobody here has this number.";
    if (!a.active) return "The number is switched off.";
    const where: Record<string, string> = {
      stack: `${a.stack === "retell" ? "Retell" : "LiveKit"} answers${a.is_fallback ? ", in the place of the user's own stack" : ""}.`,
      forward: `A phone rings${a.forward ? `: ${a.forward}` : ""}.`, voicemail: "A message is taken.",
      refuse: a.refusal === "busy" ? "The caller hears that it is busy." : "The caller is refused.", say: "The caller hears a spoken notice.",
    };
    return where[a.action ?? ""] ?? words(a.action ?? "unknown");
  }

  private answered(a: Explained) {
    return html`<div role="status"><p class="happened">${this.outcome(a)}</p>
      ${(a.reasons ?? []).map((r) => html`<p class="help">${why(r)}</p>`)}
      ${a.local_time ? html`<p class="help">There it is ${a.local_time.replace("T", " ")}.</p>` : nothing}
      ${a.rules ? html`<details><summary>Rule by rule</summary><ol class="plain">${a.rules.filter((r) => r.asked).map((r) => html`<li>
        <strong>${rules[r.rule] ?? words(r.rule)}</strong> ${verdicts[r.verdict]}${r.reasons.length ? html` <span class="muted">${r.reasons.map(why).join(" ")}</span>` : nothing}</li>`)}</ol></details>` : nothing}
    </div>`;
  }

  render() {
    return html`<details><summary>What would happen if somebody called</summary>
      <form class="filters" @submit=${this.ask}>
        <label class="field"><span>From</span><input name="from" type="tel" placeholder="+12025550177, or anonymous"><span class="wrong" role="status">${this.wrong}</span></label>
        <label class="field"><span>When</span><input name="at" type="datetime-local"></label>
        <button class="button">Ask</button>
      </form>
      ${this.failed ? html`<p class="alert alert-error" role="alert">${this.failed.message}</p>` : nothing}
      ${this.answer ? this.answered(this.answer) : nothing}
    </details>`;
  }
}
