/* rehearse_http.c - what the carrier asks and tells about the leg of a rehearsal: see rehearse.h.
 *
 * Any replica may be asked; what it is told it says to the one that waits.
 */
#include "callback.h"
#include "document.h"
#include "rehearse.h"

#include <stdio.h>
#include <string.h>

#define SILENCE_S 60

/* The stack has answered: it is listened to until the leg is ended. */
static void on_document(struct pat_httpd_req *http, void *arg)
{
    struct router *r = arg;
    struct carrier_req c;
    struct callref ref;
    struct pat_buf doc;

    if (callback_read(&c, &ref, r, http))
        return;
    pat_buf_init(&doc, DOCUMENT_MAX);
    carrier_answer(r, http, c.form, cxml_wait(&doc, SILENCE_S), &doc);
    pat_buf_fini(&doc);
    carrier_fini(&c);
}

static void on_status(struct pat_httpd_req *http, void *arg)
{
    struct router *r = arg;
    struct carrier_req c;
    struct callref ref;
    const char *status;
    char subject[PAT_SUBJECT_MAX];

    if (callback_read(&c, &ref, r, http))
        return;
    status = carrier_param(&c, "CallStatus");
    snprintf(subject, sizeof subject, "pat.rpc.v1.router.rehearsal.%s", ref.call.s);
    if (status && pat_bus_publish(r->d->bus, subject, status, strlen(status)))
        pat_log(PAT_WARN, "rehearsal.not_told", PAT_S("call", ref.call.s));
    pat_httpd_reply(http, 204, NULL, NULL, 0);
    carrier_fini(&c);
}

int rehearsals_routes(struct router *r)
{
    static const struct pat_httpd_route routes[] = {
        { "POST", "/v1/signalwire/rehearsal/{call}", 0, on_document },
        { "POST", "/v1/signalwire/rehearsal-status/{call}", 0, on_status },
        { 0 },
    };

    return pat_httpd_routes(r->httpd, routes, r);
}
