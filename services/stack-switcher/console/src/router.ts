/** Which page an address is. Pages are loaded when they are first shown. */
export interface Route {
  page: string;
  params: Record<string, string>;
}

interface Entry {
  pattern: RegExp;
  page: string;
  admin?: boolean;
  load: () => Promise<unknown>;
}

const id = "([0-9a-f-]{36})";
const entry = (path: string, page: string, load: Entry["load"], admin = false): Entry => ({
  pattern: new RegExp(`^${path.replace("{id}", id)}/?$`),
  page,
  load,
  admin,
});

const entries: Entry[] = [
  entry("/agent", "agent", () => import("./pages/agent")),
  entry("/calls", "calls", () => import("./pages/calls")),
  entry("/calls/{id}", "call", () => import("./pages/call")),
  entry("/usage", "usage", () => import("./pages/usage")),
  entry("/admin/usage", "usage-all", () => import("./pages/usage"), true),
  entry("/admin", "overview", () => import("./pages/overview"), true),
  entry("/admin/users", "users", () => import("./pages/users"), true),
  entry("/admin/users/{id}", "user", () => import("./pages/user"), true),
  entry("/admin/calls", "all-calls", () => import("./pages/all-calls"), true),
  entry("/webhooks", "webhooks", () => import("./pages/webhooks")),
  entry("/admin/webhooks", "webhooks", () => import("./pages/webhooks"), true),
  entry("/admin/audit", "audit", () => import("./pages/audit"), true),
  entry("/admin/switches", "switches", () => import("./pages/switches"), true),
  entry("/admin/rollouts", "rollouts", () => import("./pages/rollouts"), true),
  entry("/admin/rollouts/{id}", "rollout", () => import("./pages/rollout"), true),
  entry("/admin/invoices", "invoices", () => import("./pages/invoices"), true),
  entry("/admin/rates", "rates", () => import("./pages/rates"), true),
  entry("/admin/health", "health", () => import("./pages/health"), true),
];

export function match(path: string): (Route & { admin: boolean; load: Entry["load"] }) | null {
  for (const e of entries) {
    const m = e.pattern.exec(path);
    if (m) return { page: e.page, params: m[1] ? { id: m[1] } : {}, admin: !!e.admin, load: e.load };
  }
  return null;
}

/** Goes to another page of the console without leaving it. */
export function go(path: string): void {
  history.pushState(null, "", path);
  dispatchEvent(new PopStateEvent("popstate"));
}

/** Links of ours stay within the page; others, and those opened in a new tab, are the browser's. */
export function followLinks(): void {
  document.addEventListener("click", (e) => {
    const a = (e.target as Element).closest?.("a");
    if (!a || a.target || a.origin !== location.origin || e.metaKey || e.ctrlKey || e.shiftKey || e.button) return;
    e.preventDefault();
    go(a.pathname + a.search);
  });
}
