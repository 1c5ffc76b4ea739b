/* passcode.c - see passcode.h.
 *
 * How: word by word; a word is a filler, a number, or itself. It does not look for the code inside
 * other words: who recites all numbers there are must not hit it by chance.
 */
#include "passcode.h"

#include "sign.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { NORMAL_MAX = 200, WORD_MAX = 40, TEXT_MAX = 400 };

static const struct {
    const char *word, *digits;
} numbers[] = {
    { "zero", "0" },
    { "oh", "0" },
    { "o", "0" },
    { "one", "1" },
    { "two", "2" },
    { "three", "3" },
    { "four", "4" },
    { "five", "5" },
    { "six", "6" },
    { "seven", "7" },
    { "eight", "8" },
    { "nine", "9" },
    { "ten", "10" },
    { "eleven", "11" },
    { "twelve", "12" },
    { "thirteen", "13" },
    { "fourteen", "14" },
    { "fifteen", "15" },
    { "sixteen", "16" },
    { "seventeen", "17" },
    { "eighteen", "18" },
    { "nineteen", "19" },
    /* German, Spanish, French */
    { "null", "0" },
    { "eins", "1" },
    { "zwei", "2" },
    { "zwo", "2" },
    { "drei", "3" },
    { "vier", "4" },
    { "fünf", "5" },
    { "sechs", "6" },
    { "sieben", "7" },
    { "acht", "8" },
    { "neun", "9" },
    { "cero", "0" },
    { "uno", "1" },
    { "dos", "2" },
    { "tres", "3" },
    { "cuatro", "4" },
    { "cinco", "5" },
    { "seis", "6" },
    { "siete", "7" },
    { "ocho", "8" },
    { "nueve", "9" },
    { "zéro", "0" },
    { "un", "1" },
    { "deux", "2" },
    { "trois", "3" },
    { "quatre", "4" },
    { "cinq", "5" },
    { "sept", "7" },
    { "huit", "8" },
    { "neuf", "9" },
};

static const char *const tens[] = { "twenty", "thirty",  "forty",  "fifty",
                                    "sixty",  "seventy", "eighty", "ninety" };

static const char *const fillers[] = { "it's", "its", "it",       "is",       "the",  "my",
                                       "a",    "the", "passcode", "password", "code", "pin",
                                       "word", "say", "please",   "pass",     "um",   "uh",
                                       "and",  "i",   "dash",     "space" };

static bool is_letter(char ch)
{
    unsigned char c = (unsigned char)ch;

    return isalpha(c) || c >= 0x80 || c == '\'';
}

/* The next run of letters, or one of digits, lower-case; 0 at the end. */
static size_t next_word(const char **text, char out[WORD_MAX + 1])
{
    const char *p = *text;
    size_t n = 0;
    bool digits;

    while (*p && !is_letter(*p) && !isdigit((unsigned char)*p))
        p++;
    digits = isdigit((unsigned char)*p);
    while (n < WORD_MAX && *p && (digits ? isdigit((unsigned char)*p) != 0 : is_letter(*p)))
        out[n++] = (char)tolower((unsigned char)*p++);
    out[n] = 0;
    *text = p;
    return n;
}

static const char *number_of(const char *word)
{
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(word, numbers[i].word) == 0)
            return numbers[i].digits;
    return NULL;
}

static int tens_of(const char *word)
{
    for (int i = 0; i < (int)(sizeof tens / sizeof tens[0]); i++)
        if (strcmp(word, tens[i]) == 0)
            return i + 2;
    return 0;
}

static bool is_filler(const char *word)
{
    for (size_t i = 0; i < sizeof fillers / sizeof fillers[0]; i++)
        if (strcmp(word, fillers[i]) == 0)
            return true;
    return false;
}

struct state {
    struct pat_buf *out;
    int repeat; /* "double", "triple" */
    int tens;   /* "forty", and a unit may follow */
};

