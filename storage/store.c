/* Where a record lies: the LMDB file, its keys and segments, and reading from it.
 *
 * Invariants:
 *  - a record's segments are written in one transaction, numbered 0, 1, … without a gap, all but
 *    the last of SEGMENT_BYTES, or all but the last of LONG_SEGMENT_BYTES;
 *  - a reader's transaction is renewed at the start of a call and reset at its end, so that it pins
 *    no pages in between;
 *  - the file is at least as long as LMDB says, so that a read never ends in SIGBUS. */
#include "storage/store.h"
#include "storage/record.h"
#include "storage/store_lmdb.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MAP_BYTES (INT64_C(1) << 40)
#define LEAST_MAP_BYTES (INT64_C(1) << 30)
#define MAX_READERS 2048
#define FULL_BYTES (INT64_C(16) << 20) /* an I/O error with less room on the disk means that */
#define PARTS 64                       /* segments copied out at a time */
#define LOOSE_PAGES 64 /* the last transaction before a crash may leave so many pages unwritten */

/* ---- errors ---- */

static bool disk_is_full(const struct store *s)
{
    struct statvfs v;
    return statvfs(s->path, &v) == 0 && (int64_t)(v.f_bavail * v.f_frsize) < FULL_BYTES;
}

enum status store_error(struct ctx *c, const struct store *s, int rc, const char *doing)
{
    if (rc == EIO && disk_is_full(s)) rc = ENOSPC; /* LMDB says so of a write cut short */
    switch (rc) {
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return fail(c, ERR_DISK_FULL, "could not %s the tile store: no space left", doing);
    case ENOMEM:
        return fail(c, ERR_MEMORY, "could not %s the tile store: out of memory", doing);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
        return fail(c, ERR_CORRUPT, "the tile store is damaged: %s", mdb_strerror(rc));
    case MDB_VERSION_MISMATCH:
        return fail(c, ERR_FORMAT_VERSION, "the tile store is of another version of LMDB");
    default:
        return fail(c, ERR_IO, "could not %s the tile store: %s", doing, mdb_strerror(rc));
    }
}

/* ---- keys ---- */

static uint8_t *put_be(uint8_t *p, uint64_t v, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        *p++ = (uint8_t)(v >> (8 * i));
    return p;
}

static uint64_t get_be(const uint8_t **p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | *(*p)++;
    return v;
}

void store_key_put(struct store_key *k, const struct tile_key *key, int64_t version, int segment)
{
    uint8_t *p = put_be(k->b, key->array, 4);
    p = put_be(p, key->attr, 2);
    for (int d = 0; d < key->n_dims; d++)
        p = put_be(p, (uint64_t)key->coords[d] ^ UINT64_C(1) << 63, 8);
    p = put_be(p, ~(uint64_t)version, 8);
    p = put_be(p, (uint64_t)segment, 2);
    k->bytes = (size_t)(p - k->b);
}

bool store_key_get(const MDB_val *k, struct tile_key *out, int *segment)
{
    if (k->mv_size != key_tile_bytes(out->n_dims) + 10) return false;
    const uint8_t *p = k->mv_data;
    out->array = (uint32_t)get_be(&p, 4);
    out->attr = (uint16_t)get_be(&p, 2);
    for (int d = 0; d < out->n_dims; d++)
        out->coords[d] = (int64_t)(get_be(&p, 8) ^ UINT64_C(1) << 63);
    out->version = (int64_t)~get_be(&p, 8);
    *segment = (int)get_be(&p, 2);
    return true;
}

bool version_is_in(int64_t version, const int64_t *sorted, int64_t n)
{
    int64_t lo = 0, hi = n;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (sorted[mid] < version)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && sorted[lo] == version;
}

/* ---- segments ---- */

