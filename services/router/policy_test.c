/* policy_test.c - what users choose, and the rules a new call meets. */
#include "policy.h"

#include "country.h"
#include "window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define CALLER "+15550109999"
#define CALLED "+15550100001"
#define PHONE  "+15550100077"

/* ------------------------------------------------------------------ the rules */

static struct policy_facts ordinary(void)
{
    struct policy_facts f = { .from = CALLER, .to = CALLED };

    f.want.block = POLICY_BUSY;
    f.want.after_hours = f.want.over_budget = POLICY_VOICEMAIL;
    f.want.over_limit = POLICY_BUSY;
    pat_strcpy(f.want.forward, sizeof f.want.forward, PHONE);
    return f;
}

/* What the first rule that stops says; NULL: none does. */
static const struct policy_step *decides(const struct policy_facts *f)
{
    static struct policy_step steps[POLICY_RULES];
    int first = policy_walk(f, steps);

    return first < 0 ? NULL : &steps[first];
}

static const struct policy_step *step_of(const struct policy_facts *f, const char *rule)
{
    static struct policy_step steps[POLICY_RULES];

    (void)policy_walk(f, steps);
    for (int i = 0; i < POLICY_RULES; i++)
        if (!strcmp(steps[i].rule, rule))
            return &steps[i];
    fail_msg("no rule %s", rule);
    return NULL;
}

static void test_policy__an_ordinary_call_meets_no_rule(void **state)
{
    struct policy_facts f = ordinary();
    struct policy_step steps[POLICY_RULES];

    (void)state;
    assert_int_equal(policy_walk(&f, steps), -1);
    for (int i = 0; i < POLICY_RULES; i++) {
        assert_int_equal(steps[i].verdict, POLICY_SILENT);
        assert_null(steps[i].reasons[0]);
        assert_true(strlen(steps[i].because) > 10);
    }
}

/* Each rule alone: one fact is set, and this is what comes of it. */
struct alone {
    void (*set)(struct policy_facts *f);
    const char *rule, *reason;
    enum policy_verdict verdict;
    enum policy_do what;
};

static void call_itself(struct policy_facts *f)
{
    pat_strcpy(f->from, sizeof f->from, CALLED);
}
static void blocked(struct policy_facts *f)
{
    f->blocked = true;
}
static void blocked_to_voicemail(struct policy_facts *f)
{
    f->blocked = true;
    f->want.block = POLICY_VOICEMAIL;
}
static void caller_burst(struct policy_facts *f)
{
    f->caller_burst = true;
}
static void number_burst(struct policy_facts *f)
{
    f->number_burst = true;
}
static void below_rate(struct policy_facts *f)
{
    f->want.max_per_minute = 5;
    f->last_minute = 4;
}
static void at_rate(struct policy_facts *f)
{
    f->want.max_per_minute = f->last_minute = 5;
}
static void below_limit(struct policy_facts *f)
{
    f->want.max_concurrent = 2;
    f->live = 1;
}
static void at_limit(struct policy_facts *f)
{
    f->want.max_concurrent = f->live = 2;
}
static void over_limit_forwards(struct policy_facts *f)
{
    at_limit(f);
    f->want.over_limit = POLICY_FORWARD;
}
static void over_budget(struct policy_facts *f)
{
    f->over_budget = true;
}

