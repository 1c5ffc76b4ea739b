/* texts.c - what the table of commands says of itself: --help, completion, the man page. */
#include "command.h"
#include "settings.h"

#include <string.h>

static const struct {
    int status;
    const char *means;
} statuses[] = {
    { CTL_OK, "done, or as asked for" },
    { CTL_REFUSED, "refused, or it failed" },
    { CTL_USAGE, "the command line or a setting is wrong" },
    { CTL_UNREACHABLE, "the server cannot be reached" },
    { CTL_INTERRUPTED, "interrupted: what had begun goes on" },
};

/* ------------------------------------------------------------------ --help */

static void print_options(FILE *to, const struct option *list)
{
    for (; list->name; list++) {
        char left[64];

        snprintf(left, sizeof left, "--%s%s%s", list->name, list->value ? " " : "",
                 list->value ? list->value : "");
        fprintf(to, "  %-24s %s\n", left, list->help);
    }
}

static void print_whole(FILE *to)
{
    fprintf(to, "usage: patchbayctl COMMAND [OPTIONS]\n\nMoves users between stacks, and tells how "
                "things are.\n\n");
    for (const struct command *c = commands; c->name; c++) {
        char left[64];

        snprintf(left, sizeof left, "%s %s", c->name, c->operands);
        fprintf(to, "  %-28s %s\n", left, c->help);
    }
    fprintf(to, "\nOptions of all commands:\n");
    print_options(to, global_options);
    fprintf(to, "\nEnvironment:\n");
    settings_help(to);
    fprintf(to, "\nExit status:\n");
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        fprintf(to, "  %-4d %s\n", statuses[i].status, statuses[i].means);
}

void help_print(FILE *to, const struct command *command)
{
    if (!command) {
        print_whole(to);
        return;
    }
    fprintf(to, "usage: patchbayctl %s%s%s%s\n\n%s\n", command->name, *command->operands ? " " : "",
            command->operands, command->options[0].name ? " [OPTIONS]" : "", command->help);
    if (command->options[0].name)
        fprintf(to, "\n");
    print_options(to, command->options);
    fprintf(to, "\nOptions of all commands:\n");
    print_options(to, global_options);
}

/* ------------------------------------------------------------------ completion */

/* The first words, or those that follow a first one. */
static void print_words(FILE *to, const char *first)
{
    const char *last = "";

    for (const struct command *c = commands; c->name; c++) {
        size_t len = strcspn(c->name, " ");

        if (first && (strlen(first) != len || strncmp(c->name, first, len) || !c->name[len]))
            continue;
        if (first) {
            fprintf(to, " %s", c->name + len + 1);
        } else if (strlen(last) < len || strncmp(last, c->name, len)) {
            fprintf(to, " %.*s", (int)len, c->name);
            last = c->name;
        }
    }
}

static void print_flags(FILE *to, const struct option *list)
{
    for (; list->name; list++)
        fprintf(to, " --%s", list->name);
}

static void bash_values(FILE *to, const struct command *c)
{
    for (const struct option *o = c->options; o->name; o++)
        if (o->value && o->words && *o->words == '@')
            fprintf(to, "    '%s --%s') COMPREPLY=($(compgen -f -- \"$cur\")); return;;\n", c->name,
                    o->name);
        else if (o->value)
            fprintf(to, "    '%s --%s') words='%s';;\n", c->name, o->name,
                    o->words ? o->words : "");
}

static bool same_first_word(const struct command *a, const struct command *b)
{
    size_t len = strcspn(a->name, " ");

    return strcspn(b->name, " ") == len && !strncmp(a->name, b->name, len);
}

