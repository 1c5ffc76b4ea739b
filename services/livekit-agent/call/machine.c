/* machine.c - see machine.h. */
#include "machine.h"

#include <string.h>
#include <strings.h>

enum {
    LONG_MS = 4000,   /* nobody says hello for so long */
    BEFORE_MS = 2500, /* speech before a beep that means something */
    PHRASES = 2,
};

void machine_init(struct machine *m, int64_t now_ms)
{
    *m = (struct machine){ .began_ms = now_ms };
}

bool machine_listens(const struct machine *m, int64_t now_ms)
{
    return m->began_ms && !m->decided && now_ms - m->began_ms < MACHINE_WINDOW_MS;
}

static int64_t speech_ms(const struct machine *m, int64_t now_ms)
{
    int64_t present_ms = m->voice ? now_ms - m->voice_from_ms : 0;

    return present_ms > m->longest_ms ? present_ms : m->longest_ms;
}

static bool decide(struct machine *m, int64_t now_ms)
{
    int64_t speech = speech_ms(m, now_ms);

    m->decided = (m->beep && (m->phrases || speech >= BEFORE_MS)) ||
                 (m->phrases >= PHRASES && speech >= LONG_MS);
    return m->decided;
}

bool machine_voice(struct machine *m, bool on, int64_t now_ms)
{
    if (!machine_listens(m, now_ms))
        return false;
    if (!on)
        m->longest_ms = speech_ms(m, now_ms);
    m->voice = on;
    m->voice_from_ms = now_ms;
    return decide(m, now_ms);
}

bool machine_words(struct machine *m, const char *text, int64_t now_ms)
{
    /* As said by greetings; "I'd like to leave a message" is a caller's. */
    static const char *const said[] = {
        "after the tone",      "after the beep",    "at the tone",         "at the beep",
        "please leave",        "you have reached",  "you've reached",      "is not available",
        "come to the phone",   "take your call",    "record your message", "voice mailbox",
        "voicemail of",        "mailbox is full",   "nach dem signalton",  "nach dem ton",
        "nachricht nach",      "hinterlassen sie",  "nicht erreichbar",    "mailbox von",
        "después de la señal", "deje su mensaje",   "no está disponible",  "buzón de voz",
        "après le bip",        "après le signal",   "laissez un message",  "laissez votre message",
        "répondeur de",        "messagerie vocale",
    };

    if (!machine_listens(m, now_ms))
        return false;
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++)
        m->phrases += strcasestr(text, said[i]) != NULL;
    return decide(m, now_ms);
}

bool machine_beep(struct machine *m, int64_t now_ms)
{
    if (!machine_listens(m, now_ms))
        return false;
    m->beep = true;
    return decide(m, now_ms);
}
