/* json_text.h - inside json: the text side that needs no tree. */
#ifndef PAT_JSON_TEXT_H
#define PAT_JSON_TEXT_H

#include "json.h"

/* PAT_OK when text is one JSON value as RFC 8259 has it and we take it: UTF-8, no U+0000, no
 * unpaired surrogate, numbers of at most 63 characters, PAT_JSON_DEPTH deep at most. Else
 * PAT_EINVAL, and err->what tells what and at which byte. */
int pat__json_check(const char *text, size_t len, struct pat_json_err *err);

#endif
