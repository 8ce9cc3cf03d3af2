/* Where do the records of a CSV file start?
 *
 * Offsets are kept at an interval that doubles whenever there are too many, so that an index has at
 * most MAX_OFFSETS of them, whatever the file's size. */
#include "storage/files/csv_index.h"
#include <pthread.h>
#include <stdlib.h>

#define LEAST_OFFSETS 64
#define MAX_OFFSETS 65536
#define CACHED 16
#define LINE_PIECE_BYTES (8 << 20)

struct entry {
    struct csv_index index; /* first: what callers hold */
    char *path;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
    char quote, escape;
    bool text_format;
    bool cached;
    int refs;
    uint64_t last_used;
};

static struct entry *cache[CACHED];
static uint64_t clock_ticks;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void entry_free(struct entry *e)
{
    csv_text_close(e->index.text);
    buf_free(e->index.offsets);
    free(e->path);
    free(e);
}

void source_forget(void)
{
    struct entry *unused[CACHED];
    int n = 0;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < CACHED; i++) {
        if (!cache[i] || cache[i]->refs > 0) continue;
        unused[n++] = cache[i];
        cache[i] = NULL;
    }
    pthread_mutex_unlock(&lock);
    while (n > 0)
        entry_free(unused[--n]);
}

enum status csv_index_alloc(struct ctx *c, size_t bytes, void **out)
{
    struct budget *all = c->budget;
    while (all && all->parent)
        all = all->parent;
    void *p = buf_try(all, bytes);
    if (!p) {
        source_forget();
        p = buf_try(all, bytes);
    }
    if (!p) {
        fail(c, ERR_MEMORY, "out of memory: where the rows of a file start does not fit");
        return hint(c, "Raise memory_limit.");
    }
    *out = p;
    return OK;
}

/* ---- scanning ---- */

struct scanning {
    struct csv_scan scan;
    struct csv_index *index;
    int64_t at; /* offset of the piece */
    char last;
};

static enum status add_offset(struct ctx *c, struct csv_index *x, int64_t offset)
{
    if (x->n_offsets == MAX_OFFSETS) {
        for (int64_t i = 0; i < MAX_OFFSETS / 2; i++)
            x->offsets[i] = x->offsets[2 * i];
        x->n_offsets = MAX_OFFSETS / 2;
        x->interval *= 2;
    }
    if (x->n_offsets == x->cap_offsets) {
        int64_t cap = x->cap_offsets ? 2 * x->cap_offsets : LEAST_OFFSETS;
        void *grown;
        TRY(csv_index_alloc(c, (size_t)cap * sizeof *x->offsets, &grown));
        if (x->n_offsets) memcpy(grown, x->offsets, (size_t)x->n_offsets * sizeof *x->offsets);
        buf_free(x->offsets);
        x->offsets = grown;
        x->cap_offsets = cap;
    }
    x->offsets[x->n_offsets++] = offset;
    return OK;
}

static enum status scan_piece(struct ctx *c, void *self, const char *s, size_t n)
{
    struct scanning *k = self;
    struct csv_index *x = k->index;
    size_t done = 0;
    while (done < n) {
        int64_t stop = x->n_offsets * x->interval;
        done += csv_scan_rows(&k->scan, s + done, n - done, stop);
        if (k->scan.n_rows == stop) TRY(add_offset(c, x, k->at + (int64_t)done));
    }
    if (n > 0) k->last = s[n - 1];
    k->at += (int64_t)n;
    return OK;
}

static enum status build(struct ctx *c, const struct csv_dialect *d, struct csv_index *x)
{
    struct scanning k = {.index = x, .last = '\n'};
    csv_scan_init(&k.scan, d);
    x->interval = 1;
    TRY(add_offset(c, x, 0));
    TRY(csv_text_scan(c, x->text, scan_piece, &k, &x->n_bytes));
    if (k.scan.in_quote) return fail(c, ERR_BAD_COPY_FORMAT, "unterminated CSV quoted field");
    x->n_rows = k.scan.n_rows + (k.last != '\n' && x->n_bytes > 0);
    return OK;
}

/* ---- the cache ---- */