size_t segment_stored_bytes(const struct store *s, size_t key_bytes, size_t n)
{
    size_t page = s->page_bytes, run_head = 16, node_head = 8;
    size_t largest_node = ((page - 16) / 2 & ~(size_t)1) - 2; /* beside its key in a leaf */
    if (node_head + key_bytes + n <= largest_node) return n;
    size_t pages = 1;
    while (pages * page - run_head < n)
        pages *= 2;
    size_t whole = pages * page - run_head;
    return whole < LONG_SEGMENT_BYTES ? whole : LONG_SEGMENT_BYTES;
}

/* ---- opening ---- */

static enum status check_file(struct ctx *c, struct store *s)
{
    MDB_envinfo info;
    MDB_stat stat;
    struct stat st;
    mdb_filehandle_t fd;
    int rc;
    if ((rc = mdb_env_info(s->env, &info)) || (rc = mdb_env_stat(s->env, &stat)) ||
        (rc = mdb_env_get_fd(s->env, &fd)))
        return store_error(c, s, rc, "open");
    s->page_bytes = stat.ms_psize;
    if (fstat(fd, &st)) return store_error(c, s, errno, "open");
    int64_t want = (int64_t)(info.me_last_pgno + 1) * (int64_t)s->page_bytes;
    if (st.st_size < want - LOOSE_PAGES * (int64_t)s->page_bytes)
        return fail(c, ERR_CORRUPT,
                    "the tile store is cut short: it has %lld bytes and should have %lld",
                    (long long)st.st_size, (long long)want);
    store_extend_file(s);
    return OK;
}

void store_extend_file(struct store *s)
{
    MDB_envinfo info;
    struct stat st;
    mdb_filehandle_t fd;
    if (mdb_env_info(s->env, &info) || mdb_env_get_fd(s->env, &fd) || fstat(fd, &st)) return;
    off_t want = (off_t)((info.me_last_pgno + 1) * s->page_bytes);
    /* A sparse end needs no room; if it fails all the same, the next commit tries again. */
    if (st.st_size < want && ftruncate(fd, want) == 0) return;
}

/* With the largest map that the system allows. */
static int open_env(struct store *s, unsigned flags)
{
    int rc = ENOMEM;
    for (int64_t map = MAP_BYTES; map >= LEAST_MAP_BYTES; map /= 2) {
        if ((rc = mdb_env_create(&s->env))) return rc;
        if (!(rc = mdb_env_set_mapsize(s->env, (size_t)map)) &&
            !(rc = mdb_env_set_maxreaders(s->env, MAX_READERS)) &&
            !(rc = mdb_env_open(s->env, s->path, flags, 0600)))
            return 0;
        mdb_env_close(s->env);
        s->env = NULL;
        if (rc != ENOMEM) return rc;
    }
    return rc;
}

static int open_dbi(struct store *s)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (rc) return rc;
    if ((rc = mdb_dbi_open(txn, NULL, 0, &s->dbi))) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

enum status store_open(struct ctx *c, const char *path, const struct store_options *o,
                       struct store **out)
{
    struct stat st;
    bool there = stat(path, &st) == 0 && st.st_size > 0;
    if (!there && !o->create) return fail(c, ERR_CORRUPT, "the tile store \"%s\" is missing", path);
    struct store *s = calloc(1, sizeof *s);
    if (!s || !(s->path = strdup(path))) {
        free(s);
        return fail(c, ERR_MEMORY, "out of memory");
    }
    s->options = *o;
    if (s->options.batch_bytes <= 0) s->options.batch_bytes = DEFAULT_BATCH_BYTES;
    pthread_mutex_init(&s->readers_lock, NULL);
    pthread_mutex_init(&s->write_lock, NULL);

    unsigned flags = MDB_NOSUBDIR | MDB_NORDAHEAD | MDB_NOTLS | MDB_NOMEMINIT;
    if (!o->sync) flags |= MDB_NOSYNC;
    enum status status = OK;
    int rc = open_env(s, flags);
    if (rc) status = store_error(c, s, rc, "open");
    if (status == OK) status = check_file(c, s);
    if (status == OK && (rc = open_dbi(s))) status = store_error(c, s, rc, "open");
    if (status < 0) {
        store_close(s);
        return status;
    }
    *out = s;
    return OK;
}

