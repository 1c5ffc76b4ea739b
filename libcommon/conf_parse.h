/* conf_parse.h - inside conf: one value of one kind, in and shown. */
#ifndef PAT_CONF_PARSE_H
#define PAT_CONF_PARSE_H

#include "conf.h"

/* Reads text as the row's kind into its field. PAT_EINVAL: it is not one, and why holds the reason
 * ("must be 1..65535"). PAT_ENOMEM. */
int pat__conf_parse(const struct pat_conf_row *row, const char *text, void *out,
                    struct pat_buf *why);
/* True for the kinds whose field is a char * of ours. */
bool pat__conf_is_text(enum pat_conf_kind kind);
/* The URL with the user's part, and query values that look like secrets, as "***". */
int pat__conf_redact(const char *url, struct pat_buf *out);

#endif
