/* carrier.c - a request of the carrier, verified and read: see carrier.h. */
#include "carrier.h"

#include "caller.h"
#include "document.h"

#include <string.h>

static bool is_json(const struct pat_httpd_req *http)
{
    const char *type = pat_httpd_header(http, "content-type");

    return type && !strncasecmp(type, "application/json", 16);
}

static int signed_url(struct pat_buf *out, const struct router *r, const struct pat_httpd_req *http)
{
    const char *query = pat_httpd_query(http);

    pat_buf_init(out, 8192);
    pat_buf_adds(out, r->conf->public_url);
    pat_buf_adds(out, pat_httpd_path(http));
    if (*query) {
        pat_buf_adds(out, "?");
        pat_buf_adds(out, query);
    }
    return out->err;
}

static const char *signature(const struct pat_httpd_req *http)
{
    const char *s = pat_httpd_header(http, "x-signalwire-signature");

    return s ? s : pat_httpd_header(http, "x-twilio-signature");
}

static int verify_json(const struct router *r, const struct pat_httpd_req *http, const char *url)
{
    const char *sha256 = pat_httpd_header(http, "x-signalwire-sha256-signature");
    const char *sig = sha256 ? sha256 : signature(http);
    size_t len;
    const char *body = pat_httpd_body(http, &len);

    return sig ? pat_sign_signalwire_json_verify(sig, r->conf->signing_keys, url, body, len)
               : PAT_EAUTH;
}

/* The compatibility surface signs a JSON body by its digest in the query. */
static int verify_body_digest(struct pat_httpd_req *http)
{
    const char *claimed = pat_httpd_query_param(http, "bodySHA256");
    uint8_t sum[32];
    struct pat_buf hex;
    size_t len;
    const char *body = pat_httpd_body(http, &len);
    int err = PAT_EAUTH;

    if (!claimed)
        return err;
    pat_sha256(body, len, sum);
    pat_buf_init(&hex, 128);
    if (!pat_hex(&hex, sum, sizeof sum) && strlen(claimed) == hex.len &&
        pat_equal_ct(claimed, hex.data, hex.len))
        err = PAT_OK;
    pat_buf_fini(&hex);
    return err;
}

static int verify(const struct carrier_req *c, const struct router *r)
{
    struct pat_buf url;
    int err = signed_url(&url, r, c->http);
    const char *sig = signature(c->http);

    if (!err && c->json)
        err = verify_json(r, c->http, url.data);
    if (!c->json || (err && sig && !verify_body_digest(c->http)))
        err = sig ? pat_sign_signalwire_form_verify(sig, r->conf->signing_keys, url.data, c->params,
                                                    c->n_params)
                  : PAT_EAUTH;
    pat_buf_fini(&url);
    return err;
}

const char *carrier_param(const struct carrier_req *c, const char *name)
{
    if (c->json)
        return pat_json_str_or(c->json, name, NULL);
    if (!strcmp(pat_httpd_method(c->http), "GET"))
        return pat_httpd_query_param(c->http, name);
    return pat_param_find(c->params, c->n_params, name);
}

static const char *either(const struct carrier_req *c, const char *a, const char *b)
{
    const char *s = carrier_param(c, a);

    s = s ? s : carrier_param(c, b);
    return s ? s : "";
}

static void name_parties(struct carrier_req *c)
{
    bool swml = c->form == CARRIER_SWML;

    if (!pat_strcpy(c->call_id, sizeof c->call_id,
                    swml ? either(c, "call.call_id", "params.call_id")
                         : either(c, "CallSid", "CallSid")))
        c->call_id[0] = 0;
    c->from = swml ? either(c, "call.from_number", "call.from") : either(c, "From", "From");
    c->to = swml ? either(c, "call.to_number", "call.to") : either(c, "To", "To");
}

static int read_body(struct carrier_req *c, const char **what)
{
    size_t len;
    const char *body = pat_httpd_body(c->http, &len);
    struct pat_json_err why;
    int err;

    *what = "body";
    /* A GET's parameters are in its query, which is part of the signed address. */
    if (!strcmp(pat_httpd_method(c->http), "GET"))
        return PAT_OK;
    if (!is_json(c->http))
        return pat_httpd_form(c->http, &c->params, &c->n_params);
    err = pat_json_parse(&c->json, body, len, &why);
    if (!err && pat_json_kind(c->json) != PAT_JSON_OBJ)
        err = PAT_EINVAL;
    /* A request of a SWML call has "call", an event about one "event_type" and "params". */
    if (!err && (pat_json_at(c->json, "call") || pat_json_at(c->json, "event_type")))
        c->form = CARRIER_SWML;
    return err;
}

static void refuse(const struct router_stats *stats, struct pat_httpd_req *http, int err,
                   const char *field, const char *message)
{
    pat_counter_add(stats->refused, 1);
    pat_log(PAT_WARN, "carrier.refused", PAT_S("path", pat_httpd_path(http)),
            PAT_S("peer", pat_httpd_peer(http)), PAT_ERR(err), PAT_S("field", field),
            PAT_S("why", message));
    pat_httpd_reply_error(http, err, field, message);
}

int carrier_read(struct carrier_req *out, const struct router *r, struct pat_httpd_req *http,
                 bool own_token)
{
    struct carrier_req c = { .http = http };
    const char *field = NULL;
    int err = read_body(&c, &field);

    if (err) {
        refuse(&r->stats, http, err, field, "cannot be read as a form or as JSON");
        goto fail;
    }
    err = verify(&c, r);
    if (err && !(own_token && c.form == CARRIER_SWML && !signature(http))) {
        err = PAT_EPERM; /* as the vendor's guide asks: 403, also when the header is missing */
        refuse(&r->stats, http, err, "X-SignalWire-Signature", "missing or wrong");
        goto fail;
    }
    name_parties(&c);
    *out = c;
    return PAT_OK;

fail:
    pat_json_free(c.json);
    return err;
}

void carrier_fini(struct carrier_req *c)
{
    pat_json_free(c->json);
    c->json = NULL;
}

static bool plain(const char *id)
{
    return *id &&
           id[strspn(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.")] == 0;
}

int carrier_check(const struct carrier_req *c, char from[NUMBER_MAX], char to[NUMBER_MAX],
                  const char **field)
{
    *field = c->form == CARRIER_SWML ? "call.call_id" : "CallSid";
    if (!plain(c->call_id))
        return PAT_EINVAL;
    *field = c->form == CARRIER_SWML ? "call.to" : "To";
    if (number_read(to, c->to))
        return PAT_EINVAL;
    /* "anonymous", "unknown", "", "restricted": a withheld caller is served like any other. */
    (void)caller_read(from, c->from);
    return PAT_OK;
}

void carrier_answer(struct router *r, struct pat_httpd_req *http, enum carrier_form form, int err,
                    struct pat_buf *document)
{
    static const char sorry[] =
        "We are sorry, this call cannot be answered right now. Please try again later.";

    if (err) {
        pat_log(PAT_ERROR, "carrier.document_failed", PAT_S("path", pat_httpd_path(http)),
                PAT_ERR(err));
        pat_buf_reset(document);
        err = form == CARRIER_SWML ? swml_say_hangup(document, sorry)
                                   : cxml_say_hangup(document, r->conf->say_voice, sorry);
    }
    if (err)
        pat_httpd_reply_error(http, err, NULL, "no answer could be made");
    else
        pat_httpd_reply(http, 200, form == CARRIER_SWML ? "application/json" : "text/xml",
                        document->data, document->len);
}
