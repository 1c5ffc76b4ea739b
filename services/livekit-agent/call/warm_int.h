/* warm_int.h - the inside of a warm transfer, shared by warm.c and warm_ask.c and nobody else. */
#ifndef CALL_WARM_INT_H
#define CALL_WARM_INT_H

#include "call_int.h"
#include "consent.h"
#include "consult.h"
#include "warm.h"

enum warm_state { WARM_BEGUN, WARM_RINGING, WARM_ASKING, WARM_COMING, WARM_THERE, WARM_OVER };

/* A room on its way; it may outlive the transfer. */
struct warm_creating {
    struct warm *w; /* NULL: gone */
};

struct warm {
    struct call *c;
    enum warm_state state;
    char id[PAT_ID_LEN + 1], label[65], number[PAT_PHONE_LEN + 1];
    warm_begun_fn *begun; /* NULL: told, or nobody asks any more */
    void *begun_arg;
    struct warm_creating *creating;
    struct pat_sub *sub;
    pat_bus_id rpc;
    struct consult *line; /* NULL: not yet, or another agent's */
    struct pat_timer deadline, comfort;
    struct pat_timer patience; /* with him: for a word of his; there: for the router's */
    struct pat_task gone;
    bool asked;   /* the router, and it may have begun */
    bool closed;  /* the transfer's room */
    bool holding; /* with music */

    /* warm_ask.c */
    char *briefing; /* "": the model is asked for it */
    struct llm_run *writing;
    struct pat_buf written;
    bool waiting;   /* he is there, the briefing is not */
    bool answering; /* what is being said answers a question of his */
    bool leaving;   /* and what is being said is a goodbye */
    int questions, unclear, voiceless;
    struct pat_json *asked_so_far; /* of him, and our answers; NULL: nothing */

    char person[129];       /* in the call's room; "": not there */
    bool accepted, thanked; /* the router knows; he has heard it */
    bool told, introduced, done;
};

/* warm.c */
void warm_set_state(struct warm *w, enum warm_state to);
/* action: what the router is told ("cancel"), NULL: it knows. */
void warm_fail(struct warm *w, const char *outcome, const char *action);
void warm_accept(struct warm *w);
void warm_let_come(struct warm *w);
void warm_tell_joined(struct warm *w);
void warm_look(struct warm *w);
/* Of own_words.h, with the label or another word in it. Yours to free. */
char *warm_phrase(const struct warm *w, int which, const char *with);

/* warm_ask.c */
extern const struct consult_events warm_line_events;
void warm_ask_prepare(struct warm *w);
void warm_ask_stop(struct warm *w);
void warm_patience(void *warm); /* the timer's */

#endif
