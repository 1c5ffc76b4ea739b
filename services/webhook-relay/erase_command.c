/* erase_command.c - --erase-user and --erasure from the command line; a running relay takes the
 * steps.
 */
#include "command.h"

#include <stdio.h>
#include <string.h>

#define DB_MS 10000

const char erase_usage[] =
    "  --erase-user ID have all that is kept of a user erased; prints which erasure it is\n"
    "  --erasure ID    how far that one is: 0 done, 1 not\n";

struct asked {
    struct pat_daemon *d;
    const char *id;
    bool begin;
};

static void on_answer(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    const struct asked *a = arg;
    const char *text = !err && n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;
    bool good = text && (a->begin ? !strstr(text, "\"error\": \"live\"")
                                  : strstr(text, "\"state\": \"done\"") != NULL);

    if (text)
        printf("%s\n", text);
    else
        (void)fprintf(stderr, "%s\n", err ? pat_err_text(err) : "no such erasure");
    pat_daemon_end(a->d, good ? 0 : 1);
}

static int start(struct pat_daemon *d, void *arg)
{
    struct asked *a = arg;

    a->d = d;
    return pat_db_run1(d->db, NULL,
                       a->begin ? "select patchbay.erase_user($1)::text"
                                : "select jsonb_build_object('state', state, 'step', step, "
                                  "'counts', counts, 'failing', error)::text "
                                  "from patchbay.erasures where id = $1",
                       &a->id, 1, DB_MS, on_answer, a, NULL);
}

bool erase_command(int argc, char **argv, const struct pat_daemon_spec *daemon, int *status)
{
    struct asked a = { 0 };
    struct pat_daemon_spec spec = *daemon;

    if (argc < 2 || (strcmp(argv[1], "--erase-user") != 0 && strcmp(argv[1], "--erasure") != 0))
        return false;
    if (argc != 3 || !pat_id_lower(argv[2])) {
        (void)fprintf(stderr, "%s takes an id\n\n%s", argv[1], erase_usage);
        *status = 2;
        return true;
    }
    a.id = argv[2];
    a.begin = !strcmp(argv[1], "--erase-user");
    spec.command = true;
    spec.wants = PAT_WANT_DB;
    spec.check = NULL;
    spec.start = start;
    spec.drain = NULL;
    spec.stop = NULL;
    *status = pat_daemon_main(1, argv, &spec, &a);
    return true;
}
