/** One user, as an admin sees him: his agent, his calls, and which stack answers them. */
import { html, nothing, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { get, type Agent } from "../api";
import "../ui/agent-form";
import "../ui/badge";
import "../ui/budget";
import "../ui/call-list";
import "../ui/policies-form";
import "../ui/switch-panel";
import "../ui/tier";
import { Page, waiting } from "../ui/page";

@customElement("pb-user")
export class UserPage extends Page {
  @property({ attribute: false }) params!: { id: string };
  @state() private agent: Agent | null = null;
  @state() private there = false;

  willUpdate(p: PropertyValues<this>): void {
    if (p.has("params")) void this.load();
  }

  private load(): Promise<void> {
    return this.attempt(async () => {
      this.agent = await get<Agent>(`/v1/users/${this.params.id}/agent`);
    });
  }

  render() {
    if (this.failed) return this.failure(() => void this.load());
    if (!this.agent) return waiting(8);
    return html`
      <h1>${this.agent.user_name}</h1>
      <div class="two">
        <div>
          <pb-switch-panel .user=${this.params.id} .stack=${this.agent.stack} @switched=${() => void this.load()}></pb-switch-panel>
          <pb-budget .user=${this.params.id} editable></pb-budget>
          <pb-tier .user=${this.params.id}></pb-tier>
          <section class="card"><h2>Calls</h2><pb-call-list .user=${this.params.id} limit="20"></pb-call-list></section>
        </div>
        <div>
          <pb-agent-form .user=${this.params.id} .stack=${this.agent.stack} @there=${() => (this.there = true)}></pb-agent-form>
          ${this.there ? html`<pb-policies-form admin .user=${this.params.id} .number=${this.agent.numbers[0] ?? ""}></pb-policies-form>` : nothing}
        </div>
      </div>
    `;
  }
}
