/* tz_test.c - zones against what the C library says of them, and the hours that do not exist. */
#include "test/cmocka.h"

#include "test/alloc.h"
#include "tz.h"
#include "tz_rule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const zones[] = {
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Europe/Dublin",
    "Africa/Casablanca",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Asia/Gaza",
};

/* This program has one thread: the library's own zone may be moved about. */
static int32_t library_offset(const char *zone, int64_t unix_s)
{
    time_t t = (time_t)unix_s;
    struct tm tm;

    setenv("TZ", zone, 1);
    tzset();
    localtime_r(&t, &tm);
    return (int32_t)tm.tm_gmtoff;
}

static struct pat_tz *load(const char *name)
{
    struct pat_tz *z = NULL;

    assert_int_equal(pat_tz_load(&z, name), PAT_OK);
    return z;
}

static void test_offset__agrees_with_the_c_library(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAT_COUNT(zones); i++) {
        struct pat_tz *z = load(zones[i]);

        /* 1971 to 2090, every 31 hours or so: behind the file's last transition, too */
        for (int64_t t = 31536000; t < 3786912000; t += 111600 + 977 * (int64_t)i)
            if (pat_tz_offset(z, t) != library_offset(zones[i], t))
                fail_msg("%s at %lld: %d, not %d", zones[i], (long long)t, pat_tz_offset(z, t),
                         library_offset(zones[i], t));
        pat_tz_free(z);
    }
}

static void test_local__and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAT_COUNT(zones); i++) {
        struct pat_tz *z = load(zones[i]);

        for (int64_t t = 31536000; t < 3786912000; t += 1111111) {
            struct pat_local l;
            int64_t back;

            pat_tz_local(z, t, &l);
            assert_int_equal(pat_tz_unix(z, &l, &back), PAT_OK);
            /* A time that comes twice gives the first. */
            if (back != t && !(back < t && t - back <= 10800))
                fail_msg("%s: %lld came back as %lld", zones[i], (long long)t, (long long)back);
        }
        pat_tz_free(z);
    }
}

static void test_unix__knows_hours_that_do_not_exist(void **state)
{
    static const struct {
        const char *zone, *local;
        int err;
        int64_t unix_s;
    } rows[] = {
        { "Europe/Berlin", "2026-11-23T15:30", PAT_OK, 1795444200 },
        { "America/New_York", "2026-11-23 09:30:00", PAT_OK, 1795444200 },
        { "Asia/Kolkata", "2026-11-23T20:00", PAT_OK, 1795444200 },
        { "Europe/Berlin", "2027-03-28T02:30", PAT_ENOENT, 0 },
        { "Europe/Berlin", "2027-03-28T03:00", PAT_OK, 1806195600 },
        { "Europe/Berlin", "2026-10-25T02:30", PAT_OK, 1792888200 }, /* the first of two */
        { "Europe/Berlin", "2026-02-29T12:00", PAT_EINVAL, 0 },
        { "Europe/Berlin", "2028-02-29T12:00", PAT_OK, 1835434800 },
        { "Europe/Berlin", "2026-13-01T12:00", PAT_EINVAL, 0 },
        { "Europe/Berlin", "2026-11-23T24:00", PAT_EINVAL, 0 },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        struct pat_tz *z = load(rows[i].zone);
        struct pat_local l;
        int64_t t = 0;
        int32_t offset;
        bool has;

        assert_int_equal(pat_local_parse(rows[i].local, &l, &has, &offset), PAT_OK);
        assert_false(has);
        assert_int_equal(pat_tz_unix(z, &l, &t), rows[i].err);
        if (!rows[i].err)
            assert_int_equal(t, rows[i].unix_s);
        pat_tz_free(z);
    }
}

