/* daemon_notify.c - telling systemd how we are (sd_notify(3): a datagram to $NOTIFY_SOCKET).
 *
 * Without the variable nothing is sent. What cannot be sent is logged, and no more.
 */
#include "daemon_notify.h"

#include "buf.h"
#include "log.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void daemon_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    socklen_t len;
    int fd;

    if (!path || !*path || !pat_strcpy(to.sun_path, sizeof to.sun_path, path))
        return;
    len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (to.sun_path[0] == '@')
        to.sun_path[0] = '\0'; /* the abstract name space */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, len) < 0)
        pat_log(PAT_WARN, "daemon.notify", PAT_S("reason", strerror(errno)));
    close(fd);
}