void store_close(struct store *s)
{
    if (!s) return;
    for (struct reader *r = s->idle, *next; r; r = next) {
        next = r->next;
        mdb_cursor_close(r->cursor);
        mdb_txn_abort(r->txn);
        free(r);
    }
    if (s->env) mdb_env_close(s->env);
    pthread_mutex_destroy(&s->readers_lock);
    pthread_mutex_destroy(&s->write_lock);
    free(s->path);
    free(s);
}

enum status store_sync(struct ctx *c, struct store *s)
{
    int rc = s->options.sync ? mdb_env_sync(s->env, 1) : 0;
    return rc ? store_error(c, s, rc, "write") : OK;
}

/* ---- read transactions ---- */

static enum status reader_new(struct ctx *c, struct store *s, struct reader **out)
{
    struct reader *r = calloc(1, sizeof *r);
    if (!r) return fail(c, ERR_MEMORY, "out of memory");
    int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &r->txn);
    if (!rc && (rc = mdb_cursor_open(r->txn, s->dbi, &r->cursor))) mdb_txn_abort(r->txn);
    if (rc) {
        free(r);
        return store_error(c, s, rc, "read");
    }
    *out = r;
    return OK;
}

enum status reader_begin(struct ctx *c, struct store *s, struct reader **out)
{
    pthread_mutex_lock(&s->readers_lock);
    struct reader *r = s->idle;
    if (r) s->idle = r->next;
    pthread_mutex_unlock(&s->readers_lock);
    if (!r) return reader_new(c, s, out);
    int rc = mdb_txn_renew(r->txn);
    if (!rc) rc = mdb_cursor_renew(r->txn, r->cursor);
    if (rc) {
        mdb_cursor_close(r->cursor);
        mdb_txn_abort(r->txn);
        free(r);
        return store_error(c, s, rc, "read");
    }
    *out = r;
    return OK;
}

void reader_end(struct store *s, struct reader *r)
{
    mdb_txn_reset(r->txn);
    pthread_mutex_lock(&s->readers_lock);
    r->next = s->idle;
    s->idle = r;
    pthread_mutex_unlock(&s->readers_lock);
}

/* ---- finding and copying out ---- */

enum status cursor_find(struct ctx *c, struct store *s, MDB_cursor *cursor,
                        const struct tile_key *key, const struct store_view *view, int64_t *version,
                        MDB_val *value)
{
    int64_t newest = view->own ? view->own : view->version;
    while (newest > 0) {
        struct store_key want;
        store_key_put(&want, key, newest, 0);
        MDB_val k = {want.bytes, want.b};
        int rc = mdb_cursor_get(cursor, &k, value, MDB_SET_RANGE);
        if (rc == MDB_NOTFOUND) break;
        if (rc) return store_error(c, s, rc, "read");
        if (k.mv_size != want.bytes || memcmp(k.mv_data, want.b, key_tile_bytes(key->n_dims)))
            break;
        struct tile_key found = {.n_dims = key->n_dims};
        int segment;
        store_key_get(&k, &found, &segment);
        if (segment) return record_corrupt(c, &found, "its first segment is missing");
        bool undone = found.version > view->version && found.version != view->own;
        if (!undone && !version_is_in(found.version, view->dead, view->n_dead)) {
            *version = found.version;
            return OK;
        }
        newest = undone ? view->version : found.version - 1;
    }
    *version = 0;
    return OK;
}

enum status store_find(struct ctx *c, struct store *s, const struct tile_key *key,
                       const struct store_view *view, int64_t *version)
{
    struct reader *r;
    MDB_val value;
    TRY(reader_begin(c, s, &r));
    enum status status = cursor_find(c, s, r->cursor, key, view, version, &value);
    reader_end(s, r);
    return status;
}

