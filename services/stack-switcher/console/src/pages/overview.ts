/** What an admin wants to see first: who is on the phone, are both stacks well, is anybody being moved, what was changed. */
import { html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { get, type Call, type Calls, type Stack, type StackHealth } from "../api";
import type { Switch } from "../switches";
import "../ui/badge";
import { ago, count, duration, phone, words } from "../ui/format";
import { Page, waiting } from "../ui/page";
import { Poll } from "../ui/poll";

const AGAIN_MS = 5000, SHOWN = 8;

interface Change {
  id: string;
  at: string;
  actor: string;
  actor_name: string | null;
  action: string;
  allowed: boolean;
  user_name: string | null;
}

@customElement("pb-overview")
export class OverviewPage extends Page {
  @state() private live: Call[] | null = null;
  @state() private stacks: Record<Stack, StackHealth> | null = null;
  @state() private switches: Switch[] = [];
  @state() private changes: Change[] = [];
  private poll: Poll | null = null;

  connectedCallback(): void {
    super.connectedCallback();
    this.poll = new Poll(() => this.load(), AGAIN_MS);
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    this.poll?.end();
  }

  private load(): Promise<void> {
    return this.attempt(async () => {
      const [live, health, open, audit] = await Promise.all([
        get<Calls>("/v1/calls?all=true&state=live&limit=200"),
        get<{ stacks: Record<Stack, StackHealth> }>("/v1/health/stacks"),
        get<{ switches: Switch[] }>("/v1/switches?open=true&limit=50"),
        get<{ entries: Change[] }>(`/v1/audit?limit=${SHOWN}`),
      ]);
      this.live = live.calls;
      this.stacks = health.stacks;
      this.switches = open.switches;
      this.changes = audit.entries;
    });
  }

  private stack(name: Stack, h: StackHealth) {
    return html`<div><dt><pb-badge short .stack=${name}></pb-badge></dt>
      <dd><span class="badge ${h.state === "up" ? "live" : "warn"}">${words(h.state)}</span> ${h.reasons.length ? html`<span class="help">${h.reasons.map(words).join(", ")}</span>` : nothing}</dd></div>`;
  }

  private calls(live: Call[]) {
    if (!live.length) return html`<p class="muted">Nobody is on the phone just now.</p>`;
    return html`<ul class="plain">${live.slice(0, SHOWN).map((c) => html`<li class="spread"><a href=${`/calls/${c.id}`}>${phone(c.from)} → ${c.user_name ?? c.to}</a>
      <span><pb-badge short .stack=${c.stack}></pb-badge> <span class="timer">${c.answered_at ? duration(Math.max(0, Date.now() - Date.parse(c.answered_at))) : "rings"}</span></span></li>`)}</ul>
      ${live.length > SHOWN ? html`<p><a href="/admin/calls">All of them</a></p>` : nothing}`;
  }

  private moves() {
    if (!this.switches.length) return html`<p class="muted">Nobody is being moved.</p>`;
    return html`<ul class="plain">${this.switches.slice(0, SHOWN).map((s) => html`<li class="spread"><a href=${`/admin/users/${s.user_id}`}>${ago(s.created_at)}</a>
      <span><pb-badge short .stack=${s.from_stack}></pb-badge> → <pb-badge short .stack=${s.to_stack}></pb-badge> ${words(s.state)}</span></li>`)}</ul>`;
  }

  render() {
    const s = this.stacks;

    return html`<h1>Overview</h1>
      ${this.failed ? this.failure(() => void this.load()) : nothing}
      ${!this.live || !s ? (this.failed ? nothing : waiting(10)) : html`<div class="two">
        <section class="card" aria-labelledby="now-title"><h2 id="now-title">On the phone <span class="badge">${count(this.live.length)}</span></h2>${this.calls(this.live)}</section>
        <section class="card" aria-labelledby="well-title"><h2 id="well-title"><a href="/admin/health">Stacks</a></h2><dl class="facts">${this.stack("retell", s.retell)}${this.stack("livekit", s.livekit)}</dl></section>
        <section class="card" aria-labelledby="moves-title"><h2 id="moves-title"><a href="/admin/switches">Open switches</a> <span class="badge">${count(this.switches.length)}</span></h2>${this.moves()}</section>
        <section class="card" aria-labelledby="changes-title"><h2 id="changes-title"><a href="/admin/audit">Last changes</a></h2>
          ${this.changes.length ? html`<ul class="plain">${this.changes.map((c) => html`<li class="spread"><span>${words(c.action.replace(".", ": "))}${c.user_name ? ` of ${c.user_name}` : ""}${c.allowed ? "" : " (refused)"}</span>
            <span class="muted">${c.actor_name ?? (c.actor.length === 36 ? "an admin" : c.actor)}, ${ago(c.at)}</span></li>`)}</ul>` : html`<p class="muted">Nothing was changed yet.</p>`}</section>
      </div>`}`;
  }
}
