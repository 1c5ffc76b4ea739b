/** What a user wants done with calls before any agent hears them (docs/routing.md). */
export type Range = [string, string];
export type Day = "mon" | "tue" | "wed" | "thu" | "fri" | "sat" | "sun";
export type Hours = Partial<Record<Day, Range[]>>;
export type Rung = "other_stack" | "voicemail" | "forward" | "apology";

export interface Policies {
  user_id: string;
  version: number;
  updated_at: string | null;
  time_zone: string | null;
  block_list: string[];
  block_action: string;
  withheld: string;
  whitelist: string;
  unknown: string;
  forward_number: string | null;
  business_hours: Hours | null;
  holidays: { date: string; hours?: Range[] }[];
  after_hours: string;
  after_hours_number: string | null;
  quiet_hours: { start: string; end: string } | null;
  max_concurrent: number | null;
  max_per_minute: number | null;
  over_limit: string;
  over_budget: string;
  allowed_countries: string[] | null;
  daily_forward_cents: number | null;
  fallback: Rung[];
  fallback_number: string | null;
}

/** What a router would do with a call, and why. */
export interface Explained {
  known: boolean;
  active: boolean;
  local_time?: string;
  action?: "stack" | "forward" | "voicemail" | "refuse" | "say";
  stack?: "retell" | "livekit" | null;
  policy?: string | null;
  forward?: string | null;
  refusal?: string | null;
  is_fallback?: boolean;
  reasons?: string[];
  rules?: { rule: string; asked: boolean; verdict: "silent" | "spoke" | "decides"; reasons: string[]; because: string | null }[];
}

export const days: [Day, string][] = [
  ["mon", "Monday"], ["tue", "Tuesday"], ["wed", "Wednesday"], ["thu", "Thursday"], ["fri", "Friday"], ["sat", "Saturday"], ["sun", "Sunday"],
];
export const rungs: Record<Rung, string> = {
  other_stack: "The other stack answers", voicemail: "A message is taken", forward: "A phone of yours rings", apology: "A spoken apology",
};
/** The words for what is done with a call. */
export const doings: Record<string, string> = {
  preferences: "As the agent's settings say", serve: "The agent answers", forward: "My phone rings", voicemail: "A message is taken", busy: "They hear that it is busy",
  reject: "They are refused",
};

const phone = /^\+[1-9]\d{1,14}$/, pattern = /^\+[1-9]\d{0,14}\*?$/;
export const isPhone = (s: string): boolean => phone.test(s);
/** Numbers as people paste them: one a line, or with commas; blanks, dashes and brackets do not count. */
export function numbers(text: string): { good: string[]; bad: string[] } {
  const all = text.split(/[\n,;]+/).map((s) => s.replace(/[\s()./-]/g, "")).filter(Boolean);

  return { good: [...new Set(all.filter((s) => pattern.test(s)))], bad: all.filter((s) => !pattern.test(s)) };
}
