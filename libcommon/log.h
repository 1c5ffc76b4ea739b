/* log.h - one line per event: a greppable constant name and typed fields.
 *
 *   pat_log(PAT_WARN, "route.fallback", PAT_S("call", id), PAT_I("after_ms", waited));
 *
 * The sink is the one thing in libcommon that belongs to the process and not to an object, as
 * stderr does: set once at start, before other threads exist. Format: JSON (for machines) or text
 * (for people). A line is one write(2). Thread: any. Never pass secrets or what people said; ids
 * and numbers always.
 */
#ifndef PAT_LOG_H
#define PAT_LOG_H

#include "err.h"

#include <stdint.h>

enum pat_level { PAT_DEBUG, PAT_INFO, PAT_WARN, PAT_ERROR };

enum pat_field_kind { PAT_FIELD_END, PAT_FIELD_STR, PAT_FIELD_INT, PAT_FIELD_NUM, PAT_FIELD_BOOL };

struct pat_field {
    enum pat_field_kind kind;
    const char *name;
    union {
        const char *s; /* NULL: the field is left out */
        int64_t i;
        double f;
    } v;
};

#define PAT_S(field, value) ((struct pat_field){ PAT_FIELD_STR, (field), { .s = (value) } })
#define PAT_I(field, value)                                                                        \
    ((struct pat_field){ PAT_FIELD_INT, (field), { .i = (int64_t)(value) } })
#define PAT_F(field, value) ((struct pat_field){ PAT_FIELD_NUM, (field), { .f = (value) } })
#define PAT_B(field, value) ((struct pat_field){ PAT_FIELD_BOOL, (field), { .i = (value) } })
#define PAT_ERR(err)        PAT_S("error", pat_err_name(err))

struct pat_log_opts {
    const char *service; /* borrowed for the process's life */
    enum pat_level level;
    bool json;
    int fd;
};

/* Defaults before it is called: text, info, fd 2. */
void pat_log_setup(const struct pat_log_opts *opts);
bool pat_log_enabled(enum pat_level level);
int pat_level_parse(const char *s, enum pat_level *out);

void pat_log_write(enum pat_level level, const char *event, const struct pat_field *fields);
#define pat_log(level, event, ...)                                                                 \
    pat_log_write((level), (event), (const struct pat_field[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })

#endif
