/* consent.h - what somebody means who was asked whether he takes a call, and a caller who waits for
 * it. Pure.
 *
 * Short lists, one a language; English counts everywhere, and all of them where the language is
 * none we have.
 */
#ifndef CALL_CONSENT_H
#define CALL_CONSENT_H

#include <stdbool.h>

enum consent {
    CONSENT_UNCLEAR,
    CONSENT_YES,
    CONSENT_NO,
    CONSENT_QUESTION, /* he wants to know more first */
};
enum consent consent_of(const char *text, const char *language);
/* The caller does not want to be put through any more. */
bool consent_cancels(const char *text, const char *language);

#endif
