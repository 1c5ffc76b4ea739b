/** What can be set of an agent, as the form shows it. What each takes is the server's to say (agent_fields.c). */
export interface Setting {
  name: string;
  label: string;
  kind: "line" | "text" | "choice" | "range" | "switch";
  help?: string;
  /** of a choice: value and words */
  options?: [string, string][];
  min?: number;
  max?: number;
  step?: number;
  advanced?: boolean;
}

const languages: [string, string][] = [
  ["en-US", "English (US)"],
  ["en-GB", "English (UK)"],
  ["multi", "Whatever the caller speaks"],
  ["fr-FR", "French"],
  ["es-ES", "Spanish"],
  ["de-DE", "German"],
];

const places: [string, string][] = [
  ["off", "None"],
  ["coffee-shop", "Coffee shop"],
  ["convention-hall", "Convention hall"],
  ["summer-outdoor", "Outdoors, summer"],
  ["mountain-outdoor", "Outdoors, mountains"],
  ["high-school-hallway", "School hallway"],
  ["static-noise", "Line noise"],
  ["call-center", "Call center"],
];

export const settings: Setting[] = [
  { name: "agent_name", label: "Name", kind: "line", help: "What it calls itself." },
  { name: "greeting_template", label: "Greeting", kind: "text", help: "What is said first. {name} becomes your name; empty: the caller speaks first." },
  {
    name: "response_style",
    label: "Style",
    kind: "choice",
    options: [["professional", "Professional"], ["friendly", "Friendly"], ["casual", "Casual"]],
  },
  {
    name: "vetting_strategy",
    label: "Screening",
    kind: "choice",
    options: [["name-and-purpose", "Asks for name and reason"], ["strict", "Strict"], ["lenient", "Lenient"]],
  },
  { name: "transfer_unknown_callers", label: "Put unknown callers through", kind: "switch" },
  { name: "language", label: "Language", kind: "choice", options: languages },
  { name: "system_prompt", label: "Instructions", kind: "text", help: "Who it is and what it does.", advanced: true },
  { name: "temperature", label: "Creativity", kind: "range", min: 0, max: 1, step: 0.1, advanced: true },
  { name: "max_tokens", label: "Longest answer", kind: "range", min: 50, max: 500, step: 10, help: "In tokens, about three quarters of a word each.", advanced: true },
  { name: "agent_volume", label: "Volume", kind: "range", min: 0, max: 2, step: 0.1, advanced: true },
  { name: "ambient_sound", label: "Background sound", kind: "choice", options: places, advanced: true },
  { name: "ambient_sound_volume", label: "Background volume", kind: "range", min: 0, max: 2, step: 0.1, advanced: true },
  {
    name: "noise_suppression",
    label: "Noise suppression",
    kind: "choice",
    options: [["off", "Off"], ["low", "Low"], ["medium", "Medium"], ["high", "High"]],
    advanced: true,
  },
];
