/** Costs of calls counted again: what would come out otherwise is shown before anything is written. */
import { html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { ApiError, get, post } from "../api";
import { confirm } from "./confirm";
import { count } from "./format";
import { change, money } from "./money";
import { Page } from "./page";

interface Rerating {
  id: string;
  state: "waiting" | "running" | "done" | "failed";
  dry_run: boolean;
  calls: number;
  looked: number;
  changed: number;
  unpriced_before: number;
  unpriced_after: number;
  before_microusd: number;
  after_microusd: number;
  parts: Record<string, { before: number; after: number }>;
  error: string | null;
  finished_at: string | null;
}

const AGAIN_MS = 500;
const day = (back: number): string => new Date(Date.now() - back * 86_400_000).toISOString().slice(0, 10);

@customElement("pb-rerate")
export class Rerate extends Page {
  @state() private now: Rerating | null = null;
  @state() private busy = false;
  @state() private wrong: string | null = null;
  private span = { from: day(30), to: day(-1) };
  private timer = 0;

  disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.timer);
  }

  private async ask(dry: boolean): Promise<void> {
    this.wrong = null;
    this.busy = true;
    try {
      this.now = await post<Rerating>("/v1/rates/rerate", {
        from: `${this.span.from}T00:00:00Z`, to: `${this.span.to}T00:00:00Z`, dry_run: dry });
      this.follow();
    } catch (e) {
      this.busy = false;
      this.wrong = e instanceof ApiError ? e.message : String(e);
    }
  }

  private follow(): void {
    this.timer = window.setTimeout(() => void this.attempt(async () => {
      this.now = await get<Rerating>(`/v1/rates/rerate/${this.now!.id}`);
      if (this.now.finished_at) this.busy = false;
      else this.follow();
    }), AGAIN_MS);
  }

  private async write(): Promise<void> {
    const n = this.now!;

    if (await confirm({ title: `Count ${count(n.changed)} calls again?`, yes: "Count again",
                        body: `All of them together: ${money(n.before_microusd)} becomes ${money(n.after_microusd)}. Records and budgets follow.` }))
      await this.ask(false);
  }

  private result(n: Rerating) {
    if (n.state === "failed") return html`<p class="alert alert-error" role="alert">It could not be finished: ${n.error}</p>`;
    if (!n.finished_at) return html`<p role="status">Looked at ${count(n.looked)} of ${count(n.calls)} calls
      <progress max=${n.calls || 1} .value=${n.looked} aria-label="Calls looked at"></progress></p>`;
    if (!n.changed) return html`<p role="status">All ${count(n.looked)} calls are counted as the book says.</p>`;
    return html`<div role="status">
      <p><strong>${count(n.changed)} of ${count(n.looked)} calls ${n.dry_run ? "would come" : "came"} out otherwise:</strong>
        ${money(n.before_microusd)} → ${money(n.after_microusd)} (${change(n.before_microusd, n.after_microusd)})${n.unpriced_after
          ? html`; ${count(n.unpriced_after)} without a sum, for something in them has no price` : nothing}</p>
      <div class="scroll" tabindex="0" role="region" aria-label="What changes"><table>
        <thead><tr><th>Of these calls</th><th class="number">Before</th><th class="number">After</th><th class="number">Difference</th></tr></thead>
        <tbody>${Object.entries(n.parts).sort().map(([name, p]) => html`<tr><td>${name}</td><td class="number">${money(p.before)}</td>
          <td class="number">${money(p.after)}</td><td class="number">${change(p.before, p.after)}</td></tr>`)}</tbody>
      </table></div>
      ${n.dry_run ? html`<button class="button primary" @click=${() => void this.write()}>Count them again</button>` : nothing}
    </div>`;
  }

  private date(name: "from" | "to", label: string) {
    return html`<label class="field"><span>${label}</span><input type="date" .value=${this.span[name]}
      @change=${(e: Event) => { this.span[name] = (e.target as HTMLInputElement).value; this.now = null; }}></label>`;
  }

  render() {
    return html`<section class="card"><h2>Count costs again</h2>
      <p class="muted">Calls keep the costs they were counted with. After a price came late, or was wrong, they can be counted again by the
        prices of their day. Days are UTC's, the last one is not included.</p>
      <div class="filters">${this.date("from", "From")}${this.date("to", "Up to")}
        <button class="button" ?disabled=${this.busy} @click=${() => void this.ask(true)}>See what would change</button></div>
      ${this.wrong ? html`<p class="alert alert-error" role="alert">${this.wrong}</p>` : nothing}
      ${this.failed ? this.failure(() => this.follow()) : this.now ? this.result(this.now) : nothing}
    </section>`;
  }
}
