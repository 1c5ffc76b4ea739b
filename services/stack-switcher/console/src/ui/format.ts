/** Times, durations and numbers as people read them, in the browser's own language and time zone. */
const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const counts = new Intl.NumberFormat();
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

export const dateTime = (iso: string | null): string => (iso ? when.format(new Date(iso)) : "–");
export const timeOfDay = (iso: string): string => clock.format(new Date(iso));
/** Where in something: 1:05.3 */
export const position = (s: number): string => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
export const count = (n: number): string => counts.format(n);

export function ago(iso: string | null, now = Date.now()): string {
  if (!iso) return "never";
  const minutes = Math.round((Date.parse(iso) - now) / 60_000);

  if (Math.abs(minutes) < 60) return relative.format(minutes, "minute");
  if (Math.abs(minutes) < 60 * 36) return relative.format(Math.round(minutes / 60), "hour");
  return relative.format(Math.round(minutes / 1440), "day");
}

export function duration(ms: number | null): string {
  if (ms === null) return "–";
  const s = Math.round(ms / 1000);

  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
}

/** A time that was set: in the largest unit it is a whole number of, and a day is 24 hours. */
export function span(ms: number): string {
  const units: [string, number][] = [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000], ["second", 1000]];
  const [unit, length] = units.find(([, u]) => ms % u === 0 && ms > u) ?? units[3];

  return new Intl.NumberFormat(undefined, { style: "unit", unit, unitDisplay: "long", maximumFractionDigits: 1 }).format(ms / length);
}

export const phone = (number: string | null): string => number ?? "withheld";
/** Who calls. Only a talk in a browser has no number that was called. */
export const caller = (c: { from: string | null; to: string | null }): string => (c.to ? phone(c.from) : "a browser");
/** name-and-purpose: Name and purpose */
export const words = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1).replaceAll(/[-_]/g, " ");
