/* recordings.h - what was recorded of a call: GET /v1/calls/{id}/recording, .../waveform.
 *
 * The owner's and admins'. The sound comes out of the object store in pieces, as fast as its
 * listener takes it, whole or the part a Range names: never more than a piece of it is in memory.
 * What Retell recorded and nobody has copied (patchbay.remote_recordings) comes from there in the
 * same way (sound.h): who listens never learns its address.
 * How loud it is over time (loud.h) is reckoned once, on a pool thread, and kept with the
 * recording's row. A player cannot send a header, so the sound is also given to who has the token
 * in cookie pb_listen, and nothing else is. Life: recordings_new -> routes -> recordings_close (who
 * listens is let go) -> recordings_free. Thread: the loop's.
 */
#ifndef SWITCHER_RECORDINGS_H
#define SWITCHER_RECORDINGS_H

#include "switcher.h"

struct recordings;

int recordings_new(struct recordings **out, struct switcher *s) PAT_MUST_CHECK;
int recordings_routes(struct switcher *s) PAT_MUST_CHECK;
void recordings_close(struct recordings *r);
void recordings_free(struct recordings *r); /* NULL is fine */

#endif
