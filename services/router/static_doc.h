/* static_doc.h - patchbay-router --static: the document the carrier itself keeps, for when all of
 * us are away.
 *
 * It asks nobody for anything until the message is recorded, and has no secret in it. Pure but for
 * standard output.
 */
#ifndef ROUTER_STATIC_DOC_H
#define ROUTER_STATIC_DOC_H

#include "pat.h"

/* patchbay-router --static[=cxml|=swml]: prints it, with PAT_ROUTER_PUBLIC_URL,
 * PAT_ROUTER_SAY_VOICE and PAT_ROUTER_VOICEMAIL_MAX_S of the environment. The exit status: 0, 2 for
 * wrong arguments. */
int static_doc_cli(const char *arg);
/* Whether arg is such an argument. */
bool static_doc_wanted(const char *arg);
#define STATIC_DOC_USAGE                                                                            \
    "  --static[=swml]  print the document to host at the carrier, which takes a message when no\n" \
    "                   router answers\n"

#endif
