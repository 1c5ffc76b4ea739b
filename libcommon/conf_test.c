/* conf_test.c - settings from the environment and from files. */
#include "test/cmocka.h"

#include "conf.h"
#include "json.h"
#include "log.h"
#include "test/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings {
    char *text;
    char *secret;
    char *url;
    char *addr;
    int64_t number;
    int64_t time_ms;
    bool flag;
    char *format;
    char *list;
};

#define AT(field) offsetof(struct settings, field)

static const struct pat_conf_row rows[] = {
    { "PAT_ADDR", PAT_CONF_ADDR, AT(addr), "127.0.0.1:8080", "where to listen", NULL, 0, 0, 0 },
    { "PAT_FLAG", PAT_CONF_BOOL, AT(flag), "false", "a switch", NULL, 0, 0, 0 },
    { "PAT_FORMAT", PAT_CONF_ENUM, AT(format), "text", "of the log", "json,text", 0, 0, 0 },
    { "PAT_LIST", PAT_CONF_LIST, AT(list), NULL, "several", NULL, 0, 0, 0 },
    { "PAT_NUMBER", PAT_CONF_INT, AT(number), "7", "how many", NULL, 1, 65535, 0 },
    { "PAT_SECRET", PAT_CONF_SECRET, AT(secret), NULL, "do not tell", NULL, 0, 0, 0 },
    { "PAT_TEXT", PAT_CONF_STR, AT(text), NULL, "anything", NULL, 0, 0, PAT_CONF_REQUIRED },
    { "PAT_TIME", PAT_CONF_MS, AT(time_ms), "3s", "how long", NULL, 0, 0, 0 },
    { "PAT_URL", PAT_CONF_URL, AT(url), NULL, "whom to ask", "http,https", 0, 0, 0 },
};

/* An environment: name, value, name, value ..., NULL. */
static const char *from_list(const char *name, void *arg)
{
    for (const char *const *env = arg; *env; env += 2)
        if (!strcmp(env[0], name))
            return env[1];
    return NULL;
}

static int load(struct settings *s, const char *const *env, struct pat_buf *errors)
{
    *s = (struct settings){ .text = NULL };
    pat_buf_init(errors, 100000);
    return pat_conf_load(rows, PAT_COUNT(rows), s, from_list, (void *)env, errors);
}

static void test_conf__defaults_hold_where_nothing_is_set(void **state)
{
    static const char *const env[] = { "PAT_TEXT", "x", "PAT_NUMBER", "", NULL };
    struct pat_buf errors;
    struct settings s;

    (void)state;
    assert_int_equal(load(&s, env, &errors), PAT_OK);
    assert_int_equal(errors.len, 0);
    assert_string_equal(s.addr, "127.0.0.1:8080");
    assert_false(s.flag);
    assert_string_equal(s.format, "text");
    assert_string_equal(s.list, "");
    assert_int_equal(s.number, 7); /* set to nothing is not set */
    assert_string_equal(s.secret, "");
    assert_string_equal(s.text, "x");
    assert_int_equal(s.time_ms, 3000);
    assert_string_equal(s.url, "");
    pat_conf_free(rows, PAT_COUNT(rows), &s);
    assert_null(s.addr);
    pat_conf_free(rows, PAT_COUNT(rows), &s);
    pat_buf_fini(&errors);
}

static void test_conf__reports_all_faults_at_once(void **state)
{
    static const char *const env[] = { "PAT_NUMBER", "foo",      "PAT_FORMAT", "xml", "PAT_FLAG",
                                       "maybe",      "PAT_ADDR", "nowhere",    NULL };
    struct pat_buf errors;
    struct settings s;

    (void)state;
    assert_int_equal(load(&s, env, &errors), PAT_EINVAL);
    assert_string_equal(
        errors.data,
        "PAT_ADDR: must be address:port, [v6]:port or localhost:port, got \"nowhere\"\n"
        "PAT_FLAG: must be true or false, got \"maybe\"\n"
        "PAT_FORMAT: must be one of json,text, got \"xml\"\n"
        "PAT_NUMBER: must be 1..65535, got \"foo\"\n"
        "PAT_TEXT: is required\n");
    assert_null(s.url); /* nothing is left to free */
    pat_buf_fini(&errors);
}

/* Loads one row, with one value, into *s. */
static int load_one(const char *name, const char *value, struct settings *s)
{
    const char *const env[] = { "PAT_TEXT", "x", name, value, NULL };
    struct pat_buf errors;
    int err = load(s, env, &errors);

    assert_true(!err == !errors.len);
    pat_buf_fini(&errors);
    return err;
}

