/** Money, which the server counts in whole millionths of a dollar, and prices as people write them. */
const dollars = new Intl.NumberFormat(undefined, { style: "currency", currency: "USD", minimumFractionDigits: 2, maximumFractionDigits: 2 });
const exact = new Intl.NumberFormat(undefined, { style: "currency", currency: "USD", minimumFractionDigits: 2, maximumFractionDigits: 6 });
const counts = new Intl.NumberFormat();

export const money = (microusd: number | null): string =>
  microusd === null ? "–" : (Math.abs(microusd) >= 10_000 || !microusd ? dollars : exact).format(microusd / 1e6);
export const price = (microusd: number): string => exact.format(microusd / 1e6);
export const change = (from: number, to: number): string => `${to > from ? "+" : to < from ? "−" : "±"}${money(Math.abs(to - from))}`;

const names: Record<string, string> = { openai: "OpenAI", elevenlabs: "ElevenLabs", livekit: "LiveKit", signalwire: "SignalWire" };
export const vendor = (id: string): string =>
  names[id] ?? id.charAt(0).toUpperCase() + id.slice(1);

export const perUnits = (per: number, unit: string): string => (per === 1 ? `per ${unit}` : `per ${counts.format(per)} ${unit}s`);

/** What somebody typed, in dollars; null: no amount of money, or finer than a millionth. */
export function microusd(text: string): number | null {
  const n = Number(text.trim().replace(/^\$/, ""));
  const whole = Math.round(n * 1e6);

  return text.trim() && Number.isFinite(n) && n >= 0 && Math.abs(n * 1e6 - whole) < 1e-3 ? whole : null;
}
