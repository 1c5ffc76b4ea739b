/* sentence.c - see sentence.h.
 *
 * How: one character at a time, so that deltas cannot matter; a blank asks whether what stands
 * before it ends a sentence. It knows the common abbreviations of seven languages, which of them
 * write ordinals with a full stop, and the full stops of other scripts; it does not know grammar.
 */
#include "sentence.h"

#include "json.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum {
    LONG_FIRST = 60, /* characters: then the first piece may end at a comma ... */
    MIN_CLAUSE = 25, /* ... with at least this much before it */
};

/* Languages, as bits: whose abbreviations a word is. The same letters are one language's title and
 * another's last word ("no." ends many a sentence in Spanish). */
enum {
    EN = 1,
    DE = 2,
    FR = 4,
    ES = 8,
    IT = 16,
    PT = 32,
    NL = 64,
    ALL = 127,     /* also of a language we do not know */
    ORDINAL = 128, /* "am 3. Mai": a short number and a full stop are a word */
};

static const struct {
    const char *code;
    unsigned bits;
} languages[] = {
    { "cs", ORDINAL }, { "da", ORDINAL }, { "de", DE | ORDINAL }, { "en", EN },
    { "es", ES },      { "et", ORDINAL }, { "fi", ORDINAL },      { "fr", FR },
    { "hr", ORDINAL }, { "hu", ORDINAL }, { "it", IT },           { "nb", ORDINAL },
    { "nl", NL },      { "no", ORDINAL }, { "pl", ORDINAL },      { "pt", PT },
    { "sk", ORDINAL }, { "sl", ORDINAL }, { "tr", ORDINAL },
};

struct word {
    const char *text;
    unsigned of;
};

/* Before a name or number, so never an end. */
static const struct word never[] = {
    { "dr", ALL },
    { "prof", ALL },
    { "vs", ALL },
    { "e.g", ALL },
    { "i.e", ALL },
    { "fig", ALL },
    { "vol", ALL },
    { "tel", ALL },
    { "st", EN | DE | FR | NL },
    { "mr", EN | NL },
    { "mrs", EN },
    { "ms", EN },
    { "messrs", EN },
    { "gen", EN },
    { "col", EN },
    { "lt", EN },
    { "capt", EN },
    { "sgt", EN },
    { "rev", EN },
    { "hon", EN },
    { "gov", EN },
    { "sen", EN },
    { "rep", EN },
    { "no", EN },
    { "nos", EN },
    { "dept", EN },
    { "ext", EN },
    { "approx", EN },
    { "ave", EN },
    { "blvd", EN },
    { "apt", EN },
    { "jan", EN | DE },
    { "feb", EN | DE },
    { "aug", EN | DE },
    { "sept", EN | DE },
    { "oct", EN },
    { "okt", DE | NL },
    { "nov", EN | DE | NL },
    { "dec", EN | NL },
    { "dez", DE },
    { "nr", DE | NL },
    { "hr", DE },
    { "hrn", DE },
    { "fr", DE },
    { "frl", DE },
    { "z.b", DE },
    { "d.h", DE },
    { "u.a", DE },
    { "v.a", DE },
    { "z.t", DE },
    { "u.u", DE },
    { "s.o", DE },
    { "s.u", DE },
    { "ca", DE | NL },
    { "bzw", DE },
    { "evtl", DE },
    { "ggf", DE },
    { "inkl", DE },
    { "exkl", DE },
    { "vgl", DE },
    { "mio", DE },
    { "mrd", DE },
    { "geb", DE },
    { "abs", DE },
    { "sog", DE },
    { "mme", FR },
    { "mmes", FR },
    { "mlle", FR },
    { "mm", FR },
    { "mgr", FR },
    { "ste", FR },
    { "env", FR },
    { "p.ex", FR | PT },
    { "art", FR | ES | IT | PT | DE },
    { "sr", ES | PT },
    { "sra", ES | PT },
    { "srta", ES | PT },
    { "sres", ES },
    { "dra", ES | PT },
    { "ud", ES },
    { "uds", ES },
    { "vd", ES },
    { "p.ej", ES },
    { "aprox", ES | PT },
    { "n\xC3\xBAm", ES | PT },
    { "p\xC3\xA1g", ES | PT },
    { "avda", ES },
    { "av", ES | PT | FR },
    { "dpto", ES },
    { "sig", IT },
    { "sig.ra", IT },
    { "sig.na", IT },
    { "sigg", IT },
    { "dott", IT },
    { "dott.ssa", IT },
    { "prof.ssa", IT },
    { "avv", IT },
    { "ing", IT | NL },
    { "geom", IT },
    { "rag", IT },
    { "p.es", IT },
    { "pag", IT },
    { "exmo", PT },
    { "exma", PT },
    { "profa", PT },
    { "dhr", NL },
    { "mevr", NL },
    { "mw", NL },
    { "drs", NL },
    { "ir", NL },
    { "bijv", NL },
    { "d.w.z", NL },
    { "o.a", NL },
    { "m.b.t", NL },
    { "t.a.v", NL },
    { "blz", NL },
};
/* An end when a capital follows. */
static const struct word perhaps[] = {
    { "a.m", ALL },         { "p.m", ALL },  { "etc", ALL },     { "inc", ALL }, { "ltd", ALL },
    { "co", EN | DE | NL }, { "corp", ALL }, { "jr", ALL },      { "u.s", EN },  { "u.k", EN },
    { "u.n", EN },          { "min", ALL },  { "max", ALL },     { "rd", EN },   { "hr", EN },
    { "hrs", EN },          { "mins", EN },  { "oz", EN },       { "lb", EN },   { "ft", EN },
    { "misc", EN },         { "usw", DE },   { "str", DE | NL }, { "std", DE },  { "ee.uu", ES },
    { "ecc", IT },          { "s.p.a", IT }, { "ltda", PT },     { "enz", NL },  { "b.v", NL },
};

