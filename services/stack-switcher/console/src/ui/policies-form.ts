/** Rules for a user's calls, in words. As the agent's settings: saved when their writer pauses, and they can be taken back. */
import { html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { live } from "lit/directives/live.js";
import { ApiError, get, patch } from "../api";
import { days, doings, isPhone, numbers, rungs, type Day, type Policies, type Range, type Rung } from "../policies";
import "./explain";
import { dateTime } from "./format";
import { Page, waiting } from "./page";
import { toast } from "./toast";

const PAUSE_MS = 700;
const zones: string[] = Intl.supportedValuesOf?.("timeZone") ?? [];
type Field = keyof Policies;

@customElement("pb-policies-form")
export class PoliciesForm extends Page {
  @property() user = "";
  @property({ type: Boolean }) admin = false;
  @property() number = "";
  @state() private policies: Policies | null = null;
  @state() private wrong: Record<string, string> = {};
  @state() private state: "" | "saving" | "saved" = "";
  private changed: Partial<Policies> = {};
  private stored: Policies | null = null;
  private timer = 0;
  private saving: Promise<void> = Promise.resolve();

  willUpdate(p: PropertyValues<this>): void {
    if (p.has("user") && this.user) void this.load();
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    this.saveNow();
  }

  private get address(): string {
    return `/v1/users/${this.user}/policies`;
  }

  private load(): Promise<void> {
    return this.attempt(async () => {
      this.policies = this.stored = await get<Policies>(this.address);
      this.wrong = {};
    });
  }

  /* ---------------------------------------------------------------- saving */

  private set<F extends Field>(name: F, value: Policies[F]): void {
    this.policies = { ...this.policies!, [name]: value };
    this.changed = { ...this.changed, [name]: value };
    this.state = "saving";
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.saveNow(), PAUSE_MS);
  }

  /** What cannot be is said at once and not sent. */
  private refuse(name: Field, why: string): void {
    this.wrong = { ...this.wrong, [name]: why };
  }

  private fine(name: Field): void {
    const { [name]: _, ...rest } = this.wrong;
    this.wrong = rest;
  }

  private saveNow(): void {
    const changes = this.changed;

    clearTimeout(this.timer);
    if (!Object.keys(changes).length) return;
    this.changed = {};
    this.saving = this.saving.then(() => this.save(changes));
  }

  private async save(changes: Partial<Policies>, undoable = true): Promise<void> {
    const before = this.stored!;

    try {
      this.stored = await patch<Policies>(this.address, changes, { "If-Match": `"${before.version}"` });
      this.policies = { ...this.stored, ...this.changed };
      this.state = Object.keys(this.changed).length ? "saving" : "saved";
      for (const name of Object.keys(changes)) this.fine(name as Field);
      if (undoable) toast("Saved", "good", { label: "Undo", run: () => this.undo(changes, before) });
    } catch (e) {
      await this.refused(e as ApiError);
    }
  }

  private async refused(e: ApiError): Promise<void> {
    this.state = "";
    if (e.status === 412) {
      toast("Somebody else has changed these rules. You see them as they are now.", "bad");
      await this.load();
      return;
    }
    // business_hours.mon[1]: at its section
    this.refuse((e.field ?? "").split(/[.[]/)[0] as Field, e.message);
    if (!e.field) toast(e.message, "bad");
  }

  private undo(changes: Partial<Policies>, before: Policies): void {
    const back = Object.fromEntries(Object.keys(changes).map((k) => [k, before[k as Field]])) as Partial<Policies>;

    this.saving = this.saving.then(() => this.save(back, false));
  }

  /* ---------------------------------------------------------------- kinds of fields */

  private field(name: Field, label: string, input: TemplateResult, help = "") {
    const wrong = this.wrong[name];

    return html`<div class="field"><label for=${`pol-${name}`}>${label}</label>${input}
      <span id=${`pol-${name}-help`} class=${wrong ? "wrong" : "help"} role=${wrong ? "alert" : nothing}>${wrong ?? help}</span></div>`;
  }

  private choice(name: Field, label: string, options: string[], help = "") {
    const value = String(this.policies![name]);

    return this.field(name, label, html`<select id=${`pol-${name}`} aria-describedby=${`pol-${name}-help`}
      @change=${(e: Event) => this.set(name, (e.target as HTMLSelectElement).value as never)}>
      ${options.map((v) => html`<option value=${v} ?selected=${v === value}>${doings[v]}</option>`)}</select>`, help);
  }

  private phone(name: "forward_number" | "after_hours_number" | "fallback_number", label: string, help = "") {
    const typed = (e: Event) => {
      const text = (e.target as HTMLInputElement).value.replace(/[\s()./-]/g, "");
      if (text && !isPhone(text)) return this.refuse(name, "With country code: +12025550100.");
      this.fine(name);
      this.set(name, text || null);
    };

    return this.field(name, label, html`<input id=${`pol-${name}`} type="tel" inputmode="tel" placeholder="+12025550100" autocomplete="off"
      .value=${live(this.policies![name] ?? "")} aria-describedby=${`pol-${name}-help`} @change=${typed}>`, help);
  }

  private count(name: "max_concurrent" | "max_per_minute" | "daily_forward_cents", label: string, help: string, unit = 1) {
    const value = this.policies![name];
    const typed = (e: Event) => {
      const text = (e.target as HTMLInputElement).value, n = Math.round(Number(text) * unit);
      if (text && !(n >= (unit === 1 ? 1 : 0))) return this.refuse(name, "A number, or nothing.");
      this.fine(name);
      this.set(name, text ? n : null);
    };

    return this.field(name, label, html`<input id=${`pol-${name}`} type="number" min=${unit === 1 ? 1 : 0} step=${unit === 1 ? 1 : 0.01} placeholder="No limit"
      .value=${live(value === null ? "" : String(value / unit))} aria-describedby=${`pol-${name}-help`} @change=${typed}>`, help);
  }

  /* ---------------------------------------------------------------- hours */

  private hours(day: Day, ranges: Range[]): void {
    this.set("business_hours", { ...this.policies!.business_hours, [day]: ranges });
  }

  private range(day: Day, label: string, ranges: Range[], i: number) {
    const change = (side: 0 | 1) => (e: Event) => {
      const value = (e.target as HTMLInputElement).value;
      // A time picker has no 24:00; its midnight at the end of a range means that.
      const put = side === 1 && value === "00:00" ? "24:00" : value;
      if (value) this.hours(day, ranges.map((r, k) => (k === i ? (side ? [r[0], put] : [put, r[1]]) : r) as Range));
    };

    return html`<span class="range-of">
      <input type="time" aria-label=${`${label}, from`} .value=${live(ranges[i][0])} @change=${change(0)}> –
      <input type="time" aria-label=${`${label}, to`} .value=${live(ranges[i][1] === "24:00" ? "00:00" : ranges[i][1])} @change=${change(1)}>
      <button type="button" class="link" @click=${() => this.hours(day, ranges.filter((_, k) => k !== i))} aria-label=${`Remove ${label}, ${ranges[i].join(" to ")}`}>✕</button>
    </span>`;
  }

  private day([day, label]: [Day, string]) {
    const ranges = this.policies!.business_hours?.[day] ?? [];

    return html`<div class="day" role="group" aria-label=${label}><strong>${label}</strong>
      <span class="ranges">${ranges.length ? ranges.map((_, i) => this.range(day, label, ranges, i)) : html`<span class="muted">closed</span>`}</span>
      <button type="button" class="button small" @click=${() => this.hours(day, [...ranges, ranges.length ? ["13:00", "17:00"] : ["09:00", "17:00"]])}>Add<span class="unseen"> hours on ${label}</span></button>
    </div>`;
  }

  private businessHours() {
    const p = this.policies!, on = !!p.business_hours;
    const usual = Object.fromEntries(days.slice(0, 5).map(([d]) => [d, [["09:00", "17:00"]]])) as Policies["business_hours"];

    return html`<details ?open=${on}><summary>Hours${on ? "" : " (always open)"}</summary>
      <label class="check"><input type="checkbox" .checked=${live(on)} @change=${(e: Event) => this.set("business_hours", (e.target as HTMLInputElement).checked ? usual : null)}>
        Calls are taken at certain hours only</label>
      ${on ? days.map((d) => this.day(d)) : nothing}
      ${this.wrong.business_hours ? html`<p class="wrong" role="alert">${this.wrong.business_hours}</p>` : nothing}
      ${this.field("time_zone", "Time zone", html`<input id="pol-time_zone" list="pol-zones" .value=${live(p.time_zone ?? "")} placeholder="As the account's" aria-describedby="pol-time_zone-help"
        @change=${(e: Event) => this.set("time_zone", (e.target as HTMLInputElement).value.trim() || null)}><datalist id="pol-zones">${zones.map((z) => html`<option value=${z}></option>`)}</datalist>`)}
      ${this.choice("after_hours", "Outside those hours, and on holidays", ["serve", "forward", "voicemail", "busy", "reject"])}
      ${this.phone("after_hours_number", "The phone that rings then", "Empty: the usual one.")}
      ${this.holidays()} ${this.quiet()}
    </details>`;
  }

  private holidays() {
    const list = this.policies!.holidays;
    const add = (e: Event) => {
      const input = (e.currentTarget as HTMLElement).closest(".adding")!.querySelector("input")!;
      if (!input.value || list.some((h) => h.date === input.value)) return;
      this.set("holidays", [...list, { date: input.value }].sort((a, b) => (a.date < b.date ? -1 : 1)));
      input.value = "";
    };

    return html`<div class="field"><span>Holidays</span>
      <ul class="plain">${list.map((h) => html`<li class="spread"><span>${h.date.length === 5 ? `every year, ${h.date}` : h.date}${h.hours?.length ? `, open ${h.hours.map((r) => r.join("–")).join(", ")}` : ""}</span>
        <button type="button" class="link" @click=${() => this.set("holidays", list.filter((x) => x !== h))}>Remove<span class="unseen"> ${h.date}</span></button></li>`)}</ul>
      <span class="adding spread"><input type="date" aria-label="A holiday"><button type="button" class="button small" @click=${add}>Add the day</button></span>
      ${this.wrong.holidays ? html`<span class="wrong" role="alert">${this.wrong.holidays}</span>` : nothing}</div>`;
  }

  private quiet() {
    const q = this.policies!.quiet_hours;
    const change = (side: "start" | "end") => (e: Event) => {
      const value = (e.target as HTMLInputElement).value;
      this.set("quiet_hours", value ? { start: "22:00", end: "07:00", ...q, [side]: value } : null);
    };

    return html`<div class="field" role="group" aria-label="Quiet time"><span>My phone never rings between</span><span class="range-of">
      <input type="time" aria-label="Quiet from" .value=${live(q?.start ?? "")} @change=${change("start")}> –
      <input type="time" aria-label="Quiet until" .value=${live(q?.end ?? "")} @change=${change("end")}></span>
      ${this.wrong.quiet_hours ? html`<span class="wrong" role="alert">${this.wrong.quiet_hours}</span>` : nothing}</div>`;
  }

  /* ---------------------------------------------------------------- who, how many, what else */

  private who() {
    const p = this.policies!;
    const typed = (e: Event) => {
      const { good, bad } = numbers((e.target as HTMLTextAreaElement).value);
      if (bad.length) return this.refuse("block_list", `No phone number: ${bad.slice(0, 3).join(", ")}. With country code; * at the end stands for the rest.`);
      this.fine("block_list");
      this.set("block_list", good);
    };

    return html`<details open><summary>Who gets through</summary>
      ${this.field("block_list", "Blocked numbers", html`<textarea id="pol-block_list" rows=${Math.min(8, Math.max(2, p.block_list.length))} spellcheck="false"
        .value=${live(p.block_list.join("\n"))} aria-describedby="pol-block_list-help" @change=${typed}></textarea>`, "One a line. +1900* blocks all that begin so.")}
      ${this.choice("block_action", "What blocked callers meet", ["busy", "reject", "voicemail"])}
      ${this.choice("withheld", "Callers who hide their number", ["serve", "forward", "voicemail", "busy", "reject"])}
      ${this.choice("whitelist", "Contacts on the whitelist", ["preferences", "serve", "forward"])}
      ${this.choice("unknown", "Callers who are no contact", ["preferences", "serve", "forward", "voicemail", "busy", "reject"])}
      ${this.phone("forward_number", "The phone that rings", "Empty: the default transfer number.")}
    </details>`;
  }

  private limits() {
    const p = this.policies!;
    const countries = (e: Event) => {
      const list = (e.target as HTMLInputElement).value.toUpperCase().split(/[\s,;]+/).filter(Boolean);
      if (list.some((c) => !/^[A-Z]{2}$/.test(c))) return this.refuse("allowed_countries", "Two letters each: US, CA.");
      this.fine("allowed_countries");
      this.set("allowed_countries", list.length ? list : null);
    };

    return html`<details><summary>Limits</summary>
      ${this.count("max_concurrent", "Calls at once", "More are treated as below.")}
      ${this.count("max_per_minute", "Calls that begin within a minute", "More are treated as below.")}
      ${this.choice("over_limit", "Beyond these", ["forward", "voicemail", "busy", "reject"])}
      ${this.choice("over_budget", "When the budget is spent", ["forward", "voicemail", "busy", "reject"])}
      ${this.count("daily_forward_cents", "Forwards and transfers may cost a day, in dollars", "Empty: the house's own limit.", 100)}
      ${this.field("allowed_countries", "Countries that may be dialled", html`<input id="pol-allowed_countries" placeholder="Any" .value=${live((p.allowed_countries ?? []).join(", "))}
        aria-describedby="pol-allowed_countries-help" @change=${countries}>`, "Two letters each: US, CA.")}
    </details>`;
  }

  private move(from: number, by: number): void {
    const list = [...this.policies!.fallback], [rung] = list.splice(from, 1);

    list.splice(from + by, 0, rung);
    this.set("fallback", list);
  }

  private ladder() {
    const list = this.policies!.fallback, rest = (Object.keys(rungs) as Rung[]).filter((r) => !list.includes(r));

    return html`<details><summary>When the agent cannot answer</summary>
      <p class="help">Tried in this order; a caller never ends in silence.</p>
      <ol class="ladder">${list.map((r, i) => html`<li class="spread"><span>${rungs[r]}</span><span>
        <button type="button" class="link" ?disabled=${!i} @click=${() => this.move(i, -1)} aria-label=${`${rungs[r]}: earlier`}>↑</button>
        <button type="button" class="link" ?disabled=${i === list.length - 1} @click=${() => this.move(i, 1)} aria-label=${`${rungs[r]}: later`}>↓</button>
        <button type="button" class="link" @click=${() => this.set("fallback", list.filter((x) => x !== r))} aria-label=${`${rungs[r]}: never`}>✕</button></span></li>`)}</ol>
      <div class="buttons left">${rest.map((r) => html`<button type="button" class="button small" @click=${() => this.set("fallback", [...list, r])}>Add: ${rungs[r]}</button>`)}</div>
      ${this.wrong.fallback ? html`<p class="wrong" role="alert">${this.wrong.fallback}</p>` : nothing}
      ${this.phone("fallback_number", "The phone that rings then")}
    </details>`;
  }

  render() {
    if (this.failed) return html`<section class="card">${this.failure(() => void this.load())}</section>`;
    if (!this.policies) return html`<section class="card">${waiting(6)}</section>`;
    return html`<section class="card" aria-labelledby="policies-title">
      <div class="spread"><h2 id="policies-title">Call rules</h2>
        <span class="save-state" aria-live="polite">${this.state === "saving" ? "Saving…" : this.state === "saved" ? "Saved" : ""}</span></div>
      <p class="help">What happens with a call before the agent hears it${this.stored?.updated_at ? `; last changed ${dateTime(this.stored.updated_at)}` : ""}.</p>
      ${this.who()} ${this.businessHours()} ${this.limits()} ${this.ladder()}
      ${this.admin && this.number ? html`<pb-explain .number=${this.number}></pb-explain>` : nothing}
    </section>`;
  }
}
