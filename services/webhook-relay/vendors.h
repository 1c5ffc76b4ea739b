/* vendors.h - who sends us webhooks: a row each of how theirs are verified and read.
 *
 * Pure but for the clock given: request in, verdict and names out. Thread: any.
 */
#ifndef VENDORS_H
#define VENDORS_H

#include "relay.h"

#define HOOK_NAME_MAX 192
#define HOOK_KEY_MAX  256

/* What of a verified webhook is worth telling. Strings are borrowed from the body's tree. */
struct hook {
    const char *source; /* "retell" */
    const char *kind;   /* the vendor's name of it: "call_ended" */
    const char *call;   /* our call id, or NULL */
    const char *user;   /* or NULL */
    /* The same for each repeat of one webhook, and for nothing else. */
    char dedupe_key[HOOK_KEY_MAX];
    /* What it is about, as the vendor names it ("retell:call_abc"): told in the order it was
     * accepted. */
    char order_key[HOOK_KEY_MAX];
};

/* A request as it came; body is the raw bytes. */
struct hook_request {
    const char *header; /* the vendor's, NULL when absent */
    const char *body;
    size_t len;
    int64_t now_ms;
};

struct vendor {
    const char *name;
    const char *path;
    const char *header;  /* carries the proof */
    const char *setting; /* what its secret is called */
    /* Without it nothing of the vendor's is taken. */
    const char *(*secret)(const struct relay_conf *conf);
    /* PAT_OK, PAT_EAUTH, PAT_ESTALE. */
    int (*verify)(const struct relay_conf *conf, const char *secret, const struct hook_request *q);
    /* Fills h but for its source. PAT_EINVAL: err names the field. */
    int (*read)(struct hook *h, const struct pat_json *j, const struct hook_request *q,
                struct pat_json_err *err);
};
extern const struct vendor vendors[];
extern const size_t n_vendors;

/* Of several secrets, separated by commas, one may have signed: while one replaces the other. */
int vendor_verify(const struct vendor *v, const struct relay_conf *conf,
                  const struct hook_request *q) PAT_MUST_CHECK;
/* *j is the caller's to free, also on failure. */
int vendor_read(const struct vendor *v, struct hook *h, struct pat_json **j,
                const struct hook_request *q, struct pat_json_err *err) PAT_MUST_CHECK;

#endif
