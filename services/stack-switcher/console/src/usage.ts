/** What calls used and cost, as /v1/usage and its kin say it. Money is in millionths of a dollar. */
import type { Stack } from "./api";

export interface Missing {
  provider: string;
  component: string;
  model: string | null;
  reason: string;
}

export interface Assumption {
  name: string;
  value: number | null;
  unit: string;
  words: string;
}

export interface UsageRow {
  day?: string;
  stack?: Stack | null;
  component?: string;
  provider?: string;
  user_id?: string | null;
  user_name?: string | null;
  user_email?: string | null;
  calls?: number;
  minutes?: number;
  cost_microusd: number;
  cost_per_minute_microusd?: number | null;
  complete: boolean;
}

export interface Total {
  calls: number;
  answered: number;
  minutes: number;
  cost_microusd: number;
  cost_per_minute_microusd: number | null;
  complete: boolean;
}

export interface Usage {
  from: string;
  to: string;
  rows: UsageRow[];
  count: number;
  next: string | null;
  total: Total;
  missing: Missing[];
}

export interface StackUsage extends Total {
  latency: { answers: number; calls: number; p50_ms: number; p95_ms: number } | null;
}

export interface Summary {
  from: string;
  to: string;
  total: Total;
  stacks: Record<Stack, StackUsage>;
  missing: Missing[];
  comparison: {
    calls: number;
    minutes: number;
    measured_on_retell: number;
    measured_on_livekit: number;
    all_on_retell_microusd: number;
    all_on_livekit_microusd: number;
    saving_share: number | null;
    plan_microusd: number | null;
    saving_share_with_plan: number | null;
    break_even_minutes_per_month: number | null;
  };
  assumptions: Assumption[];
  slower: { since: string } | null;
  waiting: number;
}

export interface CostLine {
  leg?: string;
  segment?: number;
  component: string;
  provider: string;
  model?: string;
  unit: string;
  quantity?: number;
  cost_microusd?: number;
  reason?: string;
}

export interface CallCost {
  stack: Stack | null;
  cost_microusd: number | null;
  known_microusd: number;
  lines: CostLine[];
  missing: Missing[];
  other: { stack: Stack; cost_microusd: number | null; assumed: string[]; measured: string[]; missing: Missing[] } | null;
  saving_share: number | null;
  assumptions: Assumption[];
}

const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const fine = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumFractionDigits: 4 });
const shares = new Intl.NumberFormat("en-US", { style: "percent", maximumFractionDigits: 1 });

/** Cents from a dollar on, hundredths of them below. */
export const money = (microusd: number | null | undefined): string =>
  microusd === null || microusd === undefined ? "–" : (Math.abs(microusd) < 1e6 ? fine : dollars).format(microusd / 1e6);
export const share = (part: number): string => shares.format(part);
export const stackName = (s: Stack | null | undefined): string => (s === "retell" ? "Retell" : s === "livekit" ? "LiveKit" : "Neither");

/** "43 % less", in a sentence that is true whichever way it turned out. */
export const comparedWithRetell = (saving: number): string =>
  saving > 0 ? `LiveKit costs ${share(saving)} less than Retell` : saving < 0 ? `LiveKit costs ${share(-saving)} more than Retell` : "Both cost the same";

/** All days from one to another. */
export function daysBetween(from: string, to: string): string[] {
  const days: string[] = [];

  for (let t = Date.parse(from); t <= Date.parse(to); t += 86_400_000) days.push(new Date(t).toISOString().slice(0, 10));
  return days;
}
