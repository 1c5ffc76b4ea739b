/* machine.h - is the other end an answering machine? Pure.
 *
 * Evidence of the first MACHINE_WINDOW_MS: a beep, phrases that greetings of machines have and
 * people on a phone do not, speech without a pause. A beep behind any of the others decides, and so
 * do two phrases in long speech. Times in ms, on any clock.
 */
#ifndef CALL_MACHINE_H
#define CALL_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#define MACHINE_WINDOW_MS 45000

struct machine {
    int64_t began_ms, voice_from_ms, longest_ms;
    bool voice, beep, decided;
    int phrases;
};

void machine_init(struct machine *m, int64_t now_ms);
/* Within the window, and not decided: evidence is still of use. */
bool machine_listens(const struct machine *m, int64_t now_ms);
/* True once: it is one. */
bool machine_voice(struct machine *m, bool on, int64_t now_ms);
bool machine_words(struct machine *m, const char *text, int64_t now_ms);
bool machine_beep(struct machine *m, int64_t now_ms);

#endif
