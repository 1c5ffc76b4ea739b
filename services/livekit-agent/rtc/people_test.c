/* people_test.c - what is told about participants, and what is not. */
#include "people.h"

#include "livekit.pb-c.h"

#include "test/cmocka.h"

#include <stdio.h>
#include <string.h>

struct told {
    char log[1024];
};

static void on_participant(const struct rtc_participant *p, void *arg)
{
    struct told *t = arg;
    size_t n = strlen(t->log);

    (void)snprintf(t->log + n, sizeof t->log - n, "%s%s;", p->identity, p->gone ? " gone" : "");
}

static void on_attribute(const struct rtc_participant *p, const char *name, const char *value,
                         void *arg)
{
    struct told *t = arg;
    size_t n = strlen(t->log);

    (void)snprintf(t->log + n, sizeof t->log - n, "%s.%s=%s;", p->identity, name, value);
}

static const struct people_events events = { on_participant, on_attribute };

static void update(struct people *p, struct told *t, const char *sid, const char *identity,
                   uint32_t version, const char *value)
{
    Livekit__ParticipantInfo info = LIVEKIT__PARTICIPANT_INFO__INIT;
    Livekit__ParticipantInfo__AttributesEntry entry =
        LIVEKIT__PARTICIPANT_INFO__ATTRIBUTES_ENTRY__INIT;
    Livekit__ParticipantInfo__AttributesEntry *list[] = { &entry };
    Livekit__TrackInfo track = LIVEKIT__TRACK_INFO__INIT;
    Livekit__TrackInfo *tracks[] = { &track };
    char track_sid[80];

    (void)snprintf(track_sid, sizeof track_sid, "TR_%s", sid);
    info.sid = (char *)(uintptr_t)sid;
    info.identity = (char *)(uintptr_t)identity;
    info.version = version;
    track.sid = track_sid;
    info.tracks = tracks;
    info.n_tracks = 1;
    entry.key = "k";
    entry.value = (char *)(uintptr_t)(value ? value : "");
    info.attributes = list;
    info.n_attributes = value ? 1 : 0;
    t->log[0] = 0;
    (void)people_update(p, &info, &events, t);
}

static void leave(struct people *p, struct told *t, const char *sid)
{
    Livekit__ParticipantInfo info = LIVEKIT__PARTICIPANT_INFO__INIT;

    info.sid = (char *)(uintptr_t)sid;
    info.state = LIVEKIT__PARTICIPANT_INFO__STATE__DISCONNECTED;
    t->log[0] = 0;
    (void)people_update(p, &info, &events, t);
}

static void test_people__tell_only_what_changed(void **state)
{
    struct people p = { 0 };
    struct told t = { 0 };

    (void)state;
    update(&p, &t, "PA_1", "ann", 1, "a");
    assert_string_equal(t.log, "ann;ann.k=a;");
    update(&p, &t, "PA_1", "ann", 2, "a");
    assert_string_equal(t.log, "");
    update(&p, &t, "PA_1", "ann", 3, "b");
    assert_string_equal(t.log, "ann.k=b;");
    update(&p, &t, "PA_1", "ann", 4, NULL);
    assert_string_equal(t.log, "ann.k=;");
    leave(&p, &t, "PA_1");
    assert_string_equal(t.log, "ann gone;");
    leave(&p, &t, "PA_1");
    assert_string_equal(t.log, "");
    people_fini(&p);
}

static void test_people__drop_older_versions(void **state)
{
    struct people p = { 0 };
    struct told t = { 0 };

    (void)state;
    update(&p, &t, "PA_1", "ann", 5, "new");
    update(&p, &t, "PA_1", "ann", 4, "old");
    assert_string_equal(t.log, "");
    people_fini(&p);
}

static void test_people__a_second_life_replaces_the_first(void **state)
{
    struct people p = { 0 };
    struct told t = { 0 };

    (void)state;
    update(&p, &t, "PA_1", "ann", 1, NULL);
    update(&p, &t, "PA_2", "ann", 1, NULL);
    assert_string_equal(t.log, "ann gone;ann;");
    leave(&p, &t, "PA_1"); /* the late farewell of the first */
    assert_string_equal(t.log, "");
    assert_non_null(people_by_identity(&p, "ann"));
    people_fini(&p);
}

static void test_people__those_who_left_during_a_reconnect_are_told_gone(void **state)
{
    struct people p = { 0 };
    struct told t = { 0 };

    (void)state;
    update(&p, &t, "PA_1", "ann", 1, "x");
    update(&p, &t, "PA_2", "bob", 1, NULL);
    people_mark_stale(&p);
    update(&p, &t, "PA_3", "ann", 1, "x");
    assert_string_equal(t.log, "ann;ann.k=x;");
    t.log[0] = 0;
    people_sweep(&p, &events, &t);
    assert_string_equal(t.log, "bob gone;");
    people_fini(&p);
}

static void test_people__are_found_by_track(void **state)
{
    struct people p = { 0 };
    struct told t = { 0 };

    (void)state;
    update(&p, &t, "PA_1", "ann", 1, NULL);
    update(&p, &t, "PA_2", "bob", 1, NULL);
    assert_string_equal(people_by_track(&p, "TR_PA_2")->identity, "bob");
    assert_null(people_by_track(&p, "TR_PA_9"));
    people_fini(&p);
}

static void test_people__the_table_is_bounded(void **state)
{
    struct people p = { 0 };
    struct told t = { 0 };
    char sid[32];

    (void)state;
    for (int i = 0; i < PEOPLE_MAX + 10; i++) {
        (void)snprintf(sid, sizeof sid, "PA_%d", i);
        update(&p, &t, sid, sid, 1, NULL);
    }
    assert_int_equal(p.n, PEOPLE_MAX);
    people_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_people__tell_only_what_changed),
        cmocka_unit_test(test_people__drop_older_versions),
        cmocka_unit_test(test_people__a_second_life_replaces_the_first),
        cmocka_unit_test(test_people__those_who_left_during_a_reconnect_are_told_gone),
        cmocka_unit_test(test_people__are_found_by_track),
        cmocka_unit_test(test_people__the_table_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
