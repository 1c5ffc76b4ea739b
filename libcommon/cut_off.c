/* cut_off.c - a call that goes on with somebody who has not heard it: see cut_off.h. */
#include "cut_off.h"

#include "instructions.h"

#include <string.h>

static const char intro[] =
    "\n\nThis call goes on: the caller was gone for a moment, since the connection broke off or nobody "
    "took a transfer, and is on the line again. Go on where you were. What was said before:";

const char *pat_cut_off_phrase(const char *language)
{
    static const char *const phrases[][2] = {
        { "en", "Sorry, we were cut off. Could you say that last part again?" },
        { "de", "Entschuldigung, wir wurden unterbrochen. Können Sie das Letzte noch einmal "
                "sagen?" },
        { "es", "Perdone, se ha cortado. ¿Puede repetir lo último?" },
        { "fr", "Désolé, nous avons été coupés. Pouvez-vous répéter ce que vous venez de dire ?" },
        { "it", "Mi scusi, è caduta la linea. Può ripetere l'ultima cosa che ha detto?" },
        { "nl", "Sorry, de verbinding viel weg. Kunt u het laatste nog een keer zeggen?" },
        { "pt", "Desculpe, a ligação caiu. Pode repetir a última coisa que disse?" },
    };
    char code[3];

    if (pat_language_code(language, code))
        for (size_t i = 1; i < sizeof phrases / sizeof phrases[0]; i++)
            if (!strcmp(phrases[i][0], code))
                return phrases[i][1];
    return phrases[0][1];
}

static const char *who(const struct pat_json *turn)
{
    const char *role = pat_json_str_or(turn, "role", "");

    return !strcmp(role, "user") ? "Caller" : !strcmp(role, "agent") ? "You" : NULL;
}

static size_t cost(const struct pat_json *turn)
{
    const char *text = pat_json_str_or(turn, "content", "");

    return who(turn) && *text ? strlen(text) + sizeof "\nCaller: " : 0;
}

/* The first of the latest turns that fit; n when none does. */
static size_t first_that_fits(const struct pat_json *said, size_t n, size_t max_bytes)
{
    size_t used = 0, i = n;

    while (i > 0 && used + cost(pat_json_item(said, i - 1)) <= max_bytes)
        used += cost(pat_json_item(said, --i));
    return i;
}

int pat_cut_off_said(const struct pat_json *said, size_t max_bytes, struct pat_buf *out)
{
    size_t n = said && pat_json_kind(said) == PAT_JSON_ARR ? pat_json_size(said) : 0;
    bool begun = false;

    for (size_t i = first_that_fits(said, n, max_bytes); i < n; i++) {
        const struct pat_json *turn = pat_json_item(said, i);

        if (!cost(turn))
            continue;
        if (!begun)
            pat_buf_adds(out, intro);
        begun = true;
        pat_buf_addf(out, "\n%s: %s", who(turn), pat_json_str_or(turn, "content", ""));
    }
    return out->err;
}
