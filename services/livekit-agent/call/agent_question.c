/* agent_question.c - questions on their way to NATS, Postgres or LiveKit, carried by call id.
 *
 * The agent may be gone when an answer comes (the bus answers while it closes), or no answer comes
 * at all (a canceled HTTP request): so the agent knows its questions, and lets go of them.
 */
#include "agent_int.h"

#include <stdlib.h>

struct question *question_new(struct agent *a, const char *call_id_text, enum question_of of)
{
    struct question *q = calloc(1, sizeof *q);

    if (!q)
        return NULL;
    q->agent = a;
    q->of = of;
    pat_strcpy(q->call_id, sizeof q->call_id, call_id_text);
    q->next = a->questions;
    if (a->questions)
        a->questions->prev = q;
    a->questions = q;
    return q;
}

static void leave_list(struct question *q)
{
    struct agent *a = q->agent;

    if (!a)
        return;
    *(q->prev ? &q->prev->next : &a->questions) = q->next;
    if (q->next)
        q->next->prev = q->prev;
    q->agent = NULL;
}

void question_free(struct question *q)
{
    leave_list(q);
    pat_timer_fini(&q->again);
    free(q);
}

void agent_drop_questions(struct agent *a)
{
    while (a->questions) {
        struct question *q = a->questions;
        /* Nobody else will: LiveKit's answer is canceled, a timer is not running any more. */
        if (q->of == OF_LIVEKIT || pat_timer_running(&q->again))
            question_free(q);
        else
            leave_list(q);
    }
}
