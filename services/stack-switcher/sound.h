/* sound.h - the bytes of a recording, from wherever it is: an object in our store, or an address at
 * the vendor's (remote.h).
 *
 * Such an address expires. The first read that is refused asks the retell-provider for another
 * (RPC retell.renew_urls), once per call whoever listens here, and goes on there: who reads
 * notices nothing but the time it takes. An address that is refused as well is the end
 * (PAT_ENOENT). Life: sounds_new -> sound_init -> sound_get_range, sound_forget -> sound_fini ->
 * sounds_free. Thread: the loop's.
 */
#ifndef SWITCHER_SOUND_H
#define SWITCHER_SOUND_H

#include "switcher.h"

struct sounds;

/* At its reader's until sound_fini, which comes after sound_forget. */
struct sound {
    char call[PAT_ID_LEN + 1], user[PAT_ID_LEN + 1];
    char *at; /* object, or address */
    bool remote;
    const char *problem; /* a literal; NULL: nothing special */
};

int sounds_new(struct sounds **out, struct switcher *s) PAT_MUST_CHECK;
void sounds_free(struct sounds *w);         /* NULL is fine; nobody is called any more */
bool sounds_stored(const struct sounds *w); /* there is an object store */

/* From {"call_id", "user_id", "object" or "url"}. PAT_ENOENT: neither is there. */
int sound_init(struct sound *s, const struct pat_json *row) PAT_MUST_CHECK;
void sound_fini(struct sound *s);

/* As pat_store_get_range. s stays where it is until fn, or sound_forget(arg). */
int sound_get_range(struct sounds *w, struct sound *s, uint64_t from, size_t len, pat_store_fn *fn,
                    void *arg) PAT_MUST_CHECK;
void sound_forget(struct sounds *w, const void *arg);
/* What to tell of this error to who listens. */
const char *sound_problem(const struct sound *s, int err);

#endif
