/** The stack-switcher's HTTP API: see /openapi.json. Every request carries the session's token. */
import { session } from "./session";

export type Stack = "retell" | "livekit";

export interface Me {
  user_id: string | null;
  admin: boolean;
  name: string | null;
  email: string | null;
  has_agent: boolean;
}

export interface User {
  id: string;
  name: string;
  email: string;
  stack: Stack | null;
  agent_config_id: string | null;
  number: string | null;
  created_at: string;
  last_call_at: string | null;
  calls_30d: number;
}

export interface Users {
  total: number;
  users: User[];
  next: string | null;
}

export type Settings = Record<string, string | number | boolean | null>;

export interface Agent {
  user_id: string;
  user_name: string;
  agent_config_id: string;
  stack: Stack;
  version: number;
  is_active: boolean;
  settings: Settings;
  voice: { id: string | null; name: string; cloned: boolean };
  transfer_numbers: { id: string; label: string; phone_number: string; is_default: boolean; has_passcode: boolean }[];
  numbers: string[];
  can: Record<string, { supported: boolean; reason: string | null }>;
}

export interface Call {
  id: string;
  user_id: string;
  from: string | null;
  to: string | null;
  stack: Stack | null;
  fallback: boolean;
  state: "offered" | "routed" | "answered" | "ended";
  outcome: string | null;
  offered_at: string;
  answered_at: string | null;
  ended_at: string | null;
  ended_reason: string | null;
  ended_owner: string | null;
  duration_ms: number | null;
  greeting_ms: number | null;
  /** In lists. */
  user_name?: string | null;
  recorded?: boolean;
}

export interface Recording {
  state: "recording" | "joining" | "fetching" | "stored" | "remote" | "failed";
  began_at: string;
  duration_ms: number | null;
  filled_ms: number | null;
  bytes: number | null;
}

export interface Leg {
  kind: "caller" | "stack" | "transfer" | "consult";
  stack: Stack | null;
  state: string;
  began_at: string;
  answered_at: string | null;
  ended_at: string | null;
  end_reason: string | null;
  sip_code: number | null;
}

/** One call, with all that is known of it. */
export interface WholeCall extends Call {
  ended_means: string | null;
  recording: Recording | null;
  legs: Leg[];
}

export interface Calls {
  calls: Call[];
  next: string | null;
}

export interface CallEvent {
  id: string;
  type: string;
  time: string;
  data: Record<string, unknown>;
  means?: string;
}

export interface StackHealth {
  state: "up" | "degraded" | "down";
  reasons: string[];
  changed_at: string | null;
  month: { days: number; attempts: number; failed: number; availability: number; goal: number; budget_left: number };
  routed: number;
  answered: number;
  live: number;
  failed_over: number;
  last_error: { reason: string; at: string } | null;
}

export interface HealthHistory {
  stacks: Record<Stack, { hour: string; attempts: number; failed: number }[]>;
  errors: { call_id: string; user_id: string; user_name: string | null; at: string; from: string | null; reason: string | null }[];
}

/** What the server says is wrong, and which field: a problem by RFC 9457. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly field: string | null,
  ) {
    super(message);
  }
}

/** Where the API is and who asks: this origin and the one who has logged in, unless a page elsewhere has embedded us (embed.ts). */
export const connection = {
  base: "",
  token: async (): Promise<string | null> => session.token,
  lost: (): void => session.lost(),
};

async function ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const token = await connection.token();
  let answer: Response;

  try {
    answer = await fetch(connection.base + path, {
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: {
        ...(token ? { Authorization: `Bearer ${token}` } : {}),
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
    });
  } catch {
    throw new ApiError(0, "unreachable", "The server cannot be reached.", null);
  }
  if (answer.ok) return answer;
  if (answer.status === 401) connection.lost();
  throw problem(answer.status, await answer.text());
}

async function send<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const text = await (await ask(method, path, body, headers)).text();

  return (text ? JSON.parse(text) : null) as T;
}

export function problem(status: number, text: string): ApiError {
  try {
    const { code, detail, field } = JSON.parse(text);
    if (!detail) throw new Error("no problem of ours");
    return new ApiError(status, code, detail, field ?? null);
  } catch {
    return new ApiError(status, "unknown", `The server answered with ${status}.`, null);
  }
}

export const get = <T>(path: string) => send<T>("GET", path);
export const post = <T>(path: string, body?: unknown, headers?: Record<string, string>) => send<T>("POST", path, body, headers);
export const patch = <T>(path: string, body: unknown, headers?: Record<string, string>) => send<T>("PATCH", path, body, headers);
export const put = <T>(path: string, body: unknown, headers?: Record<string, string>) => send<T>("PUT", path, body, headers);
/** An answer that is sound. */
export const hear = async (path: string, body: unknown): Promise<Blob> => (await ask("POST", path, body)).blob();
export const del = <T>(path: string, headers?: Record<string, string>) => send<T>("DELETE", path, undefined, headers);

/** A path with its query: what is empty is left out. */
export function query(path: string, params: Record<string, string | number | null | undefined>): string {
  const given = Object.entries(params).filter(([, v]) => v !== null && v !== undefined && v !== "");

  return given.length ? `${path}?${new URLSearchParams(given.map(([k, v]) => [k, String(v)]))}` : path;
}

/** A file of the API, saved by the browser. */
export async function download(path: string, name: string): Promise<void> {
  const answer = await fetch(path, { headers: session.token ? { Authorization: `Bearer ${session.token}` } : {} }).catch(() => null);

  if (!answer) throw new ApiError(0, "unreachable", "The server cannot be reached.", null);
  if (!answer.ok) throw problem(answer.status, await answer.text());
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
