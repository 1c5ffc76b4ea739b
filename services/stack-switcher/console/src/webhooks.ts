/** Webhooks of a user, as /v1/webhooks has them. */
export interface Endpoint {
  id: string;
  user_id: string;
  url: string;
  description?: string | null;
  kind: "standard" | "edge_function";
  events: string[];
  signing: ("v1" | "v1a")[];
  payload: "full" | "thin";
  ordering: "none" | "key" | "strict";
  timeout_ms: number;
  max_concurrency: number;
  state: "enabled" | "disabled";
  state_reason: "gone" | "failing" | "user" | null;
  failing_since: string | null;
  failures: number;
  last_success_at: string | null;
  pending?: number;
  dead?: number;
}

export interface Secret {
  scheme: "v1" | "v1a";
  secret?: string;
  public_key?: string;
}

export interface Delivery {
  id: string;
  endpoint_id: string;
  event_id: string;
  type: string;
  state: "pending" | "delivered" | "dead";
  attempts: number;
  created_at: string | null;
  occurred_at: string | null;
  next_attempt_at: string | null;
  last_attempt_at: string | null;
  last_status: number | null;
  last_ms: number | null;
  last_fault: "receiver" | "network" | "ours" | null;
  last_error: string | null;
}

export interface WholeDelivery extends Delivery {
  log: Record<string, unknown>[];
  last_response: string | null;
  payload: string | null;
}
