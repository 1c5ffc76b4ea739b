/* consent.c - looks phrases up in a text whose words stand between single spaces. */
#include "consent.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { LISTS = 7, TEXT_MAX = 1000 };

/* Phrases between bars. yes_first beats no: "no problem". */
static const struct {
    const char *language, *yes_first, *no, *yes, *question, *cancel;
} lists[LISTS] = {
    { "en",
      "|no problem|put him through|put her through|put them through|i'll take it|"
      "i will take it|go ahead|why not|",
      "|no|nope|nah|not now|not today|don't|do not|can't|cannot|busy|later|decline|reject|",
      "|yes|yeah|yep|yup|sure|okay|ok|alright|of course|please do|connect|fine|accept|",
      "|who|what|why|which|how|when|where|",
      "|forget it|never mind|nevermind|cancel|stop|don't bother|leave it|no need|" },
    { "de", "|kein problem|stellen sie durch|stell durch|gerne|",
      "|nein|nee|nö|nicht|keine zeit|später|ablehnen|",
      "|ja|jawohl|jo|klar|okay|in ordnung|einverstanden|bitte|verbinden|",
      "|wer|was|warum|wieso|welche|welcher|wie|wann|wo|worum|",
      "|vergessen sie es|vergiss es|lassen sie es|lass es|abbrechen|egal|stopp|schon gut|" },
    { "es", "|no hay problema|claro que sí|pásemelo|", "|no|ahora no|luego|más tarde|ocupado|",
      "|sí|si|claro|vale|de acuerdo|bueno|adelante|",
      "|quién|qué|por qué|cuál|cómo|cuándo|dónde|quien|que quiere|",
      "|olvídelo|olvídalo|déjelo|cancele|cancelar|no importa|" },
    { "fr", "|pas de problème|passez-le-moi|", "|non|pas maintenant|plus tard|occupé|occupée|",
      "|oui|ouais|d'accord|bien sûr|volontiers|allez-y|",
      "|qui|quoi|pourquoi|quel|quelle|comment|quand|où|",
      "|laissez tomber|oubliez|annulez|annuler|tant pis|" },
    { "it", "|nessun problema|me lo passi|", "|no|non ora|non adesso|più tardi|occupato|occupata|",
      "|sì|si|certo|va bene|d'accordo|volentieri|",
      "|chi|che cosa|cosa|perché|quale|come|quando|dove|",
      "|lasci perdere|lascia perdere|annulla|non importa|" },
    { "nl", "|geen probleem|verbind maar door|",
      "|nee|neen|niet|geen tijd|later|straks|bezet|weigeren|",
      "|ja|jawel|jazeker|oké|okay|goed|graag|natuurlijk|akkoord|prima|",
      "|wie|wat|waarom|welke|hoe|wanneer|waar|waarover|",
      "|laat maar|vergeet het|annuleer|annuleren|hoeft niet|stop|" },
    { "pt", "|sem problema|não há problema|pode passar|",
      "|não|agora não|mais tarde|ocupado|ocupada|",
      "|sim|claro|está bem|tá bom|pode ser|com certeza|",
      "|quem|o quê|por quê|porquê|qual|como|quando|onde|",
      "|esqueça|deixa|deixe|cancele|cancelar|" },
};

static bool is_word_char(char ch)
{
    unsigned char c = (unsigned char)ch;

    return isalnum(c) || c >= 0x80 || c == '\'' || c == '-';
}

/* " no problem ": lower case in ASCII only, which the recognisers' accents survive. */
static void plain(char out[TEXT_MAX], const char *text)
{
    size_t n = 0;

    out[n++] = ' ';
    for (; *text && n + 2 < TEXT_MAX; text++) {
        if (is_word_char(*text))
            out[n++] = (char)tolower((unsigned char)*text);
        else if (out[n - 1] != ' ')
            out[n++] = ' ';
    }
    if (out[n - 1] != ' ')
        out[n++] = ' ';
    out[n] = 0;
}

/* Any phrase of the list: between spaces in text. */
static bool says(const char *text, const char *list)
{
    char phrase[64];

    for (const char *at = list + 1; *at; at += strcspn(at, "|") + 1) {
        int n = snprintf(phrase, sizeof phrase, " %.*s ", (int)strcspn(at, "|"), at);

        if (n > 0 && (size_t)n < sizeof phrase && strstr(text, phrase))
            return true;
    }
    return false;
}

static bool known(const char *language)
{
    for (size_t i = 0; i < LISTS; i++)
        if (strncasecmp(language, lists[i].language, 2) == 0 &&
            !isalpha((unsigned char)language[2]))
            return true;
    return false;
}

static bool counts(size_t list, const char *language)
{
    return list == 0 || !known(language) || strncasecmp(language, lists[list].language, 2) == 0;
}

enum consent consent_of(const char *text, const char *language)
{
    bool first = false, no = false, yes = false, question = strchr(text, '?') != NULL;
    char words[TEXT_MAX];

    plain(words, text);
    for (size_t i = 0; i < LISTS; i++) {
        if (!counts(i, language))
            continue;
        first |= says(words, lists[i].yes_first);
        no |= says(words, lists[i].no);
        yes |= says(words, lists[i].yes);
        question |= says(words, lists[i].question);
    }
    if (first)
        return CONSENT_YES;
    if (question)
        return CONSENT_QUESTION;
    return no ? CONSENT_NO : yes ? CONSENT_YES : CONSENT_UNCLEAR;
}

bool consent_cancels(const char *text, const char *language)
{
    char words[TEXT_MAX];

    plain(words, text);
    for (size_t i = 0; i < LISTS; i++)
        if (counts(i, language) && says(words, lists[i].cancel))
            return true;
    return false;
}
