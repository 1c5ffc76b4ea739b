/** A voice of one's own: a recording taken from a file or the microphone, heard, agreed to, and sent. Only where the stack can. */
import { html, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { ApiError, connection, del, patch, problem, type Agent } from "../api";
import { pathOf, voicesOf, type Voice } from "../voices";
import { confirm } from "./confirm";
import { duration } from "./format";
import { Page } from "./page";
import "./player";
import { Recorder } from "./recorder";
import { toast } from "./toast";
import { toWav, type Sample } from "./wav";

const LONGEST_S = 120, FILE_S = 300, SHORTEST_S = 10, BEST_S = 30, SPEECH_MIN = 0.3;
const CONSENT = "This is my own voice, or I have the consent of the person whose voice it is, to make a synthetic voice of it.";

@customElement("pb-voice-clone")
export class VoiceClone extends Page {
  @property({ attribute: false }) agent!: Agent;
  @property({ attribute: false }) own: Voice[] = [];
  @property({ attribute: false }) run: (work: () => Promise<void>) => Promise<void> = (work) => work();
  @state() private recorder: Recorder | null = null;
  @state() private tick = 0;
  @state() private sample: Sample | null = null;
  /** Of the request: share sent; 1: the vendor is at it; -1: none under way. */
  @state() private sent = -1;
  @state() private wrong = "";
  @state() private renaming = "";
  private timer = 0;

  disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.timer);
    void this.recorder?.end();
    this.recorder = null;
  }

  /** The list has to be read again, and the agent. */
  private told(): void {
    this.dispatchEvent(new CustomEvent("cloned", { bubbles: true }));
  }

  /* ---------------------------------------------------------------- a sample */

  private async take(recording: Blob): Promise<void> {
    this.wrong = "";
    try {
      this.sample = await toWav(recording);
      if (this.sample.seconds < SHORTEST_S) this.wrong = `Only ${Math.floor(this.sample.seconds)} seconds: at least ${SHORTEST_S} are needed, one to two minutes are best.`;
      else if (this.sample.seconds > FILE_S) this.wrong = `It is longer than ${FILE_S / 60} minutes. One to two minutes are best.`;
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

  /* ---------------------------------------------------------------- sent */

  /** XMLHttpRequest, because fetch does not tell how much has been sent. */
  private async send(form: FormData): Promise<void> {
    const token = await connection.token();

    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();

      request.open("POST", connection.base + voicesOf(this.agent.user_id));
      request.setRequestHeader("Authorization", `Bearer ${token}`);
      request.upload.onprogress = (e) => (this.sent = e.total ? e.loaded / e.total : 0);
      request.onerror = () => reject(new ApiError(0, "unreachable", "The server cannot be reached.", null));
      request.onload = () => {
        if (request.status < 300) return resolve();
        if (request.status === 401) connection.lost();
        reject(problem(request.status, request.responseText));
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
    this.wrong = "";
    try {
      await this.run(() => this.send(form));
      this.sample = null;
      toast("Your voice is ready. The next call is answered with it.");
      this.told();
    } catch (failure) {
      this.wrong = (failure as ApiError).message;
    }
    this.sent = -1;
  }

  private async forget(v: Voice): Promise<void> {
    if (!(await confirm({ title: `Delete “${v.name}”?`, body: "Your agent speaks with a preset voice from the next call on. The voice cannot be brought back.", yes: "Delete", danger: true })))
      return;
    await this.attempt(() => this.run(async () => void (await del(pathOf(this.agent.user_id, v.voice_id)))));
    if (this.failed) toast(this.failed.message, "bad");
    this.told();
  }

  private async rename(e: SubmitEvent, v: Voice): Promise<void> {
    const name = String(new FormData(e.target as HTMLFormElement).get("new-name") ?? "").trim();

    e.preventDefault();
    this.renaming = "";
    if (!name || name === v.name) return;
    await this.attempt(() => this.run(async () => void (await patch(pathOf(this.agent.user_id, v.voice_id), { name }))));
    if (this.failed) toast(this.failed.message, "bad");
    else toast("Saved", "good", { label: "Undo", run: () => void this.back(v, v.name) });
    this.told();
  }

  private async back(v: Voice, name: string): Promise<void> {
    await this.attempt(() => this.run(async () => void (await patch(pathOf(this.agent.user_id, v.voice_id), { name }))));
    this.told();
  }

  /* ---------------------------------------------------------------- what is shown */

  private mine(v: Voice) {
    if (this.renaming === v.voice_id)
      return html`<li><form class="spread" @submit=${(e: SubmitEvent) => void this.rename(e, v)}>
        <input name="new-name" maxlength="60" required .value=${v.name} aria-label="New name of ${v.name}">
        <span class="buttons left"><button class="button small primary">Save</button>
        <button type="button" class="button small" @click=${() => (this.renaming = "")}>Cancel</button></span>
      </form></li>`;
    return html`<li class="spread"><span class="wrap">${v.name}</span>
      <span class="buttons left">
        <button type="button" class="link" @click=${() => (this.renaming = v.voice_id)}>Rename<span class="unseen"> ${v.name}</span></button>
        <button type="button" class="link" @click=${() => void this.forget(v)}>Delete<span class="unseen"> ${v.name}</span></button>
      </span></li>`;
  }

  private recording(r: Recorder) {
    const left = Math.max(0, Math.ceil(LONGEST_S - r.seconds()));

    return html`<div class="recording">
      <meter min="0" max="1" low="0.3" high="0.95" optimum="0.6" .value=${r.level()} aria-label="Level"></meter>
      <span class="timer">${duration(r.seconds() * 1000)} / ${duration(LONGEST_S * 1000)}</span>
      <button type="button" class="button danger" @click=${() => void this.stop()}>Stop</button>
      <span class="help">${r.seconds() < BEST_S
        ? `Go on: ${BEST_S} seconds at least make a good voice.`
        : left <= 10 ? `It stops by itself in ${left} s.` : "Long enough. More is better, up to two minutes."}</span>
    </div>`;
  }

  private source() {
    return html`<div class="buttons left" data-tick=${this.tick}>
      <button type="button" class="button" id="clone-voice-btn" ?disabled=${this.sent >= 0}
        @click=${() => this.querySelector<HTMLInputElement>("#voice-file")!.click()}>Upload Voice Sample</button>
      <button type="button" class="button" ?disabled=${this.sent >= 0} @click=${() => void this.record()}>${this.sample ? "Record again" : "Record"}</button>
      <input id="voice-file" type="file" accept="audio/*" hidden aria-label="Voice sample"
        @change=${(e: Event) => { const input = e.target as HTMLInputElement, f = input.files?.[0]; input.value = ""; if (f) void this.take(f); }}>
    </div>`;
  }

  private progress() {
    return this.sent < 1
      ? html`<progress max="1" .value=${this.sent} aria-label="Sending your recording"></progress>
          <span class="help" role="status">Sending… ${Math.round(this.sent * 100)} %</span>`
      : html`<progress aria-label="Making your voice"></progress><span class="help" role="status">Making your voice…</span>`;
  }

  private submit(sample: Sample) {
    return html`
      <div class="recording"><pb-player label="Listen" what="to your recording" timed .sound=${async () => sample.file}></pb-player>
        <span class="help">${duration(sample.seconds * 1000)} long</span></div>
      <label class="field"><span>Name</span><input name="name" maxlength="60" required .value=${`${this.agent.user_name.split(" ")[0]}'s Voice`}></label>
      <label class="check"><input type="checkbox" name="remove_background_noise" value="true"> Take out background noise</label>
      <label class="check"><input type="checkbox" required> <span>${CONSENT}</span></label>
      ${this.sent >= 0 ? this.progress() : html`<button class="button primary" ?disabled=${!!this.wrong}>Make my voice</button>`}`;
  }

  render() {
    return html`<div id="voice-cloning-section">
      <h3>Clone Your Voice</h3>
      <p class="help">Read something aloud for one to two minutes, in a quiet room, as you would speak on the phone.</p>
      ${this.own.length ? html`<ul class="plain">${this.own.map((v) => this.mine(v))}</ul>` : nothing}
      <form @submit=${this.clone}>
        ${this.recorder ? this.recording(this.recorder) : this.source()}
        ${this.wrong ? html`<p class="alert alert-error" role="alert">${this.wrong}</p>` : nothing}
        ${this.sample ? this.submit(this.sample) : nothing}
      </form>
    </div>`;
  }
}
