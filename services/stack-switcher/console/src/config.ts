/** What the server lets the console know before anybody has logged in. */
import { get, type Stack } from "./api";

export interface Config {
  product: string;
  /** The words of the badge: a house may not want vendors' names in front of its users. */
  badges: Record<Stack, string>;
  help_url: string | null;
  /** Where people log in, if not here: comes back with #access_token=. */
  login_url: string | null;
  /** Supabase, for logging in here by e-mail and password. */
  supabase_url: string | null;
  supabase_anon_key: string | null;
  /** On which stacks one may talk to an agent from here. */
  talk: Record<Stack, boolean>;
  /** A demo lets anybody in. */
  demo_logins: { label: string; token: string }[];
}

export let config: Config;

export async function loadConfig(): Promise<void> {
  config = await get<Config>("/v1/console");
}
