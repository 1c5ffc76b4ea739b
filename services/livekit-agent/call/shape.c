/* shape.c - looks at the end of what was said: its punctuation, its last words, its last number.
 *
 * Lists, not grammar: it knows which words no sentence ends with, and how long a number is that
 * people spell. It is wrong now and then; what it costs is a longer or a shorter pause.
 */
#include "shape.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

enum {
    WORD_MAX = 40,
    WHOLE_PHONE = 7, /* digits; fewer are rarely a telephone number */
    WHOLE_CODE = 4,
    PHRASE_WORDS = 4,
    SPELLED = 2 /* so many single ones in a row are being spelled */
};

/* Between spaces, so that one search finds a whole word; phrases between bars. never: no sentence
 * ends with it, whatever the recogniser's full stop says. seldom: none that was not closed by one.
 * wait: they ask for patience. number, code: said before one. */
static const struct {
    const char *language, *never, *seldom, *wait, *number, *code, *digits;
} lists[] = {
    { "", " um uhm uh er erm hm hmm mm äh ähm öh Äh Ähm Öh euh eh ehm ", "", "", "", "", "" },
    { "en", " and or but because the a an my your our their if than i'm i'd it's we're ",
      " i so to of for with at from about is are was that in on by his her like well need want ",
      "|let me see|let me think|hold on|one moment|just a moment|one second|just a second|wait|"
      "wait a second|give me a second|i mean|you know|no wait|sorry|",
      " number phone mobile telephone ", " code pin zip postcode extension ",
      " zero oh one two three four five six seven eight nine double triple " },
    { "de",
      " und oder aber weil dass wenn ob denn sondern des eine einen einem mein meinen meinem für "
      "von zum zur beim wegen ",
      " der die das den dem ein einer ihr ihre mit ich wir zu in bei nach aus auf über um am im "
      "also ist möchte hätte ",
      "|moment|einen moment|kurz moment|moment bitte|warten sie|warte|lassen sie mich sehen|"
      "ich meine|",
      " nummer telefonnummer handynummer rufnummer ", " code pin postleitzahl durchwahl ",
      " null eins zwei zwo drei vier fünf sechs sieben acht neun " },
    { "es",
      " y o pero porque que el la los las un una unos unas mi su de del con para por en a al ",
      " es está se me lo quiero quisiera ", "|un momento|a ver|espere|déjeme ver|quiero decir|",
      " número teléfono móvil ", " código clave postal ",
      " cero uno dos tres cuatro cinco seis siete ocho nueve " },
    { "fr",
      " et ou mais parce que si le la les un une des du de à au aux mon ma mes notre votre avec "
      "pour sur dans chez je j'ai ",
      " c'est est voudrais par en ", "|un moment|attendez|voyons|un instant|je veux dire|",
      " numéro téléphone portable ", " code postal ",
      " zéro un deux trois quatre cinq six sept huit neuf " },
    { "it",
      " e o ma perché che il lo la i gli le un uno una di del della a al da in con su per mio mia ",
      " è sono vorrei ", "|un momento|aspetti|vediamo|un attimo|cioè|", " numero telefono ",
      " codice postale ", " zero uno due tre quattro cinque sei sette otto nove " },
    { "pt", " e ou mas porque que o a os as um uma de do da em no na com por para meu minha ",
      " é são quero queria ", "|um momento|espere|deixe ver|quer dizer|", " número telefone ",
      " código postal ", " zero um dois três quatro cinco seis sete oito nove meia " },
};
enum { LISTS = sizeof lists / sizeof lists[0] };

/* The end of the text, seen from behind. */
struct tail {
    const char *text;
    size_t end; /* behind the last word that is left */
};

static bool is_word_char(char ch)
{
    unsigned char c = (unsigned char)ch;

    return isalnum(c) || c >= 0x80 || c == '\'';
}