static void test_conf__numbers(void **state)
{
    static const struct {
        const char *name;
        const char *value;
        int64_t want; /* -1: refused */
    } cases[] = {
        { "PAT_NUMBER", "1", 1 },
        { "PAT_NUMBER", "65535", 65535 },
        { "PAT_NUMBER", "0", -1 },
        { "PAT_NUMBER", "65536", -1 },
        { "PAT_NUMBER", "12x", -1 },
        { "PAT_NUMBER", " 12", -1 },
        { "PAT_NUMBER", "+12", -1 },
        { "PAT_NUMBER", "0x10", -1 },
        { "PAT_NUMBER", "1.5", -1 },
        { "PAT_NUMBER", "-", -1 },
        { "PAT_NUMBER", "99999999999999999999", -1 },
        { "PAT_TIME", "250ms", 250 },
        { "PAT_TIME", "3s", 3000 },
        { "PAT_TIME", "5m", 300000 },
        { "PAT_TIME", "1h", 3600000 },
        { "PAT_TIME", "1234", 1234 },
        { "PAT_TIME", "0", 0 },
        { "PAT_TIME", "3 s", -1 },
        { "PAT_TIME", "3d", -1 },
        { "PAT_TIME", "s", -1 },
        { "PAT_TIME", "1.5s", -1 },
        { "PAT_TIME", "9223372036854775807h", -1 },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(cases); i++) {
        struct settings s;
        int err = load_one(cases[i].name, cases[i].value, &s);

        assert_int_equal(err, cases[i].want < 0 ? PAT_EINVAL : PAT_OK);
        if (!err)
            assert_int_equal(cases[i].name[4] == 'N' ? s.number : s.time_ms, cases[i].want);
        pat_conf_free(rows, PAT_COUNT(rows), &s);
    }
}

static void test_conf__texts_with_a_rule(void **state)
{
    static const struct {
        const char *name;
        const char *value;
        bool fine;
    } cases[] = {
        { "PAT_URL", "https://a.example/x?y=1", true },
        { "PAT_URL", "http://[::1]:80/", true },
        { "PAT_URL", "https://user:pw@a.example", true },
        { "PAT_URL", "http://a.example,http://b.example", true },
        { "PAT_URL", "http://a.example,http://", false },
        { "PAT_URL", "http:///?host=/run/x", true },
        { "PAT_URL", "ftp://a.example", false },
        { "PAT_URL", "HTTPS://a.example", false },
        { "PAT_URL", "https:/a.example", false },
        { "PAT_URL", "https://", false },
        { "PAT_URL", "https:///path", false },
        { "PAT_URL", "https://user@", false },
        { "PAT_URL", "https://:80", false },
        { "PAT_URL", "a.example", false },
        { "PAT_URL", "https://a.example/a b", false },
        { "PAT_URL", "https://a.example/\n", false },
        { "PAT_ADDR", "0.0.0.0:0", true },
        { "PAT_ADDR", "localhost:65535", true },
        { "PAT_ADDR", "[::1]:8080", true },
        { "PAT_ADDR", "::1:8080", false },
        { "PAT_ADDR", "[::1]", false },
        { "PAT_ADDR", "[nope]:1", false },
        { "PAT_ADDR", "[::1:8080", false },
        { "PAT_ADDR", ":8080", false },
        { "PAT_ADDR", "relay.example:8080", false }, /* it would not start */
        { "PAT_ADDR", "256.0.0.1:8080", false },
        { "PAT_ADDR", "127.0.0.1:", false },
        { "PAT_ADDR", "127.0.0.1:65536", false },
        { "PAT_ADDR", "127.0.0.1:-1", false },
        { "PAT_ADDR", "127.0.0.1:8x", false },
        { "PAT_ADDR", "http://h:80", false },
        { "PAT_FLAG", "Yes", true },
        { "PAT_FLAG", "off", true },
        { "PAT_FLAG", "2", false },
        { "PAT_FORMAT", "json", true },
        { "PAT_FORMAT", "jso", false },
        { "PAT_FORMAT", "json,text", false },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(cases); i++) {
        struct settings s;

        if (load_one(cases[i].name, cases[i].value, &s) != (cases[i].fine ? PAT_OK : PAT_EINVAL))
            fail_msg("%s=%s", cases[i].name, cases[i].value);
        pat_conf_free(rows, PAT_COUNT(rows), &s);
    }
}

static void test_conf__lists_are_tidied(void **state)
{
    static const char *const cases[][2] = {
        { "a", "a" },     { " a , b ,,\tc", "a,b,c" }, { ",", "" }, { "a b, c", "a b,c" },
        { " ,x, ", "x" },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(cases); i++) {
        struct settings s;

        assert_int_equal(load_one("PAT_LIST", cases[i][0], &s), PAT_OK);
        assert_string_equal(s.list, cases[i][1]);
        pat_conf_free(rows, PAT_COUNT(rows), &s);
    }
}

