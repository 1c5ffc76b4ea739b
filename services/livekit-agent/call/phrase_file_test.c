/* phrase_file_test.c - what is on disk comes back whole or not at all, and room is made for it. */
#include "phrase_file.h"

#include "../speech/opusio.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct rig {
    char dir[64];
    uint8_t key[PHRASE_KEY];
};

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof *r);

    (void)snprintf(r->dir, sizeof r->dir, "/tmp/patchbay-phrases-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    memset(r->key, 0xA5, sizeof r->key);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    struct dirent *e;
    DIR *d = opendir(r->dir);

    while (d && (e = readdir(d)) != NULL)
        (void)unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        (void)closedir(d);
    (void)rmdir(r->dir);
    free(r);
    return 0;
}

static struct phrase *phrase_of(int packets)
{
    struct phrase *p;

    assert_int_equal(phrase_new(&p), PAT_OK);
    for (int i = 0; i < packets; i++)
        assert_int_equal(phrase_add(p, opusio_silence, OPUSIO_SILENCE_LEN, i % 128), PAT_OK);
    return p;
}

static void write_one(const struct rig *r, const uint8_t key[PHRASE_KEY], int packets)
{
    struct phrase *p = phrase_of(packets);

    assert_int_equal(phrase_file_write(r->dir, key, p), PAT_OK);
    phrase_unref(p);
}

static void path_of(const struct rig *r, const uint8_t key[PHRASE_KEY], char out[200])
{
    int n = snprintf(out, 200, "%s/", r->dir);

    for (int i = 0; i < PHRASE_KEY; i++)
        n += snprintf(out + n, (size_t)(200 - n), "%02x", key[i]);
    (void)snprintf(out + n, (size_t)(200 - n), ".phrase");
}

static int64_t size_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

static void test_phrase_file__comes_back_as_it_was(void **state)
{
    const struct rig *r = *state;
    struct phrase *p;
    struct stat st;
    char path[200];
    size_t len;
    int level;

    assert_int_equal(phrase_file_read(r->dir, r->key, &p), PAT_ENOENT);
    write_one(r, r->key, 100);
    write_one(r, r->key, 100); /* again: it is replaced */
    assert_int_equal(phrase_file_read(r->dir, r->key, &p), PAT_OK);
    assert_int_equal(phrase_packets(p), 100);
    assert_memory_equal(phrase_packet(p, 99, &len, &level), opusio_silence, OPUSIO_SILENCE_LEN);
    assert_int_equal(len, OPUSIO_SILENCE_LEN);
    assert_int_equal(level, 99);
    phrase_unref(p);
    path_of(r, r->key, path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600); /* nobody else's */
}

static void test_phrase_file__damage_is_absence(void **state)
{
    const struct rig *r = *state;
    char path[200];
    int64_t whole;

    write_one(r, r->key, 20);
    path_of(r, r->key, path);
    whole = size_of(path);
    for (int64_t at = 0; at < whole; at += 7) {
        struct phrase *p;
        char byte;
        int fd;

        write_one(r, r->key, 20);
        fd = open(path, O_RDWR);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x40;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        (void)close(fd);
        assert_int_equal(phrase_file_read(r->dir, r->key, &p), PAT_EPROTO);
        assert_null(p);
        assert_int_equal(size_of(path), -1); /* it is gone */
        write_one(r, r->key, 20);
        assert_int_equal(truncate(path, at), 0);
        assert_int_equal(phrase_file_read(r->dir, r->key, &p), PAT_EPROTO);
        assert_null(p);
    }
}

static void test_phrase_file__another_key_is_another_phrase(void **state)
{
    const struct rig *r = *state;
    uint8_t other[PHRASE_KEY];
    char from[200], to[200];
    struct phrase *p;

    memset(other, 1, sizeof other);
    write_one(r, r->key, 5);
    path_of(r, r->key, from);
    path_of(r, other, to);
    assert_int_equal(rename(from, to), 0); /* under a name that is not its own */
    assert_int_equal(phrase_file_read(r->dir, other, &p), PAT_EPROTO);
}

static void set_age(const char *path, int seconds)
{
    struct timespec t[2] = { { .tv_nsec = UTIME_NOW }, { .tv_sec = time(NULL) - seconds } };

    assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

static void test_phrase_dir__forgets_what_was_longest_not_used(void **state)
{
    const struct rig *r = *state;
    struct phrase_index x = { 0 };
    uint8_t key[PHRASE_KEY] = { 0 };
    uint64_t each;
    char path[200];
    int kept = 0;

    for (int i = 0; i < 20; i++) {
        key[0] = (uint8_t)(i + 1);
        write_one(r, key, 50);
        path_of(r, key, path);
        set_age(path, 1000 - i);
    }
    each = (uint64_t)size_of(path);
    key[0] = 1; /* the oldest is used */
    phrase_file_touch(r->dir, key);
    assert_int_equal(phrase_dir_scan(r->dir, 10 * each, &x), PAT_OK);
    assert_true(x.bytes <= 10 * each && x.bytes >= 8 * each);
    for (int i = 0; i < 20; i++) {
        key[0] = (uint8_t)(i + 1);
        path_of(r, key, path);
        assert_int_equal(phrase_index_has(&x, key), size_of(path) >= 0);
        kept += phrase_index_has(&x, key);
    }
    assert_int_equal(kept, (int)(x.bytes / each));
    key[0] = 1;
    assert_true(phrase_index_has(&x, key));
    key[0] = 20;
    assert_true(phrase_index_has(&x, key));
    key[0] = 2;
    assert_false(phrase_index_has(&x, key));
    phrase_index_fini(&x);
}

static void test_phrase_dir__sees_what_others_wrote_and_no_rubbish(void **state)
{
    const struct rig *r = *state;
    struct phrase_index x = { 0 };
    char path[200];
    uint8_t other[PHRASE_KEY];
    int fd;

    memset(other, 7, sizeof other);
    assert_int_equal(phrase_dir_make(r->dir), PAT_OK);
    assert_int_equal(phrase_dir_scan(r->dir, 1 << 20, &x), PAT_OK);
    assert_int_equal(x.n, 0);
    (void)snprintf(path, sizeof path, "%s/left.123.tmp", r->dir); /* by a process that died */
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    (void)close(fd);
    set_age(path, 3600);
    write_one(r, other, 5);
    x.changed_ns = 1;
    assert_int_equal(phrase_dir_scan(r->dir, 1 << 20, &x), PAT_OK);
    assert_true(phrase_index_has(&x, other));
    assert_false(phrase_index_has(&x, r->key));
    assert_int_equal(size_of(path), -1);
    phrase_index_fini(&x);
    assert_int_equal(phrase_dir_scan("/nowhere", 1, &x), PAT_EIO);
    assert_int_equal(phrase_dir_make("/proc/nowhere"), PAT_EIO);
}

#define FILE_TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(test_phrase_file__comes_back_as_it_was),
        FILE_TEST(test_phrase_file__damage_is_absence),
        FILE_TEST(test_phrase_file__another_key_is_another_phrase),
        FILE_TEST(test_phrase_dir__forgets_what_was_longest_not_used),
        FILE_TEST(test_phrase_dir__sees_what_others_wrote_and_no_rubbish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
