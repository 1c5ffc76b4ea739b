/* openapi_test.c - the API's description is JSON, and every reference in it leads somewhere. */
#include "switcher.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_openapi__is_strict_json(void **state)
{
    PAT_AUTO_JSON j = NULL;
    struct pat_json_err why = { 0 };

    (void)state;
    if (pat_json_parse(&j, openapi_json, strlen(openapi_json), &why))
        fail_msg("%s %s", why.path, why.what);
    assert_string_equal(pat_json_str_or(j, "openapi", ""), "3.1.0");
    assert_int_equal(pat_json_size(pat_json_at(j, "paths")), 7);
}

static void test_openapi__references_lead_somewhere(void **state)
{
    static const char mark[] = "\"$ref\":\"#/components/schemas/";
    PAT_AUTO_JSON j = NULL;
    const struct pat_json *schemas;
    int n = 0;

    (void)state;
    assert_int_equal(pat_json_parse(&j, openapi_json, strlen(openapi_json), NULL), PAT_OK);
    schemas = pat_json_at(j, "components.schemas");
    assert_non_null(schemas);
    for (const char *s = openapi_json; (s = strstr(s, mark)); n++) {
        char name[64];

        s += sizeof mark - 1;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(s, "\""), s);
        if (!pat_json_at(schemas, name))
            fail_msg("no schema %s", name);
    }
    assert_true(n > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_openapi__is_strict_json),
        cmocka_unit_test(test_openapi__references_lead_somewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
