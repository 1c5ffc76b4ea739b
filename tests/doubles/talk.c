/* talk.c - see talk.h.
 *
 * How: a table of key words, first hit wins; without a hit the words come back in a sentence. It
 * does not remember earlier turns. */
#include "talk.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *words[4]; /* any of them */
    const char *reply;
} rules[] = {
    { { "goodbye", "good bye", "bye" }, "Goodbye, and thank you for calling." },
    { { "opening hours", "are you open", "what time do you" },
      "We are open from nine to five, Monday to Friday." },
    { { "your name", "who are you" }, "My name is Pat. I answer the phone here." },
    { { "a table" }, "A table, gladly. At what time would you like to come?" },
    { { "order", "package" }, "Let me look that up. Can you tell me your order number?" },
    { { "invoice" }, "I can help with that. Which invoice is it about?" },
    { { "address" }, "Of course. What is the new address?" },
    { { "call me back" }, "We will call you back. At which time tomorrow suits you best?" },
    { { "free room" }, "Yes, there is one room left on Friday. Shall I keep it for you?" },
    { { "appointment", "booking", "reservation" },
      "I can book that for you. Which day suits you?" },
    { { "price", "cost", "how much" },
      "That depends on the size. Shall I send you our price list?" },
    { { "weather" }, "It looks sunny today. Do you want to plan something outside?" },
    { { "tell me a story", "long story" },
      "Once upon a time there was an old telephone exchange on a hill. Every night its operator "
      "listened to the wind in the wires. One winter the wind began to answer. It told her about "
      "ships far out at sea, and about the people who waited for them. She wrote it all down, and "
      "that is how this story came to us." },
    { { "thank" }, "You are welcome. Is there anything else?" },
    { { "hello", "good morning", "good afternoon", "hi there" },
      "Hello! How can I help you today?" },
};

static bool has_word(const char *text, const char *word)
{
    size_t len = strlen(word);

    for (const char *p = text; (p = strcasestr(p, word)); p++)
        if ((p == text || !isalnum((unsigned char)p[-1])) &&
            (!isalnum((unsigned char)p[len]) || !strcmp(word, "thank")))
            return true;
    return false;
}

static const char *rule_for(const char *text)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        for (size_t w = 0; w < 4 && rules[i].words[w]; w++)
            if (has_word(text, rules[i].words[w]))
                return rules[i].reply;
    return NULL;
}

/* content is a string, or an array of parts with type "text". */
static const char *content_of(const struct pat_json *message)
{
    const char *s = pat_json_str_or(message, "content", NULL);

    return s ? s : pat_json_str_or(message, "content[0].text", "");
}

static const struct pat_json *last_of(const struct pat_json *messages)
{
    size_t n = pat_json_size(messages);

    return n ? pat_json_item(messages, n - 1) : NULL;
}

/* Asked to go on behind words of its own, it begins anew, as models like to. */
static const struct pat_json *to_answer(const struct pat_json *messages)
{
    size_t n = pat_json_size(messages);

    if (n < 3 || strcmp(pat_json_str_or(pat_json_item(messages, n - 1), "role", ""), "system") ||
        strcmp(pat_json_str_or(pat_json_item(messages, n - 2), "role", ""), "assistant"))
        return last_of(messages);
    return pat_json_item(messages, n - 3);
}

static int reply_to_tool(const char *content, struct pat_buf *out)
{
    PAT_AUTO_JSON j = NULL;
    const char *said = NULL;

    if (!pat_json_parse(&j, content, strlen(content), NULL) && pat_json_kind(j) == PAT_JSON_OBJ) {
        said = pat_json_str_or(j, "message", NULL);
        if (!said)
            said = pat_json_str_or(j, "result", NULL);
        return pat_buf_addf(out, "All done. %s", said ? said : "Is there anything else?");
    }
    return pat_buf_addf(out, "All done. %.200s", content);
}

