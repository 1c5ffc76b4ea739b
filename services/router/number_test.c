/* number_test.c - phone numbers as carriers write them. */
#include "number.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_number__reads_what_carriers_send(void **state)
{
    static const struct {
        const char *sent, *number; /* NULL: there is none */
    } table[] = {
        { "+15550100002", "+15550100002" },
        { "15550100002", "+15550100002" },
        { " 15550100002", "+15550100002" },
        { "sip:+15550100002@carrier.example;user=phone", "+15550100002" },
        { "SIPS:15550100002@carrier.example", "+15550100002" },
        { "tel:+442079460000", "+442079460000" },
        { "+123456789012345", "+123456789012345" },
        { "+1234567890123456", NULL },
        { "+0123", NULL },
        { "+1", NULL },
        { "+", NULL },
        { "", NULL },
        { "anonymous", NULL },
        { "sip:anonymous@anonymous.invalid", NULL },
        { "+1555-010", NULL },
        { "+1555010000x", NULL },
        { "++15550100002", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char got[NUMBER_MAX] = "";
        int err = number_read(got, table[i].sent);

        assert_int_equal(err, table[i].number ? PAT_OK : PAT_EINVAL);
        assert_string_equal(got, table[i].number ? table[i].number : "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_number__reads_what_carriers_send) };

    return cmocka_run_group_tests_name("number", tests, NULL, NULL);
}