/* Pages to ask for, joined while they lie side by side. */
struct ahead {
    uintptr_t lo, hi;
};

/* Are the pages in memory? A look at them costs a tenth of asking for what is there. */
static bool in_memory(uintptr_t lo, uintptr_t hi, size_t page)
{
    unsigned char there[PARTS * 16];
    for (; lo < hi; lo += sizeof there * page) {
        size_t n = (hi - lo) / page < sizeof there ? (hi - lo) / page : sizeof there;
        if (mincore((void *)lo, n * page, there)) return false;
        for (size_t i = 0; i < n; i++)
            if (!(there[i] & 1)) return false;
    }
    return true;
}

static void ahead_ask(struct ahead *a, size_t page)
{
    if (a->hi > a->lo && !in_memory(a->lo, a->hi, page))
        madvise((void *)a->lo, a->hi - a->lo, MADV_WILLNEED);
    a->lo = a->hi = 0;
}

static void ahead_add(struct ahead *a, const MDB_val *v, size_t page)
{
    uintptr_t lo = (uintptr_t)v->mv_data & ~(uintptr_t)(page - 1);
    uintptr_t hi = ((uintptr_t)v->mv_data + v->mv_size + page - 1) & ~(uintptr_t)(page - 1);
    if (lo != a->hi) {
        ahead_ask(a, page);
        a->lo = lo;
    }
    a->hi = hi;
}

/* A record being copied out, some segments at a time. */
struct copy {
    const struct tile_key *key;
    MDB_cursor *cursor;
    int segment;  /* the next one */
    size_t total; /* bytes still to come, the length included */
    size_t segment_bytes;
    int n;
    struct {
        const uint8_t *from;
        size_t n_bytes;
    } part[PARTS];
};

/* Finds the next segments, of which value is the first, and asks the system for them all. */
static enum status copy_gather(struct ctx *c, struct store *s, struct copy *y, MDB_val value)
{
    struct ahead ahead = {0};
    for (y->n = 0; y->total && y->n < PARTS; y->n++, y->segment++) {
        struct store_key want;
        store_key_put(&want, y->key, y->key->version, y->segment);
        if (y->segment) {
            MDB_val k;
            int rc = mdb_cursor_get(y->cursor, &k, &value, MDB_NEXT);
            if (rc && rc != MDB_NOTFOUND) return store_error(c, s, rc, "read");
            if (rc || k.mv_size != want.bytes || memcmp(k.mv_data, want.b, want.bytes))
                return record_corrupt(c, y->key, "a segment is missing");
        }
        size_t n = y->total < y->segment_bytes ? y->total : y->segment_bytes;
        if (value.mv_size != segment_stored_bytes(s, want.bytes, n))
            return record_corrupt(c, y->key, "a segment has another size");
        if (value.mv_size >= s->page_bytes / 2) ahead_add(&ahead, &value, s->page_bytes);
        y->part[y->n].from = value.mv_data;
        y->part[y->n].n_bytes = n;
        y->total -= n;
    }
    ahead_ask(&ahead, s->page_bytes);
    return OK;
}

/* Copies the record out whose first segment the cursor stands on. */
static enum status copy_out(struct ctx *c, struct store *s, MDB_cursor *cursor,
                            const struct tile_key *key, MDB_val value, struct store_record *out)
{
    if (value.mv_size < LENGTH_BYTES) return record_corrupt(c, key, "it is cut short");
    uint64_t length = get64(value.mv_data);
    if (length > STORE_MAX_RECORD_BYTES) return record_corrupt(c, key, "its length is impossible");
    void *mem;
    TRY(scratch_alloc(c, length ? length : 1, &mem));

    struct copy y = {.key = key, .cursor = cursor, .total = length + LENGTH_BYTES};
    y.segment_bytes = value.mv_size > SEGMENT_BYTES ? LONG_SEGMENT_BYTES : SEGMENT_BYTES;
    uint8_t *to = mem;
    size_t skip = LENGTH_BYTES;
    while (y.total) {
        TRY(copy_gather(c, s, &y, value));
        for (int i = 0; i < y.n; i++) {
            memcpy(to, y.part[i].from + skip, y.part[i].n_bytes - skip);
            to += y.part[i].n_bytes - skip;
            skip = 0;
        }
    }
    out->bytes = mem;
    out->n_bytes = length;
    out->version = key->version;
    return OK;
}

