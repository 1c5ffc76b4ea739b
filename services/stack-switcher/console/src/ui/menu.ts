/** Where one may go: at the side; on a phone what is needed most in a bar below, and all of it in a sheet above that. */
import { html, nothing, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { Me } from "../api";
import { config } from "../config";
import { session } from "../session";
import { Page } from "./page";

interface Place {
  path: string;
  label: string;
  icon: string;
}

interface Group {
  label: string;
  places: Place[];
}

const own: Group = {
  label: "Mine",
  places: [
    { path: "/agent", label: "Agent", icon: "☎" },
    { path: "/calls", label: "Calls", icon: "↹" },
    { path: "/usage", label: "Usage", icon: "$" },
    { path: "/webhooks", label: "Webhooks", icon: "⇥" },
  ],
};
const admins: Group[] = [
  {
    label: "Admin",
    places: [
      { path: "/admin", label: "Overview", icon: "⌂" },
      { path: "/admin/users", label: "Users", icon: "☰" },
      { path: "/admin/calls", label: "Calls", icon: "↹" },
    ],
  },
  {
    label: "Service",
    places: [
      { path: "/admin/health", label: "Health", icon: "♥" },
      { path: "/admin/switches", label: "Switches", icon: "⇄" },
      { path: "/admin/rollouts", label: "Rollouts", icon: "⇶" },
    ],
  },
  {
    label: "Money",
    places: [
      { path: "/admin/usage", label: "Usage", icon: "$" },
      { path: "/admin/rates", label: "Prices", icon: "¤" },
      { path: "/admin/invoices", label: "Invoices", icon: "≟" },
    ],
  },
  {
    label: "Records",
    places: [
      { path: "/admin/webhooks", label: "Webhooks", icon: "⇥" },
      { path: "/admin/audit", label: "Audit", icon: "✎" },
    ],
  },
];
const IN_BAR = 4;

const isHere = (p: Place, path: string): boolean => (p.path === "/admin" ? path === p.path : path.startsWith(p.path));

@customElement("pb-menu")
export class Menu extends Page {
  @property({ attribute: false }) me!: Me;
  @property() path = "";
  @state() private open = false;
  private readonly narrow = matchMedia("(max-width: 768px)");
  private readonly close = () => this.show(false);
  private readonly onKey = (e: KeyboardEvent) => {
    if (e.key !== "Escape" || !this.open) return;
    this.show(false);
    this.querySelector<HTMLElement>(".bar button")?.focus();
  };

  connectedCallback(): void {
    super.connectedCallback();
    this.narrow.addEventListener("change", this.close);
    addEventListener("popstate", this.close);
    addEventListener("keydown", this.onKey);
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    this.narrow.removeEventListener("change", this.close);
    removeEventListener("popstate", this.close);
    removeEventListener("keydown", this.onKey);
    this.show(false);
  }

  /** What lies under the sheet cannot be reached while it is open. */
  private show(open: boolean): void {
    this.open = open;
    document.querySelector("main")?.toggleAttribute("inert", open);
  }

  protected updated(changed: PropertyValues): void {
    if (changed.has("open") && this.open)
      (this.querySelector<HTMLElement>(".places [aria-current]") ?? this.querySelector<HTMLElement>(".places .place"))?.focus();
  }

  private groups(): Group[] {
    return [...(this.me.has_agent || !this.me.admin ? [own] : []), ...(this.me.admin ? admins : [])];
  }

  private inBar(groups: Group[]): Place[] {
    const all = groups.flatMap((g) => g.places);

    return this.me.admin && this.me.has_agent ? [own.places[0]!, ...admins[0]!.places] : all.slice(0, IN_BAR);
  }

  private place(p: Place) {
    return html`<a href=${p.path} class="place" aria-current=${isHere(p, this.path) ? "page" : nothing}>
      <span class="icon" aria-hidden="true">${p.icon}</span><span>${p.label}</span>
    </a>`;
  }

  private group(g: Group, n: number) {
    const id = `places-${n}`;

    return html`<div class="place-group" role="group" aria-labelledby=${id}>
      <span class="places-head" id=${id}>${g.label}</span>
      ${g.places.map((p) => this.place(p))}
    </div>`;
  }

  render() {
    const groups = this.groups();
    const bar = this.inBar(groups);
    const elsewhere = !bar.some((p) => isHere(p, this.path));

    return html`
      <nav class="bar" aria-label="Quick">
        ${bar.map((p) => this.place(p))}
        <button class=${`place ${elsewhere ? "here" : ""}`} aria-expanded=${this.open ? "true" : "false"} aria-controls="places"
          @click=${() => this.show(!this.open)}>
          <span class="icon" aria-hidden="true">${this.open ? "✕" : "≡"}</span><span>Menu</span>
        </button>
      </nav>
      <div class="veil" ?hidden=${!this.open} @click=${this.close}></div>
      <nav class=${`places ${this.open ? "open" : ""}`} id="places" aria-label="Main">
        <a class="brand" href="/"><img src="/favicon.svg" alt="" width="28" height="28"><span>${config.product}</span></a>
        ${groups.map((g, n) => this.group(g, n))}
        <div class="who">
          <span>${this.me.name ?? this.me.email ?? (this.me.admin ? "Admin" : "")}</span>
          <button class="link" @click=${() => session.end()}>Log out</button>
        </div>
      </nav>
    `;
  }
}
