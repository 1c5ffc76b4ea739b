/* sip.h - a SIP leg as the doubles play it among themselves: HTTP instead of SIP, the same
 * decisions.
 *
 *   POST <host>/sip/invite {"uri","from","call_id","headers":{"X-..":".."},
 *        "username","password","media"?: where the caller hears, see media.h}
 *        answered when the callee answered or refused: {"status":200,"dialog":".."} or
 * {"status":404} GET  <host>/sip/dialog/<dialog>       answered when the callee's side has ended:
 * {"reason":".."} POST <host>/sip/dialog/<dialog>/bye   the caller's side hangs up
 *
 * Pure.
 */
#ifndef DOUBLES_SIP_H
#define DOUBLES_SIP_H

#include "pat.h"

struct pat_json *sip_answered(const char *dialog);
struct pat_json *sip_refused(int status);
struct pat_json *sip_ended(const char *reason);
/* The user part of sip:user@host;...; "" when there is none. */
void sip_user(char *out, size_t cap, const char *uri);
/* host[:port]; "" when there is none. */
void sip_host(char *out, size_t cap, const char *uri);
/* The headers in the address's query, percent-decoded. */
struct pat_json *sip_headers(const char *uri);

#endif
