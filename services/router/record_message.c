/* record_message.c - messages the carrier has recorded: events and rows, see record.h.
 *
 * A message has an id of ours made from the carrier's, so whoever tells of it, and however often,
 * it is one row and each event once. It may be heard of, written down and fetched in any order.
 */
#include "record_int.h"

#include <stdio.h>
#include <string.h>

#define PUT_VOICEMAIL "select patchbay.put_voicemail($1::jsonb)"
#define PUT_FETCH     "select patchbay.put_fetch($1::jsonb)"
#define PUT_RECORDING "select patchbay.put_recording($1::jsonb)"
#define PUT_MESSAGE   "select patchbay.put_message($1::uuid, $2::jsonb)"

void record_message_name(const char *carrier_call, const char *recording, char out[RECORD_NAME_MAX])
{
    struct pat_id id = pat_event_id_once(carrier_call, recording);

    snprintf(out, RECORD_NAME_MAX, "m-%s", id.s);
}

static void put_row(struct text *row, const struct callref *c, const char *message,
                    const char *words)
{
    text_init(row, words ? strlen(words) : 0);
    text_str(row, "id", message);
    text_str(row, "call_id", c->call.s);
    text_str(row, "user_id", c->user);
    text_or_null(row, "agent_config_id", c->agent_config);
    text_or_null(row, "from_number", c->from);
    if (words)
        text_str(row, "transcript", words);
}

void record_voicemail(struct router *r, const struct callref *c, const struct record_message *m)
{
    char name[RECORD_NAME_MAX];
    struct pat_id id;
    struct text data, row, file;
    const char *rows[1], *files[1];
    size_t n = 0;
    struct pat_db_stmt stmts[] = { { "put_voicemail", PUT_VOICEMAIL, 1, rows },
                                   { "put_fetch", PUT_FETCH, 1, files } };

    record_message_name(c->carrier_call, m->recording, name);
    id = pat_event_id_once(name, "voicemail");
    put_row(&row, c, name + 2, NULL);
    text_init(&file, 0);
    text_str(&file, "call_id", c->call.s);
    text_str(&file, "user_id", c->user);
    text_str(&file, "name", name);
    text_str(&file, "source_url", m->url);
    if (m->length_ms >= 0)
        text_int(&file, "duration_ms", m->length_ms);
    record_about(&data, c);
    text_str(&data, "message_id", name + 2);
    text_str(&data, "recording_url", m->url);
    text_ms(&data, "duration_ms", m->length_ms);
    rows[0] = text_end(&row);
    files[0] = text_end(&file);
    if (rows[0] && files[0])
        n = m->url ? 2 : 1; /* without an address there is no file to fetch */
    record_say(r, c,
               &(struct record_news){ .name = "voicemail", .id = &id, .stmts = stmts, .n = n },
               &data);
    text_fini(&row);
    text_fini(&file);
    pat_journal_sync(r->journal);
}

/* As the product's inbox reads it. */
static const char *spoken(struct text *t, const char *words)
{
    struct pat_buf line;

    pat_buf_init(&line, 16384);
    pat_buf_adds(&line, "Caller: ");
    pat_buf_adds(&line, words);
    text_init(t, line.len);
    text_str(t, "transcript", line.err ? words : line.data);
    pat_buf_fini(&line);
    return text_end(t);
}

void record_voicemail_text(struct router *r, const struct callref *c,
                           const struct record_message *m, const char *words)
{
    char name[RECORD_NAME_MAX];
    struct pat_id id;
    struct text data, row, facts;
    const char *rows[1], *said[2] = { c->call.s };
    struct pat_db_stmt stmts[] = { { "put_voicemail", PUT_VOICEMAIL, 1, rows },
                                   { "put_message", PUT_MESSAGE, 2, said } };

    record_message_name(c->carrier_call, m->recording, name);
    id = pat_event_id_once(name, "voicemail_text");
    put_row(&row, c, name + 2, words);
    rows[0] = text_end(&row);
    said[1] = spoken(&facts, words);
    record_about(&data, c);
    text_str(&data, "message_id", name + 2);
    text_str(&data, "recording_url", m->url);
    text_ms(&data, "duration_ms", -1);
    text_str(&data, "transcript", words);
    record_say(
        r, c,
        &(struct record_news){
            .name = "voicemail", .id = &id, .stmts = stmts, .n = rows[0] && said[1] ? 2 : 0 },
        &data);
    text_fini(&row);
    text_fini(&facts);
    pat_journal_sync(r->journal);
}

void record_voicemail_stored(struct router *r, const struct callref *c,
                             const struct record_object *o)
{
    struct pat_id id = pat_event_id_once(o->name, "voicemail_stored");
    struct text data, row, facts;
    const char *rows[1], *said[2] = { c->call.s };
    struct pat_db_stmt stmts[] = { { "put_recording", PUT_RECORDING, 1, rows },
                                   { "put_message", PUT_MESSAGE, 2, said } };

    text_init(&row, 0);
    text_str(&row, "call_id", c->call.s);
    text_str(&row, "user_id", c->user);
    text_str(&row, "name", o->name);
    text_str(&row, "state", "stored");
    text_time(&row, "began_at", pat_unix_ms());
    text_str(&row, "object", o->object);
    text_str(&row, "url", o->url);
    if (o->duration_ms >= 0)
        text_int(&row, "duration_ms", o->duration_ms);
    text_int(&row, "bytes", o->bytes);
    rows[0] = text_end(&row);
    text_init(&facts, 0);
    text_str(&facts, "recording_url", o->url);
    said[1] = text_end(&facts);
    record_about(&data, c);
    text_str(&data, "message_id", o->name + 2);
    text_str(&data, "recording_url", o->url);
    text_str(&data, "object", o->object);
    text_ms(&data, "duration_ms", o->duration_ms);
    record_say(
        r, c,
        &(struct record_news){
            .name = "voicemail", .id = &id, .stmts = stmts, .n = rows[0] && said[1] ? 2 : 0 },
        &data);
    text_fini(&row);
    text_fini(&facts);
    pat_journal_sync(r->journal);
}
