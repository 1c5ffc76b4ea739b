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
    if (pat_json_parse(&j, openapi_json, openapi_json_len, &why))
        fail_msg("%s %s", why.path, why.what);
    assert_string_equal(pat_json_str_or(j, "openapi", ""), "3.1.0");
    assert_true(pat_json_size(pat_json_at(j, "paths")) >= 7);
}

/* "#/components/schemas/call" is at components.schemas.call. */
static void leads(const struct pat_json *whole, const char *ref, size_t len)
{
    char path[128];

    snprintf(path, sizeof path, "%.*s", (int)len, ref);
    for (char *slash = path; (slash = strchr(slash, '/'));)
        *slash = '.';
    if (!pat_json_at(whole, path))
        fail_msg("nothing at %s", path);
}

static void test_openapi__references_lead_somewhere(void **state)
{
    static const char mark[] = "\"$ref\": \"#/";
    PAT_AUTO_JSON j = NULL;
    int n = 0;

    (void)state;
    assert_int_equal(pat_json_parse(&j, openapi_json, openapi_json_len, NULL), PAT_OK);
    for (const char *s = openapi_json; (s = strstr(s, mark)); n++) {
        s += sizeof mark - 1;
        leads(j, s, strcspn(s, "\""));
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
