/** My agent. */
import { html } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { Me } from "../api";
import { Page } from "../ui/page";
import "../ui/agent-form";

@customElement("pb-agent")
export class AgentPage extends Page {
  @property({ attribute: false }) me!: Me;

  render() {
    return html`<div class="column"><pb-agent-form .user=${this.me.user_id}></pb-agent-form></div>`;
  }
}
