/** My agent. */
import { html, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { Me } from "../api";
import { Page } from "../ui/page";
import "../ui/agent-form";
import "../ui/policies-form";

@customElement("pb-agent")
export class AgentPage extends Page {
  @property({ attribute: false }) me!: Me;
  /** What is below waits: it would be pushed down. */
  @state() private there = false;

  render() {
    return html`<div class="column"><pb-agent-form .user=${this.me.user_id} @there=${() => (this.there = true)}></pb-agent-form>
      ${this.there ? html`<pb-policies-form .user=${this.me.user_id}></pb-policies-form>` : nothing}</div>`;
  }
}
