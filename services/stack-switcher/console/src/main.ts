/** The console: who is logged in, where he may go, and the page he is on. */
import { html } from "lit";
import { customElement, state } from "lit/decorators.js";
import { keyed } from "lit/directives/keyed.js";
import { unsafeStatic, html as made } from "lit/static-html.js";
import { get, type Me } from "./api";
import { config, loadConfig } from "./config";
import { followLinks, go, match } from "./router";
import { session } from "./session";
import { Page, waiting } from "./ui/page";
import "./ui/confirm";
import "./ui/menu";
import "./ui/toast";
import "./pages/login";

@customElement("pb-app")
export class App extends Page {
  @state() private me: Me | null = null;
  @state() private tag = "";
  @state() private params: Record<string, string> = {};
  /** Which page is shown: another user's is another page, with nothing of the one before. */
  private at = "";
  @state() private ready = false;

  connectedCallback(): void {
    super.connectedCallback();
    followLinks();
    addEventListener("popstate", () => this.show());
    session.addEventListener("change", () => this.begin());
    void this.attempt(async () => {
      await loadConfig();
      document.title = config.product;
      session.takeFromAddress();
      this.ready = true;
      await this.begin();
    });
  }

  private async begin(): Promise<void> {
    this.me = null;
    this.tag = "";
    if (session.token)
      await this.attempt(async () => {
        this.me = await get<Me>("/v1/me");
        await this.show();
      });
    this.requestUpdate();
  }

  private home(): string {
    return this.me!.has_agent ? "/agent" : this.me!.admin ? "/admin" : "/calls";
  }

  private async show(): Promise<void> {
    if (!this.me) return;
    const route = match(location.pathname);

    if (!route || (route.admin && !this.me.admin)) {
      if (location.pathname !== this.home()) go(this.home());
      return;
    }
    await route.load();
    this.params = route.params;
    this.at = location.pathname;
    this.tag = `pb-${route.page}`;
    await this.updateComplete;
    this.querySelector<HTMLElement>("main")?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  private shell() {
    const me = this.me!;
    const page = unsafeStatic(this.tag);

    return html`
      <a class="skip" href="#content">Skip to content</a>
      <pb-menu .me=${me} .path=${location.pathname}></pb-menu>
      <main id="content" tabindex="-1">
        ${this.tag ? keyed(this.at, made`<${page} .me=${me} .params=${this.params}></${page}>`) : waiting()}
      </main>
    `;
  }

  render() {
    return html`
      ${this.me
        ? this.shell()
        : html`<main class="alone">
            ${this.ready && !session.token
              ? html`<pb-login></pb-login>`
              : this.failed ? this.failure(() => location.reload()) : waiting()}
          </main>`}
      <pb-toasts></pb-toasts>
      <pb-confirm></pb-confirm>
    `;
  }
}
