/** The console: who is logged in, where he may go, and the page he is on. */
import { html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { unsafeStatic, html as made } from "lit/static-html.js";
import { get, type Me } from "./api";
import { config, loadConfig } from "./config";
import { followLinks, go, match } from "./router";
import { session } from "./session";
import { Page, waiting } from "./ui/page";
import "./ui/confirm";
import "./ui/toast";
import "./pages/login";

interface Place {
  path: string;
  label: string;
  icon: string;
}

const own: Place[] = [
  { path: "/agent", label: "Agent", icon: "☎" },
  { path: "/calls", label: "Calls", icon: "↹" },
  { path: "/usage", label: "Usage", icon: "$" },
  { path: "/webhooks", label: "Webhooks", icon: "⇥" },
];
const admins: Place[] = [
  { path: "/admin", label: "Overview", icon: "⌂" },
  { path: "/admin/users", label: "Users", icon: "☰" },
  { path: "/admin/calls", label: "Calls", icon: "↹" },
  { path: "/admin/switches", label: "Switches", icon: "⇄" },
  { path: "/admin/rollouts", label: "Rollouts", icon: "⇶" },
  { path: "/admin/rates", label: "Prices", icon: "$" },
  { path: "/admin/invoices", label: "Invoices", icon: "≟" },
  { path: "/admin/usage", label: "Usage", icon: "$" },
  { path: "/admin/webhooks", label: "Webhooks", icon: "⇥" },
  { path: "/admin/audit", label: "Audit", icon: "✎" },
  { path: "/admin/health", label: "Health", icon: "♥" },
];

@customElement("pb-app")
export class App extends Page {
  @state() private me: Me | null = null;
  @state() private tag = "";
  @state() private params: Record<string, string> = {};
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
    this.tag = `pb-${route.page}`;
    await this.updateComplete;
    this.querySelector<HTMLElement>("main")?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  private place(p: Place) {
    const here = p.path === "/admin" ? location.pathname === p.path : location.pathname.startsWith(p.path);

    return html`<a href=${p.path} class="place" aria-current=${here ? "page" : nothing}>
      <span class="icon" aria-hidden="true">${p.icon}</span><span>${p.label}</span>
    </a>`;
  }

  private shell() {
    const me = this.me!;
    const page = unsafeStatic(this.tag);

    return html`
      <a class="skip" href="#content">Skip to content</a>
      <nav class="places" aria-label="Main">
        <a class="brand" href="/"><img src="/favicon.svg" alt="" width="28" height="28"><span>${config.product}</span></a>
        ${me.has_agent || !me.admin ? own.map((p) => this.place(p)) : nothing}
        ${me.admin ? html`<span class="places-head">Admin</span>${admins.map((p) => this.place(p))}` : nothing}
        <div class="who">
          <span>${me.name ?? me.email ?? (me.admin ? "Admin" : "")}</span>
          <button class="link" @click=${() => session.end()}>Log out</button>
        </div>
      </nav>
      <main id="content" tabindex="-1">
        ${this.tag ? made`<${page} .me=${me} .params=${this.params}></${page}>` : waiting()}
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