static void budget_spent(struct policy_facts *f)
{
    f->want.budget_spent = true;
}
static void anonymous(struct policy_facts *f)
{
    f->from[0] = 0;
    f->caller = CALLER_ANONYMOUS;
}
static void anonymous_refused(struct policy_facts *f)
{
    anonymous(f);
    f->want.withheld = POLICY_REJECT;
}
static void restricted_to_voicemail(struct policy_facts *f)
{
    f->from[0] = 0;
    f->caller = CALLER_RESTRICTED;
    f->want.withheld = POLICY_VOICEMAIL;
}
static void unavailable_forwarded(struct policy_facts *f)
{
    f->from[0] = 0;
    f->caller = CALLER_UNAVAILABLE;
    f->want.withheld = POLICY_FORWARD;
}
static void contact(struct policy_facts *f)
{
    f->known = true;
}
static void contact_forwarded(struct policy_facts *f)
{
    f->known = true;
    f->want.whitelist = POLICY_FORWARD;
}
static void contact_in_quiet_hours(struct policy_facts *f)
{
    contact_forwarded(f);
    f->forward_no = "quiet_hours";
}
static void closed(struct policy_facts *f)
{
    f->hours = HOURS_CLOSED;
}
static void closed_but_served(struct policy_facts *f)
{
    f->hours = HOURS_CLOSED;
    f->want.after_hours = POLICY_SERVE;
}
static void closed_forwards(struct policy_facts *f)
{
    f->hours = HOURS_CLOSED;
    f->want.after_hours = POLICY_FORWARD;
}
static void closed_cannot_forward(struct policy_facts *f)
{
    closed_forwards(f);
    f->after_hours_no = "forward_loop";
}
static void holiday(struct policy_facts *f)
{
    f->hours = HOURS_HOLIDAY;
}
static void is_open(struct policy_facts *f)
{
    f->hours = HOURS_OPEN;
}
static void strict(struct policy_facts *f)
{
    f->want.strict = true;
}
static void strict_for_contact(struct policy_facts *f)
{
    f->want.strict = f->known = true;
}
static void unknown_forwarded(struct policy_facts *f)
{
    f->want.unknown = POLICY_FORWARD;
}
static void unknown_cannot_forward(struct policy_facts *f)
{
    unknown_forwarded(f);
    f->forward_no = "spend_cap";
}
static void unknown_to_voicemail(struct policy_facts *f)
{
    f->want.unknown = POLICY_VOICEMAIL;
}
static void unknown_but_a_contact(struct policy_facts *f)
{
    f->want.unknown = POLICY_VOICEMAIL;
    f->known = true;
}
static void unknown_but_withheld(struct policy_facts *f)
{
    anonymous(f);
    f->want.unknown = POLICY_VOICEMAIL;
}

