/* daemon_conf.h - inside the daemon: its settings, the common ones and its own in one table. */
#ifndef PAT_DAEMON_CONF_H
#define PAT_DAEMON_CONF_H

#include "daemon.h"

struct daemon_common {
    char *admin_listen;
    char *ca_file;
    char *database_ca_file;
    char *database_listen_url;
    int64_t database_pool;
    bool database_prepared;
    char *database_url;
    int64_t drain_ms;
    char *log_format;
    char *log_level;
    char *nats_ca_file;
    char *nats_cert_file;
    char *nats_creds;
    char *nats_key_file;
    char *nats_nkey;
    char *nats_nkey_seed_file;
    char *nats_password;
    char *nats_token;
    char *nats_url;
    char *nats_user;
    char *port_file;
};

/* The rows that apply, alphabetical, and one block for both structs. */
struct daemon_conf {
    struct pat_conf_row *rows;
    size_t n;
    void *block;
    const struct daemon_common *common;
    const void *own;
};

int daemon_conf_new(struct daemon_conf *c, const struct pat_daemon_spec *spec) PAT_MUST_CHECK;
/* All faults are in errors, one a line. PAT_EINVAL when there was any. */
int daemon_conf_load(struct daemon_conf *c, const struct pat_daemon_spec *spec,
                     struct pat_buf *errors) PAT_MUST_CHECK;
void daemon_conf_fini(struct daemon_conf *c);

#endif
