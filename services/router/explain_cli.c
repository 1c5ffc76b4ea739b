/* explain_cli.c - patchbay-router --explain: asks a router that runs, prints for people. See
 * explain.h.
 *
 * A small daemon of its own for the one question: connection, TLS and credentials are the router's
 * settings then.
 */
#include "explain.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_MS 5000

struct cli {
    const char *number, *from, *at;
    bool json;
    int status;
    pat_bus_id id;
};

static const char *str(const struct pat_json *j, const char *path)
{
    return pat_json_str_or(j, path, "-");
}

static void print_reasons(const struct pat_json *list)
{
    const char *sep = "";

    PAT_JSON_EACH(item, list)
    {
        printf("%s%s", sep, pat_json_value_str(item));
        sep = ", ";
    }
}

static void print_outcome(const struct pat_json *j)
{
    const char *action = str(j, "action");

    printf("=> ");
    if (!strcmp(action, "stack"))
        printf("%s serves%s", str(j, "stack"),
               pat_json_bool_or(j, "is_fallback", false) ? ", in place of the user's own" : "");
    else if (!strcmp(action, "forward"))
        printf("forwarded to %s", str(j, "forward"));
    else if (!strcmp(action, "voicemail"))
        printf("a message is taken");
    else if (!strcmp(action, "refuse"))
        printf("refused: %s", str(j, "refusal"));
    else
        printf("an apology, and the end");
    printf("\n   because: ");
    print_reasons(pat_json_at(j, "reasons"));
    printf("\n");
}

static void print_rules(const struct pat_json *rules)
{
    printf("\n%-16s %-9s %s\n", "rule", "verdict", "why");
    PAT_JSON_EACH(rule, rules)
    {
        const struct pat_json *reasons = pat_json_at(rule, "reasons");

        printf("%-16s %-9s %s", str(rule, "rule"),
               pat_json_bool_or(rule, "asked", true) ? str(rule, "verdict") : "not asked",
               str(rule, "because"));
        if (pat_json_size(reasons) > 1) {
            printf(" [");
            print_reasons(reasons);
            printf("]");
        }
        printf("\n");
    }
}

static void print_answer(const struct pat_json *j)
{
    printf("%s from %s at %s\n", str(j, "number"), str(j, "from"), str(j, "at"));
    if (!pat_json_bool_or(j, "known", false)) {
        printf("=> nobody's number\n");
        return;
    }
    printf("user %s, agent %s, own stack %s, config version %lld\n", str(j, "user_id"),
           str(j, "agent_config_id"), str(j, "own_stack"),
           (long long)pat_json_int_or(j, "config_version", 0));
    if (!pat_json_bool_or(j, "active", false)) {
        printf("=> not in service: the number, its agent or its account is not active\n");
        return;
    }
    printf("his clock says %s; %lld calls under way, %lld begun within a minute\n",
           str(j, "local_time"), (long long)pat_json_int_or(j, "facts.calls_now", 0),
           (long long)pat_json_int_or(j, "facts.calls_last_minute", 0));
    if (pat_json_at(j, "share"))
        printf("a rollout sends %lld %% of the calls to %s; this caller's side: %s\n",
               (long long)pat_json_int_or(j, "share.percent", 0), str(j, "share.to_stack"),
               str(j, "share.side"));
    print_outcome(j);
    print_rules(pat_json_at(j, "rules"));
}

static void on_answer(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct cli *cli = arg;

    cli->id = 0;
    if (err) {
        fprintf(stderr, "patchbay-router: no answer: %s\n",
                message && *message   ? message
                : err == PAT_EUNAVAIL ? "no router can be reached over NATS"
                                      : pat_err_name(err));
        cli->status = 1;
    } else if (cli->json) {
        PAT_AUTO_STR text = pat_json_print(result);

        printf("%s\n", text ? text : "");
    } else {
        print_answer(result);
    }
    fflush(stdout);
    raise(SIGTERM); /* the orderly way out */
}

static int start(struct pat_daemon *d, void *arg)
{
    struct cli *cli = arg;
    PAT_AUTO_JSON params = pat_json_obj();

    pat_json_set_str(params, "number", cli->number);
    if (cli->from)
        pat_json_set_str(params, "from", cli->from);
    if (cli->at)
        pat_json_set_str(params, "at", cli->at);
    return pat_rpc_call(d->bus, "router", "explain", params, ASK_MS, on_answer, cli, &cli->id);
}

static bool read_args(struct cli *cli, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char **into = !strcmp(argv[i], "--explain") ? &cli->number
                            : !strcmp(argv[i], "--from")  ? &cli->from
                            : !strcmp(argv[i], "--at")    ? &cli->at
                                                          : NULL;

        if (!strcmp(argv[i], "--json"))
            cli->json = true;
        else if (!into || ++i == argc)
            return false;
        else
            *into = argv[i];
    }
    return cli->number;
}

int explain_cli(int argc, char **argv)
{
    static const struct pat_daemon_spec spec = {
        .name = "router",
        .summary = "asks a router where a call would go",
        .wants = PAT_WANT_BUS,
        .start = start,
    };
    struct cli cli = { 0 };
    int status;

    if (!read_args(&cli, argc, argv)) {
        fprintf(stderr, "usage: patchbay-router --explain NUMBER [--from NUMBER] [--at TIME] "
                        "[--json]\n");
        return 2;
    }
    /* Beside the router itself: no port of its, no word to its supervisor, and stdout is ours. */
    if (setenv("PAT_ADMIN_LISTEN", "127.0.0.1:0", 1) || setenv("PAT_LOG_LEVEL", "error", 1) ||
        unsetenv("PAT_PORT_FILE") || unsetenv("NOTIFY_SOCKET"))
        return 1;
    status = pat_daemon_main(1, argv, &spec, &cli);
    return status ? status : cli.status;
}
