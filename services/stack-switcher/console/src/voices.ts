/** A user's voices, as the API has them. */
import type { Stack } from "./api";

export interface VoiceSettings {
  stability: number;
  similarity_boost: number;
  style: number;
  use_speaker_boost: boolean;
  speed: number;
}

export interface Voice {
  voice_id: string;
  name: string;
  kind: "own" | "preset";
  provider: string;
  gender: string | null;
  accent: string | null;
  age: string | null;
  preview: boolean;
  settings: VoiceSettings;
  /** What this stack does something with. */
  takes: (keyof VoiceSettings)[];
}

export interface Notice {
  id: string;
  voice_name: string;
  reason: string;
  moved_to: string | null;
  made_at: string;
}

export interface Voices {
  stack: Stack;
  current: string | null;
  can_clone: boolean;
  why_not: string | null;
  /** A preview may say words of one's own. */
  own_text: boolean;
  notices: Notice[];
  voices: Voice[];
}

/** All of them are asked for below a user. */
export const voicesOf = (user: string): string => `/v1/users/${user}/voices`;
export const pathOf = (user: string, voice: string): string => `${voicesOf(user)}/${encodeURIComponent(voice)}`;

const bare = (id: string | null): string => (id ?? "").replace(/^(11labs|openai)-/i, "").toLowerCase();
/** Both stacks' spellings of one voice. */
export const same = (a: string | null, b: string | null): boolean => bare(a) === bare(b);