/* Takes the last word, in ASCII's lower case. */
static bool take_word(struct tail *t, char out[WORD_MAX + 3])
{
    size_t start, len;

    while (t->end && !is_word_char(t->text[t->end - 1]))
        t->end--;
    start = t->end;
    while (start && is_word_char(t->text[start - 1]))
        start--;
    len = t->end - start;
    if (!len || len > WORD_MAX)
        return false;
    out[0] = ' ';
    for (size_t i = 0; i < len; i++)
        out[1 + i] = (char)tolower((unsigned char)t->text[start + i]);
    memcpy(out + 1 + len, " ", 2);
    t->end = start;
    return true;
}

static size_t list_of(const char *language)
{
    for (size_t i = 1; i < LISTS; i++)
        if (strncasecmp(language, lists[i].language, 2) == 0 &&
            !isalpha((unsigned char)language[2]))
            return i;
    return 0;
}

/* The last character that says something about the end; 0: none. "…" and a dash count as a comma.
 */
static char mark(const char *text)
{
    size_t end = strlen(text);

    while (end && isspace((unsigned char)text[end - 1]))
        end--;
    if (!end || is_word_char(text[end - 1])) {
        bool dots = end >= 3 && memcmp(text + end - 3, "\xe2\x80\xa6", 3) == 0;

        return dots ? ',' : 0;
    }
    if (end >= 2 && text[end - 1] == '.' && text[end - 2] == '.')
        return ',';
    return text[end - 1] == '-' || text[end - 1] == ':' ? ',' : text[end - 1];
}

/* How many digits a word is; 0: it is no part of a number. */
static int digits_of(const char *word, size_t list)
{
    size_t len = strlen(word) - 2;
    int n = 0;

    for (size_t i = 1; i <= len; i++) {
        if (!isdigit((unsigned char)word[i]))
            return strstr(lists[list].digits, word) ? 1 : 0;
        n++;
    }
    return n;
}

/* Spelled digits and letters at the end, and what they are part of. */
static bool is_half_a_number(const char *text, size_t list, bool closed)
{
    struct tail t = { text, strlen(text) };
    char word[WORD_MAX + 3];
    int digits = 0, words = 0, letters = 0;
    bool number = false, code = false;

    while (take_word(&t, word)) {
        int n = digits_of(word, list);

        if (!n && !digits && strlen(word) == 3 && isalpha((unsigned char)word[1])) {
            letters++;
            continue;
        }
        if (!n || letters)
            break;
        digits += n;
        words++;
    }
    if (letters)
        return letters >= SPELLED && !closed;
    if (!digits)
        return false;
    do {
        number = number || strstr(lists[list].number, word);
        code = code || strstr(lists[list].code, word);
    } while (take_word(&t, word));
    if (code)
        return digits < WHOLE_CODE;
    return (number || words > SPELLED) && digits < WHOLE_PHONE;
}

static bool asks_to_wait(const char *text, size_t list)
{
    struct tail t = { text, strlen(text) };
    char run[PHRASE_WORDS * (WORD_MAX + 3)] = "|", word[WORD_MAX + 3];

    for (int n = 0; n < PHRASE_WORDS && take_word(&t, word); n++) {
        size_t len = strlen(word) - 1, had = strlen(run); /* without the space behind */

        memmove(run + len, run, had + 1);
        memcpy(run, word, len);
        if (n)
            run[len] = ' ';
        run[0] = '|';
        if (strstr(lists[list].wait, run))
            return true;
    }
    return false;
}

enum shape shape_of(const char *text, const char *language)
{
    size_t list = list_of(language);
    struct tail t = { text, strlen(text) };
    char word[WORD_MAX + 3], end = mark(text);
    bool closed = end == '.' || end == '?' || end == '!';

    if (!take_word(&t, word))
        return SHAPE_PLAIN;
    if (end == '?' || end == '!')
        return end == '?' ? SHAPE_ASKED : SHAPE_PLAIN;
    if (end == ',' || strstr(lists[0].never, word) || asks_to_wait(text, list))
        return SHAPE_OPEN;
    if (list && (strstr(lists[list].never, word) || (!closed && strstr(lists[list].seldom, word))))
        return SHAPE_OPEN;
    return is_half_a_number(text, list, closed) ? SHAPE_OPEN : SHAPE_PLAIN;
}
