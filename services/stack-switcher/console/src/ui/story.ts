/** What happened in a call and why, in sentences. */
import type { CallEvent, Stack } from "../api";
import { words } from "./format";
import { why } from "./reasons";

export interface Line {
  title: string;
  because: string[];
  /** How it is marked. */
  kind: "plain" | "good" | "bad";
}

const stacks: Record<Stack, string> = { retell: "Retell", livekit: "LiveKit" };
const actions: Record<string, string> = { forward: "a phone", voicemail: "voicemail", refuse: "nobody: it is refused", say: "a spoken notice" };
const text = (e: CallEvent, name: string): string => (typeof e.data[name] === "string" ? (e.data[name] as string) : "");
const number = (e: CallEvent, name: string): number | null => (typeof e.data[name] === "number" ? (e.data[name] as number) : null);
const stack = (s: unknown): string => stacks[s as Stack] ?? "nowhere";
const list = (e: CallEvent, name: string): string[] => (Array.isArray(e.data[name]) ? (e.data[name] as unknown[]).map(String) : []);
const seconds = (ms: number | null): string => (ms === null ? "" : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

const owners: Record<string, string> = { caller: "the caller's doing", us: "our doing", provider: "the provider's fault", carrier: "the carrier's doing" };
const transfers: Record<string, string> = {
  started: "begins", ringing: "it rings there", answered: "taken off the hook", accepted: "wants the caller", bridged: "the two are connected",
  no_answer: "nobody answered", busy: "busy", refused: "not wanted", failed: "failed", returned: "the caller comes back to the agent", ended: "hung up",
};
const recordings: Record<string, string> = {
  started: "Recording begins", resumed: "Recording goes on, by another agent", paused: "Recording pauses", unpaused: "Recording goes on",
  stored: "The recording is stored", failed: "Nothing could be recorded", deleted: "The recording was deleted",
};
const parts: Record<string, string> = { stt: "Speech recognition", llm: "The language model", tts: "The voice" };

function to(e: CallEvent): string {
  const action = text(e, "action");

  return action && action !== "stack" ? (actions[action] ?? action) : stack(e.data.stack ?? e.data.to);
}

type Teller = (e: CallEvent) => Partial<Line> & { title: string };

const tellers: Record<string, Teller> = {
  "call.offered": (e) => ({
    title: text(e, "to") ? `${text(e, "from") || "A withheld number"} calls ${text(e, "to")}` : "Somebody talks to the agent in a browser",
  }),
  "call.routed": (e) => ({
    title: `Goes to ${to(e)}${e.data.is_fallback ? ", not the user's own choice" : ""}`,
    because: list(e, "reasons").map(why),
    kind: e.data.action === "refuse" || e.data.is_fallback ? "bad" : "plain",
  }),
  "call.answered": (e) => ({
    title: `${stack(e.data.stack)} answers`,
    because: number(e, "greeting_ms") === null ? [] : [`The greeting was heard after ${seconds(number(e, "greeting_ms"))}.`],
    kind: "good",
  }),
  "call.failed_over": (e) => ({
    title: e.data.redial ? `${stack(e.data.from)} is dialled again` : `Leaves ${stack(e.data.from)}, goes to ${to(e)}`,
    because: [why(text(e, "reason")), ...(number(e, "sip_code") === null ? [] : [`SIP said ${number(e, "sip_code")}.`])],
    kind: "bad",
  }),
  "call.transfer": (e) => ({
    title: `${e.data.mode === "warm" ? "Announced transfer" : "Transfer"} to ${text(e, "label") || text(e, "to")}: ${transfers[text(e, "outcome")] ?? text(e, "outcome")}`,
    because: text(e, "reason") ? [why(text(e, "reason"))] : [],
    kind: ["no_answer", "busy", "refused", "failed"].includes(text(e, "outcome")) ? "bad" : "plain",
  }),
  "call.voicemail": (e) => ({
    title: e.data.transcript ? "The message is written down" : e.data.recording_url || e.data.object ? "The message is stored" : "The caller leaves a message",
    because: text(e, "transcript") ? [`“${text(e, "transcript")}”`] : [],
  }),
  "call.callback": (e) => ({ title: `A call back was asked for, ${text(e, "local_time").replace("T", " ")}`, because: text(e, "reason") ? [text(e, "reason")] : [] }),
  "call.dtmf": (e) => ({ title: `${e.data.direction === "in" ? "The caller" : "The agent"} pressed ${number(e, "count") ?? "some"} keys` }),
  "call.recording": (e) => ({ title: recordings[text(e, "state")] ?? words(text(e, "state")), kind: e.data.state === "failed" ? "bad" : "plain" }),
  "call.taken_over": (e) => ({
    title: "Another agent takes the call over",
    because: ["The one before was no longer heard of.", `It had come to “${text(e, "state")}”, after ${number(e, "turns") ?? 0} turns.`],
    kind: "bad",
  }),
  "call.provider_failed": (e) => ({
    title: `${parts[text(e, "part")] ?? words(text(e, "part"))} failed at ${text(e, "provider")}: ${text(e, "fault")}`,
    because: [text(e, "next") ? `${text(e, "next")} goes on.` : "Nobody was left to go on."],
    kind: "bad",
  }),
  "call.limit": (e) => ({ title: `The call reached its limit of ${text(e, "limit")}`, kind: "bad" }),
  "call.machine": (e) => ({ title: "An answering machine is on the line", because: [{ hang_up: "The agent hangs up.", message: "The agent leaves a message.", none: "The agent goes on." }[text(e, "action")] ?? ""] }),
  "call.reaped": (e) => ({ title: "Something was left behind and put away", because: [words(text(e, "what"))], kind: "bad" }),
  "call.stack_ended": (e) => ({ title: `${stack(e.data.stack)} has let the call go`, because: ended(e) }),
  "call.ended": (e) => ({ title: "The call is over", because: ended(e), kind: ["provider", "carrier"].includes(text(e, "owner")) ? "bad" : "plain" }),
  "turn.tool": (e) => ({
    title: `The agent uses ${words(text(e, "tool")).toLowerCase()}: ${text(e, "outcome")}`,
    because: text(e, "error") ? [why(text(e, "error"))] : [],
    kind: ["failed", "timed_out"].includes(text(e, "outcome")) ? "bad" : "plain",
  }),
};

function ended(e: CallEvent): string[] {
  const means = e.means ?? words(text(e, "reason")).toLowerCase();
  const owner = owners[text(e, "owner")];

  return [`${means.charAt(0).toUpperCase()}${means.slice(1)}${owner ? ` (${owner})` : ""}.`];
}

/** pat.call.v1.failed_over: call.failed_over */
export function nameOf(e: CallEvent): string {
  const [, area, , name] = e.type.split(".");

  return `${area}.${name}`;
}

/** Null: said elsewhere, as what was spoken is. */
export function tell(e: CallEvent): Line | null {
  const name = nameOf(e), teller = tellers[name];

  if (!teller && (name.startsWith("turn.") || name.startsWith("usage."))) return null;
  return { because: [], kind: "plain", ...(teller?.(e) ?? { title: words(name.split(".")[1]) }) };
}
