/** Usage and cost: one's own, and for admins everybody's. */
import { html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { download, get, query, type Me, type Stack } from "../api";
import { go } from "../router";
import "../ui/badge";
import "../ui/chart";
import type { Series } from "../ui/chart";
import { count, words } from "../ui/format";
import { Page, waiting } from "../ui/page";
import { missing, saving } from "../ui/saving";
import { daysBetween, money, stackName, type Summary, type Usage, type UsageRow } from "../usage";

const DAY_MS = 86_400_000;
const SHOWN_USERS = 50;
const PAGE = 1000;
const TRIES = 4;
const PARTS = 6; // the dearest have a colour of their own
const stacks: (Stack | null)[] = ["livekit", "retell", null];
const colours: Record<string, string> = { livekit: "--chart-1", retell: "--chart-2", null: "--chart-7" };
const dayOf = (ms: number) => new Date(ms).toISOString().slice(0, 10);
/** Which day it is there; sv-SE writes it as ISO 8601 does. */
const todayIn = (zone: string) => new Intl.DateTimeFormat("sv-SE", { timeZone: zone }).format();
const mine = Intl.DateTimeFormat().resolvedOptions().timeZone;
const isZone = (name: string | null): name is string => {
  try {
    return !!name && !!new Intl.DateTimeFormat("en", { timeZone: name });
  } catch {
    return false;
  }
};
const isUser = (id: string | null): id is string => !!id && /^[0-9a-f-]{36}$/.test(id);

interface Found {
  summary: Summary;
  byStack: UsageRow[];
  byComponent: UsageRow[];
  byUser: Usage | null;
}

@customElement("pb-usage")
export class UsagePage extends Page {
  @property({ attribute: false }) me!: Me;
  @state() private found: Found | null = null;
  @state() private parts = false;
  @state() private from = "";
  @state() private to = "";
  @state() private tz = "UTC";
  @state() protected user: string | null = null;
  private asked = 0;

  connectedCallback(): void {
    super.connectedCallback();
    const asked = new URLSearchParams(location.search);

    this.tz = isZone(asked.get("tz")) ? asked.get("tz")! : "UTC";
    this.to = asked.get("to") ?? todayIn(this.tz);
    this.from = asked.get("from") ?? dayOf(Date.parse(this.to) - 29 * DAY_MS);
    this.user = this.whose(asked.get("user_id"));
    void this.load();
  }

  protected get everybody(): boolean {
    return false;
  }

  protected whose(_asked: string | null): string | null {
    return this.me.user_id;
  }

  private askRows = (by: string, limit: number, after: string | null): Promise<Usage> =>
    get<Usage>(query("/v1/usage", { user_id: this.user, from: this.from, to: this.to, group_by: by, limit, after, ...this.zone() }));

  private askPeople = (after: string | null): Promise<Usage> => this.askRows("user", SHOWN_USERS, after);

  /** A chart needs all of them. Sums go on changing: pages that do not belong together are asked for again, a few times. */
  private async askAll(by: string): Promise<UsageRow[]> {
    for (let left = TRIES; ; left--) {
      const first = await this.askRows(by, PAGE, null);
      const rows = [...first.rows];
      let page = first;
      const moved = () => left > 0 && page.total.cost_microusd !== first.total.cost_microusd;

      while (page.next && !moved()) {
        page = await this.askRows(by, PAGE, page.next);
        rows.push(...page.rows);
      }
      if (!moved()) return rows;
    }
  }

  private zone() {
    return this.tz === "UTC" ? {} : { tz: this.tz };
  }

  private load(): Promise<void> {
    const mine = ++this.asked;

    return this.attempt(async () => {
      const [summary, byStack, byComponent, byUser] = await Promise.all([
        get<Summary>(query("/v1/usage/summary", { user_id: this.user, from: this.from, to: this.to, ...this.zone() })),
        this.askAll("day,stack"),
        this.askAll("day,component"),
        this.everybody && !this.user ? this.askPeople(null) : null,
      ]);
      if (mine === this.asked) this.found = { summary, byStack, byComponent, byUser };
    });
  }

  /** Sums go on changing: who has been shown is not shown again. */
  private morePeople(before: Usage): Promise<void> {
    const mine = this.asked;

    return this.attempt(async () => {
      const page = await this.askPeople(before.next);
      const had = new Set(before.rows.map((r) => r.user_id));

      if (mine !== this.asked) return;
      this.found = { ...this.found!, byUser: { ...page, rows: [...before.rows, ...page.rows.filter((r) => !had.has(r.user_id))] } };
    });
  }

  private choose(from: string, to: string, user = this.user): void {
    if (!from || !to || from > to) return;
    this.from = from;
    this.to = to;
    this.user = user;
    history.replaceState(null, "", query(location.pathname, { from, to, ...this.zone(), user_id: this.everybody ? user : null }));
    void this.load();
  }

  private save(): Promise<void> {
    return this.attempt(() => download(query("/v1/usage", {
      user_id: this.user, from: this.from, to: this.to, group_by: this.everybody && !this.user ? "day,stack,user" : "day,stack,component,model", format: "csv", ...this.zone(),
    }), `usage-${this.from}-${this.to}.csv`));
  }

  // ------------------------------------------------------------------ charts

  private byDay(rows: UsageRow[], of: (r: UsageRow) => boolean, value: (r: UsageRow) => number | null): (number | null)[] {
    const at = new Map<string, number>();

    for (const r of rows) if (of(r)) at.set(r.day!, (at.get(r.day!) ?? 0) + (value(r) ?? 0));
    return daysBetween(this.from, this.to).map((d) => at.get(d) ?? null);
  }

  private stackSeries(value: (r: UsageRow) => number | null, neither: boolean): Series[] {
    const rows = this.found!.byStack;

    return stacks.filter((s) => rows.some((r) => r.stack === s) && (s || neither)).map((s) => ({
      name: stackName(s), colour: colours[String(s)], values: this.byDay(rows, (r) => r.stack === s, value) }));
  }

  private partSeries(): Series[] {
    const rows = this.found!.byComponent;
    const sums = new Map<string, number>();

    for (const r of rows) sums.set(r.component!, (sums.get(r.component!) ?? 0) + r.cost_microusd);
    const dearest = [...sums].filter(([, sum]) => sum > 0).sort((a, b) => b[1] - a[1]).map(([name]) => name);
    const named = dearest.slice(0, PARTS);
    const series = named.map((c, i) => ({ name: words(c), colour: `--chart-${i + 1}`, values: this.byDay(rows, (r) => r.component === c, (r) => r.cost_microusd) }));
    return dearest.length > PARTS
      ? [...series, { name: "Others", colour: "--chart-7", values: this.byDay(rows, (r) => !named.includes(r.component!), (r) => r.cost_microusd) }]
      : series;
  }

  private chart(title: string, series: Series[], show: (v: number) => string, lines = false, more: unknown = nothing): TemplateResult {
    return html`<section class="card"><div class="spread"><h2>${title}</h2>${more}</div>
      <pb-chart name=${title} .days=${daysBetween(this.from, this.to)} .series=${series} .show=${show} ?lines=${lines}></pb-chart></section>`;
  }

  // ------------------------------------------------------------------ parts of the page

  private filters() {
    const today = todayIn(this.tz);
    const zones = [...new Set(["UTC", mine, this.tz])].filter(isZone);
    const last = (n: number) => this.choose(dayOf(Date.parse(today) - (n - 1) * DAY_MS), today);

    return html`<div class="filters usage-filters">
      <label class="field"><span>From</span><input type="date" .value=${this.from} max=${this.to}
        @change=${(e: Event) => this.choose((e.target as HTMLInputElement).value, this.to)}></label>
      <label class="field"><span>To</span><input type="date" .value=${this.to} min=${this.from} max=${today}
        @change=${(e: Event) => this.choose(this.from, (e.target as HTMLInputElement).value)}></label>
      ${zones.length > 1 ? html`<label class="field"><span>Days of</span><select @change=${(e: Event) => {
        this.tz = (e.target as HTMLSelectElement).value;
        this.choose(this.from, this.to);
      }}>${zones.map((z) => html`<option value=${z} ?selected=${z === this.tz}>${z === mine && z !== "UTC" ? `${z} (here)` : z}</option>`)}</select></label>` : nothing}
      <div class="field quick">${[7, 30, 90].map((n) => html`<button class="button" @click=${() => last(n)}>${n} days</button>`)}
        <button class="button" @click=${() => void this.save()}>Download CSV</button></div>
    </div>`;
  }

  private figures(s: Summary) {
    const card = (name: Stack) => {
      const u = s.stacks[name];

      return html`<section class="card"><h2><pb-badge short .stack=${name}></pb-badge></h2><dl class="facts">
        <div><dt>Cost</dt><dd>${money(u.cost_microusd)}${u.complete ? nothing : html`<span class="help">without what has no price</span>`}</dd></div>
        <div><dt>A minute</dt><dd>${money(u.cost_per_minute_microusd)}</dd></div>
        <div><dt>Minutes</dt><dd>${count(u.minutes)}</dd></div>
        <div><dt>Calls</dt><dd>${count(u.calls)}</dd></div>
        <div><dt>Answers after</dt><dd>${u.latency ? html`${count(u.latency.p50_ms)} ms<span class="help">one in twenty after ${count(u.latency.p95_ms)} ms</span>` : "–"}</dd></div>
      </dl></section>`;
    };

    return html`<div class="two">${card("livekit")}${card("retell")}</div>
      ${s.slower ? html`<div class="alert alert-warn"><span>LiveKit answers later than Retell by more than the margin.</span></div>` : nothing}`;
  }

  private people(u: Usage) {
    return html`<section class="card"><h2>By user</h2>
      <div class="scroll" tabindex="0" role="region" aria-label="By user"><table>
        <thead><tr><th>User</th><th class="number">Calls</th><th class="number">Minutes</th><th class="number">Cost</th><th class="number">A minute</th></tr></thead>
        <tbody>${u.rows.map((r) => html`<tr>
          <td>${r.user_id ? html`<a href=${query("/admin/usage", { from: this.from, to: this.to, ...this.zone(), user_id: r.user_id })}>${r.user_name ?? r.user_email ?? "Gone"}</a>` : "Erased users"}</td>
          <td class="number">${count(r.calls ?? 0)}</td><td class="number">${count(r.minutes ?? 0)}</td>
          <td class="number">${money(r.cost_microusd)}${r.complete ? nothing : html` <span title="without what has no price">*</span>`}</td>
          <td class="number">${money(r.cost_per_minute_microusd)}</td></tr>`)}</tbody>
      </table></div>
      ${u.next ? html`<p class="muted">The dearest ${count(u.rows.length)} of ${count(u.count)}.</p>
        <button class="button" @click=${() => void this.morePeople(u)}>More</button>` : nothing}
    </section>`;
  }

  private shown(f: Found) {
    const minutes = (v: number) => count(Math.round(v * 10) / 10);

    return html`
      ${missing(f.summary.missing)}
      ${this.figures(f.summary)}
      ${this.chart("Cost per day", this.parts ? this.partSeries() : this.stackSeries((r) => r.cost_microusd, true), money, false,
        html`<label class="check"><input type="checkbox" .checked=${this.parts} @change=${(e: Event) => { this.parts = (e.target as HTMLInputElement).checked; }}>
          by component</label>`)}
      <div class="two">
        ${this.chart("Minutes per day", this.stackSeries((r) => r.minutes ?? 0, false), minutes)}
        ${this.chart("Cost per minute", this.stackSeries((r) => r.cost_per_minute_microusd ?? null, false), money, true)}
      </div>
      <section class="card"><h2>The two stacks compared</h2>${saving(f.summary)}</section>
      ${f.byUser ? this.people(f.byUser) : nothing}
      <p class="muted">Days are those of ${this.tz}.${f.summary.waiting ? " Some calls are still being counted." : ""}</p>`;
  }

  protected head() {
    return html`<h1>Usage and cost</h1>`;
  }

  render() {
    return html`${this.head()}${this.filters()}
      ${this.failed ? this.failure(() => void this.load()) : nothing}
      ${this.found ? this.shown(this.found) : this.failed ? nothing : waiting(10)}`;
  }
}

@customElement("pb-usage-all")
export class UsageOfAll extends UsagePage {
  private readonly again = () => {
    const user = this.whose(new URLSearchParams(location.search).get("user_id"));
    if (location.pathname === "/admin/usage" && user !== this.user) this.connectedCallback();
  };

  connectedCallback(): void {
    super.connectedCallback();
    addEventListener("popstate", this.again);
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener("popstate", this.again);
  }

  protected get everybody(): boolean {
    return true;
  }

  protected whose(asked: string | null): string | null {
    return isUser(asked) ? asked : null;
  }

  protected head() {
    if (!this.user) return html`<h1>Usage and cost <small class="muted">all users</small></h1>`;
    return html`<h1>Usage and cost <small class="muted">one user</small></h1>
      <p><a href=${`/admin/users/${this.user}`}>The user's page</a> ·
        <button class="link" @click=${() => go("/admin/usage")}>All users</button></p>`;
  }
}
