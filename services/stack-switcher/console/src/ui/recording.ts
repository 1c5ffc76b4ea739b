/**
 * A recording: two lanes, the caller's above the agent's, and where it is. The sound is streamed, so that an hour begins at
 * once; a player sends no headers, so its token goes along in a cookie that only this one address gets.
 */
import { html, nothing, type PropertyValues } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { get } from "../api";
import { session } from "../session";
import { position } from "./format";
import { peaksOf } from "./loudness";
import { Page } from "./page";

interface Waveform {
  duration_ms: number | null;
  peaks: number[][];
}

const LANE = 44, GAP = 4, BAR = 3, STEP_S = 5, LEAP_S = 30;
const sides: [string, string][] = [["both", "Both"], ["caller", "Caller"], ["agent", "Agent"]];
const speeds = [1, 1.25, 1.5, 2];

@customElement("pb-recording")
export class RecordingPlayer extends Page {
  @property() call = "";
  @property({ type: Number }) ms: number | null = null;
  @state() private waveform: Waveform | null = null;
  @state() private at = 0;
  @state() private playing = false;
  @state() private broken = false;
  @query("audio") private audio!: HTMLAudioElement;
  @query("canvas") private canvas?: HTMLCanvasElement;
  private sizes = new ResizeObserver(() => this.draw());
  private dark = matchMedia("(prefers-color-scheme: dark)");
  private readonly redraw = () => this.draw();
  private gains: GainNode[] | null = null;

  connectedCallback(): void {
    super.connectedCallback();
    this.sizes.observe(this);
    this.dark.addEventListener("change", this.redraw);
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    this.sizes.disconnect();
    this.dark.removeEventListener("change", this.redraw);
    this.cookie("", 0);
  }

  private get address(): string {
    return `/v1/calls/${this.call}/recording`;
  }

  private cookie(value: string, age: number): void {
    document.cookie = `pb_listen=${value}; path=${this.address}; max-age=${age}; SameSite=Strict${location.protocol === "https:" ? "; Secure" : ""}`;
  }

  willUpdate(p: PropertyValues<this>): void {
    if (!p.has("call") || !this.call) return;
    this.waveform = null;
    this.cookie(session.token ?? "", 6 * 3600);
    void this.attempt(() => this.look(this.call));
  }

  private async look(call: string): Promise<void> {
    const told = await get<Waveform>(`/v1/calls/${call}/waveform`);

    if (this.call !== call) return;
    this.waveform = told;
    const own = told.peaks.length ? null : await peaksOf(this.address);
    if (own && this.call === call) this.waveform = own;
  }

  updated(p: PropertyValues): void {
    super.updated(p);
    this.draw();
  }

  private get length(): number {
    const known = this.audio?.duration;

    return known && isFinite(known) ? known : (this.waveform?.duration_ms ?? this.ms ?? 0) / 1000;
  }

  /* ---------------------------------------------------------------- moving about */

  seek(seconds: number): void {
    if (!this.audio) return;
    this.audio.currentTime = Math.min(Math.max(0, seconds), Math.max(0, this.length - 0.05));
    this.moved();
  }

  private moved(): void {
    this.at = this.audio.currentTime;
    this.dispatchEvent(new CustomEvent("moved", { detail: this.at, bubbles: true }));
  }

  private toggle(): void {
    if (this.audio.paused) this.audio.play().catch(() => (this.broken = true));
    else this.audio.pause();
  }

  private keys: Record<string, () => void> = {
    ArrowLeft: () => this.seek(this.audio.currentTime - STEP_S),
    ArrowRight: () => this.seek(this.audio.currentTime + STEP_S),
    ArrowDown: () => this.seek(this.audio.currentTime - STEP_S),
    ArrowUp: () => this.seek(this.audio.currentTime + STEP_S),
    PageDown: () => this.seek(this.audio.currentTime - LEAP_S),
    PageUp: () => this.seek(this.audio.currentTime + LEAP_S),
    Home: () => this.seek(0),
    End: () => this.seek(this.length),
    " ": () => this.toggle(),
    Enter: () => this.toggle(),
  };

