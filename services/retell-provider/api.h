/* api.h - Retell's REST: one request and its answer as JSON, within a budget of requests.
 *
 * Base URL, authorisation and errors as docs.retellai.com has them ("API references"): a failed
 * request answers {"status":"error","message"}. Requests of the control plane leave in the order
 * given, at most PAT_RETELL_REQUESTS_PER_S of them a second, none while a 429 asks for a pause;
 * calls being registered (register.h) do not wait for them. Thread: the loop's.
 */
#ifndef PROVIDER_API_H
#define PROVIDER_API_H

#include "pat.h"

struct api;
struct provider;

struct api_answer {
    int err;    /* PAT_OK for 2xx; else what the status means, or why there is none */
    int status; /* 0: no answer */
    const struct pat_json *body; /* NULL: none, or not JSON */
    const char *message;         /* Retell's words, else the error's; never NULL */
    int64_t retry_after_ms;      /* with PAT_EAGAIN: asked for; else 0 */
};
typedef void api_fn(const struct api_answer *a, void *arg);
typedef uint64_t api_id; /* 0: none */

int api_new(struct api **out, struct provider *p) PAT_MUST_CHECK;
void api_free(struct api *a); /* nothing is called any more */

/* body_take: JSON to send, or NULL. fn runs exactly once, never before this returns, unless
 * canceled. */
int api_call(struct api *a, const char *method, const char *path, struct pat_json *body_take,
             api_fn *fn, void *arg, api_id *id) PAT_MUST_CHECK;
void api_cancel(struct api *a, api_id id);

/* PAT_OK for 2xx; PAT_EINVAL 400, PAT_EAUTH 401, PAT_EPERM 402 and 403, PAT_ENOENT 404 and 422
 * ("asset not found under this key"), PAT_EAGAIN 429, else PAT_EUPSTREAM. */
int api_status_err(int status);
/* What Retry-After says, at most a minute; 0: nothing. */
int64_t api_pause_ms(const struct pat_http_res *res);

#endif
