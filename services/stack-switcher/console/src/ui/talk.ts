/** Talk to your agent: a call from this page. What it needs is loaded when the button is pressed. */
import { html, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { createRef, ref } from "lit/directives/ref.js";
import { ApiError, post, type Agent } from "../api";
import { config } from "../config";
import { duration } from "./format";
import { Page } from "./page";
import type { Talk, TalkLine } from "./talk-line";
import type { Line } from "./talk-words";

const agentDoes: Record<string, string> = { listening: "Listening", thinking: "Thinking", speaking: "Speaking" };

/** What went wrong with the microphone, and what its owner can do. */
function trouble(e: unknown): string {
  if (!(e instanceof DOMException)) return e instanceof ApiError ? e.message : "The call could not be connected. Check your network, and try again.";
  switch (e.name) {
    case "NotFoundError":
      return "There is no microphone. Connect one, and try again.";
    case "NotAllowedError":
      return "The browser may not use the microphone. Allow it beside the page's address, and try again.";
    case "NotReadableError":
      return "Another program is using the microphone.";
    default:
      return "The microphone does not work here.";
  }
}

@customElement("pb-talk")
export class TalkPanel extends Page {
  @property({ attribute: false }) agent!: Agent;
  @state() private step: "" | "microphone" | "calling" | "call" | "over" = "";
  @state() private wrong = "";
  @state() private tick = 0;
  private line: TalkLine | null = null;
  private talk: Talk | null = null;
  private began = 0;
  private timer = 0;
  private sound = createRef<HTMLElement>();

  disconnectedCallback(): void {
    super.disconnectedCallback();
    this.hangUp();
  }

  private async call(): Promise<void> {
    let microphone: MediaStream | null = null;

    this.wrong = "";
    this.line = this.talk = null;
    this.step = "microphone";
    try {
      microphone = await this.microphone();
      this.step = "calling";
      const [{ TalkLine }, talk] = await Promise.all([import("./talk-line"), post<Talk>(`/v1/users/${this.agent.user_id}/talk`)]);
      this.talk = talk;
      if (!this.isConnected) throw new Error("left");
      this.line = new TalkLine(talk, microphone, this.sound.value!, () => this.changed());
      await this.line.begin();
      this.step = "call";
      this.began = performance.now();
      this.timer = window.setInterval(() => this.tick++, 100);
    } catch (e) {
      microphone?.getTracks().forEach((t) => t.stop());
      this.line?.end();
      this.wrong = trouble(e);
      this.step = "";
    }
  }

  private microphone(): Promise<MediaStream> {
    if (!navigator.mediaDevices) throw new DOMException("none", "NotFoundError"); // not on an insecure page
    return navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true } });
  }

  private changed(): void {
    if (this.line?.seen.state === "over" && this.step === "call") {
      clearInterval(this.timer);
      this.step = "over";
    }
    this.requestUpdate();
    void this.updateComplete.then(() => {
      const log = this.querySelector(".talk-log");
      if (log) log.scrollTop = log.scrollHeight;
    });
  }

  private hangUp(): void {
    clearInterval(this.timer);
    this.line?.end();
  }

  /* ---------------------------------------------------------------- what is shown */

  private time(l: Line) {
    const t = l.timings;
    const parts = t ? [["understood", t.eot_ms], ["thought", t.llm_sentence_ms], ["voiced", t.tts_first_ms]]
      .filter(([, ms]) => typeof ms === "number").map(([word, ms]) => `${word} ${ms} ms`) : [];

    if (l.after === undefined && typeof t?.response_ms !== "number") return nothing;
    return html`<small class="latency">
      ${l.after === undefined ? nothing : html`<span title="From your last sound to the agent's first, in this browser">heard after ${l.after} ms</span>`}
      ${typeof t?.response_ms === "number" ? html`<span title=${parts.join(", ")}>agent ${t.response_ms} ms${parts.length ? ` (${parts.join(", ")})` : ""}</span>` : nothing}
    </small>`;
  }

  private log() {
    const lines = this.line?.words.lines ?? [];

    if (!lines.length) return nothing;
    return html`<div class="talk-log" tabindex="0" role="log" aria-label="What is said">
      <ol class="bubbles">
        ${lines.map((l) => html`<li class=${`${l.who} ${l.final ? "" : "growing"}`}>
          <span class="speaker">${l.who === "agent" ? "Agent" : "You"}</span>
          <span class="words">${l.text}</span>
          ${l.who === "agent" ? this.time(l) : nothing}
        </li>`)}
      </ol>
    </div>`;
  }

  private status() {
    const { state, agent } = this.line!.seen;
    const passed = performance.now() - this.began;

    return html`<span class="talk-state" role="status">${state === "reconnecting" ? "The connection is lost. Trying again…"
        : state === "calling" ? "Connecting…" : agentDoes[agent] ?? "Connected"}</span>
      <span class="timer" title="Time so far, and at most">${duration(passed)} / ${duration(this.talk!.max_s * 1000)}</span>`;
  }

  private controls() {
    const line = this.line!;

    return html`<div class="talk-bar">
      <button class="button danger" @click=${() => this.hangUp()}>Hang up</button>
      <button class="button" aria-pressed=${line.muted} @click=${() => void line.mute(!line.muted)}>${line.muted ? "Unmute" : "Mute"}</button>
      <meter min="0" max="1" .value=${line.level} aria-label="Level of your microphone"></meter>
      ${this.status()}
    </div>
    ${line.quiet ? html`<p class="alert" role="alert">Nothing comes from your microphone. Is it the right one, and switched on?</p>` : nothing}
    ${line.seen.silent ? html`<p class="alert" role="alert"><span>The browser plays no sound yet.</span>
      <button class="button small" @click=${() => line.playSound()}>Turn sound on</button></p>` : nothing}`;
  }

  private over() {
    return html`<p class="muted" role="status">${this.line?.seen.why} <a href=${`/calls/${this.talk!.call_id}`}>Look at this call</a></p>`;
  }

  render() {
    if (!config.talk[this.agent.stack]) return nothing;
    const busy = this.step === "microphone" || this.step === "calling";

    void this.tick;
    return html`<section class="talk" aria-label="Talk to your agent">
      ${this.step === "call" ? this.controls() : html`<button class="button primary" ?disabled=${busy} @click=${() => void this.call()}>
        ${this.step === "microphone" ? "Waiting for the microphone…" : busy ? "Calling…" : "Talk to your agent"}</button>`}
      ${this.wrong ? html`<p class="alert alert-error" role="alert">${this.wrong}</p>` : nothing}
      ${this.step === "over" ? this.over() : nothing}
      ${this.log()}
      <div ${ref(this.sound)} hidden></div>
    </section>`;
  }
}
