/* reap.h - which rooms and legs nobody needs any more, and which caller nobody serves. Pure.
 *
 * LiveKit's rooms are looked at now and then; what is wrong with one is acted upon only when it was
 * wrong at each look for a while. Only rooms named after a call are ever looked at, and a room
 * whose call is being prepared, served or waited for by an agent is left alone. Thread: any, one at
 * a time. Times: ms.
 */
#ifndef CALL_REAP_H
#define CALL_REAP_H

#include "pat.h"

/* A caller in silence: so long until the call is offered to all agents, and again as long until it
 * is given up. An agent that has lost LiveKit, not us, gives its calls up by itself before that. */
#define REAP_CALLER_MS 10000
#define REAP_SERVED_MS 40000

/* What is known of who serves the call (lease.h). */
enum reap_mark {
    REAP_UNMARKED, /* nobody ever did, as far as we know */
    REAP_OVER,     /* it has ended */
    REAP_WAITING,  /* prepared, given up or orphaned: agents may take it */
    REAP_SERVED,   /* by an agent that is alive */
};

/* One room as it is now. */
struct reap_look {
    const char *call_id;
    enum reap_mark mark;
    int64_t over_ms;   /* unix, since when it is over; 0: not known */
    int agents;        /* in the room */
    int phones;        /* SIP legs of callers */
    int asked;         /* SIP legs of colleagues, in a room of a transfer's (role.h) */
    int others;        /* people, by browser */
    int64_t joined_ms; /* unix, the last of both to come */
    bool ended;        /* the call's record says so */
    bool foreign;      /* an agent of another name is in it: another deployment's */
};

enum reap_do {
    REAP_NOTHING,
    REAP_DELETE,  /* the room: nobody is in it but agents without a call */
    REAP_REMOVE,  /* the telephone legs of an ended call */
    REAP_OFFER,   /* a caller is alone: agents may take the call */
    REAP_GIVE_UP, /* nobody took it: the router's fallback */
};

struct reap_room;

/* What was wrong, and since when. */
struct reap {
    struct reap_room *rooms;
    int n;
    int64_t look; /* counts them */
    int64_t grace_ms;
};

void reap_init(struct reap *r, int64_t grace_ms);
void reap_fini(struct reap *r);
/* Every look at all rooms: begin, judge each room there is, end. */
void reap_begin(struct reap *r);
enum reap_do reap_judge(struct reap *r, const struct reap_look *l, int64_t now_ms);
void reap_end(struct reap *r); /* what was not judged since begin is forgotten */
/* There is something to look at again soon. */
bool reap_pending(const struct reap *r);
const char *reap_name(enum reap_do what);

#endif