static void test_parse__takes_offsets_and_refuses_chatter(void **state)
{
    static const struct {
        const char *text;
        int err;
        bool has;
        int32_t offset_s;
    } rows[] = {
        { "2026-11-23T15:30Z", PAT_OK, true, 0 },
        { "2026-11-23T15:30:10.250Z", PAT_OK, true, 0 },
        { "2026-11-23T15:30+01:00", PAT_OK, true, 3600 },
        { "2026-11-23T15:30-0530", PAT_OK, true, -19800 },
        { "2026-11-23T15:30+01", PAT_OK, true, 3600 },
        { "2026-11-23", PAT_EINVAL, false, 0 },
        { "tomorrow at three", PAT_EINVAL, false, 0 },
        { "2026-11-23T15", PAT_EINVAL, false, 0 },
        { "2026-11-23T15:30 Europe", PAT_EINVAL, false, 0 },
        { "2026-11-23T15:30+99:00", PAT_EINVAL, false, 0 },
        { "2026-11-23X15:30", PAT_EINVAL, false, 0 },
        { "", PAT_EINVAL, false, 0 },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        struct pat_local l;
        int32_t offset = 0;
        bool has = false;

        if (pat_local_parse(rows[i].text, &l, &has, &offset) != rows[i].err)
            fail_msg("%s", rows[i].text);
        if (!rows[i].err) {
            assert_int_equal(has, rows[i].has);
            assert_int_equal(offset, rows[i].offset_s);
        }
    }
}

static void test_load__stays_in_its_folder(void **state)
{
    struct pat_tz *z = NULL;

    (void)state;
    assert_int_equal(pat_tz_load(&z, "../../../etc/passwd"), PAT_EINVAL);
    assert_int_equal(pat_tz_load(&z, "/etc/localtime"), PAT_EINVAL);
    assert_int_equal(pat_tz_load(&z, ""), PAT_EINVAL);
    assert_int_equal(pat_tz_load(&z, "Europe/"), PAT_EINVAL);
    assert_int_equal(pat_tz_load(&z, "Europe/Atlantis"), PAT_ENOENT);
    assert_int_equal(pat_tz_load(&z, "Europe"), PAT_EPROTO); /* a folder */
    assert_null(z);
}

static void test_parse__refuses_broken_files(void **state)
{
    uint8_t bytes[4096];
    FILE *f = fopen(PAT_TZ_DIR "/Europe/Berlin", "re");
    size_t len;

    (void)state;
    assert_non_null(f);
    len = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    for (size_t n = 0; n < len; n++) {
        struct pat_tz *z = NULL;

        assert_int_equal(pat_tz_parse(&z, bytes, n), PAT_EPROTO);
    }
}

static void test_rule__reads_all_three_kinds_of_days(void **state)
{
    struct tz_rule r;

    (void)state;
    assert_int_equal(tz_rule_parse(&r, "<+03>-3"), PAT_OK);
    assert_int_equal(tz_rule_offset(&r, 0), 10800);
    assert_int_equal(tz_rule_parse(&r, "AAA5BBB4:30,J60/0,300/-2:30"), PAT_OK);
    assert_int_equal(r.std_s, -18000);
    assert_int_equal(r.dst_s, -16200);
    assert_int_equal(r.end.time_s, -9000);
    /* 1 March 2028, a leap year, midnight local standard time */
    assert_int_equal(tz_rule_offset(&r, 1835499600), -16200);
    assert_int_equal(tz_rule_offset(&r, 1835499599), -18000);
    assert_int_equal(tz_rule_parse(&r, "AAA"), PAT_EPROTO);
    assert_int_equal(tz_rule_parse(&r, "AA5"), PAT_EPROTO);
    assert_int_equal(tz_rule_parse(&r, "AAA5BBB"), PAT_EPROTO);
    assert_int_equal(tz_rule_parse(&r, "AAA5BBB,M0.1.0,M10.5.0"), PAT_EPROTO);
    assert_int_equal(tz_rule_parse(&r, "AAA5BBB,M3.1.0,M10.5.0x"), PAT_EPROTO);
}

static int walk(void *arg)
{
    struct pat_tz *z;
    int err = pat_tz_load(&z, "Europe/Berlin");

    (void)arg;
    if (!err)
        pat_tz_free(z);
    if (!err)
        err = pat_tz_load(&z, "UTC");
    if (!err)
        pat_tz_free(z);
    return err;
}

static void test_load__survives_lack_of_memory(void **state)
{
    (void)state;
    pat_test_alloc_walk(walk, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offset__agrees_with_the_c_library),
        cmocka_unit_test(test_local__and_back),
        cmocka_unit_test(test_unix__knows_hours_that_do_not_exist),
        cmocka_unit_test(test_parse__takes_offsets_and_refuses_chatter),
        cmocka_unit_test(test_load__stays_in_its_folder),
        cmocka_unit_test(test_parse__refuses_broken_files),
        cmocka_unit_test(test_rule__reads_all_three_kinds_of_days),
        cmocka_unit_test(test_load__survives_lack_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
