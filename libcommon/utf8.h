/* utf8.h - inside libcommon: one UTF-8 character at a time. pat_utf8_valid is in json.h. */
#ifndef PAT_UTF8_H
#define PAT_UTF8_H

#include <stddef.h>

/* Length of the valid character at s, of which len bytes are there; 0 when it is not one. */
size_t pat__utf8_char(const char *s, size_t len);

#endif
