/* remote_test.c - which addresses of a vendor's recordings are followed. */
#include "remote.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_remote__follows_only_the_origins_that_are_set(void **state)
{
    static const char origins[] = "https://a.example, https://b.example:8443,http://127.0.0.1:80";
    static const struct {
        const char *url;
        bool trusted;
    } table[] = {
        { "https://a.example/call/recording.wav", true },
        { "https://a.example/x?Signature=a%2Fb~c&until=1", true },
        { "HTTPS://A.example/x", true },
        { "https://b.example:8443/x", true },
        { "http://127.0.0.1:80/x", true },
        { "http://a.example/x", false },
        { "https://a.example", false },
        { "https://a.example?x", false },
        { "https://a.example:8443/x", false },
        { "https://a.example:443@evil.example/x", false },
        { "https://a.example@evil.example/x", false },
        { "https://user@a.example/x", false },
        { "https://a.example.evil.example/x", false },
        { "https://a.example./x", false },
        { "https://xa.example/x", false },
        { "https://b.example/x", false },
        { "http://127.0.0.1:8080/x", false },
        { "https:/a.example/x", false },
        { "//a.example/x", false },
        { "file:///etc/passwd", false },
        { "https://a.example/\\@evil.example", false },
        { "https://a.example/x\r\nHost: evil.example", false },
        { "https://a.example/x y", false },
        { " https://a.example/x", false },
        { "", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        print_message("%s\n", table[i].url);
        assert_int_equal(remote_trusted(origins, table[i].url), table[i].trusted);
        assert_false(remote_trusted("", table[i].url));
    }
}

static void test_remote__says_which_origin_is_none(void **state)
{
    static const char *const good[] = { "", "https://a.example", "https://a.example,",
                                        "https://a.example:8443 , http://127.0.0.1:80" };
    static const char *const bad[] = {
        "a.example",       "https://",          "https://a.example/",         "https://a@b.example",
        "ftp://a.example", "https://*.example", "https://a.example,b.example"
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_null(remote_fault(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_non_null(remote_fault(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remote__follows_only_the_origins_that_are_set),
        cmocka_unit_test(test_remote__says_which_origin_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
