/* phrase_file.c - the files of phrase_file.h.
 *
 * A file: 8 bytes of name and version, the key, the number of packets, then per packet length,
 * level and bytes, then SHA-256 of all that. Numbers are little-endian. No locks: files are only
 * ever made whole and removed. */
#include "phrase_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    MAGIC = 8,
    HEAD = MAGIC + PHRASE_KEY + 4,
    SUM = 32,
    FILE_MAX = 640 * 1024, /* a minute of packets and their heads */
    PATH_CAP = 1024,
    STALE_S = 600, /* an unfinished file this old was left by a process that died */
};

static const char magic[MAGIC + 1] = "PATPHR1\n";

static uint64_t prefix(const uint8_t key[PHRASE_KEY])
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v = v << 8 | key[i];
    return v ? v : 1;
}

bool phrase_index_has(const struct phrase_index *x, const uint8_t key[PHRASE_KEY])
{
    uint64_t v = prefix(key);

    for (size_t i = x->cap ? v % x->cap : 0; x->cap && x->keys[i]; i = (i + 1) % x->cap)
        if (x->keys[i] == v)
            return true;
    return false;
}

static void place(uint64_t *keys, size_t cap, uint64_t v)
{
    size_t i = v % cap;

    while (keys[i] && keys[i] != v)
        i = (i + 1) % cap;
    keys[i] = v;
}

int phrase_index_add(struct phrase_index *x, const uint8_t key[PHRASE_KEY])
{
    if (2 * (x->n + 1) > x->cap) {
        size_t cap = x->cap ? 2 * x->cap : 256;
        uint64_t *keys = calloc(cap, sizeof *keys);

        if (!keys)
            return PAT_ENOMEM;
        for (size_t i = 0; i < x->cap; i++)
            if (x->keys[i])
                place(keys, cap, x->keys[i]);
        free(x->keys);
        x->keys = keys;
        x->cap = cap;
    }
    if (!phrase_index_has(x, key)) {
        place(x->keys, x->cap, prefix(key));
        x->n++;
    }
    return PAT_OK;
}

void phrase_index_fini(struct phrase_index *x)
{
    free(x->keys);
    *x = (struct phrase_index){ 0 };
}

int phrase_dir_make(const char *dir)
{
    struct stat st;

    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return PAT_EIO;
    return stat(dir, &st) == 0 && S_ISDIR(st.st_mode) && access(dir, W_OK | X_OK) == 0 ? PAT_OK
                                                                                       : PAT_EIO;
}