static void put_number(struct state *s, const char *digits)
{
    bool unit = strlen(digits) == 1 && digits[0] != '0';
    int n = s->repeat ? s->repeat : 1;

    if (s->tens && unit) {
        pat_buf_addf(s->out, "%d%s", s->tens, digits);
    } else {
        if (s->tens)
            pat_buf_addf(s->out, "%d0", s->tens);
        for (int i = 0; i < n; i++)
            pat_buf_adds(s->out, digits);
    }
    s->tens = s->repeat = 0;
}

static void end_tens(struct state *s)
{
    if (s->tens)
        pat_buf_addf(s->out, "%d0", s->tens);
    s->tens = 0;
}

static void put_word(struct state *s, const char *word, bool keep_fillers)
{
    const char *digits = isdigit((unsigned char)word[0]) ? word : number_of(word);

    if (digits) {
        put_number(s, digits);
        return;
    }
    end_tens(s);
    s->tens = tens_of(word);
    if (s->tens)
        return;
    if (strcmp(word, "double") == 0 || strcmp(word, "triple") == 0)
        s->repeat = word[0] == 'd' ? 2 : 3;
    else if (keep_fillers || !is_filler(word))
        pat_buf_adds(s->out, word);
}

static int normal(struct pat_buf *out, const char *text, bool keep_fillers)
{
    struct state s = { out, 0, 0 };
    char word[WORD_MAX + 1];

    if (strnlen(text, TEXT_MAX + 1) > TEXT_MAX)
        return PAT_E2BIG;
    while (next_word(&text, word))
        put_word(&s, word, keep_fillers);
    end_tens(&s);
    if (!out->err && out->len > NORMAL_MAX)
        return PAT_E2BIG;
    return out->err;
}

int pat_passcode_normal(struct pat_buf *out, const char *text)
{
    return normal(out, text, false);
}

static bool digest(uint8_t out[32], const char *text, bool keep_fillers, size_t *len)
{
    struct pat_buf b;
    bool good;

    pat_buf_init(&b, 4 * TEXT_MAX);
    good = normal(&b, text, keep_fillers) == PAT_OK;
    *len = b.len;
    if (good)
        pat_sha256(b.data, b.len, out);
    if (b.data)
        explicit_bzero(b.data, b.len);
    pat_buf_fini(&b);
    return good;
}

bool pat_passcode_equal(const char *stored, const char *said)
{
    uint8_t a[32], b[32];
    size_t len_a, len_b;
    bool keep = false;

    if (!digest(a, stored, false, &len_a))
        return false;
    if (!len_a) { /* of nothing but such words: "my pin" */
        keep = true;
        if (!digest(a, stored, true, &len_a) || !len_a)
            return false;
    }
    return digest(b, said, keep, &len_b) && pat_equal_ct(a, b, sizeof a);
}

static bool is_number(const char *word)
{
    return isdigit((unsigned char)word[0]) || number_of(word) || tens_of(word) ||
           strcmp(word, "double") == 0 || strcmp(word, "triple") == 0;
}

static bool is_part(const struct pat_buf *code, const char *word)
{
    return code->len && strstr(code->data, word);
}

int pat_passcode_masked(struct pat_buf *out, const char *stored, const char *said)
{
    struct pat_buf code;
    char word[WORD_MAX + 1];
    int left = 0;

    if (strnlen(said, TEXT_MAX + 1) > TEXT_MAX)
        return PAT_E2BIG;
    pat_buf_init(&code, 4 * TEXT_MAX);
    if (normal(&code, stored, true)) /* then every word may be of it */
        said = "";
    while (next_word(&said, word)) {
        bool hide = is_number(word) || is_part(&code, word);

        pat_buf_addf(out, "%s%s", out->len ? " " : "", hide ? "..." : word);
        left += !hide && !is_filler(word);
    }
    if (code.data)
        explicit_bzero(code.data, code.len);
    pat_buf_fini(&code);
    return left;
}
