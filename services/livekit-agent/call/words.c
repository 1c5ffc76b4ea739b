/* words.c - looks words up in short lists, one a language. */
#include "words.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define LISTS 7

/* Between spaces, so that one search finds a whole word. The first: sounds of any language. */
static const struct {
    const char *language, *words;
} lists[LISTS] = {
    { "", " mhm mhmm mm mmm mm-hmm mm-mm hm hmm uh um uhm uh-huh ah aha ahh oh ooh huh er eh ok "
          "okay " },
    { "en", " yeah yep yup yes right sure alright cool gotcha great " },
    { "de", " ja jaja jo jep genau gut klar stimmt richtig verstehe ach so äh ähm achso " },
    { "es", " sí si claro vale ya bueno ajá bien exacto entiendo eh " },
    { "fr", " oui ouais d'accord voilà bien ah euh hum entendu exact " },
    { "it", " sì si certo va bene già esatto ecco " },
    { "pt", " sim tá certo claro pois é isso bom " },
};

static bool is_word_char(char ch)
{
    unsigned char c = (unsigned char)ch;

    return isalnum(c) || c >= 0x80 || c == '\'' || c == '-';
}

/* The next word at or behind text; its length, 0: none. */
static const char *next_word(const char *text, size_t *len)
{
    while (*text && !is_word_char(*text))
        text++;
    *len = 0;
    while (is_word_char(text[*len]))
        (*len)++;
    return text;
}

static bool in_list(const char *list, const char *word, size_t len)
{
    for (const char *at = list; *at; at++)
        if (*at == ' ' && strncasecmp(at + 1, word, len) == 0 && at[len + 1] == ' ')
            return true;
    return false;
}

static bool is_soft(const char *word, size_t len, size_t list)
{
    if (in_list(lists[0].words, word, len))
        return true;
    if (list)
        return in_list(lists[list].words, word, len);
    for (size_t i = 1; i < LISTS; i++)
        if (in_list(lists[i].words, word, len))
            return true;
    return false;
}

static size_t list_of(const char *language)
{
    for (size_t i = 1; i < LISTS; i++)
        if (strncasecmp(language, lists[i].language, 2) == 0 &&
            !isalpha((unsigned char)language[2]))
            return i;
    return 0;
}

struct words words_count(const char *text, const char *language)
{
    struct words n = { 0, 0 };
    size_t len, list = list_of(language);

    for (text = next_word(text, &len); len; text = next_word(text + len, &len))
        if (is_soft(text, len, list))
            n.soft++;
        else
            n.hard++;
    return n;
}

int words_total(const char *text)
{
    struct words n = words_count(text, "");

    return n.hard + n.soft;
}

bool words_same(const char *a, const char *b)
{
    size_t la, lb;

    for (;;) {
        a = next_word(a, &la);
        b = next_word(b, &lb);
        if (la != lb || strncasecmp(a, b, la) != 0)
            return false;
        if (!la)
            return true;
        a += la;
        b += lb;
    }
}

const char *words_skip(const char *text, int n)
{
    size_t len;

    for (; n > 0; n--) {
        const char *word = next_word(text, &len);

        if (!len)
            return word;
        text = word + len;
    }
    return text;
}
