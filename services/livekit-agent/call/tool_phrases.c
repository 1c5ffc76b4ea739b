/* tool_phrases.c - see tool_phrases.h. */
#include "tool_phrases.h"

#include "prompt.h"

#include <string.h>

static const struct {
    const char *language;
    const char *text[TOOL_PHRASES];
} phrases[] = {
    { "en",
      { "One moment, please.",
        "Please leave your message now. When you are done, just stop speaking.",
        "Thank you. Your message has been saved. Is there anything else?",
        "I'm sorry, I didn't hear a message. Is there anything else I can do?", "Goodbye.",
        "I'm sorry, %s could not be reached. Would you like to leave a message or be called back?",
        "Sorry, nobody could be reached. Would you like to leave a message or be called back?",
        "One moment, I'm connecting you to %s.",
        "Please say the passcode, or enter it on your phone's keypad.",
        "I'm sorry, that was not right. Please say the passcode again.",
        "I'm still trying to reach %s. One moment, please.",
        "All right, I'm not connecting you. What else can I do for you?",
        "Hello, this is the assistant of %s.", "A caller is on the line for you.",
        "Do you want to take the call? Say yes or press 1. Say no or press 2.",
        "Sorry, I didn't get that. Say yes or press 1 to take the call, say no or press 2 if not.",
        "Thank you. I'm connecting you now.", "All right, I'll tell them. Goodbye.",
        "You are connected with %s now." } },
    { "de",
      { "Einen Moment, bitte.",
        "Bitte sprechen Sie jetzt Ihre Nachricht. Wenn Sie fertig sind, hören Sie einfach auf.",
        "Danke. Ihre Nachricht ist gespeichert. Kann ich sonst noch etwas tun?",
        "Entschuldigung, ich habe keine Nachricht gehört. Kann ich sonst noch etwas tun?",
        "Auf Wiederhören.",
        "Es tut mir leid, %s ist nicht erreichbar. Möchten Sie eine Nachricht hinterlassen oder "
        "zurückgerufen werden?",
        "Leider ist niemand erreichbar. Möchten Sie eine Nachricht hinterlassen oder zurückgerufen werden?",
        "Einen Moment, ich verbinde Sie mit %s.",
        "Bitte sprechen Sie das Kennwort, oder geben Sie es auf der Tastatur ein.",
        "Das war leider nicht richtig. Bitte sprechen Sie das Kennwort noch einmal.",
        "Ich versuche noch, %s zu erreichen. Einen Moment, bitte.",
        "In Ordnung, ich verbinde Sie nicht. Was kann ich sonst für Sie tun?",
        "Hallo, hier ist der Assistent von %s.", "Ein Anrufer ist für Sie in der Leitung.",
        "Möchten Sie das Gespräch annehmen? Sagen Sie Ja oder drücken Sie die 1. Sonst sagen Sie "
        "Nein oder drücken die 2.",
        "Das habe ich nicht verstanden. Sagen Sie Ja oder drücken Sie die 1, sonst Nein oder die "
        "2.",
        "Danke. Ich verbinde Sie jetzt.", "In Ordnung, ich sage es weiter. Auf Wiederhören.",
        "Sie sind jetzt mit %s verbunden." } },
    { "es",
      { "Un momento, por favor.",
        "Deje su mensaje ahora. Cuando termine, simplemente deje de hablar.",
        "Gracias. Su mensaje se ha guardado. ¿Puedo ayudarle en algo más?",
        "Lo siento, no he oído ningún mensaje. ¿Puedo ayudarle en algo más?", "Adiós.",
        "Lo siento, %s no está disponible. ¿Quiere dejar un mensaje o que le devuelvan la llamada?",
        "Lo siento, no hay nadie disponible. ¿Quiere dejar un mensaje o que le devuelvan la llamada?",
        "Un momento, le paso con %s.", "Diga la contraseña, o márquela en el teclado.",
        "Lo siento, no es correcta. Diga la contraseña otra vez.",
        "Sigo intentando hablar con %s. Un momento, por favor.",
        "De acuerdo, no le paso la llamada. ¿En qué más puedo ayudarle?",
        "Hola, soy el asistente de %s.", "Tengo una llamada para usted.",
        "¿Quiere atender la llamada? Diga sí o pulse 1. Si no, diga no o pulse 2.",
        "No le he entendido. Diga sí o pulse 1 para atender la llamada, o no, o pulse 2.",
        "Gracias. Le paso la llamada.", "De acuerdo, se lo diré. Adiós.",
        "Ya está en línea con %s." } },
    { "fr",
      { "Un instant, s'il vous plaît.",
        "Laissez votre message maintenant. Quand vous avez terminé, arrêtez simplement de parler.",
        "Merci. Votre message est enregistré. Puis-je faire autre chose pour vous ?",
        "Désolé, je n'ai pas entendu de message. Puis-je faire autre chose pour vous ?",
        "Au revoir.",
        "Désolé, %s n'est pas joignable. Voulez-vous laisser un message ou être rappelé ?",
        "Désolé, personne n'est joignable. Voulez-vous laisser un message ou être rappelé ?",
        "Un instant, je vous mets en relation avec %s.",
        "Dites le mot de passe, ou tapez-le sur le clavier.",
        "Désolé, ce n'est pas le bon. Répétez le mot de passe, s'il vous plaît.",
        "J'essaie encore de joindre %s. Un instant, s'il vous plaît.",
        "Très bien, je ne transfère pas l'appel. Que puis-je faire d'autre pour vous ?",
        "Bonjour, ici l'assistant de %s.", "Un appel est en attente pour vous.",
        "Voulez-vous prendre l'appel ? Dites oui ou appuyez sur 1, sinon dites non ou appuyez sur "
        "2.",
        "Je n'ai pas compris. Dites oui ou appuyez sur 1 pour prendre l'appel, sinon non ou 2.",
        "Merci. Je vous mets en relation.", "Très bien, je le dirai. Au revoir.",
        "Vous êtes maintenant en relation avec %s." } },
};

const char *tool_phrase(enum tool_phrase which, const char *language)
{
    char code[3];

    if (pat_language_code(language, code))
        for (size_t i = 1; i < sizeof phrases / sizeof phrases[0]; i++)
            if (strcmp(phrases[i].language, code) == 0)
                return phrases[i].text[which];
    return phrases[0].text[which];
}
