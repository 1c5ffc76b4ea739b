/**
 * A call to an agent by LiveKit's client, which both stacks are reached with: our own rooms, and Retell's web calls, whose
 * own SDK is the same client with a fixed address (retell-client-js-sdk, src/index.ts). Loaded when somebody wants to talk.
 */
import { ConnectionState, DisconnectReason, LocalAudioTrack, Room, RoomEvent, Track, type RemoteParticipant, type RemoteTrack } from "livekit-client";
import { get, type CallEvent, type Stack } from "../api";
import { Ear, TurnClock } from "./talk-clock";
import { Words } from "./talk-words";

export interface Talk {
  call_id: string;
  stack: Stack;
  url: string;
  token: string;
  max_s: number;
  left_s: number;
}

export type State = "calling" | "talking" | "reconnecting" | "over";

export interface Seen {
  state: State;
  /** of the agent, where it says so: listening, thinking, speaking */
  agent: string;
  /** the browser plays nothing before its user has clicked */
  silent: boolean;
  why: string;
}

const TICK_MS = 20, AGENT_MS = 20_000, QUIET_S = 5;
const reasons: Partial<Record<DisconnectReason, string>> = {
  [DisconnectReason.CLIENT_INITIATED]: "",
  [DisconnectReason.ROOM_DELETED]: "The agent has ended the call.",
  [DisconnectReason.ROOM_CLOSED]: "The agent has ended the call.",
  [DisconnectReason.PARTICIPANT_REMOVED]: "The call was ended.",
  [DisconnectReason.DUPLICATE_IDENTITY]: "The call goes on in another window.",
};

export class TalkLine {
  readonly seen: Seen = { state: "calling", agent: "", silent: false, why: "" };
  readonly words = new Words(() => this.changed());
  /** the microphone now, 0 to 1, as an ear has it */
  level = 0;
  /** it has given no sound at all for a while */
  quiet = false;
  muted = false;
  private room = new Room({ disconnectOnPageLeave: true });
  private context = new AudioContext();
  private clock = new TurnClock();
  private mine: Ear;
  private theirs: Ear | null = null;
  private track: LocalAudioTrack;
  private heardAt = performance.now();
  private tick = 0;
  private came = 0;

  constructor(
    private talk: Talk,
    microphone: MediaStream,
    private place: HTMLElement,
    private changed: () => void,
  ) {
    this.track = new LocalAudioTrack(microphone.getAudioTracks()[0], undefined, true);
    this.mine = new Ear(this.context, microphone);
  }

  /** Ends by throwing when there is no way to the room. */
  async begin(): Promise<void> {
    this.listen();
    await this.room.connect(this.talk.url, this.talk.token, { autoSubscribe: true });
    await this.room.localParticipant.publishTrack(this.track, { source: Track.Source.Microphone });
    void this.context.resume();
    this.heardAt = performance.now();
    this.tick = window.setInterval(() => this.measure(), TICK_MS);
    this.came = window.setTimeout(() => this.end("The agent did not come to the call."), AGENT_MS);
    this.see({ state: this.seen.state === "calling" && this.theirs ? "talking" : this.seen.state });
  }

  end(why = ""): void {
    if (this.seen.state === "over") return;
    clearInterval(this.tick);
    clearTimeout(this.came);
    this.track.stop();
    this.place.replaceChildren();
    void this.context.close();
    this.see({ state: "over", why });
    void this.room.disconnect();
  }

  async mute(muted: boolean): Promise<void> {
    this.muted = muted;
    await (muted ? this.track.mute() : this.track.unmute());
    this.heardAt = performance.now();
    this.changed();
  }

  playSound(): void {
    void this.room.startAudio();
    void this.context.resume();
  }

  private see(change: Partial<Seen>): void {
    Object.assign(this.seen, change);
    this.changed();
  }

  private measure(): void {
    const mine = this.muted ? 0 : this.mine.rms(), now = performance.now();
    const after = this.clock.feed(now, mine, this.theirs?.rms() ?? 0);

    this.level = Math.max(0, Math.min(1, 1 + Math.log10(mine + 1e-6) / 3));
    if (mine > 1e-4) this.heardAt = now;
    this.quiet = !this.muted && now - this.heardAt > QUIET_S * 1000;
    if (after !== null) this.words.answer(Math.round(after));
  }

  /* ---------------------------------------------------------------- the room */

  private listen(): void {
    this.room
      .on(RoomEvent.TrackSubscribed, (track) => this.hear(track))
      .on(RoomEvent.ParticipantAttributesChanged, (changed, p) => p.isLocal || !changed["lk.agent.state"] || this.see({ agent: changed["lk.agent.state"] }))
      .on(RoomEvent.ParticipantDisconnected, (p) => p.identity !== "server" || this.end("The agent has ended the call."))
      .on(RoomEvent.DataReceived, (bytes, from) => this.fromRetell(bytes, from))
      .on(RoomEvent.AudioPlaybackStatusChanged, () => this.see({ silent: !this.room.canPlaybackAudio }))
      .on(RoomEvent.Reconnecting, () => this.see({ state: "reconnecting" }))
      .on(RoomEvent.SignalReconnecting, () => this.see({ state: "reconnecting" }))
      .on(RoomEvent.Reconnected, () => this.see({ state: "talking" }))
      .on(RoomEvent.Disconnected, (reason) => this.end(reason === undefined ? lost : reasons[reason] ?? lost));
    this.room.registerTextStreamHandler("lk.transcription", async (reader, { identity }) => {
      const a = reader.info.attributes ?? {};
      const key = a["lk.segment_id"] ?? reader.info.id, who = identity === this.room.localParticipant.identity ? "caller" : "agent";
      let text = "";

      try {
        for await (const piece of reader) this.words.put(key, who, (text += piece), false);
      } catch {
        return; // hung up in the middle of it
      }
      this.words.put(key, who, text, who === "agent" || a["lk.transcription_final"] === "true");
      if (who === "agent") this.soonTimed();
    });
  }

  private hear(track: RemoteTrack): void {
    if (track.kind !== Track.Kind.Audio) return;
    clearTimeout(this.came);
    this.place.replaceChildren(track.attach());
    this.theirs = new Ear(this.context, new MediaStream([track.mediaStreamTrack]));
    if (this.room.state === ConnectionState.Connected) this.see({ state: "talking" });
  }

  /** What its server sends beside the sound: JSON in data packets. */
  private fromRetell(bytes: Uint8Array, from?: RemoteParticipant): void {
    if (from?.identity !== "server") return;
    try {
      const told = JSON.parse(new TextDecoder().decode(bytes));

      if (told.event_type === "update" && Array.isArray(told.transcript)) this.words.tail(told.transcript);
      else if (told.event_type === "agent_start_talking") this.see({ agent: "speaking" });
      else if (told.event_type === "agent_stop_talking") this.see({ agent: "listening" });
    } catch {
      // not for us
    }
  }

  /** Our agent's events are stored within a moment: of each answer, where its time went. */
  private soonTimed(): void {
    setTimeout(() => void this.readTimings().catch(() => {}), 700);
  }

  private async readTimings(): Promise<void> {
    const { events } = await get<{ events: CallEvent[] }>(`/v1/calls/${this.talk.call_id}/events`);

    this.words.timed(events
      .filter((e) => e.type === "pat.turn.v1.agent" && e.data.timings)
      .map((e) => ({ text: String(e.data.heard ?? e.data.text ?? ""), timings: e.data.timings as Record<string, number | null> })));
  }
}

const lost = "The connection was lost.";
