/* voice_vendor.h - how the voices' vendors are asked: what voice_vendor.c, voice_look.c and
 * voice_speak.c share. What they offer is in voices.h.
 *
 * A request hangs on the switcher until its answer, so that all of them can be forgotten at once
 * (vendor_stop). Thread: the loop's.
 */
#ifndef SWITCHER_VOICE_VENDOR_H
#define SWITCHER_VOICE_VENDOR_H

#include "voices.h"

enum { VENDOR_ID_MAX = 64 }; /* of a voice, with its end; the vendor's own have 20 letters */

/* One request under way. */
struct vendor_ask {
    struct vendor_ask *next, **at;
    pat_http_id http;
    union {
        vendor_clone_fn *clone;
        vendor_done_fn *done;
        vendor_find_fn *find;
        vendor_page_fn *page;
        vendor_there_fn *there;
        vendor_speech_fn *speech;
    } then;
    void *arg;
    char id[PAT_ID_LEN + 1];
    struct switcher *s;        /* of one that asks twice */
    char voice[VENDOR_ID_MAX]; /* likewise */
};

struct vendor_call {
    const char *method, *path; /* path: of ElevenLabs; or */
    const char *url;           /* the whole address, of somebody else */
    const char *key;           /* header line; NULL: ElevenLabs' own for a path, none for a url */
    const char *type;          /* header line; NULL: no body */
    const struct pat_buf *body;
    int64_t timeout_ms;
    size_t max_body; /* 0: 2 MiB */
    bool public_only;
};

/* Copies a. fn gets the copy, and ends it with vendor_end after its own callback. */
int vendor_start(struct switcher *s, const struct vendor_call *c, pat_http_done_fn *fn,
                 const struct vendor_ask *a) PAT_MUST_CHECK;
void vendor_end(struct vendor_ask *a);
/* One part of a form. Values are texts of one line. */
void vendor_form_field(struct pat_buf *b, const char *mark, const char *name, const char *value);
/* Whether the answer says that there is no such voice. */
bool vendor_says_gone(const struct pat_http_res *res);
/* {"detail": {"status", "message"}}, or detail a text or a list. */
const char *vendor_said(const struct pat_json *j, const char *fallback);

#endif
