/* journal_test.c - the spool without servers: what is written is read back, and nothing half. */
#include "test/cmocka.h"

#include "journal.h"
#include "test/alloc.h"
#include "test/loop_until.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    struct pat_loop *loop;
    struct pat_db *db; /* that never connects */
    char path[32];
};

static void on_true(void *arg)
{
    *(bool *)arg = true;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    snprintf(f->path, sizeof f->path, "%s", "/tmp/journal_test.XXXXXX");
    close(mkstemp(f->path));
    assert_int_equal(pat_loop_new(&f->loop), PAT_OK);
    assert_int_equal(
        pat_db_new(&f->db, f->loop,
                   &(struct pat_db_opts){ .url = "postgres://u@127.0.0.1:1/x", .pool = 1 }),
        PAT_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    bool closed = false;

    pat_db_close(f->db, 0, on_true, &closed);
    loop_until(f->loop, closed);
    assert_int_equal(pat_loop_free(f->loop), PAT_OK);
    unlink(f->path);
    free(f);
    return 0;
}

static int open_spool(struct fixture *f, struct pat_journal **j)
{
    return pat_journal_new(j, f->loop, f->db, NULL,
                           &(struct pat_journal_opts){ .spool_file = f->path });
}

static void close_spool(struct fixture *f, struct pat_journal *j)
{
    bool closed = false;

    pat_journal_close(j, 0, on_true, &closed);
    loop_until(f->loop, closed);
}

static int add(struct pat_journal *j, int n)
{
    static const char *const params[] = { "a \"quoted\"\nline", NULL };
    static const struct pat_db_stmt stmt = { "name", "select $1, $2", 2, params };
    int err = PAT_OK;

    for (int i = 0; i < n && !err; i++)
        err = pat_journal_add(
            j,
            &(struct pat_event){
                .area = "call", .name = "routed", .key = "k", .source = "/patchbay/test" },
            pat_json_obj(), &stmt, 1);
    return err;
}

static void append(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_APPEND);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void spool_text(const char *path, char *out, size_t cap)
{
    FILE *file = fopen(path, "re");
    size_t n;

    assert_non_null(file);
    n = fread(out, 1, cap - 1, file);
    out[n] = '\0';
    fclose(file);
}

static void test_spool__is_the_same_after_a_round_trip(void **state)
{
    struct fixture *f = *state;
    struct pat_journal *j;
    char before[8192], after[8192];

    assert_int_equal(open_spool(f, &j), PAT_OK);
    assert_int_equal(add(j, 5), PAT_OK);
    close_spool(f, j);
    spool_text(f->path, before, sizeof before);
    assert_non_null(strstr(before, "a \\\"quoted\\\"\\nline"));
    assert_int_equal(open_spool(f, &j), PAT_OK); /* reads, and writes anew */
    assert_int_equal(pat_journal_pending(j), 5);
    close_spool(f, j);
    spool_text(f->path, after, sizeof after);
    assert_string_equal(after, before);
}

static void test_spool__forgets_a_torn_line_and_parks_a_broken_one(void **state)
{
    struct fixture *f = *state;
    struct pat_journal *j;
    char parked[64], text[200];

    assert_int_equal(open_spool(f, &j), PAT_OK);
    assert_int_equal(add(j, 2), PAT_OK);
    close_spool(f, j);
    append(f->path, "this is no entry\n{\"q\":[]}\n");
    append(f->path, "{\"q\":[{\"n\":null,\"s\":\"select 1\",\"p\":[]}]}\n");
    append(f->path, "{\"s\":\"pat.call.v1.routed.-.k\",\"i\":\"0192");
    assert_int_equal(open_spool(f, &j), PAT_OK);
    assert_int_equal(pat_journal_pending(j), 3);
    snprintf(parked, sizeof parked, "%s.parked", f->path);
    spool_text(parked, text, sizeof text);
    assert_string_equal(text, "this is no entry\n{\"q\":[]}\n");
    unlink(parked);
    assert_int_equal(add(j, 1), PAT_OK);
    close_spool(f, j);
    assert_int_equal(open_spool(f, &j), PAT_OK); /* the torn end did not eat the new entry */
    assert_int_equal(pat_journal_pending(j), 4);
    close_spool(f, j);
}

static void test_spool__does_not_bring_back_what_was_stored(void **state)
{
    struct fixture *f = *state;
    struct pat_journal *j;

    assert_int_equal(open_spool(f, &j), PAT_OK);
    assert_int_equal(add(j, 2), PAT_OK);
    close_spool(f, j);
    append(f->path, "-\n");
    append(f->path, "{\"q\":[{\"n\":null,\"s\":\"select 1\",\"p\":[]}]}\n");
    assert_int_equal(open_spool(f, &j), PAT_OK);
    assert_int_equal(pat_journal_pending(j), 1);
    close_spool(f, j);
    append(f->path, "-\n");
    assert_int_equal(open_spool(f, &j), PAT_OK);
    assert_int_equal(pat_journal_pending(j), 0);
    close_spool(f, j);
}

/* The disk is full: EFBIG is to write(2) what ENOSPC is. */
static void let_files_grow(rlim_t to)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = to ? to : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_spool__on_a_full_disk_refuses_nothing_and_catches_up(void **state)
{
    struct fixture *f = *state;
    struct pat_journal *j;
    size_t n = 10;

    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(open_spool(f, &j), PAT_OK);
    assert_int_equal(add(j, 10), PAT_OK);
    pat_journal_sync(j);
    let_files_grow(64 << 10);
    for (; n < 40010; n += 1000) { /* far more than is kept for the next try */
        assert_int_equal(add(j, 1000), PAT_OK);
        pat_journal_sync(j);
    }
    assert_int_equal(pat_journal_pending(j), n);
    let_files_grow(0);
    assert_int_equal(add(j, 1), PAT_OK);
    close_spool(f, j);
    assert_int_equal(open_spool(f, &j), PAT_OK);
    assert_int_equal(pat_journal_pending(j), n + 1);
    close_spool(f, j);
}

static void test_spool__is_readable_by_its_owner_only(void **state)
{
    struct fixture *f = *state;
    struct pat_journal *j;
    struct stat st;

    unlink(f->path);
    assert_int_equal(open_spool(f, &j), PAT_OK);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    close_spool(f, j);
}

/* ---- told once ---- */

static int tell(struct pat_journal *j, const struct pat_id *id, size_t n_stmts)
{
    static const struct pat_db_stmt stmt = { "facts", "select 1", 0, NULL };

    return pat_journal_add(
        j,
        &(struct pat_event){
            .area = "call", .name = "ended", .key = "k", .source = "/patchbay/test", .id = id },
        pat_json_obj(), &stmt, n_stmts);
}

static int count_text(const char *text, const char *what)
{
    int n = 0;

    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

static void test_told__again_only_its_statements_run(void **state)
{
    struct fixture *f = *state;
    struct pat_id id = pat_event_id_once("k", "ended"), other = pat_id_new();
    struct pat_journal *j;
    char text[8192];

    assert_int_equal(open_spool(f, &j), PAT_OK);
    assert_false(pat_journal_told(j, &id));
    assert_int_equal(tell(j, &id, 1), PAT_OK);
    assert_true(pat_journal_told(j, &id));
    assert_false(pat_journal_told(j, &other));
    assert_int_equal(tell(j, &id, 1), PAT_OK);
    assert_int_equal(pat_journal_pending(j), 2);
    assert_int_equal(tell(j, &id, 0), PAT_OK); /* nothing is left of it */
    assert_int_equal(pat_journal_pending(j), 2);
    assert_int_equal(tell(j, &other, 1), PAT_OK);
    close_spool(f, j);
    spool_text(f->path, text, sizeof text);
    assert_int_equal(count_text(text, "\"specversion\""), 2);
    assert_int_equal(count_text(text, "select 1"), 3);
    assert_int_equal(open_spool(f, &j), PAT_OK); /* known to the next process, too */
    assert_true(pat_journal_told(j, &id) && pat_journal_told(j, &other));
    close_spool(f, j);
}

static void test_told__what_was_not_taken_may_be_told_again(void **state)
{
    struct fixture *f = *state;
    struct pat_id id = pat_id_new();
    struct pat_journal *j;

    assert_int_equal(open_spool(f, &j), PAT_OK);
    assert_int_equal(pat_journal_add(j, &(struct pat_event){ .area = "call", .id = &id },
                                     pat_json_obj(), NULL, 0),
                     PAT_EINVAL); /* without a source */
    assert_false(pat_journal_told(j, &id));
    assert_int_equal(tell(j, &id, 0), PAT_OK);
    assert_int_equal(pat_journal_pending(j), 1);
    close_spool(f, j);
}

static void test_told__the_last_4096_are_remembered(void **state)
{
    enum { REMEMBERED = 4096, N = 3 * REMEMBERED + 5 };
    struct fixture *f = *state;
    struct pat_id *ids = calloc(N, sizeof *ids);
    struct pat_journal *j;

    assert_non_null(ids);
    assert_int_equal(pat_journal_new(&j, f->loop, f->db, NULL, NULL), PAT_OK);
    for (int i = 0; i < N; i++) {
        ids[i] = i % 2 ? pat_id_new() : pat_event_id_once(ids[i ? i - 1 : 0].s, "ended");
        assert_int_equal(tell(j, &ids[i], 0), PAT_OK);
    }
    assert_int_equal(pat_journal_pending(j), N);
    for (int i = 0; i < N; i++)
        assert_int_equal(pat_journal_told(j, &ids[i]), i >= N - REMEMBERED);
    close_spool(f, j);
    free(ids);
}

static int round_trip(void *arg)
{
    struct fixture *f = arg;
    struct pat_journal *j;
    int err;

    assert_int_equal(truncate(f->path, 0), 0);
    err = open_spool(f, &j);
    if (err)
        return err;
    err = add(j, 3);
    close_spool(f, j);
    if (err)
        return err;
    err = open_spool(f, &j);
    if (err)
        return err;
    close_spool(f, j);
    return PAT_OK;
}

static void test_journal__survives_running_out_of_memory(void **state)
{
    pat_test_alloc_walk(round_trip, *state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_spool__is_the_same_after_a_round_trip),
        TEST(test_spool__forgets_a_torn_line_and_parks_a_broken_one),
        TEST(test_spool__does_not_bring_back_what_was_stored),
        TEST(test_spool__on_a_full_disk_refuses_nothing_and_catches_up),
        TEST(test_spool__is_readable_by_its_owner_only),
        TEST(test_told__again_only_its_statements_run),
        TEST(test_told__what_was_not_taken_may_be_told_again),
        TEST(test_told__the_last_4096_are_remembered),
        TEST(test_journal__survives_running_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
