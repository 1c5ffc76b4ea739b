/* command.c - see command.h: --replay and --rebuild.
 *
 * Each asks the database batch by batch and prints one line at the end. A running relay does the
 * rest of a replay; none needs to run.
 */
#include "command.h"

#include "replay.h"

#include <stdlib.h>
#include <string.h>

#define REBUILD_ROWS 50  /* locked together */
#define COUNT_ROWS   500 /* the sums wait meanwhile, nobody else */
enum { REPLAY_ALL = 1000000000, REBUILD_MS = 60000 };

const char command_usage[] =
    "  --replay ID | --parked [--source NAME] | --since TIME [--until TIME] [--source NAME]\n"
    "                  have stored webhooks told and used once more: 0 done, 1 not\n"
    "  --rebuild [--user ID] [--from TIME] [--to TIME] [--check]\n"
    "                  make the rows of calls offered then in public.call_records again, and count\n"
    "                  their costs; with --check only say how many would come out otherwise:\n"
    "                  0 none, 1 some\n"
    "  --erase-user ID | --erasure ID\n"
    "                  have all that is kept of a user erased; how far that is: 0 done, 1 not\n";

struct command {
    struct pat_daemon *d;
    struct replay_which which;
    bool rebuild, check;
    char user[PAT_ID_LEN + 1], from[40], to[40], after[PAT_ID_LEN + 1];
    int64_t looked, different;
    int64_t costs; /* calls, and rows of days, whose costs came out otherwise */
};

/* ------------------------------------------------------------------ arguments */

struct option {
    const char *name;
    size_t at, cap; /* cap 0: a flag */
    bool rebuild;   /* of which command */
};
#define FIELD(f) offsetof(struct command, f), sizeof(((struct command *)0)->f)
static const struct option options[] = {
    { "--parked", offsetof(struct command, which.parked), 0, false },
    { "--source", FIELD(which.source), false },
    { "--since", FIELD(which.since), false },
    { "--until", FIELD(which.until), false },
    { "--check", offsetof(struct command, check), 0, true },
    { "--user", FIELD(user), true },
    { "--from", FIELD(from), true },
    { "--to", FIELD(to), true },
};

static const struct option *find(const char *name, bool rebuild)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (options[i].rebuild == rebuild && !strcmp(options[i].name, name))
            return &options[i];
    return NULL;
}

/* NULL: fine. */
static const char *read_arguments(struct command *c, int argc, char **argv)
{
    const char *why;

    for (int i = 0; i < argc; i++) {
        const struct option *o = find(argv[i], c->rebuild);
        char *field = o ? (char *)c + o->at : c->which.id;
        size_t cap = o ? o->cap : sizeof c->which.id;

        if (!o && (c->rebuild || *argv[i] == '-' || *field))
            return argv[i];
        if (o && !o->cap) {
            *(bool *)field = true;
            continue;
        }
        if (o && ++i == argc)
            return argv[i - 1];
        if (!pat_strcpy(field, cap, argv[i]))
            return argv[i];
    }
    if (*c->user && !pat_id_lower(c->user))
        return c->user;
    (void)pat_id_lower(c->which.id); /* one that is none is replay_check's matter */
    if (!c->rebuild && replay_check(&c->which, &why))
        return why;
    return NULL;
}

/* ------------------------------------------------------------------ work */

static void fail(const struct command *c, int err, const char *why)
{
    (void)fprintf(stderr, "%s\n", why && *why ? why : pat_err_text(err));
    pat_daemon_end(c->d, 1);
}

static void on_replayed(int err, int64_t n, bool more, const char *why, void *arg)
{
    const struct command *c = arg;

    (void)more;
    printf("%lld replayed\n", (long long)n);
    if (err || (*c->which.id && !n))
        fail(c, err ? err : PAT_ENOENT, err ? why : "no such webhook");
    else
        pat_daemon_end(c->d, 0);
}

static int rebuild_more(struct command *c);
static int count_more(struct command *c);

static void on_rebuilt(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct command *c = arg;
    const char *last;

    if (err) {
        fail(c, err, n ? pat_db_message(results[0]) : NULL);
        return;
    }
    c->looked += strtoll(pat_db_get(results[0], 0, "looked"), NULL, 10);
    c->different += strtoll(pat_db_get(results[0], 0, "different"), NULL, 10);
    if (strcmp(pat_db_get(results[0], 0, "examples"), "{}") != 0)
        printf("%s %s\n",
               c->check ? "differ:" : "differed:", pat_db_get(results[0], 0, "examples"));
    last = pat_db_get(results[0], 0, "last");
    if (last) {
        (void)pat_strcpy(c->after, sizeof c->after, last);
        err = rebuild_more(c);
        if (err)
            fail(c, err, NULL);
        return;
    }
    *c->after = '\0';
    err = count_more(c);
    if (err)
        fail(c, err, NULL);
}

