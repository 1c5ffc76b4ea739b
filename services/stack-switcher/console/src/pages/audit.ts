/** Who changed what, with what it was before and is now. */
import { html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { get, query } from "../api";
import { dateTime, words } from "../ui/format";
import { Page, waiting } from "../ui/page";

interface Entry {
  id: string;
  at: string;
  actor: string;
  actor_id: string | null;
  actor_name: string | null;
  action: string;
  allowed: boolean;
  user_id: string | null;
  user_name: string | null;
  subject: string | null;
  why: string | null;
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
  peer: string | null;
}

const kinds: [string, string][] = [
  ["", "Anything"], ["agent", "Agents"], ["policies", "Call rules"], ["voice", "Voices"], ["switch", "Switches"], ["rollout", "Rollouts"],
  ["webhook", "Webhooks"], ["rate", "Rates"], ["rates", "Costs counted again"], ["retail", "Charges"], ["budget", "Budgets"], ["call", "Calls"], ["talk", "Talks in a browser"],
];
const shown = (v: unknown): string => (v === undefined || v === null || v === "" ? "–" : typeof v === "object" ? JSON.stringify(v, null, 1) : String(v));

@customElement("pb-audit")
export class AuditPage extends Page {
  @state() private entries: Entry[] | null = null;
  @state() private next: string | null = null;
  @state() private filter = this.fromAddress();
  private asked = 0;

  connectedCallback(): void {
    super.connectedCallback();
    void this.load(null);
  }

  private fromAddress() {
    const given = new URLSearchParams(location.search), of = (n: string) => given.get(n) ?? "";

    return { action: of("action"), allowed: of("allowed"), user_id: of("user_id"), actor: of("actor"), since: of("since"), until: of("until") };
  }

  private load(before: string | null): Promise<void> {
    const mine = ++this.asked;
    const until = this.filter.until && new Date(Date.parse(`${this.filter.until}T00:00`) + 86_400_000).toISOString();
    const since = this.filter.since && new Date(`${this.filter.since}T00:00`).toISOString();

    return this.attempt(async () => {
      const page = await get<{ entries: Entry[]; next: string | null }>(query("/v1/audit", { limit: 50, before, ...this.filter, since, until }));
      if (mine !== this.asked) return;
      this.entries = [...((before && this.entries) || []), ...page.entries];
      this.next = page.next;
    });
  }

  private set(name: keyof typeof this.filter, value: string): void {
    this.filter = { ...this.filter, [name]: value };
    history.replaceState(null, "", query(location.pathname, this.filter));
    void this.load(null);
  }

  private changes(e: Entry) {
    // Of a change what is another now; of what is new, or gone, all of it.
    const keys = [...new Set([...Object.keys(e.before ?? {}), ...Object.keys(e.after ?? {})])].sort()
      .filter((k) => !e.before || !e.after || shown(e.before[k]) !== shown(e.after[k]));

    if (!keys.length) return nothing;
    return html`<table class="diff"><thead><tr><th>What</th><th>Before</th><th>After</th></tr></thead>
      <tbody>${keys.map((k) => html`<tr><th scope="row">${words(k)}</th><td class="wrap was">${shown(e.before?.[k])}</td><td class="wrap is">${shown(e.after?.[k])}</td></tr>`)}</tbody></table>`;
  }

  private entry(e: Entry) {
    const who = e.actor_name ?? (e.actor_id ? e.actor : words(e.actor));

    return html`<li>
      <time datetime=${e.at}>${dateTime(e.at)}</time>
      <div>
        <p class="happened">${words(e.action.replace(".", ": "))} ${e.allowed ? nothing : html`<span class="badge warn">refused</span>`}</p>
        <p class="help">by <button class="link" @click=${() => this.set("actor", e.actor)}>${who}</button>
          ${e.user_id ? html` · of <a href=${`/admin/users/${e.user_id}`}>${e.user_name ?? e.user_id}</a>` : nothing}
          ${e.peer ? ` · from ${e.peer}` : ""}${e.why ? html` · “${e.why}”` : nothing}</p>
        ${e.before || e.after ? html`<details><summary>What changed<span class="unseen"> by ${e.action} at ${dateTime(e.at)}</span></summary>${this.changes(e)}</details>` : nothing}
      </div>
    </li>`;
  }

  private filters() {
    const f = this.filter;

    return html`<div class="filters" role="search">
      <label class="field"><span>What</span><select @change=${(e: Event) => this.set("action", (e.target as HTMLSelectElement).value)}>
        ${kinds.map(([v, t]) => html`<option value=${v} ?selected=${v === f.action}>${t}</option>`)}</select></label>
      <label class="field"><span>Outcome</span><select @change=${(e: Event) => this.set("allowed", (e.target as HTMLSelectElement).value)}>
        ${[["", "Any"], ["true", "Done"], ["false", "Refused"]].map(([v, t]) => html`<option value=${v} ?selected=${v === f.allowed}>${t}</option>`)}</select></label>
      <label class="field"><span>From</span><input type="date" .value=${f.since} @change=${(e: Event) => this.set("since", (e.target as HTMLInputElement).value)}></label>
      <label class="field"><span>To</span><input type="date" .value=${f.until} @change=${(e: Event) => this.set("until", (e.target as HTMLInputElement).value)}></label>
      ${f.actor ? html`<button class="button" @click=${() => this.set("actor", "")}>Everybody's, not only ${this.entries?.[0]?.actor_name ?? f.actor}</button>` : nothing}
      ${f.user_id ? html`<button class="button" @click=${() => this.set("user_id", "")}>About everybody</button>` : nothing}
    </div>`;
  }

  render() {
    return html`<h1>Audit</h1><section class="card">
      ${this.filters()}
      ${this.failed ? this.failure(() => void this.load(null)) : !this.entries ? waiting(8) : this.entries.length
        ? html`<ol class="timeline wide">${this.entries.map((e) => this.entry(e))}</ol>
            ${this.next ? html`<button class="button" @click=${() => void this.load(this.next)}>Older entries</button>` : nothing}`
        : html`<p class="muted">Nothing like that was done.</p>`}
    </section>`;
  }
}
