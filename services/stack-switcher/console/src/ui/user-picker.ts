/** Somebody, found by name, e-mail or number as one types. */
import { html, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { get, query, type User, type Users } from "../api";
import { Page } from "./page";

const PAUSE_MS = 250;

@customElement("pb-user-picker")
export class UserPicker extends Page {
  @property() label = "User";
  @state() private found: User[] | null = null;
  private timer = 0;
  private asked = 0;

  private typed(text: string): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.look(text.trim()), PAUSE_MS);
  }

  private look(search: string): Promise<void> {
    const mine = ++this.asked;

    return this.attempt(async () => {
      const found = search ? (await get<Users>(query("/v1/users", { search, limit: 8 }))).users : null;
      if (mine === this.asked) this.found = found;
    });
  }

  private pick(u: User): void {
    this.found = null;
    this.dispatchEvent(new CustomEvent("picked", { detail: u, bubbles: true }));
  }

  render() {
    return html`<div class="picker">
      <label class="field"><span>${this.label}</span><input type="search" placeholder="Name, e-mail or number" @input=${(e: Event) => this.typed((e.target as HTMLInputElement).value)}></label>
      ${this.failed ? html`<p class="alert alert-error" role="alert">${this.failed.message}</p>` : nothing}
      <div aria-live="polite">${this.found
        ? this.found.length
          ? html`<ul class="plain">${this.found.map((u) => html`<li><button class="link" @click=${() => this.pick(u)}>${u.name}</button> <span class="muted">${u.email}</span></li>`)}</ul>`
          : html`<p class="muted">Nobody like that.</p>`
        : nothing}</div>
    </div>`;
  }
}
