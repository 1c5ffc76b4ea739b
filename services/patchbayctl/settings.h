/* settings.h - what the environment says: which server, who asks. */
#ifndef CTL_SETTINGS_H
#define CTL_SETTINGS_H

#include "pat.h"

#include <stdio.h>

struct settings {
    char *url;
    char *token; /* never on a command line, where everybody on the machine can read it */
    char *ca_file;
};

/* On failure it has said why, on stderr. */
int settings_load(struct settings *out) PAT_MUST_CHECK;
void settings_free(struct settings *s);
void settings_help(FILE *to);

#endif
