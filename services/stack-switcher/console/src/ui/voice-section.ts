/** Who speaks: a choice of voices, and on a stack that can, making one's own. What a stack cannot is not in the page. */
import { html, nothing, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { live } from "lit/directives/live.js";
import { ApiError, del, get, type Agent, type Stack } from "../api";
import { session } from "../session";
import { confirm } from "./confirm";
import { duration, words } from "./format";
import { Page, waiting } from "./page";
import { Recorder } from "./recorder";
import { toast } from "./toast";
import { toWav, type Sample } from "./wav";

interface Voice {
  voice_id: string;
  name: string;
  kind: "own" | "preset";
  provider: string;
  gender: string | null;
  accent: string | null;
  age: string | null;
}

interface Voices {
  stack: Stack;
  current: string | null;
  can_clone: boolean;
  why_not: string | null;
  voices: Voice[];
}

const LONGEST_S = 120, SHORTEST_S = 10, BEST_S = 30, SPEECH_MIN = 0.3;
const CONSENT = "This is my own voice, or I have the consent of the person whose voice it is, to make a synthetic voice of it.";
const groups: [string, (v: Voice) => boolean][] = [
  ["Your voices", (v) => v.kind === "own"],
  ["ElevenLabs", (v) => v.kind === "preset" && v.provider === "elevenlabs"],
  ["OpenAI", (v) => v.kind === "preset" && v.provider === "openai"],
];
const bare = (id: string | null): string => (id ?? "").replace(/^(11labs|openai)-/i, "").toLowerCase();
const same = (a: string | null, b: string | null): boolean => bare(a) === bare(b);

@customElement("pb-voice-section")
export class VoiceSection extends Page {
  @property({ attribute: false }) agent!: Agent;
  @state() private offer: Voices | null = null;
  @state() private recorder: Recorder | null = null;
  @state() private tick = 0;
  @state() private sample: Sample | null = null;
  @state() private url = "";
  @state() private sent = -1;
  @state() private wrong = "";
  private timer = 0;

  willUpdate(p: PropertyValues<this>): void {
    const before = p.get("agent") as Agent | undefined;
    if (p.has("agent") && (before?.stack !== this.agent.stack || before.user_id !== this.agent.user_id)) void this.load();
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.timer);
    void this.recorder?.end();
  }

  private load(): Promise<void> {
    return this.attempt(async () => {
      this.offer = await get<Voices>(`/v1/users/${this.agent.user_id}/voices`);
    });
  }

  private choose(voice: string): void {
    this.dispatchEvent(new CustomEvent("voice", { detail: voice, bubbles: true }));
  }

  /* ---------------------------------------------------------------- a sample */

  private async take(recording: Blob): Promise<void> {
    this.wrong = "";
    URL.revokeObjectURL(this.url);
    try {
      this.sample = await toWav(recording);
      this.url = URL.createObjectURL(this.sample.file);
      if (this.sample.seconds < SHORTEST_S) this.wrong = `Only ${Math.floor(this.sample.seconds)} seconds: at least ${SHORTEST_S} are needed, one to two minutes are best.`;
      else if (this.sample.speech < SPEECH_MIN) this.wrong = "Nearly nothing can be heard in it.";
    } catch {
      this.sample = null;
      this.wrong = "The browser cannot read this file as sound.";
    }
  }

  private async record(): Promise<void> {
    this.wrong = "";
    this.sample = null;
    try {
      this.recorder = await Recorder.begin();
    } catch {
      this.wrong = "There is no microphone, or the browser may not use it.";
      return;
    }
    this.timer = window.setInterval(() => {
      this.tick++;
      if (this.recorder!.seconds() >= LONGEST_S) void this.stop();
    }, 100);
  }

  private async stop(): Promise<void> {
    const recorder = this.recorder;

    clearInterval(this.timer);
    this.recorder = null;
    if (recorder) await this.take(await recorder.end());
  }

  /** XMLHttpRequest, because fetch does not tell how much has been sent. */
  private send(form: FormData): Promise<void> {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();

      request.open("POST", `/v1/users/${this.agent.user_id}/voices`);
      request.setRequestHeader("Authorization", `Bearer ${session.token}`);
      request.upload.onprogress = (e) => (this.sent = e.total ? e.loaded / e.total : 0);
      request.onerror = () => reject(new ApiError(0, "unreachable", "The server cannot be reached.", null));
      request.onload = () => {
        if (request.status < 300) return resolve();
        const problem = JSON.parse(request.responseText || "{}").error ?? {};
        reject(new ApiError(request.status, problem.code, problem.message ?? "It did not work.", problem.field ?? null));
      };
      request.send(form);
    });
  }

  private async clone(e: SubmitEvent): Promise<void> {
    const form = new FormData(e.target as HTMLFormElement);

    e.preventDefault();
    form.set("consent", CONSENT);
    form.set("audio", this.sample!.file, "sample.wav");
    form.set("use", "true");
    this.sent = 0;
    try {
      await this.send(form);
      this.sample = null;
      toast("Your voice is ready. The next call is answered with it.");
      this.dispatchEvent(new CustomEvent("cloned", { bubbles: true }));
      await this.load();
    } catch (problem) {
      this.wrong = (problem as ApiError).message;
    }
    this.sent = -1;
  }

  private async forget(v: Voice): Promise<void> {
    if (!(await confirm({ title: `Delete “${v.name}”?`, body: "Your agent speaks with a preset voice from the next call on. The voice cannot be brought back.", yes: "Delete", danger: true })))
      return;
    await this.attempt(async () => {
      await del(`/v1/users/${this.agent.user_id}/voices/${v.voice_id}`);
      this.dispatchEvent(new CustomEvent("cloned", { bubbles: true }));
      await this.load();
    });
  }

  /* ---------------------------------------------------------------- what is shown */

  private option(v: Voice) {
    const about = [v.gender, v.accent, v.age].filter(Boolean).join(", ");

    return html`<option value=${v.voice_id} ?selected=${live(same(v.voice_id, this.agent.voice.id))}>${words(v.name)}${about ? ` (${about})` : ""}</option>`;
  }

  private picker(offer: Voices) {
    const known = offer.voices.some((v) => same(v.voice_id, this.agent.voice.id));

    return html`<div class="field">
      <label for="voice">Voice</label>
      <select id="voice" @change=${(e: Event) => this.choose((e.target as HTMLSelectElement).value)}>
        ${known ? nothing : html`<option value=${this.agent.voice.id ?? ""} selected>${this.agent.voice.name}</option>`}
        ${groups.map(([label, belongs]) => {
          const voices = offer.voices.filter(belongs);
          return voices.length ? html`<optgroup label=${label}>${voices.map((v) => this.option(v))}</optgroup>` : nothing;
        })}
      </select>
    </div>`;
  }

  private source() {
    const r = this.recorder;

    if (r)
      return html`<div class="recording">
        <meter min="0" max="1" .value=${r.level()} aria-label="Level"></meter>
        <span class="timer">${duration(r.seconds() * 1000)} / ${duration(LONGEST_S * 1000)}</span>
        <button type="button" class="button danger" @click=${() => void this.stop()}>Stop</button>
        <span class="help">${r.seconds() < BEST_S ? `Go on: ${BEST_S} seconds at least make a good voice.` : "Long enough. More is better, up to two minutes."}</span>
      </div>`;
    return html`<div class="buttons left" data-tick=${this.tick}>
      <button type="button" class="button" id="clone-voice-btn" @click=${() => this.querySelector<HTMLInputElement>("#voice-file")!.click()}>Upload Voice Sample</button>
      <button type="button" class="button" @click=${() => void this.record()}>Record</button>
      <input id="voice-file" type="file" accept="audio/*" hidden aria-label="Voice sample"
        @change=${(e: Event) => { const f = (e.target as HTMLInputElement).files?.[0]; if (f) void this.take(f); }}>
    </div>`;
  }

  private submit(sample: Sample) {
    return html`
      <audio controls src=${this.url} aria-label="Your recording"></audio>
      <p class="help">${duration(sample.seconds * 1000)} long</p>
      <label class="field"><span>Name</span><input name="name" maxlength="60" required .value=${`${this.agent.user_name.split(" ")[0]}'s Voice`}></label>
      <label class="check"><input type="checkbox" name="remove_background_noise" value="true"> Take out background noise</label>
      <label class="check"><input type="checkbox" required> ${CONSENT}</label>
      ${this.sent >= 0
        ? html`<progress max="1" .value=${this.sent < 1 ? this.sent * 0.5 : 0.75} aria-label="Making your voice"></progress>
            <span class="help">${this.sent < 1 ? "Sending…" : "Making your voice…"}</span>`
        : html`<button class="button primary" ?disabled=${!!this.wrong}>Make my voice</button>`}`;
  }

  private cloning(offer: Voices) {
    const own = offer.voices.filter((v) => v.kind === "own");

    return html`<div id="voice-cloning-section">
      <h3>Clone Your Voice</h3>
      <p class="help">Read something aloud for one to two minutes, in a quiet room, as you would speak on the phone.</p>
      ${own.length ? html`<ul class="plain">${own.map((v) => html`<li class="spread"><span>${v.name}</span>
        <button type="button" class="link" @click=${() => void this.forget(v)}>Delete<span class="unseen"> ${v.name}</span></button></li>`)}</ul>` : nothing}
      <form @submit=${this.clone}>
        ${this.source()}
        ${this.wrong ? html`<p class="alert alert-error" role="alert">${this.wrong}</p>` : nothing}
        ${this.sample ? this.submit(this.sample) : nothing}
      </form>
    </div>`;
  }

  render() {
    if (this.failed) return this.failure(() => void this.load());
    if (!this.offer) return waiting(2);
    return html`${this.picker(this.offer)} ${this.offer.can_clone ? this.cloning(this.offer) : nothing}`;
  }
}
