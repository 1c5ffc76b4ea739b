/* pat.h - everything in libcommon, for those who want it all.
 *
 * Layers, each knowing only those above it:
 *   err buf id end_reason values
 *   log conf json xml multipart   text in and out
 *   loop                  one thread, timers, descriptors, posts from other threads
 *   net http httpd ws     HTTP and WebSocket on the loop; object_store on top of it
 *   bus rpc db            NATS and Postgres on the loop
 *   sign retry breaker metrics event
 *   agentcfg cut_off instructions phone passcode price_book prices schema tz tools
 *   user_tool             a POST of ours to a user's own endpoint
 *   journal health daemon what every daemon is made of
 */
#ifndef PAT_H
#define PAT_H

#include "agentcfg.h"
#include "breaker.h"
#include "buf.h"
#include "bus.h"
#include "conf.h"
#include "cut_off.h"
#include "daemon.h"
#include "db.h"
#include "end_reason.h"
#include "err.h"
#include "event.h"
#include "health.h"
#include "http.h"
#include "httpd.h"
#include "id.h"
#include "instructions.h"
#include "journal.h"
#include "json.h"
#include "log.h"
#include "loop.h"
#include "metrics.h"
#include "multipart.h"
#include "object_conf.h"
#include "object_store.h"
#include "passcode.h"
#include "phone.h"
#include "price_book.h"
#include "prices.h"
#include "probe.h"
#include "retry.h"
#include "rpc.h"
#include "schema.h"
#include "sign.h"
#include "tools.h"
#include "tz.h"
#include "user_tool.h"
#include "ws.h"
#include "xml.h"

#endif
