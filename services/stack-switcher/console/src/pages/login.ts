/** Logging in: where the house does it, by Supabase's own password login, or, in a demo, by choosing who to be. */
import { html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { config } from "../config";
import { session, signIn } from "../session";
import { Page } from "../ui/page";

@customElement("pb-login")
export class Login extends Page {
  @state() private wrong = "";
  @state() private busy = false;

  private async submit(e: SubmitEvent): Promise<void> {
    const form = new FormData(e.target as HTMLFormElement);

    e.preventDefault();
    this.busy = true;
    this.wrong = "";
    try {
      await signIn(config.supabase_url!, config.supabase_anon_key!, String(form.get("email")), String(form.get("password")));
    } catch (problem) {
      this.wrong = problem instanceof Error ? problem.message : String(problem);
    }
    this.busy = false;
  }

  private elsewhere() {
    const back = encodeURIComponent(location.href);

    return html`<a class="button primary" href=${`${config.login_url}${config.login_url!.includes("?") ? "&" : "?"}redirect_to=${back}`}
      target="_self">Log in</a>`;
  }

  private byPassword() {
    return html`<form @submit=${this.submit}>
      <label class="field"><span>E-mail</span><input name="email" type="email" autocomplete="username" required></label>
      <label class="field"><span>Password</span><input name="password" type="password" autocomplete="current-password" required></label>
      ${this.wrong ? html`<p class="alert alert-error" role="alert">${this.wrong}</p>` : nothing}
      <button class="button primary" ?disabled=${this.busy}>Log in</button>
    </form>`;
  }

  private demo() {
    return html`<p class="muted">This is a demo. Who do you want to be?</p>
      <div class="stacked">
        ${config.demo_logins.map((d) => html`<button class="button" @click=${() => session.begin(d.token)}>${d.label}</button>`)}
      </div>`;
  }

  render() {
    return html`<div class="card login">
      <h1><img src="/favicon.svg" alt="" width="36" height="36"> ${config.product}</h1>
      ${config.login_url ? this.elsewhere() : config.supabase_url ? this.byPassword() : nothing}
      ${config.demo_logins.length ? this.demo() : nothing}
      ${!config.login_url && !config.supabase_url && !config.demo_logins.length
        ? html`<p class="alert">Nobody can log in yet: set PAT_CONSOLE_LOGIN_URL, or PAT_SUPABASE_URL and PAT_SUPABASE_ANON_KEY.</p>`
        : nothing}
    </div>`;
  }
}
