/* agent_fields.c - what may be written into an agent's settings: see agent_fields.h. */
#include "agent_fields.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

enum kind { TEXT, WORD, NUMBER, WHOLE, BOOL, LANGUAGE };

struct field {
    const char *name;
    enum kind kind;
    double min, max;   /* of a number; of a text: bytes */
    const char *words; /* WORD: " one of these " */
    const char *what;
};

/* Ranges are those of the columns' own checks (migrations/001_baseline.sql), or what Pat's page
 * offers. */
static const struct field fields[] = {
    { "agent_name", TEXT, 0, 100, NULL, "a name of at most 100 bytes" },
    { "agent_volume", NUMBER, 0, 2, NULL, "a number from 0 to 2" },
    { "ambient_sound", WORD, 0, 0,
      " off coffee-shop convention-hall summer-outdoor mountain-outdoor high-school-hallway "
      "static-noise call-center ",
      "off, coffee-shop, convention-hall, summer-outdoor, mountain-outdoor, high-school-hallway, "
      "static-noise or call-center" },
    { "ambient_sound_volume", NUMBER, 0, 2, NULL, "a number from 0 to 2" },
    { "greeting_template", TEXT, 0, 1000, NULL, "at most 1000 bytes" },
    { "language", LANGUAGE, 0, 0, NULL, "a language as in en-US, or multi" },
    { "max_tokens", WHOLE, 50, 500, NULL, "a whole number from 50 to 500" },
    { "noise_suppression", WORD, 0, 0, " off low medium high ", "off, low, medium or high" },
    { "response_style", WORD, 0, 0, " professional casual friendly ",
      "professional, casual or friendly" },
    { "system_prompt", TEXT, 0, 32000, NULL, "at most 32000 bytes" },
    { "temperature", NUMBER, 0, 1, NULL, "a number from 0 to 1" },
    { "transfer_unknown_callers", BOOL, 0, 0, NULL, "true or false" },
    { "vetting_strategy", WORD, 0, 0, " name-and-purpose strict lenient ",
      "name-and-purpose, strict or lenient" },
    { "voice_id", TEXT, 1, 100, NULL, "the id of a voice" },
};

static bool is_word(const char *words, const char *s)
{
    size_t n = strlen(s);

    for (const char *at = words; n && !strchr(s, ' ') && (at = strstr(at, s)); at++)
        if (at[-1] == ' ' && at[n] == ' ')
            return true;
    return false;
}

/* BCP 47 as far as it is used here: en, en-US, multi. */
static bool is_language(const char *s)
{
    if (!strcmp(s, "multi"))
        return true;
    return islower((unsigned char)s[0]) && islower((unsigned char)s[1]) &&
           (!s[2] ||
            (s[2] == '-' && isupper((unsigned char)s[3]) && isupper((unsigned char)s[4]) && !s[5]));
}

static bool good(const struct field *f, const struct pat_json *value)
{
    const char *s = pat_json_value_str(value);
    double n;

    switch (f->kind) {
    case TEXT:
        return s && (double)strlen(s) >= f->min && (double)strlen(s) <= f->max;
    case WORD:
        return s && is_word(f->words, s);
    case LANGUAGE:
        return s && is_language(s);
    case BOOL:
        return pat_json_kind(value) == PAT_JSON_BOOL;
    case NUMBER:
    case WHOLE:
        n = pat_json_kind(value) == PAT_JSON_NUM ? pat_json_value_num(value) : NAN;
        return n >= f->min && n <= f->max && (f->kind == NUMBER || n == floor(n));
    }
    return false;
}

int agent_fields_check(const struct pat_json *changes, const char **field, const char **what)
{
    *field = NULL;
    *what = "an object with at least one setting";
    if (!changes || pat_json_kind(changes) != PAT_JSON_OBJ || !pat_json_size(changes))
        return PAT_EINVAL;
    PAT_JSON_EACH(member, changes)
    {
        const struct field *f = NULL;

        *field = pat_json_key(member);
        for (size_t i = 0; i < sizeof fields / sizeof fields[0] && !f; i++)
            if (!strcmp(fields[i].name, *field))
                f = &fields[i];
        *what = f ? f->what : "no such setting";
        if (!f || !good(f, member))
            return PAT_EINVAL;
    }
    return PAT_OK;
}