struct file {
    char path[32];
};

static struct file file_with(const void *data, size_t len)
{
    struct file f = { "/tmp/pat_conf_test.XXXXXX" };
    int fd = mkstemp(f.path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
    return f;
}

static void test_conf__a_file_holds_the_value(void **state)
{
    static const struct {
        const char *text;
        const char *value;
    } cases[] = {
        { "s3cret\n", "s3cret" },
        { "s3cret", "s3cret" },
        { "s3cret\r\n", "s3cret" },
        { "two\nlines\n\n", "two\nlines\n" },
        { "", "" },
        { "\n", "" },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(cases); i++) {
        struct file f = file_with(cases[i].text, strlen(cases[i].text));
        struct settings s;

        assert_int_equal(load_one("PAT_SECRET_FILE", f.path, &s), PAT_OK);
        assert_string_equal(s.secret, cases[i].value);
        pat_conf_free(rows, PAT_COUNT(rows), &s);
        unlink(f.path);
    }
}

static void test_conf__a_file_that_cannot_be_used_is_a_fault(void **state)
{
    static char large[65537];
    struct file big;
    struct file nul;
    struct settings s;

    (void)state;
    memset(large, 'x', sizeof large);
    big = file_with(large, sizeof large);
    nul = file_with("a\0b", 3);
    assert_int_equal(load_one("PAT_SECRET_FILE", "/nowhere/at/all", &s), PAT_EINVAL);
    assert_int_equal(load_one("PAT_SECRET_FILE", "/tmp", &s), PAT_EINVAL);
    assert_int_equal(load_one("PAT_SECRET_FILE", big.path, &s), PAT_EINVAL);
    assert_int_equal(load_one("PAT_SECRET_FILE", nul.path, &s), PAT_EINVAL);
    unlink(big.path);
    unlink(nul.path);
}

static void test_conf__a_value_and_a_file_contradict(void **state)
{
    static const char *const env[] = { "PAT_TEXT", "x", "PAT_TEXT_FILE", "/etc/hostname", NULL };
    struct pat_buf errors;
    struct settings s;

    (void)state;
    assert_int_equal(load(&s, env, &errors), PAT_EINVAL);
    assert_string_equal(errors.data,
                        "PAT_TEXT: is set, and so is PAT_TEXT_FILE: one of them must go\n");
    pat_buf_fini(&errors);
}

static void test_conf__a_refused_url_is_reported_without_its_password(void **state)
{
    static const char *const env[] = { "PAT_TEXT", "x", "PAT_URL", "ftp://u:hidden@h/?token=hidden",
                                       NULL };
    struct pat_buf errors;
    struct settings s;

    (void)state;
    assert_int_equal(load(&s, env, &errors), PAT_EINVAL);
    assert_null(strstr(errors.data, "hidden"));
    assert_non_null(strstr(errors.data, "ftp://***@h/?token=***"));
    pat_buf_fini(&errors);
}

static void test_conf__unknown_finds_misspellings(void **state)
{
    char *env[] = { "PAT_TEXT=1", "PAT_TEXTS=1", "PAT_SECRET_FILE=x", "PAT_URL_FILES=",
                    "HOME=/",     "PAT_",        "PAT_TEX",           NULL };
    struct pat_buf out;

    (void)state;
    pat_buf_init(&out, 1000);
    pat_conf_unknown(rows, PAT_COUNT(rows), "PAT_", env, &out);
    assert_string_equal(out.data, "PAT_TEXTS PAT_URL_FILES PAT_ PAT_TEX");
    pat_buf_fini(&out);
}

static void test_conf__help_lists_every_row(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);

    (void)state;
    assert_non_null(f);
    pat_conf_help(rows, PAT_COUNT(rows), f);
    fclose(f);
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        assert_non_null(strstr(text, rows[i].name));
        assert_non_null(strstr(text, rows[i].help));
    }
    assert_non_null(strstr(text, "PAT_TEXT=text  (required)"));
    assert_non_null(strstr(text, "PAT_NUMBER=number  (default 7)"));
    free(text);
}

/* What pat_conf_log writes for env, as a tree. */
static struct pat_json *logged(const char *const *env)
{
    struct pat_json *j = NULL;
    struct pat_buf errors;
    struct settings s;
    char text[5000];
    int ends[2];
    ssize_t n;

