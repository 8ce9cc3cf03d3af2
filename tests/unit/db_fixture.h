/* A data directory for a test: opened, reopened, and removed with all that is in it. */
#ifndef TESSERA_DB_FIXTURE_H
#define TESSERA_DB_FIXTURE_H
#include "storage/base/pool.h"
#include "storage/db.h"
#include "storage/fault.h"
#include "tests/unit/storage_ctx.h"
#include "tests/unit/unit.h"
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct dbf {
    struct test_ctx t;
    struct budget server;
    char dir[64];
    struct db *db;
    struct db_options options;
};

static inline int dbf_remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

/* cmocka's fail_msg(), whose `fail` is Tessera's function. */
#define die(...)                                                                                   \
    do {                                                                                           \
        print_error(__VA_ARGS__);                                                                  \
        print_error("\n");                                                                         \
        _fail(__FILE__, __LINE__);                                                                 \
    } while (0)
#define ok(f, call)                                                                                \
    do {                                                                                           \
        if ((call) != OK) die("%s: %s", #call, (f)->t.c.err.message);                              \
    } while (0)
#define fails(f, code, call)                                                                       \
    do {                                                                                           \
        enum status got_ = (call);                                                                 \
        if (got_ != (code)) die("%s: %d not %d: %s", #call, got_, (code), (f)->t.c.err.message);   \
        ctx_clear(&(f)->t.c);                                                                      \
    } while (0)

static inline void dbf_open(struct dbf *f)
{
    if (db_open(&f->t.c, f->dir, &f->options, &f->server, &f->db) != OK)
        die("db_open: %s", f->t.c.err.message);
}

static inline void dbf_reopen(struct dbf *f)
{
    scratch_reset(f->t.c.scratch);
    db_close(f->db);
    dbf_open(f);
}

static inline int dbf_setup(void **state)
{
    struct dbf *f = calloc(1, sizeof *f);
    budget_init(&f->server, NULL, INT64_C(256) << 20);
    test_ctx_open(&f->t, &f->server);
    snprintf(f->dir, sizeof f->dir, "/tmp/tessera-db-XXXXXX");
    if (!mkdtemp(f->dir)) return -1;
    f->options = (struct db_options){.create = true, .lock_timeout_ms = 20000};
    dbf_open(f);
    *state = f;
    return 0;
}

static inline int dbf_teardown(void **state)
{
    struct dbf *f = *state;
    fault_set(NULL);
    scratch_reset(f->t.c.scratch);
    db_close(f->db);
    nftw(f->dir, dbf_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    test_ctx_close(&f->t);
    assert_int_equal(atomic_load(&f->server.used_bytes), 0);
    free(f);
    return 0;
}

static inline struct txn *dbf_begin(struct dbf *f)
{
    struct txn *t;
    ok(f, txn_begin(&f->t.c, f->db, false, &t));
    return t;
}

/* An integer axis [lo, hi); open: it grows at both ends and starts empty. */
static inline struct axis dbf_axis(int64_t lo, int64_t hi, bool open)
{
    struct axis x = axis_count(hi - lo);
    x.lo = lo;
    x.hi = open ? lo : hi;
    x.limit_lo = open ? INT64_MIN : lo;
    x.limit_hi = open ? INT64_MAX : hi;
    x.grows = open;
    return x;
}

/* A schema of integer dimensions d0, d1, … */
static inline struct schema *dbf_schema(struct dbf *f, const char *name, int n_dims,
                                        const int64_t *lengths, const int64_t *tiles, bool open,
                                        const struct attr *attrs, int n_attrs)
{
    struct arena *a = f->t.c.arena;
    struct schema *s = arena_new_of(a, struct schema);
    s->name = arena_strdup(a, name);
    s->n_dims = n_dims;
    s->n_attrs = n_attrs;
    s->dims = arena_array(a, struct dim, n_dims);
    s->attrs = arena_array(a, struct attr, n_attrs + 1);
    for (int d = 0; d < n_dims; d++) {
        s->dims[d].name = arena_printf(a, "d%d", d);
        s->dims[d].axis = dbf_axis(0, lengths[d], open);
        s->dims[d].tile = tiles ? tiles[d] : 0;
    }
    if (n_attrs) memcpy(s->attrs, attrs, sizeof *attrs * (size_t)n_attrs);
    return s;
}

static inline struct array *dbf_array(struct dbf *f, struct txn *t, const char *name)
{
    struct array_ref ref = {.name = name, .position = -1};
    struct array *a;
    ok(f, array_open(&f->t.c, t, &ref, &a));
    return a;
}

#endif
