/* xml_test.c - documents that are right by construction. */
#include "test/cmocka.h"

#include "test/alloc.h"
#include "xml.h"

#include <stdio.h>

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"

static void test_xml__writes_the_document_of_a_carrier(void **state)
{
    struct pat_buf out;
    struct pat_xml x;

    (void)state;
    pat_buf_init(&out, 1000);
    pat_xml_init(&x, &out);
    pat_xml_open(&x, "Response");
    pat_xml_open(&x, "Dial");
    pat_xml_attr_int(&x, "timeout", 20);
    pat_xml_attr(&x, "callerId", NULL);
    pat_xml_attr(&x, "action", "https://a.example/d?x=1&y=2");
    pat_xml_open(&x, "Sip");
    pat_xml_text(&x, "sip:c@h;transport=tcp");
    pat_xml_close(&x);
    pat_xml_close(&x);
    pat_xml_open(&x, "Hangup");
    pat_xml_close(&x);
    pat_xml_close(&x);
    assert_int_equal(pat_xml_end(&x), PAT_OK);
    assert_string_equal(out.data, HEAD "<Response><Dial timeout=\"20\" action=\"https://a.example/"
                                       "d?x=1&amp;y=2\"><Sip>sip:c@h;transport=tcp</Sip></Dial>"
                                       "<Hangup/></Response>");
    pat_buf_fini(&out);
}

static void test_xml__escapes_texts_and_attributes(void **state)
{
    static const struct {
        const char *in;
        const char *text;
        const char *attr;
    } rows[] = {
        { "plain", "plain", "plain" },
        { "a<b>c&d", "a&lt;b&gt;c&amp;d", "a&lt;b&gt;c&amp;d" },
        { "\"it's\"", "\"it's\"", "&quot;it's&quot;" },
        { "]]>", "]]&gt;", "]]&gt;" },
        { "a\tb\nc\rd", "a\tb\nc&#13;d", "a&#9;b&#10;c&#13;d" },
        { "\x01\x1f\x7f", "\xef\xbf\xbd\xef\xbf\xbd\x7f", "\xef\xbf\xbd\xef\xbf\xbd\x7f" },
        { "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80",
          "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80" },
        { "x\xff\xc3", "x\xef\xbf\xbd\xef\xbf\xbd", "x\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xed\xa0\x80!", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd!",
          "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd!" },
        { "\xef\xbf\xbe", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
          "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xef\xbf\xbd", "\xef\xbf\xbd", "\xef\xbf\xbd" },
        { "", "", "" },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        char want[400];
        struct pat_buf out;
        struct pat_xml x;

        pat_buf_init(&out, 1000);
        pat_xml_init(&x, &out);
        pat_xml_open(&x, "R");
        pat_xml_attr(&x, "a", rows[i].in);
        pat_xml_text(&x, rows[i].in);
        pat_xml_close(&x);
        assert_int_equal(pat_xml_end(&x), PAT_OK);
        (void)snprintf(want, sizeof want,
                       *rows[i].in ? HEAD "<R a=\"%s\">%s</R>" : HEAD "<R a=\"%s\"/>", rows[i].attr,
                       rows[i].text);
        assert_string_equal(out.data, want);
        pat_buf_fini(&out);
    }
}

/* One letter a step: o open, a attribute, t text, c close. */
static int walk(const char *steps, size_t max)
{
    struct pat_buf out;
    struct pat_xml x;
    int err;

    pat_buf_init(&out, max);
    pat_xml_init(&x, &out);
    for (; *steps; steps++) {
        if (*steps == 'o')
            pat_xml_open(&x, "e");
        else if (*steps == 'a')
            pat_xml_attr(&x, "a", "v");
        else if (*steps == 't')
            pat_xml_text(&x, "text");
        else
            pat_xml_close(&x);
    }
    err = pat_xml_end(&x);
    pat_buf_fini(&out);
    return err;
}

static void test_xml__end_finds_what_is_not_well_formed(void **state)
{
    static const struct {
        const char *steps;
        int err;
    } rows[] = {
        { "oc", PAT_OK },
        { "oatocc", PAT_OK },
        { "oooooooocccccccc", PAT_OK },
        { "", PAT_EINVAL },                 /* no root */
        { "o", PAT_EINVAL },                /* still open */
        { "occ", PAT_EINVAL },              /* closed twice */
        { "ococ", PAT_EINVAL },             /* two roots */
        { "otac", PAT_EINVAL },             /* attribute behind text */
        { "ocat", PAT_EINVAL },             /* attribute behind the end */
        { "toc", PAT_EINVAL },              /* text before the root */
        { "ooooooooocccccccc", PAT_E2BIG }, /* nine deep */
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++)
        assert_int_equal(walk(rows[i].steps, 1000), rows[i].err);
}

static void test_xml__end_tells_when_the_buffer_was_too_small(void **state)
{
    (void)state;
    assert_int_equal(walk("oatc", 40), PAT_E2BIG);
    assert_int_equal(walk("oatc", 5), PAT_E2BIG);
}

static int one_document(void *arg)
{
    (void)arg;
    return walk("oaotcc", 1000);
}

static void test_xml__survives_each_allocation_failing(void **state)
{
    (void)state;
    pat_test_alloc_walk(one_document, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xml__writes_the_document_of_a_carrier),
        cmocka_unit_test(test_xml__escapes_texts_and_attributes),
        cmocka_unit_test(test_xml__end_finds_what_is_not_well_formed),
        cmocka_unit_test(test_xml__end_tells_when_the_buffer_was_too_small),
        cmocka_unit_test(test_xml__survives_each_allocation_failing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
