/* consent_test.c - yes, no, and what is neither; and whose word a role is. */
#include "consent.h"
#include "role.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_consent__is_told_from_refusal_and_questions(void **state)
{
    static const struct {
        const char *text, *language;
        enum consent want;
    } table[] = {
        { "Yes.", "en-US", CONSENT_YES },
        { "Yeah, sure", "en", CONSENT_YES },
        { "No problem, put her through.", "en", CONSENT_YES },
        { "why not", "en", CONSENT_YES },
        { "No.", "en", CONSENT_NO },
        { "sorry I can't right now", "en", CONSENT_NO },
        { "yes but who is it", "en", CONSENT_QUESTION },
        { "Is it urgent?", "en", CONSENT_QUESTION },
        { "hello", "en", CONSENT_UNCLEAR },
        { "notes and yesterday", "en", CONSENT_UNCLEAR },
        { "", "en", CONSENT_UNCLEAR },
        { "Ja, gerne!", "de-DE", CONSENT_YES },
        { "kein Problem", "de", CONSENT_YES },
        { "Nein danke", "de", CONSENT_NO },
        { "worum geht es", "de", CONSENT_QUESTION },
        { "yes", "de", CONSENT_YES },
        { "oui", "fr-FR", CONSENT_YES },
        { "non merci", "fr", CONSENT_NO },
        { "sí, claro", "es", CONSENT_YES },
        { "sì", "it", CONSENT_YES },
        { "ja hoor", "nl-NL", CONSENT_YES },
        { "nu even niet", "nl", CONSENT_NO },
        { "waar gaat het over", "nl", CONSENT_QUESTION },
        { "não", "pt-BR", CONSENT_NO },
        { "ja", "multi", CONSENT_YES },
        { "oui", "multi", CONSENT_YES },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (consent_of(table[i].text, table[i].language) != table[i].want)
            fail_msg("\"%s\" (%s) is %d", table[i].text, table[i].language,
                     consent_of(table[i].text, table[i].language));
}

static void test_consent__a_caller_may_think_better_of_it(void **state)
{
    (void)state;
    assert_true(consent_cancels("Oh, never mind.", "en"));
    assert_true(consent_cancels("forget it please", "en-GB"));
    assert_true(consent_cancels("Ach, vergiss es.", "de"));
    assert_true(consent_cancels("laissez tomber", "fr"));
    assert_false(consent_cancels("are you still there", "en"));
    assert_false(consent_cancels("laissez tomber", "de"));
}

static void test_role__is_believed_only_when_signed_for_this(void **state)
{
    static const char call[] = "01934d8e-5a00-7000-8000-0000000000aa", t[] = "t1";
    struct pat_buf sig;
    struct role r = { "consult", t, NULL };

    (void)state;
    pat_buf_init(&sig, 64);
    assert_int_equal(
        pat_sign_short(&sig, "secret", "role", "01934d8e-5a00-7000-8000-0000000000aa|consult|t1"),
        PAT_OK);
    assert_int_equal(role_verify(&r, call, "consult", t, "secret"), PAT_EAUTH);
    r.sig = sig.data;
    assert_int_equal(role_verify(&r, call, "consult", t, "secret"), PAT_OK);
    assert_int_equal(role_verify(&r, call, "consult", t, "other"), PAT_EAUTH);
    assert_int_equal(role_verify(&r, call, "consult", "t2", "secret"), PAT_EAUTH);
    assert_int_equal(role_verify(&r, call, "joined", t, "secret"), PAT_EAUTH);
    r.name = "joined"; /* the signature is of another role */
    assert_int_equal(role_verify(&r, call, "joined", t, "secret"), PAT_EAUTH);
    pat_buf_fini(&sig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_consent__is_told_from_refusal_and_questions),
        cmocka_unit_test(test_consent__a_caller_may_think_better_of_it),
        cmocka_unit_test(test_role__is_believed_only_when_signed_for_this),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
