// webhook-inbound-call - for numbers whose voice URL still is this function: sends the carrier on to the router.
// The carrier asks there itself, signed for the router's own address; nothing is trusted or stored here.
// Secrets: PAT_ROUTER_PUBLIC_URL, as the router has it. Deploy with --no-verify-jwt: a carrier has no token.
Deno.serve(() => {
  const router = (Deno.env.get("PAT_ROUTER_PUBLIC_URL") ?? "").replace(/\/+$/, "");
  const url = `${router}/v1/signalwire/voice`.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
  const verb = router
    ? `<Redirect method="POST">${url}</Redirect>`
    : "<Say>This number cannot be reached right now. Please try again later.</Say><Hangup/>";
  return new Response(`<?xml version="1.0" encoding="UTF-8"?><Response>${verb}</Response>`, {
    status: 200,
    headers: { "Content-Type": "text/xml; charset=utf-8" },
  });
});
