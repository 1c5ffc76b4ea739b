/* phone.h - telephone numbers: one spelling, whom we may call, and what a log may show.
 *
 * The one spelling is E.164 (ITU-T E.164, 6.2.1): "+" and 7 to 15 digits that do not begin with 0.
 * Thread: any; pure.
 */
#ifndef PAT_PHONE_H
#define PAT_PHONE_H

#include "err.h"

#include <stddef.h>

#define PAT_PHONE_LEN 16 /* "+" and 15 digits */

bool pat_phone_valid(const char *number);
/* As people write it: blanks, dots, dashes, slashes and brackets are dropped, "00" is "+". Ten
 * digits, or eleven that begin with 1, are North American. PAT_EINVAL: nothing that could be one.
 */
int pat_phone_normal(char out[PAT_PHONE_LEN + 1], const char *text) PAT_MUST_CHECK;
/* prefixes: "+1,+4420"; "" or NULL: any. */
bool pat_phone_allowed(const char *number, const char *prefixes);
/* Same length, only "+" and the last four kept; "" stays "". */
void pat_phone_mask(char out[PAT_PHONE_LEN + 1], const char *number);

#endif
