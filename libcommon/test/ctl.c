/* ctl.c - one line to a Unix socket and one back, on a pool thread. */
#include "test/cmocka.h"

#include "test/ctl.h"

#include "buf.h"
#include "test/loop_until.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int dial(void)
{
    const char *path = getenv("PAT_TEST_CTL");
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int fd;

    if (!path || !pat_strcpy(to.sun_path, sizeof to.sun_path, path))
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void work(void *arg)
{
    struct ctl_job *j = arg;
    char line[100];
    int len = snprintf(line, sizeof line, "%s\n", j->command);
    int fd = dial();
    ssize_t n = -1;

    if (fd >= 0 && write(fd, line, (size_t)len) == len)
        n = read(fd, j->answer, sizeof j->answer - 1);
    j->answer[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

static void done(void *arg)
{
    struct ctl_job *j = arg;

    j->done = true;
}

void ctl_start(struct pat_loop *l, struct ctl_job *job, const char *command)
{
    *job = (struct ctl_job){ .done = false };
    pat_strcpy(job->command, sizeof job->command, command);
    assert_int_equal(pat_loop_work(l, work, done, job), PAT_OK);
}

void ctl(struct pat_loop *l, const char *command)
{
    struct ctl_job job;

    ctl_start(l, &job, command);
    loop_until(l, job.done);
    if (strcmp(job.answer, "ok\n") != 0)
        fail_msg("%s: %s", command, job.answer);
}

void ctl_pass(struct pat_loop *l, int64_t ms)
{
    int64_t until = pat_now_ms() + ms;

    while (pat_now_ms() < until)
        pat_loop_run_once(l, until - pat_now_ms());
}
