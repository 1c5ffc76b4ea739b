/** Rollouts: many users switched by one request, in steps, watched by gates. */
import type { Grade } from "./switches";
import type { Stack } from "./api";

export type RolloutWish = "pause" | "resume" | "promote" | "abort" | "rollback";

export interface Side {
  n: number;
  value?: number;
  low?: number;
  high?: number;
}

export interface Verdict {
  gate: "failure_rate" | "answer_ms" | "response_ms" | "cost_per_minute";
  verdict: "pass" | "fail" | "inconclusive";
  why: string;
  margin: number;
  min_calls: number;
  difference?: number;
  low?: number;
  high?: number;
  new: Side;
  old: Side;
}

export interface RolloutEntry {
  id: number;
  at: string;
  event: string;
  who: string;
  step: number;
  detail: string | null;
  verdicts: Verdict[] | null;
}

export interface RolloutStep {
  percent?: number;
  count?: number;
}

export interface Rollout {
  id: string;
  version: number;
  name: string | null;
  to_stack: Stack;
  mode: "users" | "calls";
  steps: RolloutStep[];
  at_a_time: number;
  state: "running" | "paused" | "held" | "returning" | "finished";
  phase: "moving" | "sharing" | "cutting";
  step: number;
  settled_at: string | null;
  wait_until: string | null;
  held_for: string | null;
  reason: string | null;
  outcome: string | null;
  counts: Record<string, number>;
  gates?: Verdict[];
  may: RolloutWish[];
  log?: RolloutEntry[];
  why: string | null;
  created_at: string;
  finished_at: string | null;
}

export interface RolloutUser {
  seq: number;
  user_id: string;
  name: string | null;
  state: string;
  verify: boolean;
  switch_id: string | null;
  switch_state: string | null;
  switch_error: string | null;
  note: string | null;
}

export interface RolloutPlan {
  to_stack: Stack;
  mode: "users" | "calls";
  total: number;
  movable: number;
  already_there: number;
  lossy_users: number;
  creates_agents: number;
  live_calls: number;
  without_number: number;
  verified_by_call: number;
  steps: (RolloutStep & { users: number })[];
  fields: Record<string, Partial<Record<Grade, number>>>;
  blocked: { user_id: string; why: string }[];
  blocked_by: Record<string, number>;
  blockers: string[];
}

export const stackNames: Record<Stack, string> = { retell: "Retell", livekit: "LiveKit" };
export const rolloutName = (r: Rollout): string => r.name ?? `To ${stackNames[r.to_stack]}`;
export const rolloutState = (r: Rollout): string => r.outcome ?? r.state;
export const stepText = (s: RolloutStep): string => (s.count ? `${s.count} users` : `${s.percent} %`);