static void test_policy__each_rule_alone(void **state)
{
    static const struct alone table[] = {
        { call_itself, "self_call", "calls_itself", POLICY_STOPS, POLICY_REJECT },
        { blocked, "block_list", "blocked", POLICY_STOPS, POLICY_BUSY },
        { blocked_to_voicemail, "block_list", "blocked", POLICY_STOPS, POLICY_VOICEMAIL },
        { caller_burst, "caller_burst", "caller_burst", POLICY_STOPS, POLICY_BUSY },
        { number_burst, "number_burst", "number_burst", POLICY_STOPS, POLICY_BUSY },
        { below_rate, "rate", NULL, POLICY_SILENT, 0 },
        { at_rate, "rate", "too_many_per_minute", POLICY_STOPS, POLICY_BUSY },
        { below_limit, "concurrency", NULL, POLICY_SILENT, 0 },
        { at_limit, "concurrency", "too_many_at_once", POLICY_STOPS, POLICY_BUSY },
        { over_limit_forwards, "concurrency", "too_many_at_once", POLICY_STOPS, POLICY_FORWARD },
        { budget_spent, "budget", "budget_spent", POLICY_STOPS, POLICY_VOICEMAIL },
        { over_budget, "budget", "budget_spent", POLICY_STOPS, POLICY_VOICEMAIL },
        { anonymous, "withheld", "caller_anonymous", POLICY_SPOKE, 0 },
        { anonymous_refused, "withheld", "caller_anonymous", POLICY_STOPS, POLICY_REJECT },
        { restricted_to_voicemail, "withheld", "caller_restricted", POLICY_STOPS,
          POLICY_VOICEMAIL },
        { unavailable_forwarded, "withheld", "caller_unavailable", POLICY_STOPS, POLICY_FORWARD },
        { contact, "whitelist", "known_caller", POLICY_SPOKE, 0 },
        { contact_forwarded, "whitelist", "known_caller", POLICY_STOPS, POLICY_FORWARD },
        { contact_in_quiet_hours, "whitelist", "known_caller", POLICY_SPOKE, 0 },
        { closed, "business_hours", "after_hours", POLICY_STOPS, POLICY_VOICEMAIL },
        { closed_but_served, "business_hours", "after_hours", POLICY_SPOKE, 0 },
        { closed_forwards, "business_hours", "after_hours", POLICY_STOPS, POLICY_FORWARD },
        { closed_cannot_forward, "business_hours", "after_hours", POLICY_STOPS, POLICY_VOICEMAIL },
        { holiday, "business_hours", "holiday", POLICY_STOPS, POLICY_VOICEMAIL },
        { is_open, "business_hours", NULL, POLICY_SILENT, 0 },
        { strict, "vetting", "vetting_strict", POLICY_SPOKE, 0 },
        { strict_for_contact, "vetting", NULL, POLICY_SILENT, 0 },
        { unknown_forwarded, "unknown_callers", "unknown_caller", POLICY_STOPS, POLICY_FORWARD },
        { unknown_cannot_forward, "unknown_callers", "unknown_caller", POLICY_SPOKE, 0 },
        { unknown_to_voicemail, "unknown_callers", "unknown_caller", POLICY_STOPS,
          POLICY_VOICEMAIL },
        { unknown_but_a_contact, "unknown_callers", NULL, POLICY_SILENT, 0 },
        { unknown_but_withheld, "unknown_callers", NULL, POLICY_SILENT, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct policy_facts f = ordinary();
        const struct policy_step *s, *d;

        table[i].set(&f);
        s = step_of(&f, table[i].rule);
        d = decides(&f);
        assert_int_equal(s->verdict, table[i].verdict);
        if (table[i].reason)
            assert_string_equal(s->reasons[0], table[i].reason);
        else
            assert_null(s->reasons[0]);
        if (table[i].verdict != POLICY_STOPS) {
            assert_null(d);
            continue;
        }
        assert_non_null(d);
        assert_string_equal(d->rule, table[i].rule);
        assert_int_equal(d->what, table[i].what);
        if (d->what == POLICY_FORWARD)
            assert_string_equal(d->number, PHONE);
    }
}

/* From the last to the first: each rule, once it stops too, goes before all that stopped so far. */
static void test_policy__the_earlier_rule_decides(void **state)
{
    static const struct {
        void (*set)(struct policy_facts *f);
        const char *rule;
    } table[] = {
        { unknown_to_voicemail, "unknown_callers" },
        { closed, "business_hours" },
        { contact_forwarded, "whitelist" },
        { anonymous_refused, "withheld" },
        { budget_spent, "budget" },
        { at_limit, "concurrency" },
        { at_rate, "rate" },
        { number_burst, "number_burst" },
        { caller_burst, "caller_burst" },
        { blocked, "block_list" },
        { call_itself, "self_call" },
    };
    struct policy_facts f = ordinary();

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        table[i].set(&f);
        assert_string_equal(decides(&f)->rule, table[i].rule);
    }
}

static void test_policy__why_it_was_not_forwarded_is_a_reason_too(void **state)
{
    struct policy_facts f = ordinary();

    (void)state;
    contact_in_quiet_hours(&f);
    assert_string_equal(step_of(&f, "whitelist")->reasons[1], "quiet_hours");
    f = ordinary();
    closed_cannot_forward(&f);
    assert_string_equal(decides(&f)->reasons[1], "forward_loop");
}

static void test_policy__after_hours_has_a_number_of_its_own(void **state)
{
    struct policy_facts f = ordinary();

    (void)state;
    closed_forwards(&f);
    pat_strcpy(f.want.after_hours_number, sizeof f.want.after_hours_number, "+15550100088");
    assert_string_equal(decides(&f)->number, "+15550100088");
}

/* ------------------------------------------------------------------ what users choose */

static struct policy_set *set;

static const struct policies *get(const char *text)
{
    struct pat_json *j;
    const struct policies *p;

    assert_int_equal(pat_json_parse(&j, text, strlen(text), NULL), PAT_OK);
    p = policy_get(set, j);
    pat_json_free(j);
    assert_non_null(p);
    return p;
}

static int new_set(void **state)
{
    (void)state;
    return policy_set_new(&set);
}

static int free_set(void **state)
{
    (void)state;
    policy_set_free(set);
    return 0;
}

