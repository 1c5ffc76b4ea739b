/* elevenlabs.h - the pieces of the ElevenLabs double.
 *
 * elevenlabs.c has the routes, elevenlabs_voices.c the voices and clones, elevenlabs_ws.c the
 * sockets.
 */
#ifndef DOUBLES_ELEVENLABS_H
#define DOUBLES_ELEVENLABS_H

#include "doubles.h"
#include "synth.h"

struct eleven_clone {
    char id[32];
    char name[100], description[500];
    double pitch; /* Hz, of its sample; 0: not known */
    bool library; /* no clone: somebody else's, taken into the account */
    struct eleven_clone *next;
};

struct elevenlabs {
    struct dbl *d;
    struct eleven_clone *clones;
    int n_clones, voice_limit;
    bool requires_verification;
    bool snake;             /* spell fields as context_id, is_final */
    int64_t drip_ms;        /* between two tenths of a second of sound; 0: all at once */
    char opus[16];          /* how Opus is sent on a socket; see elevenlabs_ws.c */
    struct pat_json *extra; /* more voice ids that exist */
    struct pat_json *gone;  /* ids that do not exist any more */
    unsigned seed;          /* of the next clone's id */
    struct eleven_conn *conns;
};

/* False: no such voice. Which of flite's voices speaks depends on the id; a clone is as high as its
 * sample. */
bool eleven_voice(const struct elevenlabs *e, const char *id, struct synth_voice *out);
int eleven_voice_routes(struct elevenlabs *e);
void eleven_clones_free(struct elevenlabs *e);

int eleven_ws_routes(struct elevenlabs *e);
void eleven_ws_stop(struct elevenlabs *e);

/* Answers with the vendor's error body. True when it did: bad key, or a scripted failure. */
bool eleven_refuse(struct elevenlabs *e, struct pat_httpd_req *r);
void eleven_error(struct pat_httpd_req *r, int status, const char *code, const char *message,
                  const char *param);
const char *eleven_key(struct pat_httpd_req *r);

#endif