static const char *or_null(const char *s)
{
    return *s ? s : NULL;
}

static int rebuild_more(struct command *c)
{
    static const char sql[] =
        "select * from patchbay.rebuild_calls($1::uuid, $2::timestamptz, $3::timestamptz, $4::uuid, " RELAY_TEXT_OF(
            REBUILD_ROWS) ", $5::boolean)";
    const char *params[] = { or_null(c->user), or_null(c->from), or_null(c->to), or_null(c->after),
                             c->check ? "f" : "t" };

    return pat_db_run1(c->d->db, "rebuild", sql, params, 5, REBUILD_MS, on_rebuilt, c, NULL);
}

/* ------------------------------------------------------------------ costs */

static int recount_day(struct command *c);

static void on_recounted(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct command *c = arg;

    if (!err && pat_db_rows(results[0])) {
        (void)pat_strcpy(c->after, sizeof c->after, pat_db_get(results[0], 0, "day"));
        c->costs += strtoll(pat_db_get(results[0], 0, "different"), NULL, 10);
        err = recount_day(c);
        n = 0;
    } else if (!err) {
        printf("%lld calls, %lld %s; %lld of their costs\n", (long long)c->looked,
               (long long)c->different,
               c->check ? "would come out otherwise" : "came out otherwise", (long long)c->costs);
        pat_daemon_end(c->d, c->check && (c->different || c->costs));
    }
    if (err)
        fail(c, err, n ? pat_db_message(results[0]) : NULL);
}

/* The sums of the day behind c->after once more from its calls, whatever stood there. */
static int recount_day(struct command *c)
{
    static const char sql[] =
        "select d.day, patchbay.usage_recount(d.day, $4::boolean) as different from (select "
        "min(k.day) as day from patchbay.usage_stack_days k where ($1::timestamptz is null or k.day "
        ">= ($1::timestamptz at time zone 'UTC')::date) and ($2::timestamptz is null or k.day <= "
        "($2::timestamptz at time zone 'UTC')::date) and ($3::date is null or k.day > $3::date)) d "
        "where d.day is not null";
    const char *params[] = { or_null(c->from), or_null(c->to), or_null(c->after),
                             c->check ? "f" : "t" };

    return pat_db_run1(c->d->db, "recount", sql, params, 4, REBUILD_MS, on_recounted, c, NULL);
}

static void on_counted(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct command *c = arg;
    const char *last;

    if (err) {
        fail(c, err, n ? pat_db_message(results[0]) : NULL);
        return;
    }
    c->costs += strtoll(pat_db_get(results[0], 0, "different"), NULL, 10);
    last = pat_db_get(results[0], 0, "last");
    (void)pat_strcpy(c->after, sizeof c->after, last ? last : "");
    err = last ? count_more(c) : recount_day(c);
    if (err)
        fail(c, err, NULL);
}

static int count_more(struct command *c)
{
    static const char sql[] =
        "select * from patchbay.usage_rebuild($1::uuid, $2::timestamptz, $3::timestamptz, $4::uuid, " RELAY_TEXT_OF(
            COUNT_ROWS) ", $5::boolean)";
    const char *params[] = { or_null(c->user), or_null(c->from), or_null(c->to), or_null(c->after),
                             c->check ? "f" : "t" };

    return pat_db_run1(c->d->db, "count", sql, params, 5, REBUILD_MS, on_counted, c, NULL);
}

static int start(struct pat_daemon *d, void *arg)
{
    struct command *c = arg;

    c->d = d;
    return c->rebuild ? rebuild_more(c) : replay_start(d->db, &c->which, on_replayed, c);
}

bool command_run(int argc, char **argv, const struct pat_daemon_spec *daemon, int *status)
{
    struct command c = { .which.max = REPLAY_ALL };
    struct pat_daemon_spec spec = *daemon;
    const char *wrong;

    if (argc < 2 || (strcmp(argv[1], "--replay") != 0 && strcmp(argv[1], "--rebuild") != 0))
        return false;
    c.rebuild = !strcmp(argv[1], "--rebuild");
    wrong = read_arguments(&c, argc - 2, argv + 2);
    if (wrong) {
        (void)fprintf(stderr, "%s: %s\n\n%s", argv[1], wrong, command_usage);
        *status = 2;
        return true;
    }
    spec.command = true;
    spec.wants = PAT_WANT_DB;
    spec.check = NULL;
    spec.start = start;
    spec.drain = NULL;
    spec.stop = NULL;
    *status = pat_daemon_main(1, argv, &spec, &c);
    return true;
}
