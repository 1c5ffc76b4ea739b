/* args.c - a command line, read by the table of commands. */
#include "command.h"

#include <string.h>

static int words_of(const char *name)
{
    return strchr(name, ' ') ? 2 : 1;
}

/* "bulk start" is two arguments. */
static bool fits(const struct command *c, int argc, char **argv)
{
    const char *blank = strchr(c->name, ' ');
    size_t len = blank ? (size_t)(blank - c->name) : strlen(c->name);

    if (argc < words_of(c->name) || strlen(argv[0]) != len || strncmp(c->name, argv[0], len))
        return false;
    return !blank || !strcmp(blank + 1, argv[1]);
}

static const struct option *find(const struct option *list, const char *name, size_t len)
{
    for (; list->name; list++)
        if (strlen(list->name) == len && !strncmp(list->name, name, len))
            return list;
    return NULL;
}

static bool allowed(const struct option *o, const char *value)
{
    size_t len = strlen(value);

    if (!o->words || *o->words == '@')
        return true;
    for (const char *at = o->words; *at; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");

        if (n == len && !strncmp(at, value, n))
            return true;
        at += n;
    }
    return false;
}

static void set_global(struct args *a, const struct option *o, const char *value)
{
    if (!strcmp(o->name, "json"))
        a->json = true;
    else if (!strcmp(o->name, "help"))
        a->help = true;
    else if (!strcmp(o->name, "version"))
        a->version = true;
    else
        a->server = value;
}

/* argv[0] is an option. How many arguments it took; 0: *why says what is wrong. */
static int take_option(struct args *a, int argc, char **argv, char why[160])
{
    const char *name = argv[0] + 2, *value = NULL;
    size_t len = strcspn(name, "=");
    const struct option *own = a->command ? find(a->command->options, name, len) : NULL;
    const struct option *o = own ? own : find(global_options, name, len);
    int taken = 1;

    if (!o) {
        snprintf(why, 160, "there is no option %.80s", argv[0]);
        return 0;
    }
    if (name[len] == '=')
        value = name + len + 1;
    else if (o->value && argc > 1)
        value = argv[taken++];
    if (!value == !!o->value) {
        snprintf(why, 160, o->value ? "--%s needs a value" : "--%s takes no value", o->name);
        return 0;
    }
    if (value && !allowed(o, value)) {
        snprintf(why, 160, "--%s must be one of: %s", o->name, o->words);
        return 0;
    }
    if (own)
        a->values[own - a->command->options] = value ? value : "";
    else
        set_global(a, o, value);
    return taken;
}

static int check_operands(const struct args *a, char why[160])
{
    const char *wanted = a->command->operands;
    int most = *wanted ? 1 : 0, least = *wanted && *wanted != '[' ? 1 : 0;

    for (const char *s = wanted; (s = strchr(s, ' ')); s++) {
        most++;
        least += s[1] != '[';
    }
    if (a->n_operands >= least && a->n_operands <= most)
        return PAT_OK;
    snprintf(why, 160, "%s takes %s", a->command->name, *wanted ? wanted : "no argument");
    return PAT_EINVAL;
}

static const struct command *find_command(int argc, char **argv)
{
    for (const struct command *c = commands; c->name; c++)
        if (fits(c, argc, argv))
            return c;
    return NULL;
}

int args_parse(struct args *out, int argc, char **argv, char why[160])
{
    bool literal = false;

    *out = (struct args){ 0 };
    for (int i = 0, n; i < argc; i += n) {
        n = 1;
        if (!literal && !strcmp(argv[i], "--")) {
            literal = true;
        } else if (!literal && !strcmp(argv[i], "-h")) {
            out->help = true;
        } else if (!literal && !strncmp(argv[i], "--", 2)) {
            n = take_option(out, argc - i, argv + i, why);
            if (!n)
                return PAT_EINVAL;
        } else if (!out->command) {
            out->command = find_command(argc - i, argv + i);
            if (!out->command) {
                snprintf(why, 160, "there is no command %.80s", argv[i]);
                return PAT_EINVAL;
            }
            n = words_of(out->command->name);
        } else if (out->n_operands < OPERANDS_MAX) {
            out->operands[out->n_operands++] = argv[i];
        } else {
            snprintf(why, 160, "too many arguments");
            return PAT_EINVAL;
        }
    }
    if (out->help || out->version)
        return PAT_OK;
    if (out->command)
        return check_operands(out, why);
    snprintf(why, 160, "say what to do");
    return PAT_EINVAL;
}

const char *args_get(const struct args *a, const char *name)
{
    const struct option *o = find(a->command->options, name, strlen(name));

    return o ? a->values[o - a->command->options] : NULL;
}
