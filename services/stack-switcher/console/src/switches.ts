/** Switches of a user's stack, and one of them as it goes. */
import { ApiError, problem, type Stack } from "./api";
import { session } from "./session";

export type Grade = "exact" | "near" | "lossy" | "parked";

export interface PlanField {
  field: string;
  grade: Grade;
  note: string | null;
  value?: unknown;
  becomes?: unknown;
}

export interface Price {
  microusd_per_minute: number | null;
  basis: "measured" | "reckoned" | "assumed" | "list_price";
}

export interface Plan {
  from: Stack;
  to: Stack;
  creates_agent: boolean;
  keep_ms: number;
  open_switch?: string | null;
  grades: Record<Grade, number>;
  fields: PlanField[];
  health: Record<Stack, { state: "up" | "degraded" | "down" | "unknown" }>;
  cost: { retell: Price; livekit: Price; saving_percent: number | null; assumptions: Record<string, unknown> };
  blockers: string[];
  warnings: string[];
}

export interface Step {
  seq: number;
  step: string;
  state: string;
  attempts: number;
  started_at: string | null;
  ended_at: string | null;
  result: Record<string, unknown> | null;
  error: string | null;
}

export type Wish = "abort" | "rollback" | "promote";

export interface Switch {
  id: string;
  version: number;
  user_id: string;
  from_stack: Stack;
  to_stack: Stack;
  state: string;
  outcome: string | null;
  done: string[];
  undo: boolean;
  open: boolean;
  step: string | null;
  error: string | null;
  may: Wish[];
  hold: boolean;
  promoted: boolean;
  why: string | null;
  asked_by: string;
  window_until: string | null;
  created_at: string;
  finished_at: string | null;
  steps?: Step[];
}

/**
 * Follows a switch, or a rollout, until it is over or the signal is aborted. Server-sent events read by fetch: the browser's
 * own EventSource cannot carry the token. A connection that breaks is made again; each event is a whole picture.
 */
export async function follow<T extends { finished_at: string | null }>(path: string, seen: (now: T) => void, signal: AbortSignal): Promise<void> {
  let over = false;

  while (!over && !signal.aborted) {
    try {
      over = await read<T>(path, (now) => {
        seen(now);
        over = !!now.finished_at;
      }, signal);
    } catch (e) {
      if (e instanceof ApiError && e.status === 401) session.lost();
      // Too many are watching just now: another try, as when the server is away.
      if (e instanceof ApiError && e.status < 500 && e.status !== 429) throw e;
    }
    if (!over && !signal.aborted) await new Promise((done) => setTimeout(done, 1000));
  }
}

async function read<T extends { finished_at: string | null }>(path: string, seen: (now: T) => void, signal: AbortSignal): Promise<boolean> {
  const answer = await fetch(`${path}/events`, { signal, headers: { Authorization: `Bearer ${session.token}` } });
  let text = "", last: T | null = null;

  if (!answer.ok) throw problem(answer.status, await answer.text());
  if (!answer.body) throw new ApiError(answer.status, "stream", "It cannot be followed.", null);
  for (const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader(); ; ) {
    const { value, done } = await reader.read();
    if (done) return !!last?.finished_at;
    text += value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const data = /^data: (.*)$/m.exec(text.slice(0, end));
      if (data) seen((last = JSON.parse(data[1]) as T));
    }
  }
}
