/** An agent's settings. There is no save button: a change is saved when its writer pauses, and can be taken back. */
import { html, nothing, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { live } from "lit/directives/live.js";
import { ApiError, get, patch, type Agent, type Settings } from "../api";
import { settings, type Setting } from "./agent-settings";
import "./badge";
import "./talk";
import "./voice-section";
import { Page, waiting } from "./page";
import { toast } from "./toast";

const PAUSE_MS = 700;

@customElement("pb-agent-form")
export class AgentForm extends Page {
  @property() user = "";
  /** Somebody who knows that it has changed says so, and the form reads it again. */
  @property() stack: string | null = null;
  @state() private agent: Agent | null = null;
  /** Typed, and not yet known to the server. */
  @state() private changed: Settings = {};
  @state() private state: "" | "saving" | "saved" = "";
  @state() private wrong: { field: string | null; message: string } | null = null;
  /** What is below the voices waits for them: it would be pushed down. */
  @state() private voices = false;
  private timer = 0;
  private saving: Promise<void> = Promise.resolve();

  willUpdate(p: PropertyValues<this>): void {
    if ((p.has("user") || (p.has("stack") && this.agent && this.agent.stack !== this.stack)) && this.user) void this.load();
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    this.saveNow(); // whoever leaves has finished typing
  }

  private load(): Promise<void> {
    return this.attempt(async () => {
      this.agent = await get<Agent>(`/v1/users/${this.user}/agent`);
    });
  }

  private heard(): void {
    this.voices = true;
    void this.updateComplete.then(() => this.dispatchEvent(new CustomEvent("there")));
  }

  private change(name: string, value: Settings[string]): void {
    this.changed = { ...this.changed, [name]: value };
    this.state = "saving";
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.saveNow(), PAUSE_MS);
  }

  /** One after the other, so that each is made on the version the one before it gave. */
  private saveNow(): void {
    const changes = this.changed;

    clearTimeout(this.timer);
    if (!Object.keys(changes).length) return;
    this.changed = {};
    this.agent!.settings = { ...this.agent!.settings, ...changes };
    this.saving = this.saving.then(() => this.save(changes));
  }

  private async save(changes: Settings, undoable = true): Promise<void> {
    const before = this.stored;

    try {
      this.accept(await patch<Agent>(`/v1/users/${this.user}/agent`, changes, { "If-Match": `"${this.agent!.version}"` }));
      if (undoable) toast("Saved", "good", { label: "Undo", run: () => this.undo(changes, before) });
    } catch (e) {
      await this.refused(e as ApiError);
    }
  }

  /** What the server has, beside what the form shows. */
  private stored: Settings = {};

  private accept(agent: Agent): void {
    this.agent = { ...agent, settings: { ...agent.settings, ...this.changed } };
    this.stored = agent.settings;
    this.wrong = null;
    this.state = Object.keys(this.changed).length ? "saving" : "saved";
  }

  private async refused(e: ApiError): Promise<void> {
    this.state = "";
    this.wrong = { field: e.field, message: e.message };
    if (e.code === "stale") {
      toast("Somebody else has changed this agent. You see it as it is now.", "bad");
      this.wrong = null;
      await this.load();
    } else if (!settings.some((s) => s.name === e.field)) toast(e.message, "bad");
  }

  /** Work that changes the agent by another way than this form: after what is typed here, and the version is read behind it. */
  private exclusively = (work: () => Promise<void>): Promise<void> => {
    this.saveNow();
    const done = this.saving.then(work);

    this.saving = done.catch(() => {}).then(() => this.refresh());
    return done;
  };

  private async refresh(): Promise<void> {
    try {
      this.accept(await get<Agent>(`/v1/users/${this.user}/agent`));
    } catch {
      // the next save says what is wrong
    }
  }

  private undo(changes: Settings, before: Settings): void {
    const back = Object.fromEntries(Object.keys(changes).map((k) => [k, before[k] ?? ""]));

    this.saving = this.saving.then(() => this.save(back, false));
  }

  updated(p: PropertyValues): void {
    super.updated(p);
    if (this.agent && !Object.keys(this.stored).length) this.stored = this.agent.settings;
  }

  /* ---------------------------------------------------------------- fields */

  private input(s: Setting, id: string) {
    const value = { ...this.agent!.settings, ...this.changed }[s.name];
    const described = `${id}-help`;
    const set = (e: Event) => this.change(s.name, (e.target as HTMLInputElement).value);
    const setNumber = (e: Event) => this.change(s.name, Number((e.target as HTMLInputElement).value));

    switch (s.kind) {
      case "line":
        return html`<input id=${id} .value=${live(String(value ?? ""))} aria-describedby=${described} @input=${set}>`;
      case "text":
        return html`<textarea id=${id} rows=${s.advanced ? 8 : 3} .value=${live(String(value ?? ""))}
          aria-describedby=${described} @input=${set}></textarea>`;
      case "choice":
        return this.choice(s, id, String(value ?? s.options![0][0]));
      case "range":
        return html`<span class="range"><input id=${id} type="range" min=${s.min!} max=${s.max!} step=${s.step!}
          .value=${live(String(value ?? s.min))} aria-describedby=${described} @input=${setNumber}>
          <output for=${id}>${value ?? "–"}</output></span>`;
      case "switch":
        return html`<input id=${id} type="checkbox" role="switch" class="switch" .checked=${live(!!value)}
          @change=${(e: Event) => this.change(s.name, (e.target as HTMLInputElement).checked)}>`;
    }
  }

  /** A value that is stored and not on offer stays visible, and what it is. */
  private choice(s: Setting, id: string, value: string) {
    const options = s.options!.some(([v]) => v === value) ? s.options! : [...s.options!, [value, value] as [string, string]];

    return html`<select id=${id} aria-describedby=${`${id}-help`}
      @change=${(e: Event) => this.change(s.name, (e.target as HTMLSelectElement).value)}>
      ${options.map(([v, text]) => html`<option value=${v} ?selected=${v === value}>${text}</option>`)}
    </select>`;
  }

  private field(s: Setting) {
    const id = `set-${s.name}`;
    const wrong = this.wrong?.field === s.name ? this.wrong.message : null;

    return html`<div class="field ${s.kind}">
      <label for=${id}>${s.label}</label>
      ${this.input(s, id)}
      <span id=${`${id}-help`} class=${wrong ? "wrong" : "help"} role=${wrong ? "alert" : nothing}>${wrong ?? s.help ?? ""}</span>
    </div>`;
  }

  private head(a: Agent) {
    return html`<header class="agent-head">
      <span class="avatar" aria-hidden="true">${(a.settings.agent_name || a.user_name || "?").toString().charAt(0).toUpperCase()}</span>
      <div>
        <h1>${a.settings.agent_name || "Agent"}</h1>
        <pb-badge .stack=${a.stack}></pb-badge>
      </div>
      <span class="save-state" aria-live="polite">${this.state === "saving" ? "Saving…" : this.state === "saved" ? "Saved" : ""}</span>
    </header>`;
  }

  private fields() {
    return html`${settings.filter((s) => !s.advanced).map((s) => this.field(s))}
      <details>
        <summary>Advanced</summary>
        ${settings.filter((s) => s.advanced).map((s) => this.field(s))}
      </details>`;
  }

  render() {
    if (this.failed) return this.failure(() => void this.load());
    if (!this.agent) return html`<div class="card">${waiting(8)}</div>`;
    const a = this.agent;

    return html`<section class="card">
      ${this.head(a)}
      <p class="muted">${a.numbers.length ? `Answers ${a.numbers.join(", ")}` : "No number leads here yet."}
        · speaks as ${a.voice.name}${a.voice.cloned ? " (cloned)" : ""}</p>
      <pb-talk .agent=${a}></pb-talk>
      <pb-voice-section .agent=${a} .run=${this.exclusively} @there=${() => this.heard()}
        @voice=${(e: CustomEvent<string>) => this.change("voice_id", e.detail)}></pb-voice-section>
      ${this.voices ? this.fields() : waiting(8)}
    </section>`;
  }
}
