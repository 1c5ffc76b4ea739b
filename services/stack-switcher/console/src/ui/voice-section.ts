/** Who speaks: a choice of voices, heard before it is made, how the chosen one speaks, and on a stack that can, making one's own.
 *  What a stack cannot is not in the page. */
import { html, nothing, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { live } from "lit/directives/live.js";
import { del, get, hear, type Agent } from "../api";
import { pathOf, same, voicesOf, type Notice, type Voice, type Voices, type VoiceSettings } from "../voices";
import { words } from "./format";
import { Page, waiting } from "./page";
import "./player";
import { toast } from "./toast";
import "./voice-clone";
import "./voice-settings";

const TEXT_MAX = 300;
const groups: [string, (v: Voice) => boolean][] = [
  ["Your voices", (v) => v.kind === "own"],
  ["ElevenLabs", (v) => v.kind === "preset" && v.provider === "elevenlabs"],
  ["OpenAI", (v) => v.kind === "preset" && v.provider === "openai"],
];

@customElement("pb-voice-section")
export class VoiceSection extends Page {
  @property({ attribute: false }) agent!: Agent;
  /** One change of the agent after the other: whoever owns its version says when. */
  @property({ attribute: false }) run: (work: () => Promise<void>) => Promise<void> = (work) => work();
  @state() private offer: Voices | null = null;
  /** Chosen, and perhaps not saved yet. */
  @state() private chosen: string | null = null;
  @state() private text = "";
  private settings: VoiceSettings | null = null;

  willUpdate(p: PropertyValues<this>): void {
    const before = p.get("agent") as Agent | undefined;

    if (!p.has("agent")) return;
    if (before?.voice.id !== this.agent.voice.id) this.chosen = this.agent.voice.id;
    if (before?.stack !== this.agent.stack || before.user_id !== this.agent.user_id) void this.load();
  }

  private async load(): Promise<void> {
    await this.attempt(async () => {
      this.offer = await get<Voices>(voicesOf(this.agent.user_id));
    });
    await this.updateComplete;
    this.dispatchEvent(new CustomEvent("there"));
  }

  private choose(voice: string): void {
    this.chosen = voice;
    this.settings = null;
    this.dispatchEvent(new CustomEvent("voice", { detail: voice, bubbles: true }));
  }

  /** As it is set just now, saved or not, so that a setting can be tried. */
  private sound(v: Voice): () => Promise<Blob> {
    return () => {
      const taken = Object.entries(this.settings ?? {}).filter(([name]) => v.takes.includes(name as keyof VoiceSettings));
      const body = this.offer!.own_text ? { text: this.text.trim() || null, settings: Object.fromEntries(taken) } : {};
      return hear(`${pathOf(this.agent.user_id, v.voice_id)}/preview`, body);
    };
  }

  private async read(n: Notice): Promise<void> {
    this.offer = { ...this.offer!, notices: this.offer!.notices.filter((x) => x !== n) };
    await this.attempt(async () => void (await del(`/v1/users/${this.agent.user_id}/voice-notices/${n.id}`)));
  }

  /* ---------------------------------------------------------------- what is shown */

  private option(v: Voice) {
    const about = [v.gender, v.accent, v.age].filter(Boolean).join(", ");

    return html`<option value=${v.voice_id} ?selected=${live(same(v.voice_id, this.chosen))}>${words(v.name)}${about ? ` (${about})` : ""}</option>`;
  }

  private notice(n: Notice) {
    return html`<div class="alert alert-warn" role="status">
      <span>“${n.voice_name}” cannot be used any more: ${n.reason}.${n.moved_to ? ` ${words(n.moved_to)} speaks instead.` : ""}</span>
      <button type="button" class="button small" @click=${() => void this.read(n)}>OK</button>
    </div>`;
  }

  private picker(offer: Voices, current: Voice | undefined) {
    return html`<div class="field">
      <label for="voice">Voice</label>
      <div class="picker">
        <select id="voice" @change=${(e: Event) => this.choose((e.target as HTMLSelectElement).value)}>
          ${current ? nothing : html`<option value=${this.chosen ?? ""} selected>${this.agent.voice.name}</option>`}
          ${groups.map(([label, belongs]) => {
            const voices = offer.voices.filter(belongs);
            return voices.length ? html`<optgroup label=${label}>${voices.map((v) => this.option(v))}</optgroup>` : nothing;
          })}
        </select>
        <pb-player id="hear-voice" label="Hear" what=${current ? words(current.name) : "the voice"} ?disabled=${!current?.preview}
          .sound=${current ? this.sound(current) : async () => new Blob()}
          @failed=${(e: CustomEvent<string>) => toast(e.detail, "bad")}></pb-player>
      </div>
      ${current && !current.preview ? html`<span class="help">The vendor has no sample of this voice.</span>` : nothing}
    </div>`;
  }

  private words(current: Voice) {
    return html`<div class="field" id="voice-preview-section">
      <label for="preview-text">Words for the preview</label>
      <input id="preview-text" maxlength=${TEXT_MAX} placeholder="Hello, this is how I sound on the phone." .value=${live(this.text)}
        aria-describedby="preview-help" @input=${(e: Event) => (this.text = (e.target as HTMLInputElement).value)}>
      <span class="help" id="preview-help">Press Hear, and ${words(current.name)} says them as set below.</span>
    </div>`;
  }

  render() {
    if (this.failed && !this.offer) return this.failure(() => void this.load());
    if (!this.offer) return waiting(2);
    const offer = this.offer, current = offer.voices.find((v) => same(v.voice_id, this.chosen));

    return html`
      ${offer.notices.map((n) => this.notice(n))}
      ${this.picker(offer, current)}
      ${current && offer.own_text ? this.words(current) : nothing}
      ${current
        ? html`<pb-voice-settings .user=${this.agent.user_id} .voice=${current} .run=${this.run}
            @settings=${(e: CustomEvent<VoiceSettings>) => (this.settings = e.detail)}></pb-voice-settings>`
        : nothing}
      ${offer.can_clone
        ? html`<pb-voice-clone .agent=${this.agent} .own=${offer.voices.filter((v) => v.kind === "own")} .run=${this.run}
            @cloned=${() => void this.load()}></pb-voice-clone>`
        : nothing}`;
  }
}
