/** Where a user's events go: addresses, their secrets (shown once), a test, switching one off and on. */
import { html, nothing, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { ApiError, del, get, patch, post, query } from "../api";
import type { Endpoint, Secret } from "../webhooks";
import { confirm } from "./confirm";
import { ago, count } from "./format";
import { Page, waiting } from "./page";
import { toast } from "./toast";

const reasons: Record<string, string> = { gone: "it answered that it is gone (410)", failing: "it took nothing for five days", user: "switched off" };

@customElement("pb-webhook-endpoints")
export class WebhookEndpoints extends Page {
  @property() user = "";
  @state() private endpoints: Endpoint[] | null = null;
  @state() private secrets: Secret[] = [];
  @state() private wrong: ApiError | null = null;
  @state() private adding = false;

  willUpdate(p: PropertyValues<this>): void {
    if (p.has("user") && this.user) {
      this.endpoints = null;
      this.secrets = [];
      void this.load();
    }
  }

  private at(path: string): string {
    return query(`/v1/webhooks/endpoints${path}`, { user_id: this.user });
  }

  private load(): Promise<void> {
    return this.attempt(async () => {
      this.endpoints = (await get<{ endpoints: Endpoint[] }>(this.at(""))).endpoints;
      this.dispatchEvent(new CustomEvent("endpoints", { detail: this.endpoints, bubbles: true }));
    });
  }

  /** What goes wrong is said once, and the list is as the server has it. */
  private async act(work: () => Promise<unknown>, done: string): Promise<void> {
    try {
      await work();
      toast(done);
    } catch (e) {
      toast((e as ApiError).message, "bad");
    }
    await this.load();
  }

  private async add(e: SubmitEvent): Promise<void> {
    const form = new FormData(e.target as HTMLFormElement), text = (n: string) => String(form.get(n) ?? "").trim();
    const edge = text("kind") === "edge_function";

    e.preventDefault();
    this.wrong = null;
    try {
      const made = await post<{ endpoint: Endpoint; secrets: Secret[] }>(this.at(""), {
        url: text("url"),
        description: text("description") || null,
        events: text("events").split(/[\s,]+/).filter(Boolean),
        payload: text("payload"),
        ordering: text("ordering"),
        signing: form.getAll("signing"),
        ...(edge ? { kind: "edge_function", api_key: text("api_key") || null, region: text("region") || null } : {}),
      });
      this.secrets = made.secrets;
      this.adding = false;
      toast("The endpoint is there.");
      await this.load();
      this.querySelector<HTMLElement>(".secret")?.focus();
    } catch (problem) {
      this.wrong = problem as ApiError;
    }
  }

  private async rotate(p: Endpoint): Promise<void> {
    const yes = await confirm({
      title: "Make a new secret?", yes: "New secret",
      body: "For a day each webhook is signed with the old one as well: put the new one into your receiver meanwhile.",
    });
    if (!yes) return;
    await this.act(async () => {
      this.secrets = (await post<{ secrets: Secret[] }>(this.at(`/${p.id}/rotate`), { scheme: p.signing[0] })).secrets;
    }, "The new secret is below.");
    this.querySelector<HTMLElement>(".secret")?.focus();
  }

  private async forget(p: Endpoint): Promise<void> {
    if (await confirm({ title: "Delete this endpoint?", body: p.url, yes: "Delete", danger: true }))
      await this.act(() => del(this.at(`/${p.id}`)), "The endpoint is gone.");
  }

  private toggle(p: Endpoint): Promise<void> {
    const state = p.state === "enabled" ? "disabled" : "enabled";

    return this.act(() => patch(this.at(`/${p.id}`), { state }), state === "enabled" ? "Switched on." : "Switched off.");
  }

  /* ---------------------------------------------------------------- what is shown */

  private shownOnce() {
    return html`<div class="alert secret" tabindex="-1" role="status"><div class="wrap">
      <strong>Copy this now: nobody is shown it again.</strong>
      ${this.secrets.map((s) => html`<p><code>${s.secret ?? s.public_key}</code></p>`)}
      <div class="buttons left">
        <button class="button small" @click=${() => void navigator.clipboard.writeText(this.secrets.map((s) => s.secret ?? s.public_key).join("\n")).then(() => toast("Copied"))}>Copy</button>
        <button class="button small" @click=${() => (this.secrets = [])}>I have it</button>
      </div>
    </div></div>`;
  }

  private endpoint(p: Endpoint) {
    return html`<li class="endpoint">
      <div class="spread">
        <strong class="wrap">${p.url}</strong>
        <span class="badge ${p.state === "enabled" ? (p.failures ? "warn" : "live") : "warn"}">${p.state === "enabled" ? (p.failures ? "failing" : "on") : "off"}</span>
      </div>
      <p class="help">${p.description ? `${p.description} · ` : ""}${p.events.join(", ")} · ${p.payload} · last taken ${ago(p.last_success_at)}
        ${p.pending ? ` · ${count(p.pending)} waiting` : ""}${p.dead ? ` · ${count(p.dead)} dead` : ""}
        ${p.state === "disabled" && p.state_reason ? ` · off: ${reasons[p.state_reason]}` : ""}</p>
      <div class="buttons left">
        <button class="button small" @click=${() => void this.act(() => post(this.at(`/${p.id}/test`), {}), "A test is on its way: see the deliveries.")}>Send a test<span class="unseen"> to ${p.url}</span></button>
        <button class="button small" @click=${() => void this.rotate(p)}>New secret<span class="unseen"> for ${p.url}</span></button>
        <button class="button small" @click=${() => void this.toggle(p)}>${p.state === "enabled" ? "Switch off" : "Switch on"}<span class="unseen"> ${p.url}</span></button>
        <button class="button small" @click=${() => void this.forget(p)}>Delete<span class="unseen"> ${p.url}</span></button>
      </div>
    </li>`;
  }

  private form() {
    const at = (field: string) => (this.wrong?.field === field ? html`<span class="wrong" role="alert">${this.wrong.message}</span>` : nothing);

    return html`<form @submit=${this.add} class="card inner">
      <h3>A new endpoint</h3>
      <label class="field"><span>Address</span><input name="url" type="url" required placeholder="https://example.com/hooks" maxlength="2048">${at("url")}</label>
      <label class="field"><span>What for</span><input name="description" maxlength="500"></label>
      <label class="field"><span>Events</span><input name="events" value="call.* usage.recorded" required aria-describedby="events-help">
        <span class="help" id="events-help">Names or patterns, with blanks between: call.ended, call.*, *.failed_over, * for all.</span>${at("events")}</label>
      <div class="three">
        <label class="field"><span>Contents</span><select name="payload"><option value="full">All of it</option><option value="thin">Ids only</option></select></label>
        <label class="field"><span>Order</span><select name="ordering"><option value="none">As it comes</option><option value="key">In order, of each call</option><option value="strict">In order, all of it</option></select></label>
        <label class="field"><span>Kind</span><select name="kind"><option value="standard">Any server</option><option value="edge_function">Supabase function</option></select></label>
      </div>
      <fieldset class="field"><legend>Signed with</legend>
        <label class="check"><input type="checkbox" name="signing" value="v1" checked> a shared secret (HMAC-SHA256)</label>
        <label class="check"><input type="checkbox" name="signing" value="v1a"> a public key (Ed25519)</label>${at("signing")}</fieldset>
      <details><summary>For a Supabase function</summary>
        <label class="field"><span>API key</span><input name="api_key" autocomplete="off">${at("api_key")}</label>
        <label class="field"><span>Region</span><input name="region">${at("region")}</label></details>
      ${this.wrong && !["url", "events", "signing", "api_key", "region"].includes(this.wrong.field ?? "") ? html`<p class="alert alert-error" role="alert">${this.wrong.message}</p>` : nothing}
      <div class="buttons"><button type="button" class="button" @click=${() => (this.adding = false)}>Cancel</button><button class="button primary">Create</button></div>
    </form>`;
  }

  render() {
    return html`<section class="card" aria-labelledby="endpoints-title">
      <div class="spread"><h2 id="endpoints-title">Endpoints</h2>
        ${this.adding ? nothing : html`<button class="button" @click=${() => { this.adding = true; this.wrong = null; }}>Add an endpoint</button>`}</div>
      ${this.adding ? this.form() : nothing}
      ${this.secrets.length ? this.shownOnce() : nothing}
      ${this.failed ? this.failure(() => void this.load()) : !this.endpoints ? waiting(3) : this.endpoints.length
        ? html`<ul class="plain">${this.endpoints.map((p) => this.endpoint(p))}</ul>`
        : html`<p class="muted">No events are sent anywhere yet.</p>`}
    </section>`;
  }
}