enum status store_get(struct ctx *c, struct store *s, const struct tile_key *key,
                      const struct store_view *view, struct store_record *out)
{
    struct store_view exactly = {.version = key->version};
    struct tile_key at = *key;
    struct store_record record = {0};
    struct reader *r;
    MDB_val value;
    TRY(reader_begin(c, s, &r));
    enum status status =
        cursor_find(c, s, r->cursor, key, view ? view : &exactly, &at.version, &value);
    if (status == OK && !view && at.version != key->version)
        status = record_corrupt(c, key, "it is missing");
    if (status == OK && at.version) status = copy_out(c, s, r->cursor, &at, value, &record);
    reader_end(s, r);
    if (status < 0) return status;
    COUNT(c, bytes_read, (int64_t)record.n_bytes);
    if (record.bytes && !(key->attr & ATTR_SUMMARY) && key->attr != ATTR_PRESENCE)
        COUNT(c, tiles_read, 1);
    *out = record;
    return OK;
}

/* ---- scanning ---- */

void store_scan_init(struct store_scan *sc, struct store *s, uint32_t array, uint16_t attr,
                     const struct box *box, const struct store_view *view)
{
    *sc = (struct store_scan){.store = s, .view = *view, .box = *box, .done = box_empty(box)};
    sc->key.array = array;
    sc->key.attr = attr;
    sc->key.n_dims = box->n_dims;
    memcpy(sc->key.coords, box->lo, sizeof box->lo);
}

/* The first coordinates of the box after `at` in C order; false: there are none. */
static bool next_in_box(const struct box *box, const int64_t *at, int64_t *out)
{
    for (int d = box->n_dims - 1; d >= 0; d--) {
        if (at[d] >= box->hi[d] - 1) continue;
        memmove(out, at, sizeof *out * (size_t)d);
        out[d] = at[d] + 1;
        for (int e = d + 1; e < box->n_dims; e++)
            out[e] = box->lo[e];
        return true;
    }
    return false;
}

/* The first coordinates of the box that are not before `at`; false: there are none. */
static bool box_from(const struct box *box, const int64_t *at, int64_t *out)
{
    for (int d = 0; d < box->n_dims; d++) {
        if (at[d] >= box->lo[d] && at[d] < box->hi[d]) {
            out[d] = at[d];
            continue;
        }
        if (at[d] < box->lo[d]) {
            for (int e = d; e < box->n_dims; e++)
                out[e] = box->lo[e];
            return true;
        }
        /* Past the end in d: the prefix must move on. */
        struct box prefix = *box;
        prefix.n_dims = d;
        if (!next_in_box(&prefix, at, out)) return false;
        for (int e = d; e < box->n_dims; e++)
            out[e] = box->lo[e];
        return true;
    }
    return true;
}

/* The next key of the scan at or after sc->key's coordinates; done when there is none. */
static enum status scan_step(struct ctx *c, struct store_scan *sc, MDB_cursor *cursor)
{
    struct tile_key *at = &sc->key;
    for (;;) {
        struct store_key want;
        store_key_put(&want, at, sc->view.version, 0);
        MDB_val k = {want.bytes, want.b}, value;
        int rc = mdb_cursor_get(cursor, &k, &value, MDB_SET_RANGE);
        if (rc && rc != MDB_NOTFOUND) return store_error(c, sc->store, rc, "read");
        struct tile_key found = {.n_dims = at->n_dims};
        int segment;
        if (rc || !store_key_get(&k, &found, &segment) || found.array != at->array ||
            found.attr != at->attr) {
            sc->done = true;
            return OK;
        }
        if (!memcmp(found.coords, at->coords, sizeof found.coords[0] * (size_t)at->n_dims)) {
            TRY(cursor_find(c, sc->store, cursor, at, &sc->view, &at->version, &value));
            if (at->version) return OK;
            sc->done = !next_in_box(&sc->box, at->coords, at->coords);
        } else {
            sc->done = !box_from(&sc->box, found.coords, at->coords);
        }
        if (sc->done) return OK;
    }
}

