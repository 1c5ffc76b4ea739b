/* prompt.c - the instructions of one call, and a handful of words.
 *
 * The caller's number is given to the model, nothing else personal; passcodes never are.
 */
#include "prompt.h"

#include <stdlib.h>
#include <string.h>

enum { SYSTEM_MAX = 80 * 1024 };

static const struct {
    const char *language;
    const char *text[PROMPT_PHRASES];
} phrases[] = {
    { "en",
      { "I'm sorry, I didn't get that. Could you say it again, please?",
        "I'm sorry, we can't take your call right now. Please try again in a few minutes. Goodbye.",
        "Thank you for calling. Goodbye.", "Hello. How can I help you?",
        "I'm sorry, I'm having technical trouble and can't answer you right now. You can leave a "
        "message: just speak, and stop when you are done.",
        "Thank you. Your message has been saved. Goodbye.", "Are you still there?",
        "I can't hear anybody any more, so I'll hang up now. Goodbye.",
        "Just so you know: our time is almost up, and this call will end shortly.",
        "I'm sorry, this call has reached its limit. Goodbye.",
        "I'm sorry, we can't take your call right now. If you hear a tone after this, please leave "
        "a message. Goodbye.",
        "One moment, please.", "Sorry for the interruption." } },
    { "de",
      { "Entschuldigung, das habe ich nicht verstanden. Können Sie es bitte wiederholen?",
        "Es tut mir leid, wir können Ihren Anruf gerade nicht annehmen. Bitte versuchen Sie es in "
        "einigen Minuten noch einmal. Auf Wiederhören.",
        "Vielen Dank für Ihren Anruf. Auf Wiederhören.", "Hallo. Wie kann ich Ihnen helfen?",
        "Es tut mir leid, ich habe gerade technische Schwierigkeiten. Sie können eine Nachricht "
        "hinterlassen: Sprechen Sie einfach, und hören Sie auf, wenn Sie fertig sind.",
        "Danke. Ihre Nachricht ist gespeichert. Auf Wiederhören.", "Sind Sie noch da?",
        "Ich höre niemanden mehr und lege jetzt auf. Auf Wiederhören.",
        "Nur zur Information: Unsere Zeit ist fast um, das Gespräch endet gleich.",
        "Es tut mir leid, dieses Gespräch hat seine Grenze erreicht. Auf Wiederhören.",
        "Es tut mir leid, wir können Ihren Anruf gerade nicht annehmen. Wenn Sie gleich einen Ton "
        "hören, hinterlassen Sie bitte eine Nachricht. Auf Wiederhören.",
        "Einen Moment, bitte.", "Entschuldigen Sie die Unterbrechung." } },
    { "es",
      { "Lo siento, no le he entendido. ¿Puede repetirlo, por favor?",
        "Lo siento, ahora no podemos atender su llamada. Inténtelo de nuevo en unos minutos. Adiós.",
        "Gracias por llamar. Adiós.", "Hola. ¿En qué puedo ayudarle?",
        "Lo siento, tengo problemas técnicos y ahora no puedo responderle. Puede dejar un mensaje: "
        "hable y deténgase cuando termine.",
        "Gracias. Su mensaje se ha guardado. Adiós.", "¿Sigue ahí?",
        "Ya no oigo a nadie, así que voy a colgar. Adiós.",
        "Le aviso: nuestro tiempo casi se ha acabado y la llamada terminará en breve.",
        "Lo siento, esta llamada ha llegado a su límite. Adiós.",
        "Lo siento, ahora no podemos atender su llamada. Si oye un tono, deje un mensaje. Adiós.",
        "Un momento, por favor.", "Perdone la interrupción." } },
    { "fr",
      { "Pardon, je n'ai pas compris. Pouvez-vous répéter, s'il vous plaît ?",
        "Désolé, nous ne pouvons pas prendre votre appel pour le moment. Veuillez réessayer dans "
        "quelques minutes. Au revoir.",
        "Merci de votre appel. Au revoir.", "Bonjour. Comment puis-je vous aider ?",
        "Désolé, j'ai un problème technique et ne peux pas vous répondre. Vous pouvez laisser un "
        "message : parlez, et arrêtez-vous quand vous avez terminé.",
        "Merci. Votre message est enregistré. Au revoir.", "Êtes-vous toujours là ?",
        "Je n'entends plus personne, je raccroche donc. Au revoir.",
        "Pour information : notre temps est presque écoulé, l'appel va bientôt prendre fin.",
        "Désolé, cet appel a atteint sa limite. Au revoir.",
        "Désolé, nous ne pouvons pas prendre votre appel. Si vous entendez un bip, laissez un "
        "message. Au revoir.",
        "Un instant, s'il vous plaît.", "Désolé pour l'interruption." } },
};

char *prompt_system(const struct context *c, int64_t unix_ms)
{
    struct pat_buf b;
    char now[PAT_TIME_LEN + 1];

    pat_time_format(unix_ms, now);
    pat_buf_init(&b, SYSTEM_MAX);
    pat_instructions(&(struct pat_instructions){ .system_prompt = c->system_prompt,
                                                 .agent_name = c->agent_name,
                                                 .user_name = c->user_name,
                                                 .language = c->language,
                                                 .response_style = c->response_style,
                                                 .vetting = c->vetting,
                                                 .greeted = *c->greeting },
                     &b);
    /* What changes from call to call comes last, so that providers can cache what stands before. */
    pat_buf_addf(&b, "\n\nCaller's number: %s. Call began %.16s UTC.",
                 c->from ? c->from : "withheld", now);
    return pat_buf_take(&b);
}

const char *prompt_phrase(enum prompt_phrase which, const char *language)
{
    char code[3];

    if (pat_language_code(language, code))
        for (size_t i = 1; i < sizeof phrases / sizeof phrases[0]; i++)
            if (strcmp(phrases[i].language, code) == 0)
                return phrases[i].text[which];
    return phrases[0].text[which];
}

bool prompt_is_ours(const char *text, const char *language)
{
    for (int i = 0; i < PROMPT_PHRASES; i++)
        if (strcmp(text, prompt_phrase((enum prompt_phrase)i, language)) == 0)
            return true;
    return false;
}
