/** A question that has to be answered before anything else: the browser's own dialog element, so that focus stays in. */
import { html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, state } from "lit/decorators.js";

export interface Question {
  title: string;
  body?: string | TemplateResult;
  yes: string;
  no?: string;
  danger?: boolean;
}

@customElement("pb-confirm")
export class Confirm extends LitElement {
  /** The one that is on the page, wherever in it. */
  static here: Confirm | null = null;
  @state() private question: Question | null = null;
  private answer: (yes: boolean) => void = () => {};

  createRenderRoot(): this {
    return this;
  }

  connectedCallback(): void {
    super.connectedCallback();
    Confirm.here ??= this;
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    if (Confirm.here === this) Confirm.here = null;
  }

  async ask(question: Question): Promise<boolean> {
    this.question = question;
    await this.updateComplete;
    const dialog = this.querySelector("dialog")!;
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((resolve) => (this.answer = resolve));
  }

  private closed(e: Event): void {
    const yes = (e.target as HTMLDialogElement).returnValue === "yes";

    this.question = null;
    this.answer(yes);
  }

  render() {
    const q = this.question;

    return html`<dialog class="dialog" aria-labelledby="confirm-title" @close=${this.closed}>
      ${q
        ? html`<form method="dialog">
            <h2 id="confirm-title">${q.title}</h2>
            ${q.body ? html`<div class="dialog-body">${q.body}</div>` : nothing}
            <div class="buttons">
              <button class="button" value="no">${q.no ?? "Cancel"}</button>
              <button class="button ${q.danger ? "danger" : "primary"}" value="yes">${q.yes}</button>
            </div>
          </form>`
        : nothing}
    </dialog>`;
  }
}

export const confirm = (question: Question): Promise<boolean> => Confirm.here!.ask(question);
