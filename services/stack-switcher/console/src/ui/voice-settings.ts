/** How a voice speaks, for this user: saved when he pauses, and taken back as easily. */
import { html, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { live } from "lit/directives/live.js";
import { patch } from "../api";
import { pathOf, type Voice, type VoiceSettings } from "../voices";
import { Page } from "./page";
import { toast } from "./toast";

const PAUSE_MS = 700;

const ranges: [keyof VoiceSettings, string, number, number, string][] = [
  ["stability", "Stability", 0, 1, "Low: livelier, and each time a little different. High: even."],
  ["similarity_boost", "Likeness", 0, 1, "How closely it keeps to the voice it was made of."],
  ["style", "Expression", 0, 1, "Exaggerates the speaker's manner; costs time."],
  ["speed", "Speed", 0.7, 1.2, "1 is as the speaker talks."],
];

@customElement("pb-voice-settings")
export class VoiceSettingsForm extends Page {
  @property() user = "";
  @property({ attribute: false }) voice!: Voice;
  /** One change of an agent after the other: whoever owns the agent's version says when. */
  @property({ attribute: false }) run: (work: () => Promise<void>) => Promise<void> = (work) => work();
  @state() private changed: Partial<VoiceSettings> = {};
  private timer = 0;

  willUpdate(p: PropertyValues<this>): void {
    const before = p.get("voice") as Voice | undefined;
    if (p.has("voice") && before && before.voice_id !== this.voice.voice_id) this.saveNow(before);
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    this.saveNow(this.voice);
  }

  /** As they are shown, saved or not. */
  get values(): VoiceSettings {
    return { ...this.voice.settings, ...this.changed };
  }

  private change(name: keyof VoiceSettings, value: number | boolean): void {
    this.changed = { ...this.changed, [name]: value };
    this.dispatchEvent(new CustomEvent("settings", { detail: this.values, bubbles: true }));
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.saveNow(this.voice), PAUSE_MS);
  }

  private saveNow(voice: Voice): void {
    const changes = this.changed;

    clearTimeout(this.timer);
    if (!Object.keys(changes).length) return;
    this.changed = {};
    void this.save(voice, changes, true);
  }

  private async save(voice: Voice, changes: Partial<VoiceSettings>, undoable: boolean): Promise<void> {
    const before = Object.fromEntries(Object.keys(changes).map((k) => [k, voice.settings[k as keyof VoiceSettings]]));

    voice.settings = { ...voice.settings, ...changes };
    await this.attempt(() => this.run(async () => void (await patch(pathOf(this.user, voice.voice_id), { settings: changes }))));
    if (this.failed) {
      voice.settings = { ...voice.settings, ...before };
      toast(this.failed.message, "bad");
    } else if (undoable) toast("Saved", "good", { label: "Undo", run: () => void this.save(voice, before, false) });
    this.dispatchEvent(new CustomEvent("settings", { detail: this.values, bubbles: true }));
  }

  private help(name: keyof VoiceSettings, text: string): string {
    return this.voice.takes.includes(name) ? text : "Kept; calls on this stack do nothing with it.";
  }

  render() {
    const v = this.values, takes = this.voice.takes;

    return html`<details class="voice-settings">
      <summary>How ${this.voice.name} speaks</summary>
      ${ranges.map(([name, label, min, max, help]) => html`<div class="field range-field">
        <label for="voice-${name}">${label}</label>
        <span class="range"><input id="voice-${name}" type="range" min=${min} max=${max} step="0.05" .value=${live(String(v[name]))}
          ?disabled=${!takes.includes(name)} aria-describedby="voice-${name}-help"
          @input=${(e: Event) => this.change(name, Number((e.target as HTMLInputElement).value))}>
          <output for="voice-${name}">${v[name]}</output></span>
        <span id="voice-${name}-help" class="help">${this.help(name, help)}</span>
      </div>`)}
      <div class="field switch">
        <label for="voice-use_speaker_boost">Speaker boost</label>
        <input id="voice-use_speaker_boost" type="checkbox" role="switch" class="switch" .checked=${live(v.use_speaker_boost)}
          ?disabled=${!takes.includes("use_speaker_boost")} aria-describedby="voice-boost-help"
          @change=${(e: Event) => this.change("use_speaker_boost", (e.target as HTMLInputElement).checked)}>
        <span id="voice-boost-help" class="help">${this.help("use_speaker_boost", "Closer to the speaker, a little slower.")}</span>
      </div>
    </details>`;
  }
}