enum status store_scan_next(struct ctx *c, struct store_scan *sc, struct tile_key *keys,
                            int64_t room, int64_t *n)
{
    int64_t got = 0;
    struct reader *r;
    TRY(reader_begin(c, sc->store, &r));
    enum status status = OK;
    while (got < room && !sc->done) {
        status = scan_step(c, sc, r->cursor);
        if (status < 0 || sc->done) break;
        keys[got++] = sc->key;
        sc->done = !next_in_box(&sc->box, sc->key.coords, sc->key.coords);
    }
    reader_end(sc->store, r);
    if (status < 0) return status;
    *n = got;
    return OK;
}

/* ---- read-ahead ---- */

void store_read_ahead(struct store *s, const struct tile_key *keys, int64_t n)
{
    struct ctx c = {0};
    struct reader *r;
    struct ahead ahead = {0};
    if (reader_begin(&c, s, &r) < 0) return;
    for (int64_t i = 0; i < n; i++) {
        struct store_key want;
        store_key_put(&want, &keys[i], keys[i].version, 0);
        MDB_val k = {want.bytes, want.b}, value;
        int rc = mdb_cursor_get(r->cursor, &k, &value, MDB_SET);
        /* The record's other segments follow. A value in a leaf has been read by finding it. */
        while (!rc && k.mv_size == want.bytes && !memcmp(k.mv_data, want.b, want.bytes - 2)) {
            if (value.mv_size >= s->page_bytes / 2) ahead_add(&ahead, &value, s->page_bytes);
            rc = mdb_cursor_get(r->cursor, &k, &value, MDB_NEXT);
        }
    }
    ahead_ask(&ahead, s->page_bytes);
    reader_end(s, r);
}

/* ---- sizes ---- */

enum status store_used_bytes(struct ctx *c, struct store *s, int64_t *used)
{
    MDB_envinfo info;
    struct reader *r;
    MDB_cursor *free_list = NULL;
    TRY(reader_begin(c, s, &r));
    /* Table 0 lists the free pages: a count and the pages, for each transaction. */
    int rc = mdb_env_info(s->env, &info);
    if (!rc) rc = mdb_cursor_open(r->txn, 0, &free_list);
    int64_t n_free = 0;
    MDB_val k, v;
    while (!rc && !(rc = mdb_cursor_get(free_list, &k, &v, MDB_NEXT)))
        n_free += (int64_t)get64(v.mv_data);
    if (free_list) mdb_cursor_close(free_list);
    reader_end(s, r);
    if (rc != MDB_NOTFOUND) return store_error(c, s, rc, "read");
    *used = ((int64_t)info.me_last_pgno + 1 - n_free) * (int64_t)s->page_bytes;
    return OK;
}

enum status store_stats(struct ctx *c, struct store *s, struct store_stats *out)
{
    struct store_stats st;
    MDB_envinfo info;
    MDB_stat stat;
    int rc;
    TRY(store_used_bytes(c, s, &st.used_bytes));
    if ((rc = mdb_env_info(s->env, &info)) || (rc = mdb_env_stat(s->env, &stat)))
        return store_error(c, s, rc, "read");
    st.file_bytes = (int64_t)(info.me_last_pgno + 1) * (int64_t)s->page_bytes;
    st.n_segments = (int64_t)stat.ms_entries;
    *out = st;
    return OK;
}
