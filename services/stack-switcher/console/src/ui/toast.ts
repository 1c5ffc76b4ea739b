/** A line at the top that goes by itself, with at most one thing to do about it. */
import { html, LitElement, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";

interface Toast {
  text: string;
  kind: "good" | "bad";
  action?: { label: string; run: () => void };
}

@customElement("pb-toasts")
export class Toasts extends LitElement {
  /** The one that is on the page, wherever in it. */
  static here: Toasts | null = null;
  @state() private shown: Toast | null = null;
  private timer = 0;

  createRenderRoot(): this {
    return this;
  }

  connectedCallback(): void {
    super.connectedCallback();
    Toasts.here ??= this;
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    if (Toasts.here === this) Toasts.here = null;
  }

  show(toast: Toast): void {
    clearTimeout(this.timer);
    this.shown = toast;
    this.timer = window.setTimeout(() => (this.shown = null), toast.action ? 8000 : 3000);
  }

  private act(): void {
    const action = this.shown?.action;

    this.shown = null;
    action?.run();
  }

  render() {
    const t = this.shown;

    return html`<div class="toasts" role="status" aria-live="polite">
      ${t
        ? html`<div class="toast ${t.kind}">
            <span>${t.text}</span>
            ${t.action ? html`<button class="link" @click=${() => this.act()}>${t.action.label}</button>` : nothing}
          </div>`
        : nothing}
    </div>`;
  }
}

export const toast = (text: string, kind: Toast["kind"] = "good", action?: Toast["action"]): void =>
  Toasts.here?.show({ text, kind, action });