    assert_int_equal(load(&s, env, &errors), PAT_OK);
    assert_int_equal(pipe(ends), 0);
    pat_log_setup(&(struct pat_log_opts){ "test", PAT_INFO, true, ends[1] });
    pat_conf_log(rows, PAT_COUNT(rows), &s);
    n = read(ends[0], text, sizeof text);
    assert_true(n > 0);
    assert_int_equal(pat_json_parse(&j, text, (size_t)n, NULL), PAT_OK);
    close(ends[0]);
    close(ends[1]);
    pat_conf_free(rows, PAT_COUNT(rows), &s);
    pat_buf_fini(&errors);
    return j;
}

static void test_conf__log_shows_values_but_no_secrets(void **state)
{
    static const struct {
        const char *url;
        const char *shown;
    } cases[] = {
        { "https://h/p", "https://h/p" },
        { "https://u:hidden@h:1/p", "https://***@h:1/p" },
        { "https://u:hid@den@h/p", "https://***@h/p" },
        { "https://h/p@q", "https://h/p@q" },
        { "http://u:hidden@a,http://u:hidden@b/x", "http://***@a,http://***@b/x" },
        { "https://h/?sslPassword=hidden&x=1&api_key=hidden#f",
          "https://h/?sslPassword=***&x=1&api_key=***#f" },
        { "https://h/?x", "https://h/?x" },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(cases); i++) {
        const char *const env[] = { "PAT_TEXT", "shown",      "PAT_SECRET", "hidden",
                                    "PAT_URL",  cases[i].url, NULL };
        PAT_AUTO_JSON j = logged(env);

        assert_string_equal(pat_json_str_or(j, "event", ""), "config");
        assert_string_equal(pat_json_str_or(j, "PAT_URL", ""), cases[i].shown);
        assert_string_equal(pat_json_str_or(j, "PAT_SECRET", ""), "***");
        assert_string_equal(pat_json_str_or(j, "PAT_TEXT", ""), "shown");
        assert_int_equal(pat_json_int_or(j, "PAT_TIME", 0), 3000);
        assert_false(pat_json_bool_or(j, "PAT_FLAG", true));
    }
}

static void test_conf__reads_the_real_environment(void **state)
{
    struct settings s = { .text = NULL };
    struct pat_buf errors;

    (void)state;
    pat_buf_init(&errors, 1000);
    setenv("PAT_TEXT", "from outside", 1);
    assert_int_equal(pat_conf_load(rows, PAT_COUNT(rows), &s, NULL, NULL, &errors), PAT_OK);
    assert_string_equal(s.text, "from outside");
    unsetenv("PAT_TEXT");
    pat_conf_free(rows, PAT_COUNT(rows), &s);
    pat_buf_fini(&errors);
}

static int load_and_log(void *arg)
{
    static const char *const env[] = { "PAT_TEXT", "x", "PAT_URL", "https://u:p@h/", NULL };
    const char *const with_file[] = { "PAT_TEXT", "x", "PAT_SECRET_FILE", arg, NULL };
    struct pat_buf errors;
    struct settings s;
    int err = load(&s, env, &errors);

    if (!err)
        pat_conf_log(rows, PAT_COUNT(rows), &s);
    pat_conf_free(rows, PAT_COUNT(rows), &s);
    pat_buf_fini(&errors);
    if (err)
        return err;
    err = load(&s, with_file, &errors);
    pat_conf_free(rows, PAT_COUNT(rows), &s);
    pat_buf_fini(&errors);
    return err;
}

static void test_conf__survives_each_allocation_failing(void **state)
{
    struct file f = file_with("secret\n", 7);

    (void)state;
    pat_log_setup(&(struct pat_log_opts){ "test", PAT_INFO, true, -1 });
    pat_test_alloc_walk(load_and_log, f.path);
    unlink(f.path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conf__defaults_hold_where_nothing_is_set),
        cmocka_unit_test(test_conf__reports_all_faults_at_once),
        cmocka_unit_test(test_conf__numbers),
        cmocka_unit_test(test_conf__texts_with_a_rule),
        cmocka_unit_test(test_conf__lists_are_tidied),
        cmocka_unit_test(test_conf__a_file_holds_the_value),
        cmocka_unit_test(test_conf__a_file_that_cannot_be_used_is_a_fault),
        cmocka_unit_test(test_conf__a_value_and_a_file_contradict),
        cmocka_unit_test(test_conf__a_refused_url_is_reported_without_its_password),
        cmocka_unit_test(test_conf__unknown_finds_misspellings),
        cmocka_unit_test(test_conf__help_lists_every_row),
        cmocka_unit_test(test_conf__log_shows_values_but_no_secrets),
        cmocka_unit_test(test_conf__reads_the_real_environment),
        cmocka_unit_test(test_conf__survives_each_allocation_failing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
