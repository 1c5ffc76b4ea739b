/* cxml_read.c - a cXML document as a list of verbs: see cxml_read.h. */
#include "cxml_read.h"

#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_MAX_BYTES 65536

struct reading {
    struct cxml_doc *doc;
    int depth; /* of open elements; Response is 1 */
    int open[8];
    bool failed;
};

static void fail(struct reading *r, const char *what, const char *name)
{
    if (!r->failed)
        snprintf(r->doc->why, sizeof r->doc->why, "%s: %.60s", what, name);
    r->failed = true;
}

static bool known(const char *name)
{
    static const char *const verbs[] = { "Dial",   "Sip",   "Number", "Say",  "Hangup", "Redirect",
                                         "Record", "Pause", "Reject", "Play", "Gather" };

    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (!strcmp(verbs[i], name))
            return true;
    return false;
}

static void copy_attrs(struct reading *r, struct cxml_node *n, const char **attrs)
{
    for (; *attrs; attrs += 2) {
        struct cxml_attr *a = &n->attrs[n->n_attrs];

        if (n->n_attrs == CXML_ATTRS || !pat_strcpy(a->name, sizeof a->name, attrs[0]) ||
            !pat_strcpy(a->value, sizeof a->value, attrs[1])) {
            fail(r, "too many or too long attributes", n->name);
            return;
        }
        n->n_attrs++;
    }
}

static void on_open(void *arg, const char *name, const char **attrs)
{
    struct reading *r = arg;
    struct cxml_node *n;

    if (r->depth == 0 && strcmp(name, "Response"))
        fail(r, "the root must be Response, not", name);
    if (r->depth > 0 && !known(name))
        fail(r, "unknown verb", name);
    if (r->depth >= 7 || r->doc->n == CXML_VERBS)
        fail(r, "too deep or too long", name);
    if (r->failed)
        return;
    if (r->depth > 0) {
        n = &r->doc->nodes[r->doc->n];
        pat_strcpy(n->name, sizeof n->name, name);
        n->parent = r->depth > 1 ? r->open[r->depth - 1] : -1;
        copy_attrs(r, n, attrs);
        r->open[r->depth] = r->doc->n++;
    }
    r->depth++;
}

static void on_close(void *arg, const char *name)
{
    struct reading *r = arg;

    (void)name;
    r->depth--;
}

static void on_text(void *arg, const char *text, int len)
{
    struct reading *r = arg;
    struct cxml_node *n;
    size_t have;

    if (r->failed || r->depth < 2)
        return;
    n = &r->doc->nodes[r->open[r->depth - 1]];
    have = strlen(n->text);
    if (have + (size_t)len >= sizeof n->text) {
        fail(r, "text too long in", n->name);
        return;
    }
    memcpy(n->text + have, text, (size_t)len);
}

int cxml_read(struct cxml_doc *doc, const char *text, size_t len)
{
    struct reading r = { .doc = doc };
    XML_Parser p;

    *doc = (struct cxml_doc){ .nodes = calloc(CXML_VERBS, sizeof *doc->nodes) };
    p = XML_ParserCreate(NULL);
    if (!p || !doc->nodes || len > SIZE_MAX_BYTES) {
        snprintf(doc->why, sizeof doc->why, "larger than 64 kB");
        XML_ParserFree(p);
        return PAT_EINVAL;
    }
    XML_SetUserData(p, &r);
    XML_SetElementHandler(p, on_open, on_close);
    XML_SetCharacterDataHandler(p, on_text);
    if (XML_Parse(p, text, (int)len, 1) != XML_STATUS_OK)
        fail(&r, "not well-formed XML", XML_ErrorString(XML_GetErrorCode(p)));
    XML_ParserFree(p);
    return r.failed ? PAT_EINVAL : PAT_OK;
}

void cxml_doc_fini(struct cxml_doc *doc)
{
    free(doc->nodes);
    doc->nodes = NULL;
}

const char *cxml_attr(const struct cxml_node *n, const char *name)
{
    for (int i = 0; i < n->n_attrs; i++)
        if (!strcmp(n->attrs[i].name, name))
            return n->attrs[i].value;
    return "";
}

const struct cxml_node *cxml_child(const struct cxml_doc *doc, int parent, const char *name)
{
    for (int i = 0; i < doc->n; i++)
        if (doc->nodes[i].parent == parent && !strcmp(doc->nodes[i].name, name))
            return &doc->nodes[i];
    return NULL;
}
