/* daemon_notify.h - inside the daemon: "READY=1", "STOPPING=1" for systemd. Any thread. */
#ifndef PAT_DAEMON_NOTIFY_H
#define PAT_DAEMON_NOTIFY_H

void daemon_notify(const char *state);

#endif
