/* command.h - what the relay's program does from the command line, beside being a daemon.
 *
 * With a daemon's settings, the database and nothing else. Life: command_run does all of it.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include "relay.h"

extern const char command_usage[];

/* Is there a command? It has the settings of daemon. Then *status is the exit status: 0 done, 1 a
 * fault, 2 wrong arguments. */
bool command_run(int argc, char **argv, const struct pat_daemon_spec *daemon, int *status);

/* erase_command.c: the same for --erase-user and --erasure. */
extern const char erase_usage[];
bool erase_command(int argc, char **argv, const struct pat_daemon_spec *daemon, int *status);

#endif
