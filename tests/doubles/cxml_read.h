/* cxml_read.h - a cXML document as a list of verbs, read by expat.
 *
 * Strict as the carrier: root <Response>, known verbs in their right case, at most 64 kB. A failure
 * says why.
 */
#ifndef DOUBLES_CXML_READ_H
#define DOUBLES_CXML_READ_H

#include "pat.h"

#define CXML_ATTRS 16
#define CXML_TEXT  4097
#define CXML_VERBS 32

struct cxml_attr {
    char name[40];
    char value[2048];
};

struct cxml_node {
    char name[24];
    struct cxml_attr attrs[CXML_ATTRS];
    int n_attrs;
    char text[CXML_TEXT];
    int parent; /* index, -1: a verb directly under Response */
};

struct cxml_doc {
    struct cxml_node *nodes;
    int n;
    char why[160];
};

/* doc is the caller's; free with cxml_doc_fini in any case. PAT_EINVAL: doc->why. */
int cxml_read(struct cxml_doc *doc, const char *text, size_t len) PAT_MUST_CHECK;
void cxml_doc_fini(struct cxml_doc *doc);
/* "" when absent. */
const char *cxml_attr(const struct cxml_node *n, const char *name);
/* First child of that name; NULL. */
const struct cxml_node *cxml_child(const struct cxml_doc *doc, int parent, const char *name);

#endif
