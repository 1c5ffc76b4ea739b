/* own_words.c - see own_words.h.
 *
 * One table: a phrase, and it in each language. It does not know who says what when.
 */
#include "own_words.h"

#include "instructions.h"

#include <string.h>

enum { EN, DE, ES, FR, IT, NL, PT, LANGUAGES };

static const char codes[LANGUAGES][3] = { "en", "de", "es", "fr", "it", "nl", "pt" };

static const char *const table[OWN_WORDS][LANGUAGES] = {
    [OWN_SORRY] = {
        [EN] = "I'm sorry, I didn't get that. Could you say it again, please?",
        [DE] = "Entschuldigung, das habe ich nicht verstanden. Können Sie es bitte wiederholen?",
        [ES] = "Lo siento, no le he entendido. ¿Puede repetirlo, por favor?",
        [FR] = "Pardon, je n'ai pas compris. Pouvez-vous répéter, s'il vous plaît ?",
        [IT] = "Scusi, non ho capito. Può ripetere, per favore?",
        [NL] = "Sorry, dat heb ik niet verstaan. Kunt u het nog een keer zeggen?",
        [PT] = "Desculpe, não entendi. Pode repetir, por favor?",
    },
    [OWN_OUT_OF_ORDER] = {
        [EN] = "I'm sorry, we can't take your call right now. Please try again in a few "
               "minutes. Goodbye.",
        [DE] = "Es tut mir leid, wir können Ihren Anruf gerade nicht annehmen. Bitte versuchen "
               "Sie es in einigen Minuten noch einmal. Auf Wiederhören.",
        [ES] = "Lo siento, ahora no podemos atender su llamada. Inténtelo de nuevo en unos "
               "minutos. Adiós.",
        [FR] = "Désolé, nous ne pouvons pas prendre votre appel pour le moment. Veuillez "
               "réessayer dans quelques minutes. Au revoir.",
        [IT] = "Mi dispiace, al momento non possiamo rispondere alla sua chiamata. Riprovi tra "
               "qualche minuto. Arrivederci.",
        [NL] = "Het spijt me, we kunnen uw oproep nu niet beantwoorden. Probeer het over een "
               "paar minuten nog eens. Tot ziens.",
        [PT] = "Desculpe, não podemos atender a sua chamada neste momento. Tente novamente "
               "daqui a alguns minutos. Até logo.",
    },
    [OWN_GOODBYE] = {
        [EN] = "Thank you for calling. Goodbye.",
        [DE] = "Vielen Dank für Ihren Anruf. Auf Wiederhören.",
        [ES] = "Gracias por llamar. Adiós.",
        [FR] = "Merci de votre appel. Au revoir.",
        [IT] = "Grazie per aver chiamato. Arrivederci.",
        [NL] = "Bedankt voor uw telefoontje. Tot ziens.",
        [PT] = "Obrigado por ligar. Até logo.",
    },
    [OWN_HELLO] = {
        [EN] = "Hello. How can I help you?",
        [DE] = "Hallo. Wie kann ich Ihnen helfen?",
        [ES] = "Hola. ¿En qué puedo ayudarle?",
        [FR] = "Bonjour. Comment puis-je vous aider ?",
        [IT] = "Buongiorno. Come posso aiutarla?",
        [NL] = "Hallo. Waarmee kan ik u helpen?",
        [PT] = "Olá. Em que posso ajudar?",
    },
    [OWN_LEAVE_MESSAGE] = {
        [EN] = "I'm sorry, I'm having technical trouble and can't answer you right now. You can "
               "leave a message: just speak, and stop when you are done.",
        [DE] = "Es tut mir leid, ich habe gerade technische Schwierigkeiten. Sie können eine "
               "Nachricht hinterlassen: Sprechen Sie einfach, und hören Sie auf, wenn Sie "
               "fertig sind.",
        [ES] = "Lo siento, tengo problemas técnicos y ahora no puedo responderle. Puede dejar "
               "un mensaje: hable y deténgase cuando termine.",
        [FR] = "Désolé, j'ai un problème technique et ne peux pas vous répondre. Vous pouvez "
               "laisser un message : parlez, et arrêtez-vous quand vous avez terminé.",
        [IT] = "Mi dispiace, ho un problema tecnico e ora non posso risponderle. Può lasciare "
               "un messaggio: parli pure, e si fermi quando ha finito.",
        [NL] = "Het spijt me, ik heb een technisch probleem en kan u nu geen antwoord geven. U "
               "kunt een bericht achterlaten: spreek het in, en stop als u klaar bent.",
        [PT] = "Desculpe, estou com problemas técnicos e não posso responder agora. Pode deixar "
               "uma mensagem: fale, e pare quando terminar.",
    },
    [OWN_MESSAGE_KEPT] = {
        [EN] = "Thank you. Your message has been saved. Goodbye.",
        [DE] = "Danke. Ihre Nachricht ist gespeichert. Auf Wiederhören.",
        [ES] = "Gracias. Su mensaje se ha guardado. Adiós.",
        [FR] = "Merci. Votre message est enregistré. Au revoir.",
        [IT] = "Grazie. Il suo messaggio è stato salvato. Arrivederci.",
        [NL] = "Bedankt. Uw bericht is opgeslagen. Tot ziens.",
        [PT] = "Obrigado. A sua mensagem foi guardada. Até logo.",
    },
    [OWN_STILL_THERE] = {
        [EN] = "Are you still there?",
        [DE] = "Sind Sie noch da?",
        [ES] = "¿Sigue ahí?",
        [FR] = "Êtes-vous toujours là ?",
        [IT] = "È ancora in linea?",
        [NL] = "Bent u er nog?",
        [PT] = "Ainda está aí?",
    },
    [OWN_NOBODY_THERE] = {
        [EN] = "I can't hear anybody any more, so I'll hang up now. Goodbye.",
        [DE] = "Ich höre niemanden mehr und lege jetzt auf. Auf Wiederhören.",
        [ES] = "Ya no oigo a nadie, así que voy a colgar. Adiós.",
        [FR] = "Je n'entends plus personne, je raccroche donc. Au revoir.",
        [IT] = "Non sento più nessuno, quindi chiudo la chiamata. Arrivederci.",
        [NL] = "Ik hoor niemand meer en hang nu op. Tot ziens.",
        [PT] = "Já não ouço ninguém, por isso vou desligar. Até logo.",
    },
    [OWN_TIME_IS_UP] = {
        [EN] = "Just so you know: our time is almost up, and this call will end shortly.",
        [DE] = "Nur zur Information: Unsere Zeit ist fast um, das Gespräch endet gleich.",
        [ES] = "Le aviso: nuestro tiempo casi se ha acabado y la llamada terminará en breve.",
        [FR] = "Pour information : notre temps est presque écoulé, l'appel va bientôt prendre "
               "fin.",
        [IT] = "La informo che il nostro tempo è quasi finito e la chiamata terminerà tra poco.",
        [NL] = "Even ter informatie: onze tijd is bijna om, en het gesprek wordt zo beëindigd.",
        [PT] = "Só para avisar: o nosso tempo está quase no fim e a chamada vai terminar em "
               "breve.",
    },
    [OWN_LIMIT] = {
        [EN] = "I'm sorry, this call has reached its limit. Goodbye.",
        [DE] = "Es tut mir leid, dieses Gespräch hat seine Grenze erreicht. Auf Wiederhören.",
        [ES] = "Lo siento, esta llamada ha llegado a su límite. Adiós.",
        [FR] = "Désolé, cet appel a atteint sa limite. Au revoir.",
        [IT] = "Mi dispiace, questa chiamata ha raggiunto il suo limite. Arrivederci.",
        [NL] = "Het spijt me, dit gesprek heeft zijn limiet bereikt. Tot ziens.",
        [PT] = "Desculpe, esta chamada atingiu o seu limite. Até logo.",
    },
    [OWN_AFTER_TONE] = {
        [EN] = "I'm sorry, we can't take your call right now. If you hear a tone after this, "
               "please leave a message. Goodbye.",
        [DE] = "Es tut mir leid, wir können Ihren Anruf gerade nicht annehmen. Wenn Sie gleich "
               "einen Ton hören, hinterlassen Sie bitte eine Nachricht. Auf Wiederhören.",
        [ES] = "Lo siento, ahora no podemos atender su llamada. Si oye un tono, deje un "
               "mensaje. Adiós.",
        [FR] = "Désolé, nous ne pouvons pas prendre votre appel. Si vous entendez un bip, "
               "laissez un message. Au revoir.",
        [IT] = "Mi dispiace, al momento non possiamo rispondere. Se sente un segnale acustico, "
               "lasci un messaggio. Arrivederci.",
        [NL] = "Het spijt me, we kunnen uw oproep nu niet beantwoorden. Als u zo een toon "
               "hoort, laat dan een bericht achter. Tot ziens.",
        [PT] = "Desculpe, não podemos atender a sua chamada neste momento. Se ouvir um sinal, "
               "deixe uma mensagem. Até logo.",
    },
    [OWN_MOMENT] = {
        [EN] = "One moment, please.",
        [DE] = "Einen Moment, bitte.",
        [ES] = "Un momento, por favor.",
        [FR] = "Un instant, s'il vous plaît.",
        [IT] = "Un momento, per favore.",
        [NL] = "Een ogenblik, alstublieft.",
        [PT] = "Um momento, por favor.",
    },
    [OWN_BACK] = {
        [EN] = "Sorry for the interruption.",
        [DE] = "Entschuldigen Sie die Unterbrechung.",
        [ES] = "Perdone la interrupción.",
        [FR] = "Désolé pour l'interruption.",
        [IT] = "Scusi per l'interruzione.",
        [NL] = "Sorry voor de onderbreking.",
        [PT] = "Desculpe a interrupção.",
    },
    [OWN_SPEAK_NOW] = {
        [EN] = "Please leave your message now. When you are done, just stop speaking.",
        [DE] = "Bitte sprechen Sie jetzt Ihre Nachricht. Wenn Sie fertig sind, hören Sie "
               "einfach auf.",
        [ES] = "Deje su mensaje ahora. Cuando termine, simplemente deje de hablar.",
        [FR] = "Laissez votre message maintenant. Quand vous avez terminé, arrêtez simplement "
               "de parler.",
        [IT] = "Lasci ora il suo messaggio. Quando ha finito, smetta semplicemente di parlare.",
        [NL] = "Spreek uw bericht nu in. Als u klaar bent, stopt u gewoon met praten.",
        [PT] = "Deixe a sua mensagem agora. Quando terminar, basta parar de falar.",
    },
    [OWN_MESSAGE_TAKEN] = {
        [EN] = "Thank you. Your message has been saved. Is there anything else?",
        [DE] = "Danke. Ihre Nachricht ist gespeichert. Kann ich sonst noch etwas tun?",
        [ES] = "Gracias. Su mensaje se ha guardado. ¿Puedo ayudarle en algo más?",
        [FR] = "Merci. Votre message est enregistré. Puis-je faire autre chose pour vous ?",
        [IT] = "Grazie. Il suo messaggio è stato salvato. Posso fare altro per lei?",
        [NL] = "Bedankt. Uw bericht is opgeslagen. Kan ik nog iets voor u doen?",
        [PT] = "Obrigado. A sua mensagem foi guardada. Posso ajudar em mais alguma coisa?",
    },
    [OWN_MESSAGE_EMPTY] = {
        [EN] = "I'm sorry, I didn't hear a message. Is there anything else I can do?",
        [DE] = "Entschuldigung, ich habe keine Nachricht gehört. Kann ich sonst noch etwas tun?",
        [ES] = "Lo siento, no he oído ningún mensaje. ¿Puedo ayudarle en algo más?",
        [FR] = "Désolé, je n'ai pas entendu de message. Puis-je faire autre chose pour vous ?",
        [IT] = "Mi dispiace, non ho sentito nessun messaggio. Posso fare altro per lei?",
        [NL] = "Sorry, ik heb geen bericht gehoord. Kan ik nog iets voor u doen?",
        [PT] = "Desculpe, não ouvi nenhuma mensagem. Posso ajudar em mais alguma coisa?",
    },
    [OWN_NO_ANSWER] = {
        [EN] = "I'm sorry, %s could not be reached. Would you like to leave a message or be "
               "called back?",
        [DE] = "Es tut mir leid, %s ist nicht erreichbar. Möchten Sie eine Nachricht "
               "hinterlassen oder zurückgerufen werden?",
        [ES] = "Lo siento, %s no está disponible. ¿Quiere dejar un mensaje o que le devuelvan "
               "la llamada?",
        [FR] = "Désolé, %s n'est pas joignable. Voulez-vous laisser un message ou être rappelé ?",
        [IT] = "Mi dispiace, %s non è raggiungibile. Vuole lasciare un messaggio o essere "
               "richiamato?",
        [NL] = "Het spijt me, %s is niet bereikbaar. Wilt u een bericht achterlaten of "
               "teruggebeld worden?",
        [PT] = "Desculpe, não foi possível contactar %s. Quer deixar uma mensagem ou que lhe "
               "liguem de volta?",
    },
    [OWN_NOBODY] = {
        [EN] = "Sorry, nobody could be reached. Would you like to leave a message or be called "
               "back?",
        [DE] = "Leider ist niemand erreichbar. Möchten Sie eine Nachricht hinterlassen oder "
               "zurückgerufen werden?",
        [ES] = "Lo siento, no hay nadie disponible. ¿Quiere dejar un mensaje o que le devuelvan "
               "la llamada?",
        [FR] = "Désolé, personne n'est joignable. Voulez-vous laisser un message ou être "
               "rappelé ?",
        [IT] = "Mi dispiace, nessuno è raggiungibile. Vuole lasciare un messaggio o essere "
               "richiamato?",
        [NL] = "Het spijt me, er is niemand bereikbaar. Wilt u een bericht achterlaten of "
               "teruggebeld worden?",
        [PT] = "Desculpe, não há ninguém disponível. Quer deixar uma mensagem ou que lhe liguem "
               "de volta?",
    },
    [OWN_CONNECTING] = {
        [EN] = "One moment, I'm connecting you to %s.",
        [DE] = "Einen Moment, ich verbinde Sie mit %s.",
        [ES] = "Un momento, le paso con %s.",
        [FR] = "Un instant, je vous mets en relation avec %s.",
        [IT] = "Un momento, le passo %s.",
        [NL] = "Een ogenblik, ik verbind u door met %s.",
        [PT] = "Um momento, vou passar a chamada para %s.",
    },
    [OWN_PASSCODE] = {
        [EN] = "Please say the passcode, or enter it on your phone's keypad.",
        [DE] = "Bitte sprechen Sie das Kennwort, oder geben Sie es auf der Tastatur ein.",
        [ES] = "Diga la contraseña, o márquela en el teclado.",
        [FR] = "Dites le mot de passe, ou tapez-le sur le clavier.",
        [IT] = "Dica la parola d'ordine, oppure la digiti sulla tastiera.",
        [NL] = "Zeg het wachtwoord, of toets het in op uw telefoon.",
        [PT] = "Diga a palavra-passe, ou marque-a no teclado.",
    },
    [OWN_PASSCODE_AGAIN] = {
        [EN] = "I'm sorry, that was not right. Please say the passcode again.",
        [DE] = "Das war leider nicht richtig. Bitte sprechen Sie das Kennwort noch einmal.",
        [ES] = "Lo siento, no es correcta. Diga la contraseña otra vez.",
        [FR] = "Désolé, ce n'est pas le bon. Répétez le mot de passe, s'il vous plaît.",
        [IT] = "Mi dispiace, non è corretta. Dica di nuovo la parola d'ordine.",
        [NL] = "Sorry, dat klopte niet. Zeg het wachtwoord nog een keer.",
        [PT] = "Desculpe, não está certa. Diga a palavra-passe outra vez.",
    },
    [OWN_STILL_TRYING] = {
        [EN] = "I'm still trying to reach %s. One moment, please.",
        [DE] = "Ich versuche noch, %s zu erreichen. Einen Moment, bitte.",
        [ES] = "Sigo intentando hablar con %s. Un momento, por favor.",
        [FR] = "J'essaie encore de joindre %s. Un instant, s'il vous plaît.",
        [IT] = "Sto ancora cercando di contattare %s. Un momento, per favore.",
        [NL] = "Ik probeer %s nog te bereiken. Een ogenblik, alstublieft.",
        [PT] = "Ainda estou a tentar contactar %s. Um momento, por favor.",
    },
    [OWN_NOT_CONNECTING] = {
        [EN] = "All right, I'm not connecting you. What else can I do for you?",
        [DE] = "In Ordnung, ich verbinde Sie nicht. Was kann ich sonst für Sie tun?",
        [ES] = "De acuerdo, no le paso la llamada. ¿En qué más puedo ayudarle?",
        [FR] = "Très bien, je ne transfère pas l'appel. Que puis-je faire d'autre pour vous ?",
        [IT] = "Va bene, non trasferisco la chiamata. Cos'altro posso fare per lei?",
        [NL] = "Goed, ik verbind u niet door. Wat kan ik verder voor u doen?",
        [PT] = "Está bem, não passo a chamada. Em que mais posso ajudar?",
    },
    [OWN_ASSISTANT_OF] = {
        [EN] = "Hello, this is the assistant of %s.",
        [DE] = "Hallo, hier ist der Assistent von %s.",
        [ES] = "Hola, soy el asistente de %s.",
        [FR] = "Bonjour, ici l'assistant de %s.",
        [IT] = "Salve, qui è l'assistente di %s.",
        [NL] = "Hallo, u spreekt met de assistent van %s.",
        [PT] = "Olá, aqui fala o assistente de %s.",
    },
    [OWN_SOMEBODY] = {
        [EN] = "A caller is on the line for you.",
        [DE] = "Ein Anrufer ist für Sie in der Leitung.",
        [ES] = "Tengo una llamada para usted.",
        [FR] = "Un appel est en attente pour vous.",
        [IT] = "C'è una chiamata in linea per lei.",
        [NL] = "Er is iemand voor u aan de lijn.",
        [PT] = "Está uma pessoa em linha para falar consigo.",
    },
    [OWN_TAKE_IT] = {
        [EN] = "Do you want to take the call? Say yes or press 1. Say no or press 2.",
        [DE] = "Möchten Sie das Gespräch annehmen? Sagen Sie Ja oder drücken Sie die 1. Sonst "
               "sagen Sie Nein oder drücken die 2.",
        [ES] = "¿Quiere atender la llamada? Diga sí o pulse 1. Si no, diga no o pulse 2.",
        [FR] = "Voulez-vous prendre l'appel ? Dites oui ou appuyez sur 1, sinon dites non ou "
               "appuyez sur 2.",
        [IT] = "Vuole prendere la chiamata? Dica sì o prema 1, altrimenti dica no o prema 2.",
        [NL] = "Wilt u het gesprek aannemen? Zeg ja of druk op 1. Zo niet, zeg nee of druk op 2.",
        [PT] = "Quer atender a chamada? Diga sim ou prima 1. Se não, diga não ou prima 2.",
    },
    [OWN_YES_OR_NO] = {
        [EN] = "Sorry, I didn't get that. Say yes or press 1 to take the call, say no or press "
               "2 if not.",
        [DE] = "Das habe ich nicht verstanden. Sagen Sie Ja oder drücken Sie die 1, sonst Nein "
               "oder die 2.",
        [ES] = "No le he entendido. Diga sí o pulse 1 para atender la llamada, o no, o pulse 2.",
        [FR] = "Je n'ai pas compris. Dites oui ou appuyez sur 1 pour prendre l'appel, sinon non "
               "ou 2.",
        [IT] = "Non ho capito. Dica sì o prema 1 per prendere la chiamata, altrimenti dica no o "
               "prema 2.",
        [NL] = "Dat heb ik niet verstaan. Zeg ja of druk op 1 om het gesprek aan te nemen, of "
               "zeg nee of druk op 2.",
        [PT] = "Não entendi. Diga sim ou prima 1 para atender a chamada, ou diga não ou prima 2.",
    },
    [OWN_TAKEN] = {
        [EN] = "Thank you. I'm connecting you now.",
        [DE] = "Danke. Ich verbinde Sie jetzt.",
        [ES] = "Gracias. Le paso la llamada.",
        [FR] = "Merci. Je vous mets en relation.",
        [IT] = "Grazie. La metto in linea.",
        [NL] = "Bedankt. Ik verbind u nu door.",
        [PT] = "Obrigado. Vou passar a chamada.",
    },
    [OWN_NOT_TAKEN] = {
        [EN] = "All right, I'll tell them. Goodbye.",
        [DE] = "In Ordnung, ich sage es weiter. Auf Wiederhören.",
        [ES] = "De acuerdo, se lo diré. Adiós.",
        [FR] = "Très bien, je le dirai. Au revoir.",
        [IT] = "Va bene, lo riferirò. Arrivederci.",
        [NL] = "Goed, ik geef het door. Tot ziens.",
        [PT] = "Está bem, eu transmito. Até logo.",
    },
    [OWN_CONNECTED] = {
        [EN] = "You are connected with %s now.",
        [DE] = "Sie sind jetzt mit %s verbunden.",
        [ES] = "Ya está en línea con %s.",
        [FR] = "Vous êtes maintenant en relation avec %s.",
        [IT] = "Ora è in linea con %s.",
        [NL] = "U bent nu verbonden met %s.",
        [PT] = "Está agora em linha com %s.",
    },
};

static int column_of(const char *language)
{
    char code[3];

    if (pat_language_code(language, code))
        for (int i = 0; i < LANGUAGES; i++)
            if (strcmp(codes[i], code) == 0)
                return i;
    return EN;
}

const char *own_language(const char *language)
{
    return codes[column_of(language)];
}

const char *own_words(enum own_words which, const char *language)
{
    return table[which][column_of(language)];
}

bool own_words_has(const char *text, const char *language)
{
    for (int i = 0, column = column_of(language); i < OWN_WORDS; i++)
        if (strcmp(text, table[i][column]) == 0)
            return true;
    return false;
}
