/* command.h - the one table of commands and options.
 *
 * Parsing, --help, completion and the man page all read it. Pure: nothing here asks the server.
 */
#ifndef CTL_COMMAND_H
#define CTL_COMMAND_H

#include "pat.h"

#include <stdio.h>

enum { OPTIONS_MAX = 16, OPERANDS_MAX = 2 };

/* Exit statuses, as --help and the man page tell them. */
enum { CTL_OK = 0, CTL_REFUSED = 1, CTL_USAGE = 2, CTL_UNREACHABLE = 3, CTL_INTERRUPTED = 130 };

struct option {
    const char *name;  /* without the dashes */
    const char *value; /* what stands for it in texts; NULL: a flag */
    const char *words; /* "keep delete": the only ones; NULL: any. "@file": a file's name */
    const char *help;
};

struct args;
struct ctl;

struct command {
    const char *name;     /* one word, or two */
    const char *operands; /* "USER", "[USER]", "bash|zsh" */
    const char *help;
    struct option options[OPTIONS_MAX]; /* up to the first without a name */
    int (*run)(struct ctl *c, const struct args *a);
};

struct args {
    const struct command *command; /* NULL: none, --help or --version of the whole */
    const char *operands[OPERANDS_MAX];
    int n_operands;
    const char *values[OPTIONS_MAX]; /* a flag's is "" */
    const char *server;
    bool json, help, version;
};

extern const struct command commands[]; /* up to the first without a name */
extern const struct option global_options[];

/* argv without the program's name; args point into it. PAT_EINVAL: *why is for people. */
int args_parse(struct args *out, int argc, char **argv, char why[160]) PAT_MUST_CHECK;
/* NULL: not given. name has to be one of the command's. */
const char *args_get(const struct args *a, const char *name);

/* Texts of the table. */
void help_print(FILE *to, const struct command *command); /* NULL: of the whole */
void completion_bash(FILE *to);
void completion_zsh(FILE *to);
void man_print(FILE *to);

#endif
