/* switch_age.c - how long the oldest unfinished step of each kind has been under way: a gauge.
 *
 * From when it was begun, through all its attempts and whoever's hands, so that a step nobody
 * gets on with is seen however many replicas try, or none. A switch that only waits (to be
 * promoted, for its window's end) has begun no step. Every replica shows the same.
 */
#include "switch.h"
#include "switch_next.h"

#include <stdio.h>
#include <stdlib.h>

enum { LOOK_MS = 5000, DB_MS = 5000 };

struct switch_age {
    struct pat_daemon *d;
    struct pat_timer timer;
    pat_db_id query;
    struct pat_gauge *oldest[SWITCH_STEPS]; /* none for STEP_NONE */
};

static void on_looked(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct switch_age *a = arg;
    double seconds[SWITCH_STEPS] = { 0 };

    a->query = 0;
    pat_timer_start(&a->timer, LOOK_MS);
    if (err || !n) /* as it was: Postgres' own alert says it is away */
        return;
    for (size_t i = 0; i < pat_db_rows(results[0]); i++)
        seconds[switch_step_parse(pat_db_value(results[0], i, 0))] =
            strtod(pat_db_value(results[0], i, 1), NULL);
    for (unsigned i = STEP_VALIDATE; i < SWITCH_STEPS; i++)
        pat_gauge_set(a->oldest[i], seconds[i]);
}

static void look(void *arg)
{
    static const char sql[] =
        "select s.step, greatest(0, extract(epoch from clock_timestamp() - min(t.started_at))) "
        "from patchbay.switches s join patchbay.switch_steps t on t.switch_id = s.id "
        "where s.finished_at is null and s.step is not null and t.ended_at is null group by s.step";
    struct switch_age *a = arg;

    if (pat_db_run1(a->d->db, "switch_age", sql, NULL, 0, DB_MS, on_looked, a, &a->query))
        pat_timer_start(&a->timer, LOOK_MS);
}

int switch_age_new(struct switch_age **out, struct pat_daemon *d)
{
    struct switch_age *a = calloc(1, sizeof *a);
    int err = a ? pat_timer_init(&a->timer, d->loop, look, a) : PAT_ENOMEM;

    if (err) {
        free(a);
        return err;
    }
    a->d = d;
    for (unsigned i = STEP_VALIDATE; i < SWITCH_STEPS; i++) {
        char label[40];

        (void)snprintf(label, sizeof label, "step=\"%s\"", switch_step_name((enum switch_step)i));
        a->oldest[i] = pat_gauge(d->metrics, "pat_switcher_step_oldest_seconds",
                                 "How long the oldest unfinished step of a switch has been under "
                                 "way",
                                 label);
    }
    pat_timer_start(&a->timer, LOOK_MS);
    *out = a;
    return PAT_OK;
}

void switch_age_free(struct switch_age *a)
{
    if (!a)
        return;
    pat_db_cancel(a->d->db, a->query);
    pat_timer_fini(&a->timer);
    free(a);
}
