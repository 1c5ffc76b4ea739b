/* main.c - patchbayctl: one command, one exit status. */
#include "ctl.h"
#include "version.h"

static bool needs_server(const struct command *command)
{
    return command->run != cmd_completion && command->run != cmd_man;
}

static int run(const struct args *a)
{
    struct ctl c = { .json = a->json };
    int status;

    if (!needs_server(a->command))
        return a->command->run(&c, a);
    if (settings_load(&c.set))
        return CTL_USAGE;
    c.server = a->server ? a->server : c.set.url;
    if (ctl_open(&c)) {
        fprintf(stderr, "patchbayctl: out of memory or of descriptors\n");
        status = CTL_REFUSED;
    } else {
        status = a->command->run(&c, a);
    }
    ctl_close(&c);
    return status;
}

int main(int argc, char **argv)
{
    struct args a;
    char why[160];

    if (args_parse(&a, argc - 1, argv + 1, why)) {
        fprintf(stderr, "patchbayctl: %s. See patchbayctl --help\n", why);
        return CTL_USAGE;
    }
    if (a.version)
        printf("patchbayctl %s (%s)\n", PAT_VERSION, PAT_BUILD_ID);
    else if (a.help)
        help_print(stdout, a.command);
    else
        return run(&a);
    return CTL_OK;
}
