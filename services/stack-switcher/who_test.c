/* who_test.c - whose token is it, and is it one. */
#include "who.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECRET "a-secret-of-supabase-with-at-least-32-characters"
#define USER   "00000000-0000-4000-8000-00000000000a"
#define NOW    1764000000

static int ask(struct who *out, const char *claims_text, const char *secret, const char **why)
{
    PAT_AUTO_JSON claims = NULL;
    PAT_AUTO_STR token = NULL;
    char header[2048];

    assert_int_equal(pat_json_parse(&claims, claims_text, strlen(claims_text), NULL), PAT_OK);
    token = pat_jwt_hs256_sign(claims, secret);
    assert_non_null(token);
    snprintf(header, sizeof header, "Bearer %s", token);
    return who_read(out, header, &(struct who_keys){ SECRET, NULL }, NOW, why);
}

static void test_who__follows_the_table(void **state)
{
    static const struct {
        const char *claims;
        int err;
        const char *user;
        bool admin;
    } table[] = {
        { "{\"role\":\"authenticated\",\"aud\":\"authenticated\",\"sub\":\"" USER
          "\",\"exp\":1764000100}",
          PAT_OK, USER, false },
        { "{\"role\":\"authenticated\",\"aud\":[\"x\",\"authenticated\"],\"sub\":\"" USER
          "\",\"exp\":1764000100}",
          PAT_OK, USER, false },
        { "{\"role\":\"authenticated\",\"aud\":\"authenticated\",\"sub\":\"" USER
          "\",\"exp\":1764000100,\"app_metadata\":{\"role\":\"admin\"}}",
          PAT_OK, USER, true },
        /* What a user may write himself makes nobody an admin. */
        { "{\"role\":\"authenticated\",\"aud\":\"authenticated\",\"sub\":\"" USER
          "\",\"exp\":1764000100,\"user_metadata\":{\"role\":\"admin\"}}",
          PAT_OK, USER, false },
        { "{\"role\":\"authenticated\",\"aud\":\"authenticated\",\"sub\":"
          "\"A1B2C3D4-0000-4000-8000-0000000000FF\",\"exp\":1764000100}",
          PAT_OK, "a1b2c3d4-0000-4000-8000-0000000000ff", false },
        { "{\"role\":\"service_role\",\"iss\":\"supabase\",\"exp\":1764000100}", PAT_OK, "", true },
        { "{\"role\":\"anon\",\"aud\":\"authenticated\",\"sub\":\"" USER "\",\"exp\":1764000100}",
          PAT_EAUTH, NULL, false },
        { "{\"role\":\"authenticated\",\"aud\":\"other\",\"sub\":\"" USER "\",\"exp\":1764000100}",
          PAT_EAUTH, NULL, false },
        { "{\"role\":\"authenticated\",\"sub\":\"" USER "\",\"exp\":1764000100}", PAT_EAUTH, NULL,
          false },
        { "{\"role\":\"authenticated\",\"aud\":\"authenticated\",\"exp\":1764000100}", PAT_EAUTH,
          NULL, false },
        { "{\"role\":\"authenticated\",\"aud\":\"authenticated\",\"sub\":\"nobody\","
          "\"exp\":1764000100}",
          PAT_EAUTH, NULL, false },
        { "{\"role\":\"authenticated\",\"aud\":\"authenticated\",\"sub\":\"" USER
          "\",\"exp\":1763999900}",
          PAT_EAUTH, NULL, false },
        { "{\"role\":\"authenticated\",\"aud\":\"authenticated\",\"sub\":\"" USER "\"}", PAT_EAUTH,
          NULL, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct who w = { .user = "untouched" };
        const char *why = NULL;

        assert_int_equal(ask(&w, table[i].claims, SECRET, &why), table[i].err);
        assert_string_equal(w.user, table[i].err ? "untouched" : table[i].user);
        assert_int_equal(w.admin, table[i].admin);
        assert_int_equal(w.until_s, table[i].err ? 0 : 1764000130); /* and half a minute */
        assert_non_null(why);
    }
}

static void test_who__another_secret_is_refused(void **state)
{
    struct who w;
    const char *why;

    (void)state;
    assert_int_equal(ask(&w, "{\"role\":\"service_role\",\"exp\":1764000100}",
                         "another-secret-of-at-least-32-characters-", &why),
                     PAT_EAUTH);
}

static void test_who__needs_a_bearer_token(void **state)
{
    static const char *const headers[] = {
        NULL, "", "Bearer", "Bearer ", "Basic dTpw", "Bearer x"
    };
    struct who w;
    const char *why;

    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        assert_int_equal(who_read(&w, headers[i], &(struct who_keys){ SECRET, NULL }, NOW, &why),
                         PAT_EAUTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who__follows_the_table),
        cmocka_unit_test(test_who__another_secret_is_refused),
        cmocka_unit_test(test_who__needs_a_bearer_token),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
