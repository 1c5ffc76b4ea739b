/* recordings_int.h - the inside of recordings.h, shared by recordings.c and waveform.c. */
#ifndef SWITCHER_RECORDINGS_INT_H
#define SWITCHER_RECORDINGS_INT_H

#include "recordings.h"
#include "sound.h"

struct listener;
struct waveforms;

struct recordings {
    struct switcher *s;
    struct sounds *sounds;
    struct listener *listeners;
    int n;
    struct waveforms *waveforms;
};

/* range.c, pure: "bytes=0-499", "bytes=500-", "bytes=-500" (RFC 9110, 14.1.2). */
struct range {
    bool any;
    bool suffix; /* the last `from` bytes */
    uint64_t from;
    uint64_t to; /* inclusive; UINT64_MAX: to the end */
};
/* What is no single good range is none: the whole is sent then. */
struct range range_read(const char *header);
/* Of how many bytes which; PAT_EINVAL: none of them. */
int range_of(const struct range *r, uint64_t total, uint64_t *from, uint64_t *to) PAT_MUST_CHECK;

int waveforms_new(struct waveforms **out, struct recordings *r) PAT_MUST_CHECK;
void waveforms_free(struct waveforms *w);
/* Answers with the waveform of this recording (row: as of sound_init), once it is reckoned. */
void waveforms_ask(struct waveforms *w, struct pat_httpd_req *http, const struct pat_json *row);

#endif
