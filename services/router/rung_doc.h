/* rung_doc.h - the document for what was decided about a call, in either form.
 *
 * The same reference always gives the same bytes, at any router: a request that is repeated gets
 * the same answer. Pure but for the configuration it reads.
 */
#ifndef ROUTER_RUNG_DOC_H
#define ROUTER_RUNG_DOC_H

#include "carrier.h"
#include "decide.h"

struct rung_doc {
    struct router *r;
    const struct callref *ref; /* ref->action and ref->stack say what */
    enum carrier_form form;
    const char *returned; /* SIP header X-Pat-Returned; NULL: none */
    const char *forward;  /* DECIDE_FORWARD: the number */
    bool busy;            /* DECIDE_REFUSE */
};

/* Appends the document to doc, the reference's token to token and, for a stack, the address to
 * sip. */
int rung_write(const struct rung_doc *d, struct pat_buf *doc, struct pat_buf *token,
               struct pat_buf *sip) PAT_MUST_CHECK;

#endif
