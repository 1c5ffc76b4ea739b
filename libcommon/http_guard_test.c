/* http_guard_test.c - which addresses are public. */
#include "test/cmocka.h"

#include "http_guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static bool is_public(const char *text)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return http_guard_public((const struct sockaddr *)&v4);
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return http_guard_public((const struct sockaddr *)&v6);
}

static void test_public__is_what_the_internet_routes(void **state)
{
    static const char *const open[] = {
        "8.8.8.8",     "1.1.1.1",        "9.255.255.255",        "11.0.0.0",
        "100.63.0.1",  "100.128.0.1",    "172.15.255.255",       "172.32.0.0",
        "192.0.1.0",   "192.167.0.1",    "198.17.255.255",       "198.20.0.0",
        "223.255.0.1", "2606:4700::111", "2a00:1450:4001::200e", "2001:4860:4860::8888",
    };
    static const char *const closed[] = {
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001:0:1::1",
        "2001:db8::1",
        "2002:a00:1::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "5f00::1",
        "3fff::1",
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(open); i++)
        if (!is_public(open[i]))
            fail_msg("%s is public", open[i]);
    for (size_t i = 0; i < PAT_COUNT(closed); i++)
        if (is_public(closed[i]))
            fail_msg("%s is not public", closed[i]);
}

static void test_public__knows_no_other_families(void **state)
{
    struct sockaddr_in6 other;

    (void)state;
    memset(&other, 0, sizeof other);
    other.sin6_family = AF_UNIX;
    assert_false(http_guard_public((const struct sockaddr *)&other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public__is_what_the_internet_routes),
        cmocka_unit_test(test_public__knows_no_other_families),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
