/* call_wait.c - a caller who hears nothing of us though it is our turn, and a caller who was
 * without an agent for a moment.
 *
 * turn_wait.c says when. A phrase of our own that does not come is said as it is kept;
 * an answer or a greeting goes on being made behind "one moment, please": in the call's own voice
 * where that is at hand or can still be made, else as kept. Nothing here waits for a vendor.
 */
#include "call_int.h"

#include <stdlib.h>
#include <string.h>

enum {
    SOON_MS = 1000, /* a voice that has just been given a sentence may still be in time */
    MAKE_MS = 400,  /* to make the phrase when nothing else is asked of the voice */
    LOOK_MS = 500,  /* sound that is there and does not leave */
};

/* The reply is a phrase of ours, which somebody has spoken ahead. */
static bool say_as_kept(struct call *c)
{
    enum own_words which = c->wait.prompt;

    if (which == OWN_KEPT || !kept_has(c->env->kept, which, call_language(c)))
        return false;
    pat_log(PAT_WARN, "call.said_as_kept", PAT_S("call", c->id), PAT_I("phrase", which));
    c->voice_down = true;
    call_say(c, which);
    player_resume(c->player);
    return true;
}

/* In ms: when to look again, because the call's own voice may be there by then; 0: say what there
 * is. */
static int64_t still_in_time(struct call *c, const struct phrase *own, const char *text)
{
    const struct reply_times *t = reply_times(c->reply);
    int64_t since_ms = (pat_now_us() - t->sentence_us) / 1000;

    if (!player_idle(c->player))
        return LOOK_MS;
    if (c->voice_down)
        return 0;
    if (t->sentence_us)
        return since_ms < SOON_MS ? SOON_MS - since_ms : 0;
    if (own || c->wait.asked || !c->mouth || mouth_prepare(c->mouth, text))
        return 0;
    c->wait.asked = true;
    return MAKE_MS;
}

/* Before whatever the reply will say, and told with it. */
static bool put_before(struct call *c, struct phrase *p, const char *text)
{
    uint32_t piece = c->mouth ? mouth_next_id(c->mouth) : UINT32_MAX;

    if (player_add_phrase(c->player, piece, p))
        return false;
    c->wait.piece = piece;
    if (!c->keep.heard_before)
        c->keep.heard_before = strdup(text);
    return true;
}

static void say_moment(struct call *c, struct phrase *p, const char *text)
{
    if (!put_before(c, p, text))
        return;
    pat_log(PAT_INFO, "call.one_moment", PAT_S("call", c->id), PAT_I("ms", phrase_ms(p)),
            PAT_B("written", reply_times(c->reply)->sentence_us != 0));
    call_tools_waited(c->tools);
    call_turn_kind(c, TURN_WAITED, (int32_t)phrase_ms(p));
}

void call_wait(struct call *c)
{
    const char *language = call_language(c);
    const char *text = own_words(OWN_MOMENT, language);
    struct phrase *own;
    struct kept_words kept;
    int64_t soon_ms;

    if (!c->reply || say_as_kept(c))
        return;
    own = c->mouth ? mouth_known(c->mouth, text) : NULL;
    kept = kept_get(c->env->kept, OWN_MOMENT, language);
    soon_ms = still_in_time(c, own, text);
    if (soon_ms)
        call_turn_kind(c, TURN_WAITED, -(int32_t)soon_ms);
    else if (own)
        say_moment(c, own, text);
    else if (kept.phrase)
        say_moment(c, kept.phrase, kept.text);
    phrase_unref(own);
    phrase_unref(kept.phrase);
}

void call_wait_reset(struct call *c)
{
    c->wait.piece = 0;
    c->wait.prompt = OWN_KEPT;
    c->wait.asked = false;
}

/* Its end or beginning is no news of the reply. */
bool call_wait_is(const struct call *c, uint32_t piece)
{
    return c->wait.piece && c->wait.piece == piece;
}
