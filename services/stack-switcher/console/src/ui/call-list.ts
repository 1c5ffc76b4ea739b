/** A user's calls, newest first, more on demand. */
import { html, nothing, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { get, query, type Call, type Calls } from "../api";
import "./badge";
import { caller, dateTime, duration, words } from "./format";
import { Page, waiting } from "./page";

export const outcomeOf = (c: Call): string =>
  c.state !== "ended" ? (c.state === "answered" ? "Talking" : "Ringing") : words(c.outcome ?? c.ended_reason ?? "ended");

@customElement("pb-call-list")
export class CallList extends Page {
  @property() user = "";
  @property({ type: Number }) limit = 50;
  @state() private calls: Call[] | null = null;
  @state() private next: string | null = null;

  willUpdate(p: PropertyValues<this>): void {
    if (p.has("user") && this.user) {
      this.calls = null;
      void this.load(null);
    }
  }

  private load(before: string | null): Promise<void> {
    return this.attempt(async () => {
      const page = await get<Calls>(query("/v1/calls", { user_id: this.user, limit: this.limit, before }));
      this.calls = [...((before && this.calls) || []), ...page.calls];
      this.next = page.next;
    });
  }

  private row(c: Call) {
    return html`<tr>
      <td><a href=${`/calls/${c.id}`}>${dateTime(c.offered_at)}</a></td>
      <td>${caller(c)}</td>
      <td><pb-badge short .stack=${c.stack}></pb-badge>${c.fallback ? html` <span class="badge warn">fallback</span>` : nothing}</td>
      <td>${outcomeOf(c)}</td>
      <td class="number">${duration(c.duration_ms)}</td>
    </tr>`;
  }

  render() {
    if (this.failed) return this.failure(() => void this.load(null));
    if (!this.calls) return waiting(6);
    if (!this.calls.length) return html`<p class="muted">No calls yet.</p>`;
    return html`<div class="scroll"><table>
        <thead><tr><th>When</th><th>From</th><th>Stack</th><th>Outcome</th><th class="number">Length</th></tr></thead>
        <tbody>${this.calls.map((c) => this.row(c))}</tbody>
      </table></div>
      ${this.next ? html`<button class="button" @click=${() => void this.load(this.next)}>Older calls</button>` : nothing}`;
  }
}