static void on_plain(const char *utf8, size_t len, void *arg);

static void forget_marks(struct sentence *s)
{
    s->clause_at = s->blank_at = s->maybe_at = 0;
}

void sentence_init(struct sentence *s, size_t min, sentence_fn *fn, void *arg)
{
    s->fn = fn;
    s->arg = arg;
    s->min = min;
    s->len = s->chars = 0;
    s->first = true;
    s->language = ALL;
    forget_marks(s);
    plain_init(&s->plain, on_plain, s);
}

void sentence_language(struct sentence *s, const char *code)
{
    s->language = ALL;
    for (size_t i = 0; code && i < sizeof languages / sizeof languages[0]; i++)
        if (strncmp(languages[i].code, code, 2) == 0 && !isalnum((unsigned char)code[2]))
            s->language = languages[i].bits & ALL ? languages[i].bits : languages[i].bits | ALL;
}

static bool has_word(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (isalnum((unsigned char)p[i]))
            return true;
    /* Beyond ASCII a letter, unless all of it is general punctuation (E2 80 xx). */
    for (size_t i = 0; i + 1 < len; i++)
        if ((uint8_t)p[i] >= 0xC3 && !((uint8_t)p[i] == 0xE2 && (uint8_t)p[i + 1] == 0x80) &&
            !((uint8_t)p[i] == 0xE3 && (uint8_t)p[i + 1] == 0x80))
            return true;
    return false;
}

/* The first `n` bytes go out, the rest stays. */
static void emit(struct sentence *s, size_t n)
{
    size_t from = 0, to = n;

    while (from < to && isspace((unsigned char)s->text[from]))
        from++;
    while (to > from && isspace((unsigned char)s->text[to - 1]))
        to--;
    if (has_word(s->text + from, to - from)) {
        s->first = false;
        s->fn(s->text + from, to - from, s->arg);
    }
    while (n < s->len && isspace((unsigned char)s->text[n]))
        n++;
    memmove(s->text, s->text + n, s->len - n);
    s->len -= n;
    s->chars = pat_utf8_count(s->text, s->len);
    forget_marks(s);
}

static bool is_listed(const struct word *list, size_t n, unsigned language, const char *word,
                      size_t len)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].of & language && strlen(list[i].text) == len &&
            !strncasecmp(list[i].text, word, len))
            return true;
    return false;
}

enum end { NO_END, MAYBE_END, SURE_END };

/* Quotes and brackets that close behind the full stop. */
static size_t without_closers(const char *p, size_t len)
{
    static const char *const closers[] = {
        "\"", "'", ")", "]", "\xE2\x80\x9D", "\xE2\x80\x99", "\xC2\xBB", "\xE2\x80\x9C"
    };

    for (size_t i = 0; i < sizeof closers / sizeof closers[0]; i++) {
        size_t n = strlen(closers[i]);

        if (len > n && !memcmp(p + len - n, closers[i], n)) {
            len -= n;
            i = SIZE_MAX; /* from the start of the list */
        }
    }
    return len;
}

