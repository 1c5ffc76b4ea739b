/* voice.c - the table behind voice_resolve.
 *
 * How: blanks, quotes and the provider's prefix are cut off, then a name is looked up and an
 * ElevenLabs id is taken as it is. It does not ask ElevenLabs whether an id still exists: that is
 * learnt when it speaks, and then the fallback voice takes over. */
#include "voice.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SARAH "EXAVITQu4vr4xnSDxMaL"

/* Names people could choose, and the public ElevenLabs voice that speaks for them. Those with near
 * set are voices of another vendor's own account: no public id exists, so the closest by gender,
 * age and accent stands in. */
static const struct {
    const char *name;
    const char *id;
    bool near;
} names[] = {
    { "Adam", "pNInz6obpgDQGcFmaJgB", false },
    { "Adrian", "CwhRBWXzGAHq8TQ4Fs17", true },
    { "Alice", "Xb7hH8MSUJpSbSDYk0k2", false },
    { "Amy", "Xb7hH8MSUJpSbSDYk0k2", true }, /* British */
    { "Anna", SARAH, true },
    { "Anthony", "cjVigY5qzO86Huf0OWal", true },
    { "Aria", SARAH, true },
    { "Bella", "hpp4J3VqNfWAUOO0d1Us", false },
    { "Bill", "pqHfZKP75CvOlQylNhV4", false },
    { "Billy", "bIHbv24MWmeRgasZH58o", true },
    { "Bing", "TX3LPaxmHKxFdv7VOQHJ", true },
    { "Brian", "nPczCjzI2devNBz1zQrb", false },
    { "Callum", "N2lVS1w4EtoT3dr4eOWO", false },
    { "Charlie", "IKne3meq5aSn9XLyUdCD", false },
    { "Charlotte", "XrExE9yKIg1WjnnlVkGX", true },
    { "Chloe", "FGY2WhTYpPnrIDTdsKH5", true },
    { "Chris", "iP95p4xoKVk53GoZ742B", false },
    { "Daniel", "onwK4e9ZLuTAKqWW03F9", false },
    { "Dorothy", "pFZP5JQG7iQjIQuC4Bku", true }, /* British */
    { "Elli", "MF3mGyEYCl7XYWbV9V6O", false },
    { "Eric", "cjVigY5qzO86Huf0OWal", false },
    { "Ethan", "TX3LPaxmHKxFdv7VOQHJ", true },
    { "George", "JBFqnCBsd6RMkjVDRZzb", false },
    { "Gilfoy", "N2lVS1w4EtoT3dr4eOWO", true },
    { "Grace", "XrExE9yKIg1WjnnlVkGX", true },
    { "Harry", "SOYHLrjzK2X1ezoPC6cr", false },
    { "Jason", "iP95p4xoKVk53GoZ742B", true },
    { "Jenny", "cgSgspJ2msm6clMCkdW9", true },
    { "Jessica", "cgSgspJ2msm6clMCkdW9", false },
    { "Joe", "nPczCjzI2devNBz1zQrb", true },
    { "John", "pqHfZKP75CvOlQylNhV4", true },
    { "Josh", "TxGEqnHWrfWFTfGW9XjX", false },
    { "Julia", "FGY2WhTYpPnrIDTdsKH5", true },
    { "Kate", SARAH, true },
    { "Laura", "FGY2WhTYpPnrIDTdsKH5", false },
    { "Liam", "TX3LPaxmHKxFdv7VOQHJ", false },
    { "Lily", "pFZP5JQG7iQjIQuC4Bku", false },
    { "Lucas", "bIHbv24MWmeRgasZH58o", true },
    { "Marissa", "cgSgspJ2msm6clMCkdW9", true },
    { "Matilda", "XrExE9yKIg1WjnnlVkGX", false },
    { "Max", "TxGEqnHWrfWFTfGW9XjX", true },
    { "Noah", "IKne3meq5aSn9XLyUdCD", true }, /* Australian */
    { "Paul", "nPczCjzI2devNBz1zQrb", true },
    { "River", "SAz9YHcvj6GT2YYXdXww", false },
    { "Roger", "CwhRBWXzGAHq8TQ4Fs17", false },
    { "Samad", "cjVigY5qzO86Huf0OWal", true }, /* Indian English: no public voice has it */
    { "Sarah", SARAH, false },
    { "Steve", "CwhRBWXzGAHq8TQ4Fs17", true },
    { "Susan", "XrExE9yKIg1WjnnlVkGX", true },
    { "Victoria", "Xb7hH8MSUJpSbSDYk0k2", true },
    { "Will", "bIHbv24MWmeRgasZH58o", false },
    { "Zuri", "FGY2WhTYpPnrIDTdsKH5", true },
};

/* https://platform.openai.com/docs/guides/text-to-speech#voice-options */
static const char *const openai_names[] = { "alloy", "ash",     "ballad", "cedar", "coral",
                                            "echo",  "fable",   "marin",  "nova",  "onyx",
                                            "sage",  "shimmer", "verse" };

