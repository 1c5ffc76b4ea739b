/* main.c - livekit-agent: settings, the agent up, the agent down; or logs of turns run again. */
#include "call/agent.h"
#include "call/conf.h"
#include "call/turn_log.h"
#include "probe.h"

#include <string.h>

struct process {
    struct pat_daemon *d;
    struct agent *agent;
    struct probe *probe;
};

static int start(struct pat_daemon *d, void *arg)
{
    struct process *p = arg;
    int err;

    p->d = d;
    err = agent_start(&p->agent, d);
    return err ? err : probe_new(&p->probe, d);
}

static void drained(void *arg)
{
    struct process *p = arg;

    pat_daemon_drained(p->d);
}

static void drain(struct pat_daemon *d, void *arg)
{
    struct process *p = arg;

    (void)d;
    agent_drain(p->agent, drained, p);
}

static void stop(struct pat_daemon *d, void *arg)
{
    struct process *p = arg;

    (void)d;
    probe_free(p->probe);
    agent_free(p->agent);
    p->agent = NULL;
}

/* All of them; the status says whether every decision was the same. */
static int replay(int n, char **files)
{
    int bad = 0;

    for (int i = 0; i < n; i++)
        bad += turn_replay(files[i], stdout) != PAT_OK;
    printf("%d of %d logs replayed without a difference\n", n - bad, n);
    return bad > 0;
}

int main(int argc, char **argv)
{
    struct process p = { 0 };
    const struct pat_daemon_spec spec = {
        .name = "livekit-agent",
        .summary = "answers calls in LiveKit rooms and holds the conversation",
        .rows = agent_rows,
        .n_rows = agent_rows_n,
        .conf_size = sizeof(struct agent_conf),
        .wants = PAT_WANT_BUS | PAT_WANT_DB | PAT_WANT_HTTP,
        .check = agent_conf_check,
        .start = start,
        .drain = drain,
        .stop = stop,
        .more_usage = "  --replay FILE...  run logs of PAT_EVENT_LOG_DIR again: 0 each decides the "
                      "same, 1 not\n",
    };

    if (argc > 2 && strcmp(argv[1], "--replay") == 0)
        return replay(argc - 2, argv + 2);
    return pat_daemon_main(argc, argv, &spec, &p);
}
