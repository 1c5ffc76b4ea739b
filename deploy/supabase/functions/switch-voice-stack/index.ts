// switch-voice-stack - passes {userId, newStack} on to the stack-switcher, which decides who may (docs/switching.md).
// Secrets: PAT_SWITCHER_URL, its public address. Pages on another origin: PAT_ALLOWED_ORIGIN.
const cors = {
  "Access-Control-Allow-Origin": Deno.env.get("PAT_ALLOWED_ORIGIN") ?? "null",
  "Access-Control-Allow-Headers": "authorization, apikey, content-type, idempotency-key, x-client-info",
};
const away = '{"error":{"code":"unavailable","message":"the stack-switcher did not answer, try again"}}';

Deno.serve(async (request) => {
  if (request.method === "OPTIONS") return new Response(null, { status: 204, headers: cors });
  const headers = new Headers({ "Content-Type": "application/json" });
  for (const name of ["authorization", "idempotency-key"]) {
    const value = request.headers.get(name);
    if (value) headers.set(name, value);
  }
  const said = { method: "POST", headers, body: await request.text(), signal: AbortSignal.timeout(10_000) };
  const reply = await fetch(`${Deno.env.get("PAT_SWITCHER_URL")}/v1/switch-voice-stack`, said).catch(() => null);
  return new Response(reply ? await reply.text() : away, {
    status: reply?.status ?? 503,
    headers: { ...cors, "Content-Type": "application/json" },
  });
});
