/* rig.h - one call of a test's own on top of fakes.h: set up, connected, greeted, turned. */
#ifndef CALL_TEST_RIG_H
#define CALL_TEST_RIG_H

#include "../call.h"
#include "fakes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define CALL  "01934d8e-5a00-7000-8000-0000000000aa"
#define USER  "11111111-1111-4111-8111-111111111111"
#define AGENT "22222222-2222-4222-8222-222222222222"

struct rig {
    struct pat_loop *loop;
    struct pat_metrics *metrics;
    struct env env;
    struct agent_conf conf;
    struct call *call;
    bool over;
    int headers;
};

int rig_set_up(void **state);
int rig_tear_down(void **state);
#define CALL_TEST(test) cmocka_unit_test_setup_teardown(test, rig_set_up, rig_tear_down)

/* Of user Ada, with this template for a greeting. */
struct context *context(const char *greeting);
void begin_with(struct rig *r, struct context *ctx, struct mouth *mouth);
void begin(struct rig *r, struct context *ctx);
/* With what the agent before us has left; borrowed. */
void take_over(struct rig *r, struct context *ctx, const struct pat_json *saved);
struct rtc_participant caller(bool gone, int reason);
void attribute(const char *name, const char *value);
void come_in(struct rig *r);
/* Fails the test when cond does not come. */
void turn_until(struct rig *r, bool (*cond)(struct rig *), int timeout_ms);
bool is_answered(struct rig *r);
bool is_listening(struct rig *r);
bool is_speaking(struct rig *r);
bool is_over(struct rig *r);
/* Greeted, and waiting for the caller's word. */
void greeted(struct rig *r);
int64_t int_in(const char *json, const char *path);

#endif
