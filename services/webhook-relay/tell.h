/* tell.h - the news of a stored webhook goes to NATS at once, and its outbox row is marked.
 *
 * Only for rows nobody of the same key stands in front of; everything else, and what fails here, is
 * the outbox's (outbox.c): it takes them up two seconds after they were stored, in order. Thread:
 * the loop's.
 */
#ifndef TELL_H
#define TELL_H

#include "relay.h"

struct teller;

int teller_new(struct teller **out, struct relay *r) PAT_MUST_CHECK;
void teller_free(struct teller *t); /* NULL is fine */

/* Borrows the event. */
void tell(struct teller *t, const struct pat_event_text *news);
/* A row was stored behind another one of its key: the outbox has a look as soon as that is told. */
void tell_after(struct teller *t);

#endif
