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
/* There is something to tell the vendor: look now. v may be NULL. */
void voices_soon(struct voices *v);
/* voices_api.c, voice_edit.c, voice_preview.c: the routes. */
int voices_routes(struct switcher *s) PAT_MUST_CHECK;
int voice_edit_routes(struct switcher *s) PAT_MUST_CHECK;
int voice_preview_routes(struct switcher *s) PAT_MUST_CHECK;

/* voice_set.c: settings of a voice as people send them, {"stability", "similarity_boost", "style"
 * (0 to 1), "speed" (0.7 to 1.2), "use_speaker_boost"}. Pure. PAT_EINVAL with the field and what it
 * must be. */
int voice_set_check(const struct pat_json *set, const char **field,
                    const char **what) PAT_MUST_CHECK;

/* voice_care.c: are all voices still there? A round through them every PAT_SWITCHER_VOICE_CHECK by
 * one replica, and a look at the one a call could not speak with. */
struct voice_care;
int voice_care_new(struct voice_care **out, struct switcher *s) PAT_MUST_CHECK;
void voice_care_free(struct voice_care *c);

/* voice_forget.c: the voices of users who are erased go at the vendor, by RPC voices.forget. */
struct voice_forget;
int voice_forget_new(struct voice_forget **out, struct switcher *s) PAT_MUST_CHECK;
void voice_forget_free(struct voice_forget *f);

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

/* PAT_OK also when it is not there. PAT_EPERM: it is no clone of this account's by the vendor's own
 * word, and stays. */
typedef void vendor_done_fn(int err, void *arg);
int vendor_delete(struct switcher *s, const char *voice, vendor_done_fn *fn,
                  void *arg) PAT_MUST_CHECK;

/* The clone with our id in its description; voice "" when there is none. */
typedef void vendor_find_fn(int err, const char *voice, void *arg);
int vendor_find(struct switcher *s, const char *id, vendor_find_fn *fn, void *arg) PAT_MUST_CHECK;

/* voice_look.c: the vendor's name for it becomes this one. PAT_ENOENT: it has no such voice. */
int vendor_rename(struct switcher *s, const char *voice, const char *name, vendor_done_fn *fn,
                  void *arg) PAT_MUST_CHECK;

/* PAT_OK with whether the vendor has it; else it did not say. */
typedef void vendor_there_fn(int err, bool there, void *arg);
int vendor_look(struct switcher *s, const char *voice, vendor_there_fn *fn,
                void *arg) PAT_MUST_CHECK;

/* A page of the account's clones: voices [{"voice_id", "name", "description"}]; next: the token of
 * the page behind it, NULL at the end. Borrowed. */
typedef void vendor_page_fn(int err, const struct pat_json *voices, const char *next, void *arg);
int vendor_page(struct switcher *s, const char *token, vendor_page_fn *fn,
                void *arg) PAT_MUST_CHECK;

/* voice_speak.c: a text spoken, or a sample fetched: what preview_of (in Postgres) said to ask.
 * PAT_EUNAVAIL: nobody is set up for it. type: audio/... Borrowed. */
typedef void vendor_speech_fn(int err, const char *type, const char *data, size_t len, void *arg);
int vendor_speech(struct switcher *s, const struct pat_json *ask, vendor_speech_fn *fn,
                  void *arg) PAT_MUST_CHECK;

#endif
