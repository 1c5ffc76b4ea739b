/* xml.h - XML out, and nothing but out: every text and attribute is escaped by construction.
 *
 *   pat_xml_open(&x, "Response"); pat_xml_open(&x, "Dial"); pat_xml_attr(&x, "timeout", "20");
 *   pat_xml_text(&x, uri); pat_xml_close(&x); pat_xml_close(&x);  err = pat_xml_end(&x);
 *
 * Characters that XML 1.0 forbids (section 2.2: most controls) and bytes that are not UTF-8 become
 * U+FFFD.
 */
#ifndef PAT_XML_H
#define PAT_XML_H

#include "buf.h"

#define PAT_XML_DEPTH 8

struct pat_xml {
    struct pat_buf *out; /* borrowed */
    const char *open[PAT_XML_DEPTH];
    int depth;
    bool in_tag; /* attributes may still follow */
    bool done;   /* the root is closed */
    int err;
};

/* Writes the declaration. Element and attribute names are ours: literals, borrowed until closed. */
void pat_xml_init(struct pat_xml *x, struct pat_buf *out);
void pat_xml_open(struct pat_xml *x, const char *name);
void pat_xml_attr(struct pat_xml *x, const char *name,
                  const char *value); /* NULL value: no attribute */
void pat_xml_attr_int(struct pat_xml *x, const char *name, long value);
void pat_xml_text(struct pat_xml *x, const char *text);
void pat_xml_close(struct pat_xml *x);
/* PAT_OK only when all elements are closed and the buffer held everything. */
int pat_xml_end(struct pat_xml *x) PAT_MUST_CHECK;

#endif