static bool matches(const struct entry *e, const struct entry *want)
{
    return e && e->device == want->device && e->inode == want->inode && e->size == want->size &&
           e->changed.tv_sec == want->changed.tv_sec &&
           e->changed.tv_nsec == want->changed.tv_nsec && e->quote == want->quote &&
           e->escape == want->escape && e->text_format == want->text_format &&
           strcmp(e->path, want->path) == 0;
}

/* A hit that was unused takes over the file that `want` has opened. */
static struct entry *look_up(struct entry *want)
{
    struct entry *found = NULL;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < CACHED && !found; i++) {
        if (matches(cache[i], want)) found = cache[i];
    }
    if (found) {
        if (found->refs++ == 0) csv_text_resume(found->index.text, want->index.text);
        found->last_used = ++clock_ticks;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

/* Puts it in place of the one unused longest, if any is unused. */
static void keep(struct entry *e)
{
    int best = -1;
    struct entry *old = NULL;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < CACHED; i++) {
        if (cache[i] && cache[i]->refs > 0) continue;
        if (best < 0 || !cache[i] || (cache[best] && cache[i]->last_used < cache[best]->last_used))
            best = i;
    }
    if (best >= 0) {
        old = cache[best];
        cache[best] = e;
        e->cached = true;
        e->last_used = ++clock_ticks;
    }
    pthread_mutex_unlock(&lock);
    if (old) entry_free(old);
}

static enum status entry_new(struct ctx *c, const char *path, const struct csv_dialect *d,
                             struct entry **out)
{
    struct stat st;
    struct entry *e = calloc(1, sizeof *e);
    if (!e || !(e->path = strdup(path))) {
        free(e);
        return fail(c, ERR_MEMORY, "out of memory");
    }
    enum status s = csv_text_open(c, e->path, &e->index.text);
    if (s < 0) {
        entry_free(e);
        return s;
    }
    csv_text_stat(e->index.text, &st);
    e->device = st.st_dev;
    e->inode = st.st_ino;
    e->size = st.st_size;
    e->changed = st.st_mtim;
    e->quote = d->quote;
    e->escape = d->escape;
    e->text_format = d->text_format;
    e->refs = 1;
    *out = e;
    return OK;
}

enum status csv_index_get(struct ctx *c, const char *path, const struct csv_dialect *d,
                          struct csv_index **out)
{
    struct entry *e, *found;
    TRY(entry_new(c, path, d, &e));
    found = look_up(e);
    if (found) {
        entry_free(e);
        *out = &found->index;
        return OK;
    }
    enum status s = build(c, d, &e->index);
    if (s < 0) {
        entry_free(e);
        return s;
    }
    keep(e);
    *out = &e->index;
    return OK;
}

/* An index that nobody uses keeps no file open: a deleted one must leave the disk. */
void csv_index_release(struct csv_index *x)
{
    if (!x) return;
    struct entry *e = (struct entry *)x;
    pthread_mutex_lock(&lock);
    bool unused = --e->refs == 0;
    if (unused && e->cached) csv_text_suspend(x->text);
    pthread_mutex_unlock(&lock);
    if (unused && !e->cached) entry_free(e);
}

/* ---- look-up ---- */

int64_t csv_index_start(const struct csv_index *x, int64_t row, int64_t *first_row)
{
    int64_t i = row / x->interval;
    if (i >= x->n_offsets) i = x->n_offsets - 1;
    *first_row = i * x->interval;
    return x->offsets[i];
}

int64_t csv_index_end(const struct csv_index *x, int64_t row_end)
{
    int64_t i = (row_end + x->interval - 1) / x->interval;
    return i < x->n_offsets ? x->offsets[i] : x->n_bytes;
}

int64_t csv_index_line(struct ctx *c, const struct csv_index *x, int64_t offset)
{
    struct ctx quiet = {.cancel = c->cancel};
    int64_t line = 1;
    char *piece = malloc(LINE_PIECE_BYTES);
    for (int64_t at = 0; at < offset && line > 0; at += LINE_PIECE_BYTES) {
        int64_t left = offset - at;
        size_t n = left < LINE_PIECE_BYTES ? (size_t)left : LINE_PIECE_BYTES;
        bool known = piece && csv_text_read(&quiet, x->text, at, n, piece) == OK;
        const char *end = piece + n;
        for (const char *p = piece; known && (p = memchr(p, '\n', (size_t)(end - p))); p++)
            line++;
        if (!known) line = 0;
    }
    free(piece);
    return line;
}
