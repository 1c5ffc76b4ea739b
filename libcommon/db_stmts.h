/* db_stmts.h - inside libcommon: statements copied into one block of memory. */
#ifndef PAT_DB_STMTS_H
#define PAT_DB_STMTS_H

#include "db.h"

/* Bytes that a copy needs, pointers and texts. */
size_t pat__stmts_size(const struct pat_db_stmt *stmts, size_t n);
/* Into dst, which is aligned for pointers and has pat__stmts_size bytes. The copy starts at dst. */
struct pat_db_stmt *pat__stmts_copy(void *dst, const struct pat_db_stmt *stmts, size_t n);

#endif
