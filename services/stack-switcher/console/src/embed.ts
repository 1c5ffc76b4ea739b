/** Parts of the console on other people's pages, as web components: <patchbay-badge> and <patchbay-voice>.
 *
 *  Their look is in a shadow root, so that neither page changes the other's. Who the user is, the page says by the property
 *  token: a text, or a function that gives one; an attribute would stand in the document for everybody to read. See
 *  docs/embedding.md. */
import { html, LitElement, nothing, unsafeCSS, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { ApiError, connection, get, patch, type Agent, type Me } from "./api";
import { loadConfig } from "./config";
import styles from "./styles.css";
import "./ui/badge";
import "./ui/confirm";
import "./ui/toast";
import "./ui/voice-section";

type Token = string | null | (() => string | null | Promise<string | null>);

abstract class Embedded extends LitElement {
  static styles = [unsafeCSS(styles.replaceAll(":root", ":host")), unsafeCSS(":host { display: block; color: var(--text); } :host([hidden]) { display: none; }")];

  /** All components of a page speak for one user: the token set last counts. */
  @property({ attribute: false }) token: Token = null;
  /** Whose agent; without it, that of whose token it is. */
  @property() user = "";
  /** Where the API is, where not at the place this file came from. */
  @property({ attribute: "api" }) api = new URL(import.meta.url).origin;
  @state() protected agent: Agent | null = null;
  @state() protected failed = "";

  willUpdate(p: PropertyValues<this>): void {
    if ((p.has("token") || p.has("user") || p.has("api")) && this.token) void this.load();
  }

  /** Reads everything again: after a change the page knows of, or with a new token. */
  async load(): Promise<void> {
    connection.base = this.api;
    connection.token = async () => (typeof this.token === "function" ? this.token() : this.token);
    connection.lost = () => this.tell("patchbay-login", null);
    try {
      await loadConfig();
      const user = this.user || (await get<Me>("/v1/me")).user_id;
      this.agent = await get<Agent>(`/v1/users/${user}/agent`);
      this.failed = "";
    } catch (e) {
      this.wrong(e);
    }
  }

  protected wrong(e: unknown): void {
    const status = e instanceof ApiError ? e.status : 0;

    this.failed = e instanceof ApiError ? e.message : "This cannot be shown.";
    this.tell("patchbay-error", { status, message: this.failed });
  }

  protected tell(name: string, detail: unknown): void {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }

  protected failure() {
    return this.failed ? html`<div class="alert alert-error" role="alert"><span>${this.failed}</span></div>` : nothing;
  }
}

@customElement("patchbay-badge")
export class PatchbayBadge extends Embedded {
  render() {
    return this.agent ? html`<pb-badge .stack=${this.agent.stack}></pb-badge>` : this.failure();
  }
}

@customElement("patchbay-voice")
export class PatchbayVoice extends Embedded {
  private saving: Promise<void> = Promise.resolve();

  private run = (work: () => Promise<void>): Promise<void> => {
    const done = this.saving.then(work);

    this.saving = done.catch(() => {}).then(() => this.load()).then(() => this.tell("patchbay-changed", this.agent));
    return done;
  };

  private async choose(voice: string): Promise<void> {
    const path = `/v1/users/${this.agent!.user_id}/agent`;

    try {
      await this.run(async () => void (await patch<Agent>(path, { voice_id: voice }, { "If-Match": `"${this.agent!.version}"` })));
    } catch (e) {
      this.wrong(e);
    }
  }

  render() {
    return html`${this.failure()}
      ${this.agent
        ? html`<pb-voice-section .agent=${this.agent} .run=${this.run} @voice=${(e: CustomEvent<string>) => void this.choose(e.detail)}></pb-voice-section>`
        : nothing}
      <pb-toasts></pb-toasts><pb-confirm></pb-confirm>`;
  }
}
