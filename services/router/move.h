/* move.h - what is being done to a carrier's leg: a transfer, a way to voicemail, a hang-up.
 *
 * The last one of a call is a record in KV bucket pat_calls under <call>.action, where every router
 * finds it; each router remembers its own as well, for when NATS is away. A record only goes
 * forward (move_merge), so the two may be read in any order. Pure but for the table, which has a
 * fixed size and forgets the oldest.
 */
#ifndef ROUTER_MOVE_H
#define ROUTER_MOVE_H

#include "callref.h"

enum move_kind {
    MOVE_TRANSFER,
    MOVE_VOICEMAIL,
    MOVE_HANGUP,
    MOVE_FALLBACK, /* to the next rung of the ladder, or the same again (watch.h, redial.h) */
    MOVE_KINDS
};
enum move_state {
    MOVE_NONE,
    MOVE_ASKED,    /* ours; the carrier has not said yes */
    MOVE_STARTED,  /* the carrier has taken it */
    MOVE_ANSWERED, /* somebody is on the other phone */
    MOVE_ACCEPTED, /* who was asked wants the caller, and is on the way to them */
    MOVE_BRIDGED,  /* and speaks with the caller */
    MOVE_OVER,     /* failed, or the caller is back with the agent */
    MOVE_STATES
};

struct move {
    unsigned n; /* which one of its call, from 1; 0: there was none */
    enum move_kind kind;
    enum move_state state;
    bool consult;            /* the other phone has a leg of its own */
    char id[PAT_ID_LEN + 1]; /* the transfer's; "" for the others */
    /* Carrier's id of the other phone's leg; of a fallback the dialled leg whose end brought it. ""
     * when unknown. */
    char leg[CALLREF_ID_MAX + 1];
    char to[20]; /* masked */
    char label[65];
    int64_t until_ms; /* unix; nothing is under way longer than this */
};

/* The later of the two. */
struct move move_merge(const struct move *a, const struct move *b);
/* A transfer on its way or talking: no other one may begin. */
bool move_busy(const struct move *m, int64_t now_ms);
int move_print(const struct move *m, struct pat_buf *out) PAT_MUST_CHECK;
/* PAT_EINVAL: not such a record. */
int move_read(struct move *out, const char *data, size_t len) PAT_MUST_CHECK;

struct moves;
int moves_new(struct moves **out) PAT_MUST_CHECK;
void moves_free(struct moves *m);
/* Borrowed; n 0 when there is none. */
const struct move *moves_find(const struct moves *m, const char *call);
/* Merged with what is there. */
void moves_put(struct moves *m, const char *call, const struct move *mv);
/* The highest lease epoch seen for this call so far; 0: none. */
int64_t moves_epoch(const struct moves *m, const char *call);
void moves_see_epoch(struct moves *m, const char *call, int64_t epoch);

#endif