int talk_reply(const struct pat_json *messages, struct pat_buf *out)
{
    const struct pat_json *last = to_answer(messages);
    const char *role = pat_json_str_or(last, "role", ""), *text = content_of(last), *reply;
    size_t len = strlen(text);

    if (!strcmp(role, "tool"))
        return reply_to_tool(text, out);
    if (strcmp(role, "user") != 0)
        return pat_buf_adds(out, "Hello, this is Pat. How can I help you?");
    reply = rule_for(text);
    if (reply)
        return pat_buf_adds(out, reply);
    while (len && strchr(" .!?\n", text[len - 1]))
        len--;
    return pat_buf_addf(out, "You said: %.*s. Please tell me more about that.", (int)len, text);
}

/* A value of the property's type: an enum's word that was said, a number, else what was said. */
static void fill_argument(struct pat_json *args, const char *name, const struct pat_json *schema,
                          const char *text)
{
    const char *type = pat_json_str_or(schema, "type", "string");
    const struct pat_json *choices = pat_json_at(schema, "enum");
    const char *digits = strpbrk(text, "0123456789");

    for (size_t i = 0; choices && i < pat_json_size(choices); i++) {
        const char *c = pat_json_value_str(pat_json_item(choices, i));

        if (c && (has_word(text, c) || i + 1 == pat_json_size(choices))) {
            pat_json_set_str(args, name, c);
            return;
        }
    }
    if (!strcmp(type, "boolean"))
        pat_json_set_bool(args, name, true);
    else if (!strcmp(type, "integer") || !strcmp(type, "number"))
        pat_json_set_int(args, name, digits ? (int64_t)(digits[0] - '0') : 1);
    else if (!strcmp(type, "string"))
        pat_json_set_str(args, name, text);
}

static struct pat_json *call_of(const char *name, const struct pat_json *function, const char *text)
{
    struct pat_json *call = pat_json_obj(), *args = pat_json_obj();
    const struct pat_json *props = pat_json_at(function, "parameters.properties");

    for (size_t i = 0; props && i < pat_json_size(props); i++)
        fill_argument(args, pat_json_key(pat_json_item(props, i)), pat_json_item(props, i), text);
    pat_json_set_str(call, "name", name);
    pat_json_set_take(call, "arguments", args);
    return call;
}

struct pat_json *talk_tool(const struct pat_json *messages, const struct pat_json *tools)
{
    const struct pat_json *last = last_of(messages);
    const char *text = content_of(last);

    if (!tools || strcmp(pat_json_str_or(last, "role", ""), "user") != 0)
        return NULL;
    for (size_t i = 0; i < pat_json_size(tools); i++) {
        const struct pat_json *function = pat_json_at(pat_json_item(tools, i), "function");
        const char *name = pat_json_str_or(function, "name", "");
        char verb[65] = "";

        memcpy(verb, name, strcspn(name, "_-") < 64 ? strcspn(name, "_-") : 64);
        if (*verb && has_word(text, verb))
            return call_of(name, function, text);
    }
    return NULL;
}

static bool is_answered(const struct pat_json *messages, size_t from, const char *id)
{
    for (size_t i = from; i < pat_json_size(messages); i++) {
        const struct pat_json *m = pat_json_item(messages, i);

        if (!strcmp(pat_json_str_or(m, "role", ""), "tool") &&
            !strcmp(pat_json_str_or(m, "tool_call_id", ""), id))
            return true;
    }
    return false;
}

const char *talk_unanswered(const struct pat_json *messages)
{
    for (size_t i = 0; i < pat_json_size(messages); i++) {
        const struct pat_json *calls = pat_json_at(pat_json_item(messages, i), "tool_calls");

        for (size_t c = 0; calls && c < pat_json_size(calls); c++) {
            const char *id = pat_json_str_or(pat_json_item(calls, c), "id", "");

            if (!is_answered(messages, i + 1, id))
                return id;
        }
    }
    return NULL;
}