static void test_policies__nothing_said_is_the_defaults(void **state)
{
    const struct policies *p = policy_get(set, NULL);
    const struct policy_wishes *w = policy_wishes(p);

    (void)state;
    assert_ptr_equal(p, get("{}"));
    assert_null(policy_text(p));
    assert_int_equal(w->withheld, POLICY_SERVE);
    assert_int_equal(w->whitelist, POLICY_SERVE);
    assert_int_equal(w->block, POLICY_BUSY);
    assert_int_equal(w->daily_forward_cents, -1);
    assert_int_equal(w->ladder.n, 3);
    assert_int_equal(policy_hours(p, 0), HOURS_ALWAYS);
    assert_false(policy_quiet(p, 0));
    assert_false(policy_blocks(p, CALLER));
    assert_true(policy_allows_country(p, "KP"));
    policy_put(set, p);
}

static void test_policies__the_same_choices_are_kept_once(void **state)
{
    const struct policies *a = get("{\"withheld\":\"reject\"}"),
                          *b = get("{\"withheld\":\"reject\"}"),
                          *c = get("{\"withheld\":\"busy\"}");

    (void)state;
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    policy_put(set, a);
    assert_int_equal(policy_wishes(b)->withheld, POLICY_REJECT);
    policy_put(set, b);
    policy_put(set, c);
}

static void test_policies__all_of_them_are_read(void **state)
{
    const struct policies *p =
        get("{\"block_action\":\"voicemail\",\"withheld\":\"reject\",\"whitelist\":\"forward\","
            "\"unknown\":\"busy\",\"after_hours\":\"forward\",\"over_limit\":\"forward\","
            "\"over_budget\":\"reject\",\"budget_spent\":true,\"vetting\":\"strict\","
            "\"max_concurrent\":3,\"max_per_minute\":40,\"daily_forward_cents\":0,"
            "\"forward_number\":\"+15550100077\",\"after_hours_number\":\"+15550100078\","
            "\"fallback_number\":\"+15550100079\",\"fallback\":[\"forward\",\"voicemail\"],"
            "\"countries\":[\"US\",\"DE\"]}");
    const struct policy_wishes *w = policy_wishes(p);

    (void)state;
    assert_int_equal(w->block, POLICY_VOICEMAIL);
    assert_int_equal(w->withheld, POLICY_REJECT);
    assert_int_equal(w->whitelist, POLICY_FORWARD);
    assert_int_equal(w->unknown, POLICY_BUSY);
    assert_int_equal(w->after_hours, POLICY_FORWARD);
    assert_int_equal(w->over_limit, POLICY_FORWARD);
    assert_int_equal(w->over_budget, POLICY_REJECT);
    assert_true(w->budget_spent && w->strict);
    assert_int_equal(w->max_concurrent, 3);
    assert_int_equal(w->max_per_minute, 40);
    assert_int_equal(w->daily_forward_cents, 0);
    assert_string_equal(w->forward, "+15550100077");
    assert_string_equal(w->after_hours_number, "+15550100078");
    assert_string_equal(w->fallback_number, "+15550100079");
    assert_int_equal(w->ladder.n, 2);
    assert_int_equal(w->ladder.rungs[0], RUNG_FORWARD);
    assert_true(policy_allows_country(p, "DE"));
    assert_false(policy_allows_country(p, "GB"));
    assert_false(policy_allows_country(p, NULL));
    policy_put(set, p);
}

