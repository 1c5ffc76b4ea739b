/** What every page is: an element in the document's own tree, so that one stylesheet and one search reach everything. */
import { html, LitElement, type TemplateResult } from "lit";
import { ApiError } from "../api";

export abstract class Page extends LitElement {
  createRenderRoot(): this {
    return this;
  }

  /** Runs work; what goes wrong is for the page to show. */
  protected failed: ApiError | null = null;

  protected async attempt(work: () => Promise<void>): Promise<void> {
    this.failed = null;
    try {
      await work();
    } catch (e) {
      this.failed = e instanceof ApiError ? e : new ApiError(0, "bug", String(e), null);
      if (!(e instanceof ApiError)) console.error(e);
    }
    this.requestUpdate();
  }

  protected failure(again: () => void): TemplateResult {
    return html`<div class="alert alert-error" role="alert">
      <span>${this.failed!.message}</span>
      <button class="button small" @click=${again}>Try again</button>
    </div>`;
  }
}

/** What is coming has this shape: nothing jumps when it is there. */
export const waiting = (lines = 3): TemplateResult => html`<div class="waiting" aria-busy="true" aria-label="Loading">
  ${Array.from({ length: lines }, () => html`<div class="shade"></div>`)}
</div>`;
