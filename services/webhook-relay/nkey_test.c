/* nkey_test.c - one wrong key would stop nats-server from reading any. */
#include "test/cmocka.h"

#include "subscribers.h"

static void test_nkey__only_a_users_public_key(void **state)
{
    /* A user's; with its last, first and a middle character changed; an account's and a server's of
     * the same bytes; one too short, one too long; not in base32. */
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {
        { "UA4GJGCJY57NOYUQTK4V46STHPL7NLWB245BLQ6LHD55OLJZMHJDNQPB", true },
        { "UA4GJGCJY57NOYUQTK4V46STHPL7NLWB245BLQ6LHD55OLJZMHJDNQPA", false },
        { "AA4GJGCJY57NOYUQTK4V46STHPL7NLWB245BLQ6LHD55OLJZMHJDNQPB", false },
        { "UA4GJGCJY57NOYUQTK4VC6STHPL7NLWB245BLQ6LHD55OLJZMHJDNQPB", false },
        { "AA4GJGCJY57NOYUQTK4V46STHPL7NLWB245BLQ6LHD55OLJZMHJDMU46", false },
        { "NA4GJGCJY57NOYUQTK4V46STHPL7NLWB245BLQ6LHD55OLJZMHJDNJTK", false },
        { "UA4GJGCJY57NOYUQTK4V46STHPL7NLWB245BLQ6LHD55OLJZMHJDNQP", false },
        { "UA4GJGCJY57NOYUQTK4V46STHPL7NLWB245BLQ6LHD55OLJZMHJDNQPBA", false },
        { "ua4gjgcjy57noyuqtk4v46sthpl7nlwb245blq6lhd55oljzmhjdnqpb", false },
        { "UA4GJGCJY57NOYUQTK4V46STHPL7NLWB245BLQ6LHD55OLJZMHJDNQP1", false },
        { "", false },
        { "U", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(subscribers_nkey_valid(rows[i].text), rows[i].valid);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_nkey__only_a_users_public_key) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