static void name_of(char out[2 * PHRASE_KEY + 1], const uint8_t key[PHRASE_KEY])
{
    for (int i = 0; i < PHRASE_KEY; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", key[i]);
}

static bool path_of(char out[PATH_CAP], const char *dir, const char *name, const char *end)
{
    int n = snprintf(out, PATH_CAP, "%s/%s%s", dir, name, end);

    return n > 0 && n < PATH_CAP;
}

/* ---- one file ---- */

static void put_le(uint8_t *to, uint32_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (uint8_t)(v >> 8 * i);
}

static uint32_t get_le(const uint8_t *from, int bytes)
{
    uint32_t v = 0;

    for (int i = 0; i < bytes; i++)
        v |= (uint32_t)from[i] << 8 * i;
    return v;
}

static int content_of(struct pat_buf *b, const uint8_t key[PHRASE_KEY], const struct phrase *p)
{
    uint8_t small[4], sum[SUM];

    pat_buf_add(b, magic, MAGIC);
    pat_buf_add(b, key, PHRASE_KEY);
    put_le(small, (uint32_t)phrase_packets(p), 4);
    pat_buf_add(b, small, 4);
    for (size_t i = 0; i < phrase_packets(p); i++) {
        size_t len;
        int level;
        const uint8_t *opus = phrase_packet(p, i, &len, &level);

        put_le(small, (uint32_t)len, 2);
        small[2] = (uint8_t)level;
        pat_buf_add(b, small, 3);
        pat_buf_add(b, opus, len);
    }
    if (b->err)
        return b->err;
    pat_sha256(b->data, b->len, sum);
    pat_buf_add(b, sum, SUM);
    return b->err;
}

static bool write_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

/* Not synced: what a power cut leaves of it fails its checksum. */
int phrase_file_write(const char *dir, const uint8_t key[PHRASE_KEY], const struct phrase *p)
{
    char name[2 * PHRASE_KEY + 1], end[64], aside[PATH_CAP], path[PATH_CAP];
    struct pat_buf b;
    int fd, err;

    name_of(name, key);
    (void)snprintf(end, sizeof end, ".%ld-%08x.tmp", (long)getpid(), pat_random32());
    if (!path_of(path, dir, name, ".phrase") || !path_of(aside, dir, name, end))
        return PAT_EINVAL;
    pat_buf_init(&b, FILE_MAX);
    err = content_of(&b, key, p);
    fd = err ? -1 : open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (!err && fd < 0)
        err = PAT_EIO;
    if (fd >= 0) {
        bool written = write_all(fd, b.data, b.len);

        if (close(fd) != 0 || !written || rename(aside, path) != 0) {
            (void)unlink(aside);
            err = PAT_EIO;
        }
    }
    pat_buf_fini(&b);
    return err;
}

static int slurp(const char *path, struct pat_buf *b)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = 1;

    if (fd < 0)
        return errno == ENOENT ? PAT_ENOENT : PAT_EIO;
    while (n > 0 && !b->err) {
        char *to = pat_buf_reserve(b, 64 * 1024);

        n = to ? read(fd, to, 64 * 1024) : -1;
        if (n > 0)
            b->len += (size_t)n;
        else if (n < 0 && to && errno == EINTR)
            n = 1;
    }
    (void)close(fd);
    return b->err || n < 0 ? PAT_EPROTO : PAT_OK;
}

static int packets_of(struct phrase *p, const uint8_t *at, const uint8_t *end, uint32_t n)
{
    int err = n ? PAT_OK : PAT_EPROTO;

    for (; !err && n; n--) {
        size_t len = end - at >= 3 ? get_le(at, 2) : SIZE_MAX;

        if (end - at < 3 || !len || len > (size_t)(end - at - 3))
            return PAT_EPROTO;
        err = phrase_add(p, at + 3, len, at[2] & 127);
        at += 3 + len;
    }
    return !err && at != end ? PAT_EPROTO : err;
}

static int parse(const struct pat_buf *b, const uint8_t key[PHRASE_KEY], struct phrase **out)
{
    const uint8_t *d = (const uint8_t *)b->data;
    uint8_t sum[SUM];
    int err;

    if (b->len < HEAD + SUM || memcmp(d, magic, MAGIC) != 0 ||
        memcmp(d + MAGIC, key, PHRASE_KEY) != 0)
        return PAT_EPROTO;
    pat_sha256(d, b->len - SUM, sum);
    if (memcmp(sum, d + b->len - SUM, SUM) != 0)
        return PAT_EPROTO;
    err = phrase_new(out);
    if (!err)
        err = packets_of(*out, d + HEAD, d + b->len - SUM, get_le(d + MAGIC + PHRASE_KEY, 4));
    if (err) {
        phrase_unref(*out);
        *out = NULL;
    }
    return err;
}

int phrase_file_read(const char *dir, const uint8_t key[PHRASE_KEY], struct phrase **out)
{
    char name[2 * PHRASE_KEY + 1], path[PATH_CAP];
    struct pat_buf b;
    int err;

    *out = NULL;
    name_of(name, key);
    if (!path_of(path, dir, name, ".phrase"))
        return PAT_EINVAL;
    pat_buf_init(&b, FILE_MAX + 64 * 1024);
    err = slurp(path, &b);
    if (!err)
        err = parse(&b, key, out);
    pat_buf_fini(&b);
    if (err == PAT_EPROTO)
        (void)unlink(path);
    else if (!err)
        (void)utimensat(AT_FDCWD, path, NULL, 0);
    return err;
}

