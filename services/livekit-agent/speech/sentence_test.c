/* sentence_test.c - what is cut where, and that deltas never matter. */
#include "sentence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct seen {
    char text[4000];
};

static void on_piece(const char *text, size_t len, void *arg)
{
    struct seen *s = arg;
    size_t at = strlen(s->text);

    assert_true(len > 0 && len <= SENTENCE_MAX + 8 && at + len + 2 < sizeof s->text);
    memcpy(s->text + at, text, len);
    memcpy(s->text + at + len, "|", 2);
}

static void split_in(const char *language, const char *in, size_t piece, struct seen *seen)
{
    struct sentence s;
    size_t len = strlen(in);

    sentence_init(&s, SENTENCE_MIN, on_piece, seen);
    sentence_language(&s, language);
    for (size_t at = 0; at < len; at += piece)
        sentence_feed(&s, in + at, len - at < piece ? len - at : piece);
    sentence_end(&s);
}

static void split(const char *in, size_t piece, struct seen *seen)
{
    split_in(NULL, in, piece, seen);
}

struct row {
    const char *in, *out, *why; /* why: "de: ..." where the language matters */
};

static void check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t piece = 1; piece < 40; piece++) {
            struct seen seen = { "" };

            split_in(rows[i].why[2] == ':' ? rows[i].why : NULL, rows[i].in, piece, &seen);
            if (strcmp(seen.text, rows[i].out) != 0)
                print_message("%s, deltas of %zu\n", rows[i].why, piece);
            assert_string_equal(seen.text, rows[i].out);
        }
}

static void test_sentence__ends_where_a_speaker_pauses(void **state)
{
    static const struct row rows[] = {
        { "Hello! How can I help you today? I am here.",
          "Hello!|How can I help you today?|I am here.|", "the first piece may be short" },
        { "Of course. Yes. No. That is all I know about it.",
          "Of course.|Yes. No. That is all I know about it.|", "later short ones are joined" },
        { "Dr. Smith is in. He works at 5 St. James Road, ok?",
          "Dr. Smith is in.|He works at 5 St. James Road, ok?|", "titles" },
        { "We open at 9 a.m. and close at 5 p.m. Come and see us.",
          "We open at 9 a.m. and close at 5 p.m.|Come and see us.|", "a.m. only before a capital" },
        { "It costs 3.50 dollars. Pay at www.example.com/a.b now.",
          "It costs 3.50 dollars.|Pay at example.com now.|", "decimals and URLs" },
        { "J. R. Hartley wrote it. So did I. The book sold well.",
          "J. R. Hartley wrote it.|So did I. The book sold well.|", "initials, but not I" },
        { "Well... maybe. Hm... Then we will see about that.",
          "Well... maybe.|Hm... Then we will see about that.|", "an ellipsis" },
        { "He said \"Stop!\" Then he (really!) left the building.",
          "He said \"Stop!\"|Then he (really!) left the building.|",
          "closing quotes and brackets" },
        { "1. Call us. 2. Ask for Ann when somebody answers.",
          "1. Call us.|2. Ask for Ann when somebody answers.|", "numbers of a list" },
        { "Really?! Yes, really, it is all quite true.",
          "Really?!|Yes, really, it is all quite true.|", "two marks" },
        { "\xE4\xBD\xA0\xE5\xA5\xBD\xE3\x80\x82\xE5\xA5\xBD\xE3\x80\x82",
          "\xE4\xBD\xA0\xE5\xA5\xBD\xE3\x80\x82|\xE5\xA5\xBD\xE3\x80\x82|", "ideographic stops" },
        { "no stop at all", "no stop at all|", "the end is an end" },
        { "", "", "nothing" },
        { "... !!! - \n\n * ", "", "nothing to say" },
    };

    (void)state;
    check(rows, sizeof rows / sizeof rows[0]);
}

static void test_sentence__knows_each_languages_abbreviations(void **state)
{
    static const struct row rows[] = {
        { "Wir sehen uns am 3. Mai um 9 Uhr. Bringen Sie z. B. Ihren Ausweis mit.",
          "Wir sehen uns am 3. Mai um 9 Uhr.|Bringen Sie z. B. Ihren Ausweis mit.|",
          "de: ordinals, an abbreviation in two" },
        { "Hr. Dr. Weber ist bzw. war da. Er kommt ca. um 3.30 Uhr wieder.",
          "Hr. Dr. Weber ist bzw. war da.|Er kommt ca. um 3.30 Uhr wieder.|", "de: titles" },
        { "It was room 12. The key is here, at the reception.",
          "It was room 12.|The key is here, at the reception.|", "en: no ordinals" },
        { "Creo que no. Pero el Sr. P\xC3\xA9rez llega a las 10, p.ej. hoy.",
          "Creo que no.|Pero el Sr. P\xC3\xA9rez llega a las 10, p.ej. hoy.|",
          "es: what is an abbreviation elsewhere" },
        { "Est\xC3\xA1 abierto. \xC2\xBFQuiere venir en EE.UU. o aqu\xC3\xAD?",
          "Est\xC3\xA1 abierto.|\xC2\xBFQuiere venir en EE.UU. o aqu\xC3\xAD?|",
          "es: an opening question mark" },
        { "Mme. Dupont est l\xC3\xA0. Vous la voyez ? Elle arrive tout de suite.",
          "Mme. Dupont est l\xC3\xA0.|Vous la voyez ? Elle arrive tout de suite.|",
          "fr: a blank before the mark" },
        { "La sig.ra Rossi e il dott. Bianchi ci sono. Prego, avanti pure.",
          "La sig.ra Rossi e il dott. Bianchi ci sono.|Prego, avanti pure.|", "it: titles" },
        { "O Exmo. Sr. Silva est\xC3\xA1 na av. Brasil. Obrigado por esperar.",
          "O Exmo. Sr. Silva est\xC3\xA1 na av. Brasil.|Obrigado por esperar.|", "pt: titles" },
        { "Dhr. De Vries komt, bijv. morgen. Dat is d.w.z. op nr. 5, enz. Tot dan.",
          "Dhr. De Vries komt, bijv. morgen.|Dat is d.w.z. op nr. 5, enz.|Tot dan.|",
          "nl: titles" },
    };

    (void)state;
    check(rows, sizeof rows / sizeof rows[0]);
}

