/* static_doc.c - the document for when all of us are away: see static_doc.h. */
#include "static_doc.h"

#include "document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTION    "--static"
#define MESSAGE_S 120

static const char text[] =
    "Nobody can take your call right now. Please leave a message after the tone.";

bool static_doc_wanted(const char *arg)
{
    size_t n = strlen(OPTION);

    return !strncmp(arg, OPTION, n) && (!arg[n] || arg[n] == '=');
}

static char *env(const char *name, const char *otherwise)
{
    const char *v = getenv(name);

    return strdup(v ? v : otherwise);
}

static int64_t seconds(void)
{
    const char *v = getenv("PAT_ROUTER_VOICEMAIL_MAX_S");
    int64_t n = v ? strtoll(v, NULL, 10) : MESSAGE_S;

    return n < 10 || n > 3600 ? MESSAGE_S : n;
}

/* A Record without an action asks for the present document again, for ever. That we may be away
 * when ours is asked for does no harm: the message has been recorded by then. */
static int write_document(struct pat_buf *out, const struct router_conf *conf, bool swml)
{
    struct voicemail_doc v = { .text = text };
    struct pat_buf action;
    int err;

    pat_buf_init(&action, 2048);
    err = pat_buf_addf(&action, "%s/v1/signalwire/recorded", conf->public_url);
    if (!swml)
        v.action_url = action.data;
    if (!err)
        err = swml ? swml_voicemail(out, conf, &v) : cxml_voicemail(out, conf, &v);
    pat_buf_fini(&action);
    return err;
}

int static_doc_cli(const char *arg)
{
    const char *form = strchr(arg, '=');
    bool swml = form && !strcmp(form, "=swml");
    PAT_AUTO_STR url = env("PAT_ROUTER_PUBLIC_URL", "");
    PAT_AUTO_STR voice = env("PAT_ROUTER_SAY_VOICE", "");
    struct router_conf conf = { .public_url = url,
                                .say_voice = voice,
                                .voicemail_max_s = seconds() };
    struct pat_buf doc;
    int err;

    if (form && !swml && strcmp(form, "=cxml")) {
        fputs("--static takes cxml or swml\n", stderr);
        return 2;
    }
    if (!url || !voice || (!swml && strncmp(url, "http", 4))) {
        fputs("PAT_ROUTER_PUBLIC_URL: where the carrier tells of the message\n", stderr);
        return 2;
    }
    pat_buf_init(&doc, DOCUMENT_MAX);
    err = write_document(&doc, &conf, swml);
    if (!err)
        puts(doc.data);
    pat_buf_fini(&doc);
    return err ? 1 : 0;
}