/* The text ends with a full stop at len - 1: which word stands before it? */
static enum end stop_kind(const char *p, size_t len, unsigned language)
{
    size_t end = len - 1, at = end;
    const char *word;

    if (end && p[end - 1] == '.')
        return MAYBE_END; /* "..." */
    while (at && !isspace((unsigned char)p[at - 1]) && !strchr("(\"'", p[at - 1]))
        at--;
    word = p + at;
    if (is_listed(never, sizeof never / sizeof never[0], language, word, end - at))
        return NO_END;
    if (is_listed(perhaps, sizeof perhaps / sizeof perhaps[0], language, word, end - at))
        return MAYBE_END;
    if (end - at == 1 && isalpha((unsigned char)*word) && *word != 'I')
        return NO_END; /* an initial; "z. B." */
    for (size_t i = at; i < end; i++)
        if (!isdigit((unsigned char)p[i]))
            return SURE_END;
    if (at == 0 || at == end)
        return NO_END; /* "1." begins an item of a list */
    return language & ORDINAL && end - at <= 2 ? NO_END : SURE_END;
}

static enum end end_kind(const char *p, size_t len, unsigned language)
{
    len = without_closers(p, len);
    if (!len)
        return NO_END;
    if (p[len - 1] == '!' || p[len - 1] == '?')
        return SURE_END;
    if (p[len - 1] == '.')
        return stop_kind(p, len, language);
    if (len >= 3 && !memcmp(p + len - 3, "\xE2\x80\xA6", 3))
        return MAYBE_END; /* the ellipsis */
    return NO_END;
}

/* Full stops that no blank follows: ideographic, full-width ! and ?; danda, Arabic ?. */
static bool is_script_stop(const char *c, size_t len)
{
    static const char *const stops[] = { "\xE3\x80\x82", "\xEF\xBC\x81", "\xEF\xBC\x9F",
                                         "\xE0\xA5\xA4", "\xD8\x9F" };

    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++)
        if (strlen(stops[i]) == len && !memcmp(stops[i], c, len))
            return true;
    return false;
}

static bool long_enough(const struct sentence *s)
{
    return s->first || s->chars >= s->min;
}

static void add(struct sentence *s, const char *c, size_t len)
{
    memcpy(s->text + s->len, c, len);
    s->len += len;
    s->chars++;
}

/* A line that is too short to stand alone goes on with a pause. */
static void line_ends(struct sentence *s)
{
    if (!s->len)
        return;
    if (long_enough(s)) {
        emit(s, s->len);
        return;
    }
    if (isalnum((unsigned char)s->text[s->len - 1]))
        add(s, ",", 1);
    add(s, " ", 1);
}

static void blank_comes(struct sentence *s)
{
    enum end kind = end_kind(s->text, s->len, s->language);
    char last = s->len ? s->text[s->len - 1] : ' ';

    if (last == ' ')
        return;
    if (kind == SURE_END && long_enough(s)) {
        emit(s, s->len);
        return;
    }
    if (kind == MAYBE_END && long_enough(s))
        s->maybe_at = s->len;
    if (strchr(",;:", last) && s->chars >= MIN_CLAUSE)
        s->clause_at = s->len;
    s->blank_at = s->len;
    add(s, " ", 1);
}

static void char_comes(struct sentence *s, const char *c, size_t len)
{
    if (s->maybe_at) {
        size_t at = s->maybe_at;

        s->maybe_at = 0;
        if (isupper((unsigned char)*c) || isdigit((unsigned char)*c) || strchr("\"'([", *c) ||
            (uint8_t)*c >= 0xC2)
            emit(s, at);
    }
    add(s, c, len);
    if (is_script_stop(c, len) && long_enough(s))
        emit(s, s->len);
}

static void on_plain(const char *utf8, size_t len, void *arg)
{
    struct sentence *s = arg;

    if (*utf8 == '\n')
        line_ends(s);
    else if (*utf8 == ' ')
        blank_comes(s);
    else
        char_comes(s, utf8, len);
    if (s->first && s->chars > LONG_FIRST && s->clause_at)
        emit(s, s->clause_at);
    if (s->len >= SENTENCE_MAX)
        emit(s, s->clause_at ? s->clause_at : s->blank_at ? s->blank_at : s->len);
}

void sentence_feed(struct sentence *s, const char *text, size_t len)
{
    plain_feed(&s->plain, text, len);
}

void sentence_end(struct sentence *s)
{
    plain_end(&s->plain);
    if (s->len)
        emit(s, s->len);
    s->len = s->chars = 0;
    s->first = true;
    forget_marks(s);
}
