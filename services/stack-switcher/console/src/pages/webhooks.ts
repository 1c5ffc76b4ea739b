/** My webhooks; and for admins those of anybody, whose id is in the address. */
import { html, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { get, type Me, type User } from "../api";
import { go } from "../router";
import { Page } from "../ui/page";
import "../ui/user-picker";
import "../ui/webhook-deliveries";
import "../ui/webhook-endpoints";
import type { Endpoint } from "../webhooks";

@customElement("pb-webhooks")
export class WebhooksPage extends Page {
  @property({ attribute: false }) me!: Me;
  /** New with each address: who is asked about is in it. */
  @property({ attribute: false }) params!: Record<string, string>;
  @state() private endpoints: Endpoint[] = [];
  @state() private name = "";
  private named = "";

  private get whose(): string {
    return this.asAdmin ? (new URLSearchParams(location.search).get("user_id") ?? "") : (this.me.user_id ?? "");
  }

  private get asAdmin(): boolean {
    return location.pathname.startsWith("/admin/");
  }

  private async lookUp(id: string): Promise<void> {
    if (!id || this.named === id) return;
    this.named = id;
    await this.attempt(async () => {
      const { users } = await get<{ users: User[] }>(`/v1/users?search=${id}&limit=1`);
      this.name = users[0]?.name ?? "";
    });
  }

  private who(user: string) {
    void this.lookUp(user);
    return html`<section class="card">
      ${user ? html`<p>Of <a href=${`/admin/users/${user}`}>${this.name || user}</a></p>` : nothing}
      <pb-user-picker label=${user ? "Somebody else" : "Whose webhooks"} @picked=${(e: CustomEvent<User>) => go(`/admin/webhooks?user_id=${e.detail.id}`)}></pb-user-picker>
    </section>`;
  }

  render() {
    const user = this.whose;

    return html`<h1>Webhooks</h1>
      ${this.asAdmin ? this.who(user) : nothing}
      ${user
        ? html`<pb-webhook-endpoints .user=${user} @endpoints=${(e: CustomEvent<Endpoint[]>) => (this.endpoints = e.detail)}></pb-webhook-endpoints>
            <pb-webhook-deliveries .user=${user} .endpoints=${this.endpoints}></pb-webhook-deliveries>`
        : nothing}`;
  }
}
