/** What was sent to a user's endpoints, each with its attempts; and sending again, one or all since a day. */
import { html, nothing, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { ApiError, get, post, query } from "../api";
import type { Delivery, Endpoint, WholeDelivery } from "../webhooks";
import { count, dateTime, words } from "./format";
import { Page, waiting } from "./page";
import { Poll } from "./poll";
import { toast } from "./toast";

const AGAIN_MS = 5000;
const faults: Record<string, string> = { receiver: "the receiver's", network: "the network's", ours: "ours" };

@customElement("pb-webhook-deliveries")
export class WebhookDeliveries extends Page {
  @property() user = "";
  @property({ attribute: false }) endpoints: Endpoint[] = [];
  @state() private deliveries: Delivery[] | null = null;
  @state() private next: string | null = null;
  @state() private filter = { endpoint_id: "", state: "", type: "" };
  @state() private open: WholeDelivery | null = null;
  @state() private openId = "";
  private poll: Poll | null = null;
  private more = false;

  willUpdate(p: PropertyValues<this>): void {
    if (!p.has("user") || !this.user) return;
    this.poll?.end();
    this.more = false;
    this.poll = new Poll(async () => {
      if (!this.more) await this.load(null); // who has gone back in time is left alone
    }, AGAIN_MS);
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    this.poll?.end();
  }

  private load(before: string | null): Promise<void> {
    return this.attempt(async () => {
      const page = await get<{ deliveries: Delivery[]; next: string | null }>(
        query("/v1/webhooks/deliveries", { user_id: this.user, limit: 50, before, ...this.filter }));
      this.deliveries = [...((before && this.deliveries) || []), ...page.deliveries];
      this.next = page.next;
      this.more = !!before;
    });
  }

  private set(name: keyof typeof this.filter, value: string): void {
    this.filter = { ...this.filter, [name]: value };
    void this.load(null);
  }

  private async show(d: Delivery): Promise<void> {
    this.open = null;
    if (this.openId === d.id) {
      this.openId = "";
      return;
    }
    this.openId = d.id;
    await this.attempt(async () => {
      this.open = await get<WholeDelivery>(query(`/v1/webhooks/deliveries/${d.id}`, { user_id: this.user }));
    });
  }

  private async replay(path: string, body: unknown): Promise<void> {
    try {
      const { replayed, more } = await post<{ replayed: number; more: boolean }>(query(path, { user_id: this.user }), body);
      toast(`${count(replayed)} on the way again${more ? "; there are more: ask once more" : ""}.`);
      await this.load(null);
    } catch (e) {
      toast((e as ApiError).message, "bad");
    }
  }

  private async replayRange(e: SubmitEvent): Promise<void> {
    const form = new FormData(e.target as HTMLFormElement);

    e.preventDefault();
    await this.replay(`/v1/webhooks/endpoints/${form.get("endpoint")}/replay`, {
      since: new Date(`${form.get("since")}`).toISOString(),
      states: form.has("delivered") ? ["dead", "delivered"] : ["dead"],
    });
  }

  /* ---------------------------------------------------------------- what is shown */

  private attempt_(a: Record<string, unknown>) {
    const parts = [a.status ? `answered ${a.status}` : null, a.fault ? `fault: ${faults[String(a.fault)] ?? a.fault}` : null, a.error, a.ms != null ? `${a.ms} ms` : null];

    return html`<li>${a.at ? dateTime(String(a.at)) : ""} <span class="muted">${parts.filter(Boolean).join(" · ")}</span></li>`;
  }

  private details(d: WholeDelivery) {
    let payload = d.payload ?? "";
    try {
      payload = JSON.stringify(JSON.parse(payload), null, 2);
    } catch {
      // shown as it is
    }
    return html`<tr class="detail"><td colspan="6"><div>
      <h3>Attempts</h3>${d.log.length ? html`<ol class="plain">${d.log.map((a) => this.attempt_(a))}</ol>` : html`<p class="muted">None yet.</p>`}
      ${d.last_response ? html`<h3>Last answer</h3><pre tabindex="0">${d.last_response}</pre>` : nothing}
      <h3>Contents</h3><pre tabindex="0">${payload || "–"}</pre>
      <p class="help">webhook-id ${d.event_id}</p>
      <button class="button small" @click=${() => void this.replay(`/v1/webhooks/deliveries/${d.id}/replay`, {})}>Send again</button>
    </div></td></tr>`;
  }

  private row(d: Delivery) {
    const open = this.openId === d.id;

    return html`<tr>
      <td><button class="link" aria-expanded=${open ? "true" : "false"} @click=${() => void this.show(d)}>${d.type}</button></td>
      <td>${dateTime(d.created_at)}</td>
      <td><span class="badge ${d.state === "dead" ? "warn" : d.state === "delivered" ? "live" : ""}">${d.state}</span></td>
      <td class="number">${d.attempts}</td>
      <td>${d.last_status ?? (d.last_error ? words(d.last_error) : "–")}</td>
      <td>${d.state === "pending" && d.next_attempt_at ? `next ${dateTime(d.next_attempt_at)}` : (d.last_fault ? faults[d.last_fault] : "")}</td>
    </tr>${open && this.open ? this.details(this.open) : nothing}`;
  }

  private again() {
    if (!this.endpoints.length) return nothing;
    return html`<details><summary>Send a range again</summary><form class="filters" @submit=${this.replayRange}>
      <label class="field"><span>To</span><select name="endpoint">${this.endpoints.map((p) => html`<option value=${p.id}>${p.url}</option>`)}</select></label>
      <label class="field"><span>Since</span><input type="datetime-local" name="since" required></label>
      <label class="check"><input type="checkbox" name="delivered"> also what was delivered</label>
      <button class="button">Send again</button>
    </form></details>`;
  }

  render() {
    return html`<section class="card" aria-labelledby="deliveries-title">
      <h2 id="deliveries-title">Deliveries</h2>
      <div class="filters">
        <label class="field"><span>Endpoint</span><select @change=${(e: Event) => this.set("endpoint_id", (e.target as HTMLSelectElement).value)}>
          <option value="">All</option>${this.endpoints.map((p) => html`<option value=${p.id}>${p.url}</option>`)}</select></label>
        <label class="field"><span>State</span><select @change=${(e: Event) => this.set("state", (e.target as HTMLSelectElement).value)}>
          ${[["", "Any"], ["pending", "Waiting"], ["delivered", "Delivered"], ["dead", "Dead"]].map(([v, t]) => html`<option value=${v}>${t}</option>`)}</select></label>
        <label class="field"><span>Event</span><input type="search" placeholder="call.ended" @change=${(e: Event) => this.set("type", (e.target as HTMLInputElement).value.trim())}></label>
      </div>
      ${this.failed ? this.failure(() => void this.load(null)) : nothing}
      ${!this.deliveries ? waiting(6) : this.deliveries.length
        ? html`<div class="scroll" tabindex="0" role="region" aria-label="Deliveries"><table>
            <thead><tr><th>Event</th><th>When</th><th>State</th><th class="number">Attempts</th><th>Answer</th><th>Note</th></tr></thead>
            <tbody>${this.deliveries.map((d) => this.row(d))}</tbody></table></div>
            ${this.next ? html`<button class="button" @click=${() => void this.load(this.next)}>Older ones</button>` : nothing}`
        : html`<p class="muted">Nothing was sent.</p>`}
      ${this.again()}
    </section>`;
  }
}
