/** Who is logged in: a Supabase token, kept for this tab only. */
const KEY = "patchbay.token";

/** A browser may forbid a page to keep anything. */
function kept(): string | null {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

class Session extends EventTarget {
  token = kept();

  /** A login page elsewhere comes back with the token behind the #, as Supabase does. */
  takeFromAddress(): void {
    const given = new URLSearchParams(location.hash.slice(1)).get("access_token");

    if (!given) return;
    history.replaceState(null, "", location.pathname + location.search);
    this.begin(given);
  }

  begin(token: string): void {
    this.token = token;
    sessionStorage.setItem(KEY, token);
    this.dispatchEvent(new Event("change"));
  }

  end(): void {
    this.token = null;
    sessionStorage.removeItem(KEY);
    this.dispatchEvent(new Event("change"));
  }

  /** The server no longer takes the token. */
  lost(): void {
    if (this.token) this.end();
  }
}

export const session = new Session();

/** Supabase's own login (supabase.com/docs, Auth, "Sign in with password"). */
export async function signIn(url: string, anonKey: string, email: string, password: string): Promise<void> {
  const answer = await fetch(`${url}/auth/v1/token?grant_type=password`, {
    method: "POST",
    headers: { apikey: anonKey, "Content-Type": "application/json" },
    body: JSON.stringify({ email, password }),
  });
  const body = await answer.json().catch(() => ({}));

  if (!answer.ok) throw new Error(body.error_description ?? body.msg ?? "Wrong e-mail address or password.");
  session.begin(body.access_token);
}