static void test_sentence__says_the_host_of_an_address(void **state)
{
    static const struct row rows[] = {
        { "Look at https://www.example.com/a/b?c=1&d=2#e. Then call us again.",
          "Look at example.com.|Then call us again.|", "the rest cannot be heard" },
        { "See http://shop.example.org:8080/x, or (https://example.net) or www.a.b!",
          "See shop.example.org, or (example.net) or a.b!|", "marks behind it stay" },
        { "Mail hans@www.example.com or who, how, http or https it is.",
          "Mail hans@www.example.com or who, how, http or https it is.|", "no addresses" },
        { "The end is https://", "The end is|", "no host at all" },
        { "w", "w|", "not even a beginning" },
    };

    (void)state;
    check(rows, sizeof rows / sizeof rows[0]);
}

static void test_sentence__cuts_a_long_first_sentence_at_a_clause(void **state)
{
    static const struct row rows[] = {
        { "If you would like to book a table for tonight, I only need your name and the number of "
          "people, please.",
          "If you would like to book a table for tonight,|I only need your name and the number of "
          "people, please.|",
          "at a comma with enough before it" },
        { "Well, this one has a comma only very early on and then it just goes on and on.",
          "Well, this one has a comma only very early on and then it just goes on and on.|",
          "not at a comma that leaves a stub" },
    };

    (void)state;
    check(rows, sizeof rows / sizeof rows[0]);
}

static void test_sentence__speaks_words_not_marks(void **state)
{
    static const struct row rows[] = {
        { "**Bold** and *soft* and `code` and ~~gone~~ words.",
          "Bold and soft and code and gone words.|", "emphasis" },
        { "# Our hours\nMonday to Friday, from nine to five.",
          "Our hours|Monday to Friday, from nine to five.|", "headings" },
        { "We have:\n- red apples\n- green pears\n* plums and many other things\n",
          "We have:|red apples, green pears|plums and many other things|", "bullets" },
        { "> quoted text is here\nand more", "quoted text is here|and more|", "quotes" },
        { "See [our page](https://x.example/a_b) and ![a cat](c.png) now.",
          "See our page and a cat now.|", "links and images keep their text" },
        { "Use [brackets] freely (yes) and [open", "Use brackets freely (yes) and [open|",
          "brackets that are no link" },
        { "2 * 3 is six, snake_case stays, #1 too.", "2 * 3 is six, snake_case stays, #1 too.|",
          "marks that are words" },
        { "_Hello_ there, __you__!", "Hello there, you!|", "underscores" },
        { "Great \xF0\x9F\x98\x80 job \xE2\x9D\xA4\xEF\xB8\x8F!", "Great job !|", "emoji" },
        { "```c\nint x;\n```\nThat was it, my friend.", "int x;|That was it, my friend.|",
          "code fence" },
        { "one\n---\ntwo", "one|two|", "a rule" },
        { "bad \xFF\xC3 bytes \xE2\x82", "bad bytes|", "bytes that are no UTF-8" },
        { "Wow!", "Wow!|", "an exclamation mark at the very end" },
    };

    (void)state;
    check(rows, sizeof rows / sizeof rows[0]);
}

static void test_sentence__never_holds_more_than_its_limit(void **state)
{
    char in[2000];
    struct seen seen = { "" };

    (void)state;
    for (size_t i = 0; i < sizeof in - 1; i++)
        in[i] = i % 50 == 49 ? ' ' : 'a';
    in[sizeof in - 1] = '\0';
    split(in, 7, &seen);
    assert_true(strlen(seen.text) > 1900);
    memset(in, 'b', sizeof in - 1);
    memset(&seen, 0, sizeof seen);
    split(in, 7, &seen);
    assert_true(strlen(seen.text) >= 1999);
}

static void test_sentence__starts_afresh_after_the_end(void **state)
{
    struct seen seen = { "" };
    struct sentence s;

    (void)state;
    sentence_init(&s, SENTENCE_MIN, on_piece, &seen);
    sentence_feed(&s, "One thing. **", 13);
    sentence_end(&s);
    sentence_feed(&s, "Hi! Second.", 11);
    sentence_end(&s);
    assert_string_equal(seen.text, "One thing.|Hi!|Second.|");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentence__ends_where_a_speaker_pauses),
        cmocka_unit_test(test_sentence__knows_each_languages_abbreviations),
        cmocka_unit_test(test_sentence__says_the_host_of_an_address),
        cmocka_unit_test(test_sentence__cuts_a_long_first_sentence_at_a_clause),
        cmocka_unit_test(test_sentence__speaks_words_not_marks),
        cmocka_unit_test(test_sentence__never_holds_more_than_its_limit),
        cmocka_unit_test(test_sentence__starts_afresh_after_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
