/** Who is being moved, and who was. */
import { html } from "lit";
import { customElement, state } from "lit/decorators.js";
import { get } from "../api";
import type { Switch } from "../switches";
import "../ui/badge";
import { ago, words } from "../ui/format";
import { Page, waiting } from "../ui/page";

const AGAIN_MS = 5000;

@customElement("pb-switches")
export class SwitchesPage extends Page {
  @state() private switches: Switch[] | null = null;
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
      this.switches = (await get<{ switches: Switch[] }>("/v1/switches?limit=100")).switches;
    });
  }

  private row(s: Switch) {
    return html`<tr>
      <td><a href=${`/admin/users/${s.user_id}`}>${ago(s.created_at)}</a></td>
      <td><pb-badge short .stack=${s.from_stack}></pb-badge> → <pb-badge short .stack=${s.to_stack}></pb-badge></td>
      <td>${words(s.outcome ?? s.state)}</td>
      <td class="wrap">${s.error ? words(s.error) : (s.why ?? "")}</td>
    </tr>`;
  }

  render() {
    return html`<h1>Switches</h1>
      <section class="card">
        ${this.failed ? this.failure(() => void this.load()) : ""}
        ${!this.switches ? waiting(6) : this.switches.length
          ? html`<div class="scroll"><table>
              <thead><tr><th>Asked for</th><th>From, to</th><th>State</th><th>Why</th></tr></thead>
              <tbody>${this.switches.map((s) => this.row(s))}</tbody></table></div>`
          : html`<p class="muted">Nobody has been moved yet.</p>`}
      </section>`;
  }
}