/* Ids that were public once and now only give silence, with their successor. */
static const struct {
    const char *id, *successor;
} gone[] = {
    { "21m00Tcm4TlvDq8ikWAM", SARAH }, /* Rachel */
};

static struct voice voice_of(enum voice_provider provider, const char *id, bool substitute)
{
    struct voice v = { .provider = provider,
                       .substitute = substitute,
                       .stability = -1,
                       .similarity = -1,
                       .style = -1,
                       .speed = -1,
                       .speaker_boost = -1 };

    snprintf(v.id, sizeof v.id, "%s", id);
    return v;
}

static bool is_elevenlabs_id(const char *s)
{
    size_t len = strlen(s);

    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)s[i]))
            return false;
    return len >= 15 && len <= 25;
}

static bool find_openai(const char *name, struct voice *out)
{
    for (size_t i = 0; i < sizeof openai_names / sizeof openai_names[0]; i++) {
        if (strcasecmp(openai_names[i], name) != 0)
            continue;
        *out = voice_of(VOICE_OPENAI, openai_names[i], false);
        return true;
    }
    return false;
}

static bool find_elevenlabs(const char *name, struct voice *out)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcasecmp(names[i].name, name) != 0)
            continue;
        *out = voice_of(VOICE_ELEVENLABS, names[i].id, names[i].near);
        return true;
    }
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        if (strcmp(gone[i].id, name) != 0)
            continue;
        *out = voice_of(VOICE_ELEVENLABS, gone[i].successor, true);
        return true;
    }
    if (!is_elevenlabs_id(name))
        return false;
    *out = voice_of(VOICE_ELEVENLABS, name, false);
    return true;
}

/* Rows exist whose value still carries the quotes of the SQL it came from. */
static void trim(const char *s, char *out, size_t cap)
{
    size_t len;

    s += strspn(s, " \t\r\n'\"");
    len = strlen(s);
    while (len && strchr(" \t\r\n'\"", s[len - 1]))
        len--;
    snprintf(out, cap, "%.*s", (int)(len < cap ? len : cap - 1), s);
}

struct voice voice_resolve(const char *stored)
{
    char id[64];
    struct voice v;

    trim(stored ? stored : "", id, sizeof id);
    if (!strncasecmp(id, "openai-", 7)) {
        if (find_openai(id + 7, &v))
            return v;
    } else if (!strncasecmp(id, "11labs-", 7)) {
        if (find_elevenlabs(id + 7, &v))
            return v;
    } else if (find_openai(id, &v) || find_elevenlabs(id, &v)) {
        return v;
    }
    return voice_of(VOICE_ELEVENLABS, SARAH, true);
}

/* Public ElevenLabs voices and OpenAI's that sound like men; of the rest we know they do not. */
static bool is_male(const struct voice *v)
{
    static const char *const ids[] = {
        "pNInz6obpgDQGcFmaJgB",
        "CwhRBWXzGAHq8TQ4Fs17",
        "cjVigY5qzO86Huf0OWal",
        "pqHfZKP75CvOlQylNhV4",
        "bIHbv24MWmeRgasZH58o",
        "TX3LPaxmHKxFdv7VOQHJ",
        "nPczCjzI2devNBz1zQrb",
        "N2lVS1w4EtoT3dr4eOWO",
        "IKne3meq5aSn9XLyUdCD",
        "iP95p4xoKVk53GoZ742B",
        "onwK4e9ZLuTAKqWW03F9",
        "JBFqnCBsd6RMkjVDRZzb",
        "SOYHLrjzK2X1ezoPC6cr",
        "TxGEqnHWrfWFTfGW9XjX",
        "ash",
        "ballad",
        "cedar",
        "echo",
        "fable",
        "onyx",
        "verse",
    };

    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (!strcmp(ids[i], v->id))
            return true;
    return false;
}

static bool is_known(const struct voice *v)
{
    if (v->provider == VOICE_OPENAI)
        return true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(names[i].id, v->id))
            return true;
    return false;
}

bool voice_near(const struct voice *v, enum voice_provider at, struct voice *out)
{
    /* Two each: the voice itself is no substitute for itself. */
    static const char *const near[2][2][2] = {
        [VOICE_ELEVENLABS] = { { SARAH, "XrExE9yKIg1WjnnlVkGX" },
                               { "CwhRBWXzGAHq8TQ4Fs17", "nPczCjzI2devNBz1zQrb" } },
        [VOICE_OPENAI] = { { "shimmer", "nova" }, { "onyx", "echo" } },
    };
    const char *const *pair = near[at][is_male(v)];

    if (!is_known(v))
        return false;
    *out = *v;
    out->provider = at;
    out->substitute = true;
    snprintf(out->id, sizeof out->id, "%s", strcmp(pair[0], v->id) ? pair[0] : pair[1]);
    return true;
}
