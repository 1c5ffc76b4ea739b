/* media.h - a voice that is really sent: RTP (RFC 3550), PCMU (RFC 3551), 20 ms a packet, to one
 * UDP port on loopback.
 *
 * What the doubles that only play SIP use to be heard: the carrier's Say, Retell's agent. The words
 * are spoken by flite once per desk, when the first stream begins, and repeated without a pause.
 * Each stream has an SSRC of its own. One whose desk cannot speak yet begins when it can. Life:
 * media_desk_new -> media_start, media_stop ... -> media_desk_free, which stops all. Thread: the
 * loop's.
 */
#ifndef DOUBLES_MEDIA_H
#define DOUBLES_MEDIA_H

#include "synth.h"

#define MEDIA_TO_MAX 48 /* "127.0.0.1:12345" */

struct media_desk;
struct media;

/* text and what v names are borrowed for the desk's life. */
int media_desk_new(struct media_desk **out, struct pat_loop *l, const char *text,
                   const struct synth_voice *v) PAT_MUST_CHECK;
void media_desk_free(struct media_desk *d); /* NULL is fine */

/* to: "a.b.c.d:port". PAT_EINVAL: it is none. */
int media_start(struct media **out, struct media_desk *d, const char *to) PAT_MUST_CHECK;
void media_stop(struct media *m); /* NULL is fine */

#endif
