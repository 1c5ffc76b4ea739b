/** What the last round through all voices at their vendor found: voices that have gone, and those of nobody we know. */
import { html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { get } from "../api";
import { ago, count, dateTime } from "./format";
import { Page, waiting } from "./page";

interface Stray {
  voice_id: string;
  name: string;
  label: string;
  found_at: string;
  seen_at: string;
}

interface Care {
  next_at: string;
  started_at: string | null;
  finished_at: string | null;
  seen: number;
  error: string | null;
  checks: Partial<Record<"there" | "gone" | "doubted" | "unknown", number>>;
  leaving: number;
  strays: Stray[];
}

@customElement("pb-voice-care")
export class VoiceCare extends Page {
  @state() private care: Care | null = null;

  connectedCallback(): void {
    super.connectedCallback();
    void this.load();
  }

  private load(): Promise<void> {
    return this.attempt(async () => {
      this.care = await get<Care>("/v1/voices/care");
    });
  }

  private strays(list: Stray[]) {
    if (!list.length) return html`<p class="muted">No voice at the vendor is without its user.</p>`;
    return html`<p>With our label on it, and of nobody here. They are not deleted by us: another installation may share the account.</p>
      <div class="scroll" tabindex="0" role="region" aria-label="Voices of nobody"><table>
        <thead><tr><th>Voice</th><th>Name</th><th>Label</th><th>Found</th><th>Seen last</th></tr></thead>
        <tbody>${list.map((s) => html`<tr><td><code>${s.voice_id}</code></td><td class="wrap">${s.name}</td><td><code>${s.label}</code></td>
          <td>${dateTime(s.found_at)}</td><td>${ago(s.seen_at)}</td></tr>`)}</tbody></table></div>`;
  }

  private show(c: Care) {
    const checks = c.checks;

    return html`
      ${c.error ? html`<p class="alert alert-warn">The last round did not come to its end: ${c.error}</p>` : nothing}
      ${checks.doubted ? html`<p class="alert alert-error">${count(checks.doubted)} voices were not found, more than can be true: is it another account's key?
        No agent was moved.</p>` : nothing}
      <dl class="facts">
        <div><dt>Last round</dt><dd>${c.finished_at ? ago(c.finished_at) : "none yet"}</dd></div>
        <div><dt>Next</dt><dd>${Date.parse(c.next_at) < Date.now() ? (c.finished_at ? "now" : "not planned") : dateTime(c.next_at)}</dd></div>
        <div><dt>Clones at the vendor</dt><dd>${count(c.seen)}</dd></div>
        <div><dt>Voices found</dt><dd>${count(checks.there ?? 0)}</dd></div>
        <div><dt>Gone <span class="unseen">from the vendor</span></dt><dd>${count(checks.gone ?? 0)}</dd></div>
        <div><dt>Not looked up yet</dt><dd>${count(checks.unknown ?? 0)}</dd></div>
        <div><dt>To be deleted there</dt><dd>${count(c.leaving)}</dd></div>
      </dl>
      <h3>Voices of nobody ${c.strays.length ? html`<span class="badge warn">${count(c.strays.length)}</span>` : nothing}</h3>
      ${this.strays(c.strays)}`;
  }

  render() {
    return html`<section class="card" aria-labelledby="care-title"><h2 id="care-title">Voices at their vendor</h2>
      ${this.failed ? this.failure(() => void this.load()) : this.care ? this.show(this.care) : waiting(4)}
    </section>`;
  }
}
