/** Both stacks, side by side: the last hour. */
import { html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { get, type Stack, type StackHealth } from "../api";
import "../ui/badge";
import { ago, count, words } from "../ui/format";
import { Page, waiting } from "../ui/page";

const AGAIN_MS = 10_000;

@customElement("pb-health")
export class HealthPage extends Page {
  @state() private stacks: Record<Stack, StackHealth> | null = null;
  private timer = 0;

  connectedCallback(): void {
    super.connectedCallback();
    void this.load();
    this.timer = window.setInterval(() => void this.load(), AGAIN_MS);
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.timer);
  }

  private load(): Promise<void> {
    return this.attempt(async () => {
      this.stacks = (await get<{ stacks: Record<Stack, StackHealth> }>("/v1/health/stacks")).stacks;
    });
  }

  private stack(name: Stack, h: StackHealth) {
    const share = h.routed ? `${Math.round((100 * h.answered) / h.routed)} %` : "–";

    return html`<section class="card">
      <h2><pb-badge short .stack=${name}></pb-badge></h2>
      <dl class="facts">
        <div><dt>Live now</dt><dd>${count(h.live)}</dd></div>
        <div><dt>Routed</dt><dd>${count(h.routed)}</dd></div>
        <div><dt>Answered</dt><dd>${count(h.answered)} (${share})</dd></div>
        <div><dt>Failed over</dt><dd>${count(h.failed_over)}</dd></div>
      </dl>
      ${h.last_error ? html`<p class="alert alert-error">${words(h.last_error.reason)}, ${ago(h.last_error.at)}</p>` : nothing}
    </section>`;
  }

  render() {
    return html`<h1>Stack health <small class="muted">last hour</small></h1>
      ${this.failed ? this.failure(() => void this.load()) : nothing}
      ${this.stacks
        ? html`<div class="two">${this.stack("retell", this.stacks.retell)}${this.stack("livekit", this.stacks.livekit)}</div>`
        : waiting(6)}`;
  }
}