/* Commands of two words: the second one, and then both together are the command. */
static void bash_groups(FILE *to)
{
    for (const struct command *c = commands; c->name; c++) {
        char first[32];

        if (!strchr(c->name, ' ') || (c > commands && same_first_word(c - 1, c)))
            continue;
        snprintf(first, sizeof first, "%.*s", (int)strcspn(c->name, " "), c->name);
        fprintf(to, "    %s) if ((COMP_CWORD == 2)); then COMPREPLY=($(compgen -W '", first);
        print_words(to, first);
        fprintf(to, "' -- \"$cur\")); return; fi; cmd=\"$cmd ${COMP_WORDS[2]}\";;\n");
    }
}

void completion_bash(FILE *to)
{
    fprintf(to, "# patchbayctl's completion for bash: source <(patchbayctl completion bash)\n"
                "_patchbayctl() {\n"
                "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words= "
                "cmd=${COMP_WORDS[1]}\n"
                "  COMPREPLY=()\n"
                "  case $cmd in\n");
    bash_groups(to);
    fprintf(to, "  esac\n  if ((COMP_CWORD == 1)); then\n    COMPREPLY=($(compgen -W '");
    print_words(to, NULL);
    print_flags(to, global_options);
    fprintf(to, "' -- \"$cur\"))\n    return\n  fi\n  case \"$cmd $prev\" in\n");
    for (const struct command *c = commands; c->name; c++)
        bash_values(to, c);
    fprintf(to, "    *) case $cmd in\n");
    for (const struct command *c = commands; c->name; c++) {
        fprintf(to, "      '%s') words='", c->name);
        if (!strncmp(c->operands, "bash", 4))
            fprintf(to, "bash zsh");
        print_flags(to, c->options);
        print_flags(to, global_options);
        fprintf(to, "';;\n");
    }
    fprintf(to, "    esac;;\n  esac\n  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n"
                "complete -F _patchbayctl patchbayctl\n");
}

/* zsh runs bash's as it is: one thing to keep right. */
void completion_zsh(FILE *to)
{
    fprintf(to, "#compdef patchbayctl\nautoload -U +X bashcompinit && bashcompinit\n");
    completion_bash(to);
}

/* ------------------------------------------------------------------ man */

/* A dash would be a hyphen, a dot at a line's beginning a request. */
static void man_text(FILE *to, const char *s)
{
    if (*s == '.' || *s == '\'')
        fputs("\\&", to);
    for (; *s; s++)
        if (*s == '-')
            fputs("\\-", to);
        else if (*s == '\\')
            fputs("\\e", to);
        else
            fputc(*s, to);
}

static void man_options(FILE *to, const struct option *list)
{
    for (; list->name; list++) {
        fputs(".TP\n\\fB\\-\\-", to);
        man_text(to, list->name);
        fputs("\\fR", to);
        if (list->value)
            fprintf(to, " \\fI%s\\fR", list->value);
        fputc('\n', to);
        man_text(to, list->help);
        fputc('\n', to);
    }
}

void man_print(FILE *to)
{
    fputs(".TH PATCHBAYCTL 1 \"\" Patchbay \"User Commands\"\n.SH NAME\n"
          "patchbayctl \\- moves users between stacks, and tells how things are\n"
          ".SH SYNOPSIS\n.B patchbayctl\n\\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n.SH COMMANDS\n",
          to);
    for (const struct command *c = commands; c->name; c++) {
        fputs(".SS \"", to);
        man_text(to, c->name);
        fprintf(to, " %s\"\n", c->operands);
        man_text(to, c->help);
        fputc('\n', to);
        man_options(to, c->options);
    }
    fputs(".SH OPTIONS OF ALL COMMANDS\n", to);
    man_options(to, global_options);
    fputs(".SH ENVIRONMENT\n.nf\n", to);
    settings_help(to);
    fputs(".fi\n.SH EXIT STATUS\n", to);
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        fprintf(to, ".TP\n.B %d\n", statuses[i].status);
        man_text(to, statuses[i].means);
        fputc('\n', to);
    }
    fputs(".SH SEE ALSO\nThe switching guide, docs/switching.md; the API, /openapi.json.\n", to);
}
