/** Both stacks, side by side: now, the last hour, a week by the hour, thirty days, and the calls that went wrong. */
import { html, nothing, svg } from "lit";
import { customElement, state } from "lit/decorators.js";
import { get, type HealthHistory, type Stack, type StackHealth } from "../api";
import "../ui/badge";
import { ago, count, dateTime, words } from "../ui/format";
import { Page, waiting } from "../ui/page";
import { Poll } from "../ui/poll";
import { why } from "../ui/reasons";
import "../ui/voice-care";

const AGAIN_MS = 10_000, HOURS = 168, CELL = 10;
const states = { up: "Up", degraded: "Degraded", down: "Down" };
const percent = (share: number, digits = 0): string => `${(100 * share).toFixed(digits)} %`;

@customElement("pb-health")
export class HealthPage extends Page {
  @state() private stacks: Record<Stack, StackHealth> | null = null;
  @state() private history: HealthHistory | null = null;
  private poll: Poll | null = null;

  connectedCallback(): void {
    super.connectedCallback();
    this.poll = new Poll(() => this.load(), AGAIN_MS);
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    this.poll?.end();
  }

  private load(): Promise<void> {
    return this.attempt(async () => {
      const [now, history] = await Promise.all([get<{ stacks: Record<Stack, StackHealth> }>("/v1/health/stacks"), get<HealthHistory>("/v1/health/history")]);
      this.stacks = now.stacks;
      this.history = history;
    });
  }

  /** A cell an hour, seven rows of a day each: what failed, told by its colour and, for whoever does not see it, in words. */
  private week(name: Stack) {
    const rows = this.history?.stacks[name] ?? [], start = Math.floor(Date.now() / 3_600_000) - HOURS + 1;
    const of = new Map(rows.map((h) => [Math.floor(Date.parse(h.hour) / 3_600_000) - start, h]));
    const attempts = rows.reduce((n, h) => n + h.attempts, 0), failed = rows.reduce((n, h) => n + h.failed, 0);

    return html`<figure class="week">
      <svg viewBox="0 0 ${24 * CELL} ${7 * CELL}" role="img" aria-label=${`Seven days: ${count(attempts)} calls, ${count(failed)} not served`}>
        ${Array.from({ length: HOURS }, (_, i) => {
          const h = of.get(i), share = h && h.attempts ? h.failed / h.attempts : 0;
          const kind = !h || !h.attempts ? "none" : share === 0 ? "fine" : share < 0.02 ? "some" : "many";
          return svg`<rect class=${kind} x=${(i % 24) * CELL + 1} y=${Math.floor(i / 24) * CELL + 1} width=${CELL - 2} height=${CELL - 2} rx="1"><title>${
            h ? `${dateTime(h.hour)}: ${h.attempts} calls, ${h.failed} not served` : "no calls"}</title></rect>`;
        })}
      </svg>
      <figcaption class="help">An hour each, seven days, the newest below right: ${count(attempts)} calls, ${count(failed)} not served.</figcaption>
    </figure>`;
  }

  private stack(name: Stack, h: StackHealth) {
    const share = h.routed ? percent(h.answered / h.routed) : "–";

    return html`<section class="card" aria-label=${name === "retell" ? "Retell" : "LiveKit"}>
      <h2><pb-badge short .stack=${name}></pb-badge> <span class="badge ${h.state === "up" ? "live" : "warn"}">${states[h.state]}</span>
        ${h.changed_at ? html`<small class="muted">since ${ago(h.changed_at)}</small>` : nothing}</h2>
      ${h.reasons.length ? html`<p class="alert ${h.state === "up" ? "" : "alert-error"}">${h.reasons.map(words).join(", ")}</p>` : nothing}
      <h3>Last hour</h3>
      <dl class="facts">
        <div><dt>Live now</dt><dd>${count(h.live)}</dd></div>
        <div><dt>Routed</dt><dd>${count(h.routed)}</dd></div>
        <div><dt>Answered</dt><dd>${count(h.answered)} (${share})</dd></div>
        <div><dt>Failed over</dt><dd>${count(h.failed_over)}</dd></div>
      </dl>
      ${h.last_error ? html`<p class="alert alert-error">${why(h.last_error.reason)} ${ago(h.last_error.at)}</p>` : nothing}
      <h3>Seven days</h3>${this.week(name)}
      <h3>${h.month.days} days</h3>
      <dl class="facts">
        <div><dt>Served</dt><dd>${percent(h.month.availability, 3)}</dd></div>
        <div><dt>Goal</dt><dd>${percent(h.month.goal, 2)}</dd></div>
        <div><dt>May still fail</dt><dd>${percent(Math.max(0, h.month.budget_left))} <span class="help">${h.month.budget_left < 0 ? "overdrawn" : "of what may"}</span></dd></div>
      </dl>
    </section>`;
  }

  private errors(list: HealthHistory["errors"]) {
    return html`<section class="card" aria-labelledby="errors-title"><h2 id="errors-title">Calls of the last day that went wrong</h2>
      ${list.length
        ? html`<div class="scroll" tabindex="0" role="region" aria-label="Calls that went wrong"><table>
            <thead><tr><th>When</th><th>Whose</th><th>Stack</th><th>Why</th></tr></thead>
            <tbody>${list.map((e) => html`<tr><td><a href=${`/calls/${e.call_id}`}>${dateTime(e.at)}</a></td><td>${e.user_name ?? "–"}</td>
              <td>${e.from ? html`<pb-badge short .stack=${e.from as Stack}></pb-badge>` : "–"}</td><td class="wrap">${e.reason ? why(e.reason) : "–"}</td></tr>`)}</tbody></table></div>`
        : html`<p class="muted">None.</p>`}</section>`;
  }

  render() {
    return html`<h1>Stack health</h1>
      ${this.failed ? this.failure(() => void this.load()) : nothing}
      ${this.stacks && this.history
        ? html`<div class="two">${this.stack("retell", this.stacks.retell)}${this.stack("livekit", this.stacks.livekit)}</div>${this.errors(this.history.errors)}<pb-voice-care></pb-voice-care>`
        : this.failed ? nothing : waiting(12)}`;
  }
}
