/* invoice_vendors.h - how each vendor is asked what a day cost, and what its answer says. Pure.
 *
 * Retell: POST /v3/list-calls, sum of call_cost.combined_cost, cents. OpenAI: GET
 * /v1/organization/costs, dollars, with an admin key. Deepgram: GET
 * /v1/projects/{id}/billing/breakdown, dollars. ElevenLabs: GET /v1/usage/character-stats,
 * characters: it tells no money. All as in the vendors' API references and official SDKs.
 */
#ifndef SWITCHER_INVOICE_VENDORS_H
#define SWITCHER_INVOICE_VENDORS_H

#include "pat.h"

#define INVOICE_CURSOR_MAX 512

struct invoice_conf {
    const char *retell_url, *retell_key;
    const char *openai_url, *openai_key; /* an admin key: the one of the agents may not ask */
    const char *deepgram_url, *deepgram_key, *deepgram_project;
    const char *elevenlabs_url, *elevenlabs_key;
};

struct invoice_day {
    const char *day;        /* 2026-11-22, UTC */
    int64_t from_ms, to_ms; /* half open */
};

/* What is sent; init and fini are the caller's. body empty: a GET. */
struct invoice_ask {
    struct pat_buf url, header, body;
};

struct invoice_vendor {
    const char *name;
    double scale; /* from the answer's unit to the row's: millionths of a dollar, or characters */
    bool (*ready)(const struct invoice_conf *c); /* its keys are set */
    void (*ask)(const struct invoice_conf *c, const struct invoice_day *d, const char *cursor,
                struct invoice_ask *out);
    /* Adds a page's sum; cursor of the next one, "" when there is none. PAT_EUPSTREAM: not what the
     * vendor's reference promises. */
    int (*read)(const struct pat_json *page, double *sum, char cursor[INVOICE_CURSOR_MAX]);
};

#define INVOICE_VENDORS 4
extern const struct invoice_vendor invoice_vendors[INVOICE_VENDORS];
const struct invoice_vendor *invoice_vendor_find(const char *name); /* NULL: there is none */

#endif
