/* fuzz_turn.c - any conversation: bytes become events, and the rules of turn_check.h must hold.
 *
 * Four bytes an event: kind, time since the one before, number, flags. A wake-up that is due comes
 * first, as the loop's timer would have it.
 */
#include "test/turn_check.h"

#include <stdlib.h>

static int64_t step_us(uint8_t b)
{
    return (int64_t)b * b * 100; /* up to 6.5 s, most of them short */
}

static struct turn_event event(const struct turn *t, const uint8_t *b, int64_t *now)
{
    struct turn_event e = { .kind = (enum turn_event_kind)(b[0] % TURN_EVENTS) };
    int64_t wake = turn_wake_us(t), at = *now + step_us(b[1]);

    if (wake && wake <= at) {
        at = wake > *now ? wake : *now;
        e.kind = TURN_WAKE;
    }
    *now = at;
    e.now_us = at;
    e.at_us = at - step_us(b[3] >> 4);
    e.reply = t->reply - (b[0] >= 240);
    e.n = b[2] % 4 - (e.kind == TURN_READY);
    e.soft = b[2] / 4 % 3;
    e.end = b[3] & 1;
    e.open = b[3] & 2;
    e.changed = b[3] & 4;
    e.firm = b[3] & 8;
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct turn_check rules = { 0 };
    struct turn_opts o;
    struct turn t;
    int64_t now = 1000000000;

    if (size < 3)
        return 0;
    o = turn_opts_for(data[0] / 255.0, data[1] / 255.0);
    if (data[2] & 1)
        o.end_wait_ms = 6000;
    turn_init(&t);
    for (size_t i = 3; i + 4 <= size; i += 4) {
        struct turn_event e = event(&t, data + i, &now);
        struct turn_out out;

        turn_step(&t, &o, &e, &out);
        if (turn_check(&rules, &t, &e, &out))
            abort();
    }
    return 0;
}
