/* err.h - the one error space of Patchbay.
 *
 * Functions return PAT_OK (0) or one of the negative values below. One table gives each its name,
 * the HTTP status it is answered with and the code of an RPC error reply, so that all surfaces
 * agree.
 */
#ifndef PAT_ERR_H
#define PAT_ERR_H

#include <stdbool.h>

#define PAT_MUST_CHECK        __attribute__((warn_unused_result))
#define PAT_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

enum pat_err {
    PAT_OK = 0,
    PAT_ENOMEM = -1,     /* out of memory */
    PAT_EINVAL = -2,     /* the caller's input is wrong */
    PAT_ENOENT = -3,     /* no such thing */
    PAT_EEXIST = -4,     /* there already is one; a lost compare-and-set */
    PAT_ETIMEDOUT = -5,  /* the deadline passed */
    PAT_ECANCELED = -6,  /* ended by our own side before it finished */
    PAT_EAGAIN = -7,     /* full or busy; nothing was done, try later */
    PAT_ECONN = -8,      /* could not connect, or the connection broke */
    PAT_EPROTO = -9,     /* the peer broke its protocol */
    PAT_EAUTH = -10,     /* not authenticated: missing or bad signature, key, token */
    PAT_EPERM = -11,     /* authenticated, but not allowed */
    PAT_E2BIG = -12,     /* over a limit of ours */
    PAT_EUNAVAIL = -13,  /* what we depend on is down, or its breaker is open */
    PAT_ESTALE = -14,    /* an old version or lease epoch */
    PAT_EIO = -15,       /* the operating system refused */
    PAT_EUPSTREAM = -16, /* a provider answered with an error */
    PAT_EINTERNAL = -17, /* our bug */
};

/* "timed_out", "not_found" ...: stable, used in logs, metrics and RPC replies. Never NULL. */
const char *pat_err_name(int err);
/* For people: "deadline passed". Never NULL. */
const char *pat_err_text(int err);
int pat_err_http_status(int err);
bool pat_err_retryable(int err);
/* Back from an RPC error code; PAT_EUPSTREAM for a name we do not know. */
int pat_err_from_name(const char *name);

#endif
