/** My calls. */
import { html } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { Me } from "../api";
import "../ui/call-list";
import { Page } from "../ui/page";

@customElement("pb-calls")
export class CallsPage extends Page {
  @property({ attribute: false }) me!: Me;

  render() {
    return html`<h1>Calls</h1><section class="card"><pb-call-list .user=${this.me.user_id ?? ""}></pb-call-list></section>`;
  }
}