void phrase_file_touch(const char *dir, const uint8_t key[PHRASE_KEY])
{
    char name[2 * PHRASE_KEY + 1], path[PATH_CAP];

    name_of(name, key);
    if (path_of(path, dir, name, ".phrase"))
        (void)utimensat(AT_FDCWD, path, NULL, 0);
}

/* ---- the directory ---- */

struct found {
    uint8_t key[PHRASE_KEY];
    uint64_t bytes;
    int64_t used_ns;
    bool removed;
};

struct listing {
    struct found *files;
    size_t n, cap;
    uint64_t bytes;
};

static int64_t ns_of(const struct timespec *t)
{
    return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool key_of(const char *name, uint8_t key[PHRASE_KEY])
{
    for (int i = 0; i < PHRASE_KEY; i++) {
        int hi = digit(name[2 * i]), lo = hi < 0 ? -1 : digit(name[2 * i + 1]);

        if (lo < 0)
            return false;
        key[i] = (uint8_t)(hi << 4 | lo);
    }
    return strcmp(name + 2 * PHRASE_KEY, ".phrase") == 0;
}

static int list_one(struct listing *l, int dir, const char *name)
{
    size_t len = strlen(name);
    struct found f = { .removed = false };
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return PAT_OK;
    if (len > 4 && strcmp(name + len - 4, ".tmp") == 0 && time(NULL) - st.st_mtime > STALE_S)
        (void)unlinkat(dir, name, 0);
    if (!key_of(name, f.key))
        return PAT_OK;
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 256;
        struct found *more = realloc(l->files, cap * sizeof *more);

        if (!more)
            return PAT_ENOMEM;
        l->files = more;
        l->cap = cap;
    }
    f.bytes = (uint64_t)st.st_size;
    f.used_ns = ns_of(&st.st_mtim);
    l->files[l->n++] = f;
    l->bytes += f.bytes;
    return PAT_OK;
}

static int by_use(const void *a, const void *b)
{
    const struct found *x = a, *y = b;

    return x->used_ns < y->used_ns ? -1 : x->used_ns > y->used_ns;
}

/* Down to nine tenths, so that not every new file costs an old one its place. */
static void evict(struct listing *l, int dir, uint64_t max_bytes)
{
    if (l->bytes <= max_bytes)
        return;
    qsort(l->files, l->n, sizeof *l->files, by_use);
    for (size_t i = 0; i < l->n && l->bytes > max_bytes / 10 * 9; i++) {
        char name[2 * PHRASE_KEY + sizeof ".phrase"];

        name_of(name, l->files[i].key);
        memcpy(name + 2 * PHRASE_KEY, ".phrase", sizeof ".phrase");
        if (unlinkat(dir, name, 0) != 0 && errno != ENOENT)
            continue;
        l->files[i].removed = true;
        l->bytes -= l->files[i].bytes;
    }
}

static int index_of(struct phrase_index *x, const struct listing *l)
{
    int err = PAT_OK;

    for (size_t i = 0; i < l->n && !err; i++)
        if (!l->files[i].removed)
            err = phrase_index_add(x, l->files[i].key);
    x->bytes = l->bytes;
    return err;
}

int phrase_dir_scan(const char *dir, uint64_t max_bytes, struct phrase_index *x)
{
    struct listing l = { 0 };
    const struct dirent *e;
    struct stat st;
    DIR *d;
    int err = PAT_OK;

    if (stat(dir, &st) != 0 || !(d = opendir(dir)))
        return PAT_EIO;
    if (x->changed_ns == ns_of(&st.st_mtim)) {
        (void)closedir(d);
        return PAT_EEXIST;
    }
    phrase_index_fini(x);
    while (!err && (e = readdir(d)) != NULL)
        err = list_one(&l, dirfd(d), e->d_name);
    if (!err) {
        evict(&l, dirfd(d), max_bytes);
        err = index_of(x, &l);
    }
    x->changed_ns = err ? 0 : ns_of(&st.st_mtim);
    (void)closedir(d);
    free(l.files);
    return err;
}
