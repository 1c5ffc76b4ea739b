/** Everybody: found by name, address or number, by stack; a page at a time, however many there are. */
import { html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { get, query, type User, type Users } from "../api";
import { go } from "../router";
import "../ui/badge";
import { ago, count } from "../ui/format";
import { Page, waiting } from "../ui/page";

const PAUSE_MS = 250;

@customElement("pb-users")
export class UsersPage extends Page {
  @state() private found: Users | null = null;
  @state() private search = new URLSearchParams(location.search).get("search") ?? "";
  @state() private stack = new URLSearchParams(location.search).get("stack") ?? "";
  private timer = 0;
  private asked = 0;

  connectedCallback(): void {
    super.connectedCallback();
    void this.load(null);
  }

  /** The answer to what was typed last counts, whichever comes first. */
  private load(after: string | null): Promise<void> {
    const mine = ++this.asked;

    return this.attempt(async () => {
      const page = await get<Users>(query("/v1/users", { search: this.search, stack: this.stack, limit: 50, after }));
      if (mine !== this.asked) return;
      this.found = after ? { ...page, users: [...this.found!.users, ...page.users] } : page;
    });
  }

  private filter(): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      history.replaceState(null, "", query(location.pathname, { search: this.search, stack: this.stack }));
      void this.load(null);
    }, PAUSE_MS);
  }

  private row(u: User) {
    return html`<tr @click=${(e: Event) => (e.target as Element).closest("a") || go(`/admin/users/${u.id}`)} class="clickable">
      <td><a href=${`/admin/users/${u.id}`}>${u.name}</a></td>
      <td>${u.email}</td>
      <td>${u.number ?? "–"}</td>
      <td><pb-badge short .stack=${u.stack}></pb-badge></td>
      <td class="number">${count(u.calls_30d)}</td>
      <td>${ago(u.last_call_at)}</td>
    </tr>`;
  }

  private table(found: Users) {
    if (!found.users.length) return html`<p class="muted">Nobody like that.</p>`;
    return html`<div class="scroll"><table>
        <thead><tr><th>Name</th><th>E-mail</th><th>Number</th><th>Stack</th><th class="number">Calls, 30 days</th><th>Last call</th></tr></thead>
        <tbody>${found.users.map((u) => this.row(u))}</tbody>
      </table></div>
      ${found.next ? html`<button class="button" @click=${() => void this.load(found.next)}>More</button>` : nothing}`;
  }

  render() {
    return html`
      <h1>Users</h1>
      <section class="card">
        <div class="filters" role="search">
          <label class="field"><span>Search</span><input type="search" placeholder="Name, e-mail or number" .value=${this.search}
            @input=${(e: Event) => { this.search = (e.target as HTMLInputElement).value; this.filter(); }}></label>
          <label class="field"><span>Stack</span><select
            @change=${(e: Event) => { this.stack = (e.target as HTMLSelectElement).value; this.filter(); }}>
            ${[["", "Both"], ["retell", "Retell"], ["livekit", "LiveKit"]].map(
              ([v, t]) => html`<option value=${v} ?selected=${v === this.stack}>${t}</option>`)}
          </select></label>
          <span class="muted total" aria-live="polite">${this.found ? this.found.total === 1 ? "1 user" : `${count(this.found.total)} users` : ""}</span>
        </div>
        ${this.failed ? this.failure(() => void this.load(null)) : this.found ? this.table(this.found) : waiting(10)}
      </section>
    `;
  }
}
