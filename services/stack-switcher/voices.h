/* voices.h - the voices a user may speak with, and making one of his own.
 *
 * All tenants share one account at the vendor (ElevenLabs): which clone is whose stands in
 * Postgres, and nowhere else. A clone is written down before the vendor is asked for it and after
 * it has answered; what a crash left between the two is taken away again at the vendor. Thread: the
 * loop's.
 */
#ifndef SWITCHER_VOICES_H
#define SWITCHER_VOICES_H

#include "switcher.h"

struct voices;

int voices_new(struct voices **out, struct switcher *s) PAT_MUST_CHECK;
void voices_free(struct voices *v);
/* voices_api.c: the routes. */
int voices_routes(struct switcher *s) PAT_MUST_CHECK;

/* ---- the vendor (voice_vendor.c); ElevenLabs API reference, "Voices" and "Text to speech" ---- */

struct vendor_clone {
    const char *id; /* ours: told to the vendor, so that it can be found there */
    const char *name;
    const char *type;
    const char *data;
    size_t len;
    bool denoise;
};

/* Forgets what is under way: no callback runs any more. */
void vendor_stop(struct switcher *s);

/* err: PAT_OK with voice; PAT_EINVAL: the vendor does not take the sample; PAT_E2BIG: no place for
 * one more voice; PAT_EUPSTREAM, PAT_ETIMEDOUT, ...: it may or may not have been made. why: for
 * people. Borrowed. */
typedef void vendor_clone_fn(int err, const char *voice, const char *why, void *arg);
int vendor_clone(struct switcher *s, const struct vendor_clone *c, vendor_clone_fn *fn,
                 void *arg) PAT_MUST_CHECK;

/* PAT_OK also when it is not there. */
typedef void vendor_done_fn(int err, void *arg);
int vendor_delete(struct switcher *s, const char *voice, vendor_done_fn *fn,
                  void *arg) PAT_MUST_CHECK;

/* The clone with our id in its description; voice "" when there is none. */
typedef void vendor_find_fn(int err, const char *voice, void *arg);
int vendor_find(struct switcher *s, const char *id, vendor_find_fn *fn, void *arg) PAT_MUST_CHECK;

#endif
