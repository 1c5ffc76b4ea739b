/** Which stack answers a user's calls, in words that say what follows from it. */
import { html, LitElement } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { Stack } from "../api";
import { config } from "../config";

@customElement("pb-badge")
export class Badge extends LitElement {
  @property() stack: Stack | null = null;
  /** A list has no room for a sentence. */
  @property({ type: Boolean }) short = false;

  createRenderRoot(): this {
    return this;
  }

  render() {
    if (!this.stack) return html`<span class="badge">No agent</span>`;
    if (this.short) return html`<span class="badge ${this.stack}">${this.stack === "retell" ? "Retell" : "LiveKit"}</span>`;
    const text = config.badges[this.stack];
    return config.help_url
      ? html`<a class="badge ${this.stack}" href=${config.help_url} target="_blank" rel="noopener">${text}</a>`
      : html`<span class="badge ${this.stack}">${text}</span>`;
  }
}
