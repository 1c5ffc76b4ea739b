/* plain.h - what can be spoken of a model's text: Markdown marks and emoji fall away. Pure.
 *
 * Streaming: bytes may be cut anywhere; what cannot be decided yet is held back until the next
 * byte or plain_end. The words never change: headings, bullets and quotes lose their marks, links
 * and images keep their text, "2 * 3", snake_case and "#1" stay. Of a bare web address only the
 * host is left, without "www.": nobody can hear the rest.
 */
#ifndef SPEECH_PLAIN_H
#define SPEECH_PLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAIN_MAX_LINK 400 /* bytes of a link held back; a longer one is given on as it is */

/* One character, as UTF-8. */
typedef void plain_fn(const char *utf8, size_t len, void *arg);

struct plain {
    plain_fn *fn;
    void *arg;
    char utf8[4]; /* a sequence begun */
    size_t have, want;
    uint32_t prev;   /* given on last; '\n' at the start */
    uint32_t mark;   /* a run of this mark waits for what follows it; 0: none */
    unsigned n_mark; /* its length */
    bool line_start; /* only blanks and marks so far */
    bool skip_blank; /* behind a bullet or heading mark */
    bool skip_line;  /* behind a code fence: the language */
    enum { PLAIN_TEXT, PLAIN_LINK_TEXT, PLAIN_LINK_TEXT_END, PLAIN_LINK_URL } link;
    bool bang; /* a '!' waits: it may open an image */
    char held[PLAIN_MAX_LINK];
    size_t n_held, n_label; /* the link so far; its text is held[0 .. n_label) */
    struct {
        enum { PLAIN_NO_URL, PLAIN_MAYBE_URL, PLAIN_URL_HOST, PLAIN_URL_REST } at;
        char begun[8]; /* as given: perhaps the beginning of an address */
        size_t n;
        bool scheme;      /* "https://" is behind us */
        uint32_t trailer; /* a mark that may belong to the sentence; 0: none */
        bool in_word;
    } url;
};

void plain_init(struct plain *p, plain_fn *fn, void *arg);
void plain_feed(struct plain *p, const char *text, size_t len);
void plain_end(struct plain *p);

#endif
