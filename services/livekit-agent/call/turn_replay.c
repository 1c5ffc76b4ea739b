/* turn_replay.c - a log of turns, run again.
 *
 * Line by line: a first line resets the machine, options replace options, an event is stepped and
 * compared. It does not know what the actions did.
 */
#include "turn_log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The clock of a replay: anything but 0, and before it times of the past still fit. */
#define BEGAN_US ((int64_t)86400 * 1000000)

struct replay {
    const char *path;
    FILE *report;
    int line;
    bool begun, has_opts;
    struct turn turn;
    struct turn_opts opts;
};

static int wrong(const struct replay *r, const char *what)
{
    (void)fprintf(r->report, "%s:%d: %s\n", r->path, r->line, what);
    return PAT_EINVAL;
}

static int begin(struct replay *r, const struct pat_json *j)
{
    if (pat_json_int_or(j, "version", 0) != 2)
        return wrong(r, "not a log of turns, or of another version");
    turn_init(&r->turn);
    r->begun = true;
    r->has_opts = false;
    return PAT_OK;
}

/* What a log does not name is off. */
static int take_opts(struct replay *r, const struct pat_json *opts)
{
    memset(&r->opts, 0, sizeof r->opts);
    for (size_t i = 0; i < turn_opt_n; i++) {
        int32_t value = (int32_t)pat_json_int_or(opts, turn_opt_list[i].name, 0);

        memcpy((char *)&r->opts + turn_opt_list[i].offset, &value, sizeof value);
    }
    r->has_opts = true;
    return PAT_OK;
}

static int read_event(const struct replay *r, const struct pat_json *j, struct turn_event *e)
{
    int kind = turn_event_by_name(pat_json_str_or(j, "event", ""));

    if (kind < 0)
        return wrong(r, "no event of ours");
    *e = (struct turn_event){ .kind = (enum turn_event_kind)kind,
                              .now_us = BEGAN_US + pat_json_int_or(j, "us", 0),
                              .reply = (uint32_t)pat_json_int_or(j, "reply", 0),
                              .n = (int32_t)pat_json_int_or(j, "n", 0),
                              .soft = (int32_t)pat_json_int_or(j, "soft", 0),
                              .end = pat_json_bool_or(j, "end", false),
                              .open = pat_json_bool_or(j, "open", false),
                              .asked = pat_json_bool_or(j, "asked", false),
                              .changed = pat_json_bool_or(j, "changed", false),
                              .firm = pat_json_bool_or(j, "firm", false) };
    if (pat_json_at(j, "at_us"))
        e->at_us = BEGAN_US + pat_json_int_or(j, "at_us", 0);
    return PAT_OK;
}

/* "thinking: think,commit,play" */
static void describe(struct pat_buf *b, const struct turn *t, const struct turn_out *out)
{
    pat_buf_addf(b, "%s:", turn_state_name(t->state));
    for (int i = 0; i < out->n; i++)
        pat_buf_addf(b, "%s%s", i ? "," : " ", turn_action_name(out->act[i]));
}

static void describe_logged(struct pat_buf *b, const struct pat_json *j)
{
    const struct pat_json *acts = pat_json_at(j, "actions");

    pat_buf_addf(b, "%s:", pat_json_str_or(j, "state", "?"));
    for (size_t i = 0; acts && i < pat_json_size(acts); i++) {
        const char *name = pat_json_value_str(pat_json_item(acts, i));
        pat_buf_addf(b, "%s%s", i ? "," : " ", name ? name : "?");
    }
}

static int run_event(struct replay *r, const struct pat_json *j)
{
    struct turn_event e;
    struct turn_out out;
    struct pat_buf logged, now;
    int err = !r->begun || !r->has_opts ? wrong(r, "an event before version and options")
                                        : read_event(r, j, &e);

    if (err)
        return err;
    turn_step(&r->turn, &r->opts, &e, &out);
    pat_buf_init(&logged, 4096);
    pat_buf_init(&now, 4096);
    describe_logged(&logged, j);
    describe(&now, &r->turn, &out);
    if (logged.err || now.err || strcmp(logged.data, now.data) != 0) {
        err = wrong(r, "another decision");
        (void)fprintf(r->report, "  event    %s at %lld ms\n  expected %s\n  got      %s\n",
                      turn_event_name(e.kind), (long long)(e.now_us - BEGAN_US) / 1000,
                      logged.err ? "?" : logged.data, now.err ? "?" : now.data);
    }
    pat_buf_fini(&logged);
    pat_buf_fini(&now);
    return err;
}

static int run_line(struct replay *r, const char *line, size_t len)
{
    PAT_AUTO_JSON j = NULL;
    const struct pat_json *opts;

    if (pat_json_parse(&j, line, len, NULL))
        return wrong(r, "not JSON");
    if (pat_json_at(j, "version"))
        return begin(r, j);
    opts = pat_json_at(j, "opts");
    return opts ? take_opts(r, opts) : run_event(r, j);
}

int turn_replay(const char *path, FILE *report)
{
    struct replay r = { .path = path, .report = report };
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    int err = PAT_OK;

    if (!f) {
        (void)fprintf(report, "%s: %s\n", path, strerror(errno));
        return PAT_EIO;
    }
    while (!err && (len = getline(&line, &cap, f)) > 0 && line[len - 1] == '\n') {
        r.line++;
        err = run_line(&r, line, (size_t)len);
    }
    if (!err && !r.begun)
        err = wrong(&r, "empty");
    free(line);
    (void)fclose(f);
    return err;
}