static void test_policies__lists_know_numbers_and_beginnings(void **state)
{
    const struct policies *p =
        get("{\"block\":[\"+15550109999\",\"+1900*\",\"+44*\",\"nonsense\",\"+\",\"*\"],"
            "\"contacts\":[\"+15550100300\",\"+15550100100\",\"+15550100200\"]}");
    static const struct {
        const char *number;
        bool blocked, known;
    } table[] = {
        { "+15550109999", true, false },
        { "+1555010999", false, false },
        { "+155501099990", false, false },
        { "+19005550100", true, false },
        { "+1900", true, false },
        { "+190", false, false },
        { "+442071838750", true, false },
        { "+15550100100", false, true },
        { "+15550100300", false, true },
        { "+15550100101", false, false },
        { "", false, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_int_equal(policy_blocks(p, table[i].number), table[i].blocked);
        assert_int_equal(policy_knows(p, table[i].number), table[i].known);
    }
    policy_put(set, p);
}

static void test_policies__what_makes_no_sense_is_left_at_its_default(void **state)
{
    const struct policies *p =
        get("{\"withheld\":\"sometimes\",\"forward_number\":\"5550100\",\"max_concurrent\":-3,"
            "\"hours\":{\"mon\":[[\"25:00\",\"26:00\"],[\"09:00\"],7],\"xyz\":1},\"holidays\":"
            "[{\"date\":\"2026-13-01\"},{},7],\"block\":[7,null],\"fallback\":[\"prayer\"],"
            "\"time_zone\":\"Mars/Olympus\",\"quiet\":{\"start\":\"9\",\"end\":\"10:00\"},"
            "\"countries\":[\"USA\"]}");

    (void)state;
    assert_int_equal(policy_wishes(p)->withheld, POLICY_SERVE);
    assert_string_equal(policy_wishes(p)->forward, "");
    assert_int_equal(policy_wishes(p)->max_concurrent, 0);
    assert_false(policy_quiet(p, 0));
    assert_int_equal(policy_hours(p, 0), HOURS_CLOSED);
    policy_put(set, p);
}

/* ------------------------------------------------------------------ hours */

static enum policy_hours hours_at(const struct policies *p, const char *time)
{
    int64_t ms;

    assert_int_equal(policy_moment(p, time, &ms), PAT_OK);
    return policy_hours(p, ms);
}

static void test_hours__are_half_open_ranges_of_a_weekday(void **state)
{
    const struct policies *p = get(
        "{\"time_zone\":\"America/New_York\",\"hours\":{\"mon\":[[\"09:00\",\"12:00\"],"
        "[\"13:00\",\"17:30\"]],\"fri\":[[\"22:00\",\"02:00\"]],\"sat\":[[\"20:00\",\"24:00\"]]},"
        "\"holidays\":[{\"date\":\"2026-12-25\"},{\"date\":\"07-04\",\"hours\":[[\"10:00\","
        "\"12:00\"]]}]}");
    static const struct {
        const char *time;
        enum policy_hours hours;
    } table[] = {
        { "2026-11-23T08:59", HOURS_CLOSED }, /* a Monday */
        { "2026-11-23T09:00", HOURS_OPEN },         { "2026-11-23T11:59", HOURS_OPEN },
        { "2026-11-23T12:00", HOURS_CLOSED },       { "2026-11-23T17:29", HOURS_OPEN },
        { "2026-11-23T17:30", HOURS_CLOSED },       { "2026-11-24T10:00", HOURS_CLOSED },
        { "2026-11-27T21:59", HOURS_CLOSED },       { "2026-11-27T23:59", HOURS_OPEN },
        { "2026-11-28T00:00", HOURS_OPEN }, /* Friday's, on Saturday */
        { "2026-11-28T01:59", HOURS_OPEN },         { "2026-11-28T02:00", HOURS_CLOSED },
        { "2026-11-28T23:59", HOURS_OPEN },         { "2026-11-29T00:00", HOURS_CLOSED },
        { "2026-12-25T22:30", HOURS_HOLIDAY }, /* a Friday */
        { "2026-07-04T11:00", HOURS_OPEN },         { "2027-07-04T12:00", HOURS_HOLIDAY },
        { "2026-11-23T14:00Z", HOURS_OPEN },        /* nine there */
        { "2026-11-23T09:00+01:00", HOURS_CLOSED }, /* three at night */
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_int_equal(hours_at(p, table[i].time), table[i].hours);
    policy_put(set, p);
}

/* New York, 2026: forward on 8 March at 2, back on 1 November at 2. Both are Sundays. */
static void test_hours__go_by_the_wall_clock_where_it_jumps(void **state)
{
    const struct policies *p = get("{\"time_zone\":\"America/New_York\",\"hours\":{\"sun\":[["
                                   "\"01:30\",\"03:30\"]]}}");
    static const struct {
        const char *utc;
        enum policy_hours hours;
    } table[] = {
        { "2026-03-08T06:29Z", HOURS_CLOSED }, /* 1:29 */
        { "2026-03-08T06:30Z", HOURS_OPEN },   /* 1:30 */
        { "2026-03-08T07:00Z", HOURS_OPEN },   /* 3:00, an hour is not there */
        { "2026-03-08T07:29Z", HOURS_OPEN },   { "2026-03-08T07:30Z", HOURS_CLOSED }, /* 3:30 */
        { "2026-11-01T05:30Z", HOURS_OPEN },   /* 1:30, the first time */
        { "2026-11-01T06:15Z", HOURS_CLOSED }, /* 1:15, the second time */
        { "2026-11-01T06:30Z", HOURS_OPEN },   { "2026-11-01T08:29Z", HOURS_OPEN }, /* 3:29 */
        { "2026-11-01T08:30Z", HOURS_CLOSED },
    };
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_int_equal(hours_at(p, table[i].utc), table[i].hours);
    assert_int_equal(policy_moment(p, "2026-03-08T02:30", &ms), PAT_ENOENT);
    assert_int_equal(policy_moment(p, "tomorrow", &ms), PAT_EINVAL);
    policy_put(set, p);
}

static void test_hours__quiet_ones_may_go_over_midnight(void **state)
{
    const struct policies *p = get("{\"time_zone\":\"Europe/Berlin\",\"quiet\":{\"start\":"
                                   "\"22:00\",\"end\":\"08:00\"}}"),
                          *day = get("{\"quiet\":{\"start\":\"12:00\",\"end\":\"14:00\"}}");
    static const struct {
        const char *time;
        bool quiet, at_noon;
    } table[] = {
        { "2026-11-23T21:59", false, false }, { "2026-11-23T22:00", true, false },
        { "2026-11-24T07:59", true, false },  { "2026-11-24T08:00", false, false },
        { "2026-11-24T13:59", false, true },
    };
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_int_equal(policy_moment(p, table[i].time, &ms), PAT_OK);
        assert_int_equal(policy_quiet(p, ms), table[i].quiet);
        assert_int_equal(policy_moment(day, table[i].time, &ms), PAT_OK);
        assert_int_equal(policy_quiet(day, ms), table[i].at_noon);
    }
    policy_put(set, p);
    policy_put(set, day);
}

/* ------------------------------------------------------------------ callers, countries, windows */

static void test_caller__is_a_number_or_a_way_not_to_say_it(void **state)
{
    static const struct {
        const char *sent;
        enum caller_kind kind;
        const char *from;
    } table[] = {
        { CALLER, CALLER_NUMBER, CALLER },
        { "15550109999", CALLER_NUMBER, CALLER },
        { "sip:+15550109999@carrier.example", CALLER_NUMBER, CALLER },
        { "\"Ann\" <sip:+15550109999@carrier.example>;tag=1", CALLER_NUMBER, CALLER },
        { "anonymous", CALLER_ANONYMOUS, "" },
        { "Anonymous", CALLER_ANONYMOUS, "" },
        { "sip:anonymous@anonymous.invalid", CALLER_ANONYMOUS, "" },
        { "\"Anonymous\" <sip:anonymous@anonymous.invalid>", CALLER_ANONYMOUS, "" },
        { "Private", CALLER_ANONYMOUS, "" },
        { "+266696687", CALLER_ANONYMOUS, "" },
        { "RESTRICTED", CALLER_RESTRICTED, "" },
        { "+7378742833", CALLER_RESTRICTED, "" },
        { "unavailable", CALLER_UNAVAILABLE, "" },
        { "unknown", CALLER_UNAVAILABLE, "" },
        { "", CALLER_UNAVAILABLE, "" },
        { "sip:front-desk@pbx.example", CALLER_UNAVAILABLE, "" },
    };
    char from[NUMBER_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_int_equal(caller_read(from, table[i].sent), table[i].kind);
        assert_string_equal(from, table[i].from);
    }
}

static void test_caller__was_passed_on_by_a_phone(void **state)
{
    static const char *const table[][2] = {
        { PHONE, PHONE },
        { "<sip:+15550100077@pbx.example>;reason=unconditional;counter=1", PHONE },
        { "<tel:+15550100077>;reason=no-answer", PHONE },
        { "anonymous", "" },
        { "", "" },
    };
    char out[NUMBER_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        caller_passed_on(out, table[i][0]);
        assert_string_equal(out, table[i][1]);
    }
    caller_passed_on(out, NULL);
    assert_string_equal(out, "");
}

static void test_country__is_the_longest_code_that_fits(void **state)
{
    static const char *const table[][2] = {
        { "+12025550100", "US" },  { "+14165550100", "CA" },  { "+18765550100", "JM" },
        { "+442071838750", "GB" }, { "+441534123456", "JE" }, { "+493012345", "DE" },
        { "+74951234567", "RU" },  { "+77011234567", "KZ" },  { "+390669812345", "VA" },
        { "+35312345678", "IE" },  { "+5999123456", "CW" },   { "+995322123456", "GE" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_string_equal(country_of(table[i][0]), table[i][1]);
    assert_null(country_of("+21012345"));
    assert_null(country_of("+999123"));
    assert_null(country_of(""));
    assert_true(country_known("DE"));
    assert_false(country_known("XX"));
}

static void test_window__counts_what_was_within_the_span(void **state)
{
    struct windows *w;
    uint64_t a = window_key("a", "x"), b = window_key("a", "y");

    (void)state;
    assert_int_equal(windows_new(&w, 64, 1000), PAT_OK);
    for (int i = 0; i < 10; i++)
        assert_int_equal(windows_add(w, a, 5000), i + 1);
    assert_int_equal(windows_count(w, a, 5999), 10);
    assert_int_equal(windows_count(w, b, 5999), 0);
    assert_int_equal(windows_count(w, a, 6500), 5); /* half of them are still inside */
    assert_int_equal(windows_add(w, a, 6500), 6);
    assert_int_equal(windows_count(w, a, 9000), 0);
    assert_int_equal(windows_add(w, a, 20000), 1);
    windows_shut(w, b, 20000, 30000);
    assert_true(windows_is_shut(w, b, 29999));
    assert_false(windows_is_shut(w, b, 30000));
    assert_false(windows_is_shut(w, a, 20000));
    windows_free(w);
}

static void test_window__a_flood_of_keys_forgets_the_oldest_and_never_grows(void **state)
{
    struct windows *w;
    uint64_t a = window_key("victim", NULL);
    char text[32];

    (void)state;
    assert_int_equal(windows_new(&w, 64, 1000), PAT_OK);
    (void)windows_add(w, a, 1000);
    for (int i = 0; i < 10000; i++) {
        snprintf(text, sizeof text, "%d", i);
        assert_int_equal(windows_add(w, window_key(text, NULL), 1001 + i / 100), 1);
    }
    assert_int_equal(windows_count(w, a, 1100), 0);
    windows_free(w);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, new_set, free_set)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy__an_ordinary_call_meets_no_rule),
        cmocka_unit_test(test_policy__each_rule_alone),
        cmocka_unit_test(test_policy__the_earlier_rule_decides),
        cmocka_unit_test(test_policy__why_it_was_not_forwarded_is_a_reason_too),
        cmocka_unit_test(test_policy__after_hours_has_a_number_of_its_own),
        TEST(test_policies__nothing_said_is_the_defaults),
        TEST(test_policies__the_same_choices_are_kept_once),
        TEST(test_policies__all_of_them_are_read),
        TEST(test_policies__lists_know_numbers_and_beginnings),
        TEST(test_policies__what_makes_no_sense_is_left_at_its_default),
        TEST(test_hours__are_half_open_ranges_of_a_weekday),
        TEST(test_hours__go_by_the_wall_clock_where_it_jumps),
        TEST(test_hours__quiet_ones_may_go_over_midnight),
        cmocka_unit_test(test_caller__is_a_number_or_a_way_not_to_say_it),
        cmocka_unit_test(test_caller__was_passed_on_by_a_phone),
        cmocka_unit_test(test_country__is_the_longest_code_that_fits),
        cmocka_unit_test(test_window__counts_what_was_within_the_span),
        cmocka_unit_test(test_window__a_flood_of_keys_forgets_the_oldest_and_never_grows),
    };

    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