  private key(e: KeyboardEvent): void {
    const act = this.keys[e.key];

    if (!act || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    act();
  }

  private point(e: PointerEvent): void {
    const box = this.canvas!.getBoundingClientRect();

    if (e.type === "pointermove" && !e.buttons) return;
    this.seek(((e.clientX - box.left) / box.width) * this.length);
  }

  /** One side alone, in both ears: the two channels are taken apart once somebody asks. */
  private hear(side: string): void {
    if (!this.gains) {
      const context = new AudioContext(), split = context.createChannelSplitter(2);

      context.createMediaElementSource(this.audio).connect(split);
      this.gains = [0, 1].map((channel) => {
        const gain = context.createGain();
        split.connect(gain, channel);
        gain.connect(context.destination);
        return gain;
      });
      void context.resume();
    }
    this.gains[0].gain.value = side === "agent" ? 0 : 1;
    this.gains[1].gain.value = side === "caller" ? 0 : 1;
  }

  /* ---------------------------------------------------------------- what is shown */

  private draw(): void {
    const canvas = this.canvas, peaks = this.waveform?.peaks;
    if (!canvas || !peaks?.length) return;
    const width = canvas.clientWidth, height = peaks.length * LANE + (peaks.length - 1) * GAP, ratio = devicePixelRatio;
    const style = getComputedStyle(this), colours = ["--good", "--primary"].map((n) => style.getPropertyValue(n)), idle = style.getPropertyValue("--line");
    const bars = Math.max(1, Math.floor(width / BAR)), played = this.length ? this.at / this.length : 0;

    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const c = canvas.getContext("2d")!;
    c.scale(ratio, ratio);
    peaks.forEach((side, lane) => {
      for (let i = 0; i < bars; i++) {
        const from = Math.floor((i * side.length) / bars), to = Math.max(from + 1, Math.floor(((i + 1) * side.length) / bars));
        let loud = 0;
        for (let k = from; k < to && k < side.length; k++) loud = Math.max(loud, side[k]);
        // The ear hears by orders of magnitude.
        const h = Math.max(1, Math.sqrt(loud / 255) * LANE);
        c.fillStyle = i / bars < played ? colours[lane] : idle;
        c.fillRect(i * BAR, lane * (LANE + GAP) + (LANE - h) / 2, BAR - 1, h);
      }
    });
    c.fillStyle = style.getPropertyValue("--text");
    c.fillRect(Math.min(width - 2, played * width), 0, 2, height);
  }

  private lanes() {
    const n = this.waveform ? this.waveform.peaks.length : 2;

    return html`<div class="lanes" role="slider" tabindex="0" aria-label="Position" aria-valuemin="0" aria-valuemax=${Math.round(this.length)}
      aria-valuenow=${Math.round(this.at)} aria-valuetext=${`${position(this.at)} of ${position(this.length)}`} @keydown=${this.key}
      @pointerdown=${this.point} @pointermove=${this.point}>
      ${n === 2 ? html`<span class="lane-name">Caller</span><span class="lane-name second">Agent</span>` : nothing}
      ${n ? html`<canvas height=${n * LANE + (n - 1) * GAP} aria-hidden="true"></canvas>` : html`<canvas class="flat" height="8" aria-hidden="true"></canvas>`}
    </div>`;
  }

  render() {
    return html`<div class="player">
      <audio preload="metadata" src=${this.address} @timeupdate=${this.moved} @play=${() => (this.playing = true)} @pause=${() => (this.playing = false)}
        @durationchange=${() => this.requestUpdate()} @error=${() => (this.broken = true)}></audio>
      ${this.lanes()}
      <div class="player-row">
        <button type="button" class="button primary" @click=${() => this.toggle()} ?disabled=${this.broken}>${this.playing ? "Pause" : "Play"}</button>
        <span class="timer">${position(this.at)} / ${position(this.length)}</span>
        <label class="inline"><span>Hear</span><select @change=${(e: Event) => this.hear((e.target as HTMLSelectElement).value)}>
          ${sides.map(([v, name]) => html`<option value=${v}>${name}</option>`)}</select></label>
        <label class="inline"><span>Speed</span><select @change=${(e: Event) => (this.audio.playbackRate = Number((e.target as HTMLSelectElement).value))}>
          ${speeds.map((v) => html`<option value=${v}>${v}×</option>`)}</select></label>
        <a class="button small" href=${`${this.address}?download=1`} target="_self" download>Download</a>
      </div>
      ${this.broken ? html`<p class="alert alert-error" role="alert">The recording cannot be played.</p>` : nothing}
    </div>`;
  }
}
