/* What the sys.* views list: arrays, their columns, versions, tiles, and the other objects. */
#include "storage/db_internal.h"
#include <stdlib.h>

#define MOST_COLUMNS 10

static const struct sys_column arrays_columns[] = {
    {"name", T_TEXT},   {"version", T_INT64}, {"dimensions", T_INT32}, {"attributes", T_INT32},
    {"cells", T_INT64}, {"tiles", T_INT64},   {"bytes", T_INT64},      {"comment", T_TEXT},
    {"materialized", T_TEXT}};
static const struct sys_column dimensions_columns[] = {
    {"array_name", T_TEXT}, {"position", T_INT32}, {"name", T_TEXT},  {"type", T_TEXT},
    {"axis", T_TEXT},       {"length", T_INT64},   {"tile", T_INT64}, {"grows", T_BOOL},
    {"unit", T_TEXT},       {"comment", T_TEXT}};
static const struct sys_column attributes_columns[] = {
    {"array_name", T_TEXT}, {"position", T_INT32}, {"name", T_TEXT},
    {"type", T_TEXT},       {"not_null", T_BOOL},  {"default", T_TEXT},
    {"codec", T_TEXT},      {"unit", T_TEXT},      {"comment", T_TEXT}};
static const struct sys_column versions_columns[] = {
    {"array_name", T_TEXT}, {"version", T_INT64}, {"committed_at", T_TIMESTAMP},
    {"tiles", T_INT64},     {"cells", T_INT64},   {"bytes", T_INT64},
    {"state", T_TEXT}};
static const struct sys_column tiles_columns[] = {
    {"array_name", T_TEXT}, {"attribute", T_TEXT},  {"coordinates", T_TEXT},   {"version", T_INT64},
    {"codec", T_TEXT},      {"raw_bytes", T_INT64}, {"stored_bytes", T_INT64}, {"cells", T_INT64}};
static const struct sys_column files_columns[] = {
    {"array_name", T_TEXT},     {"name", T_TEXT},   {"size", T_INT64},
    {"modified", T_TIMESTAMP},  {"status", T_TEXT}, {"cells", T_INT64},
    {"loaded_at", T_TIMESTAMP}, {"reason", T_TEXT}, {"schedule", T_TEXT},
    {"slot", T_TIMESTAMP}};
static const struct sys_column objects_columns[] = {
    {"kind", T_TEXT}, {"name", T_TEXT}, {"text", T_TEXT}};

#define TABLE(columns)                                                                             \
    {                                                                                              \
        columns, (int)(sizeof(columns) / sizeof(*columns))                                         \
    }
static const struct {
    const struct sys_column *columns;
    int n;
} tables[] = {
    [SYS_ARRAYS] = TABLE(arrays_columns),         [SYS_DIMENSIONS] = TABLE(dimensions_columns),
    [SYS_ATTRIBUTES] = TABLE(attributes_columns), [SYS_VERSIONS] = TABLE(versions_columns),
    [SYS_TILES] = TABLE(tiles_columns),           [SYS_FILES] = TABLE(files_columns),
    [SYS_OBJECTS] = TABLE(objects_columns)};

const struct sys_column *sys_columns(enum sys_table t, int *n)
{
    *n = tables[t].n;
    return tables[t].columns;
}

/* ---- rows ---- */

struct row {
    struct value v[MOST_COLUMNS];
    int n;
};

struct scan {
    struct txn *txn;
    sys_row_fn *fn;
    void *self;
};

static void add(struct row *r, struct value v)
{
    r->v[r->n++] = v;
}

static void add_text(struct row *r, const char *s)
{
    add(r, s ? value_text(s) : value_null(T_TEXT));
}

static void add_int(struct row *r, enum type type, int64_t i)
{
    add(r, value_int(type, i));
}

static enum status give(struct ctx *c, const struct scan *sc, const struct row *r)
{
    return sc->fn(c, sc->self, r->v, r->n);
}

static enum status array_row(struct ctx *c, const struct scan *sc, struct array *a)
{
    const struct schema *s = &a->def->s;
    const char *materialized;
    struct row r = {.n = 0};
    add_text(&r, s->name);
    add_int(&r, T_INT64, a->version);
    add_int(&r, T_INT32, s->n_dims);
    add_int(&r, T_INT32, s->n_attrs);
    add_int(&r, T_INT64, a->totals.cells);
    add_int(&r, T_INT64, a->totals.tiles);
    add_int(&r, T_INT64, a->totals.bytes);
    add_text(&r, s->comment);
    TRY(array_object(c, sc->txn, OBJECT_MATERIALIZED, s, &materialized));
    add_text(&r, materialized);
    return give(c, sc, &r);
}

static enum status dimension_rows(struct ctx *c, const struct scan *sc, struct array *a)
{
    const struct schema *s = &a->def->s;
    for (int d = 0; d < s->n_dims; d++) {
        struct row r = {.n = 0};
        struct strbuf axis = STRBUF_INIT;
        axis_format(&s->dims[d].axis, &axis);
        add_text(&r, s->name);
        add_int(&r, T_INT32, d + 1);
        add_text(&r, s->dims[d].name);
        add_text(&r, type_name(s->dims[d].axis.type));
        add_text(&r, axis.s);
        add_int(&r, T_INT64, axis_len(&s->dims[d].axis));
        add_int(&r, T_INT64, s->dims[d].tile);
        add_int(&r, T_BOOL, s->dims[d].axis.grows);
        add_text(&r, s->dims[d].unit);
        add_text(&r, s->dims[d].comment);
        enum status st = give(c, sc, &r);
        strbuf_release(&axis);
        if (st < 0) return st;
    }
    return OK;
}

static enum status attribute_rows(struct ctx *c, const struct scan *sc, struct array *a)
{
    const struct schema *s = &a->def->s;
    for (int k = 0; k < s->n_attrs; k++) {
        const struct attr *attr = &s->attrs[k];
        struct row r = {.n = 0};
        struct strbuf deflt = STRBUF_INIT, codec = STRBUF_INIT;
        if (attr->has_default) value_literal(&attr->deflt, &deflt);
        if (attr->codec_raw) strbuf_adds(&codec, "raw");
        if (attr->zstd_level) strbuf_addf(&codec, "shuffle,zstd(%d)", attr->zstd_level);
        add_text(&r, s->name);
        add_int(&r, T_INT32, k + 1);
        add_text(&r, attr->name);
        add_text(&r, type_name(attr->type));
        add_int(&r, T_BOOL, attr->not_null);
        add_text(&r, deflt.s);
        add_text(&r, codec.s);
        add_text(&r, attr->unit);
        add_text(&r, attr->comment);
        enum status st = give(c, sc, &r);
        strbuf_release(&deflt);
        strbuf_release(&codec);
        if (st < 0) return st;
    }
    return OK;
}

static enum status version_rows(struct ctx *c, const struct scan *sc, struct array *a)
{
    struct arena *arena = arena_new();
    struct version_row *rows;
    int n;
    pthread_mutex_lock(&a->db->mu);
    int64_t oldest = a->slot->oldest; /* older ones may be held, but not opened any more */
    pthread_mutex_unlock(&a->db->mu);
    enum status s = catalog_versions(c, a->db->catalog, a->slot->id, arena, &rows, &n);
    for (int i = 0; s == OK && i < n; i++) {
        struct row r = {.n = 0};
        bool shown = rows[i].version >= oldest && rows[i].version <= a->version;
        if (!shown || rows[i].state != VERSION_LIVE) continue;
        add_text(&r, a->def->s.name);
        add_int(&r, T_INT64, rows[i].version);
        add_int(&r, T_TIMESTAMP, rows[i].committed_us);
        add_int(&r, T_INT64, rows[i].totals.tiles);
        add_int(&r, T_INT64, rows[i].totals.cells);
        add_int(&r, T_INT64, rows[i].totals.bytes);
        add_text(&r, version_state_name(rows[i].state));
        s = give(c, sc, &r);
    }
    arena_free(arena);
    return s;
}

static enum status tile_row(struct ctx *c, const struct scan *sc, struct array *a,
                            const struct attr *attr, const struct tile_key *key)
{
    struct scratch_mark mark = scratch_mark(c->scratch);
    enum type type = attr ? attr->type : T_NONE;
    struct store_record record;
    struct tile_record tile;
    struct strbuf coords = STRBUF_INIT;
    struct row r = {.n = 0};
    enum status s = store_get(c, a->db->store, key, NULL, &record);
    if (s == OK) s = tile_open(c, record.bytes, record.n_bytes, key, type, a->tile_cells, &tile);
    if (s == OK) {
        for (int d = 0; d < key->n_dims; d++)
            strbuf_addf(&coords, "%s%lld", d ? ", " : "", (long long)key->coords[d]);
        add_text(&r, a->def->s.name);
        add_text(&r, attr ? attr->name : NULL);
        add_text(&r, coords.s);
        add_int(&r, T_INT64, key->version);
        add_text(&r, attr ? codec_name(tile.codec) : NULL);
        add_int(&r, T_INT64, a->tile_cells * (int64_t)tile_width(type));
        add_int(&r, T_INT64, (int64_t)record.n_bytes);
        add_int(&r, T_INT64, tile.tile.n_present);
        s = give(c, sc, &r);
    }
    strbuf_release(&coords);
    scratch_release(c->scratch, mark);
    return s;
}

static enum status tile_rows_of(struct ctx *c, const struct scan *sc, struct array *a,
                                const struct attr *attr)
{
    struct box all = {.n_dims = a->def->s.n_dims};
    struct store_scan scan;
    struct tile_key keys[32];
    int64_t n;
    for (int d = 0; d < all.n_dims; d++) {
        all.lo[d] = INT64_MIN;
        all.hi[d] = INT64_MAX;
    }
    store_scan_init(&scan, a->db->store, a->slot->id, attr ? attr->id : ATTR_PRESENCE, &all,
                    &a->view);
    do {
        TRY(check_cancel(c));
        TRY(store_scan_next(c, &scan, keys, 32, &n));
        for (int64_t i = 0; i < n; i++)
            TRY(tile_row(c, sc, a, attr, &keys[i]));
    } while (n > 0);
    return OK;
}

static enum status tile_rows(struct ctx *c, const struct scan *sc, struct array *a)
{
    TRY(tile_rows_of(c, sc, a, NULL));
    for (int k = 0; k < a->def->s.n_attrs; k++)
        TRY(tile_rows_of(c, sc, a, &a->def->s.attrs[k]));
    return OK;
}

static enum status file_rows(struct ctx *c, const struct scan *sc, struct array *a)
{
    struct arena *arena = arena_new();
    struct loaded_file *files;
    int n;
    enum status s = array_files(c, a, arena, &files, &n);
    for (int i = 0; s == OK && i < n; i++) {
        const struct loaded_file *f = &files[i];
        struct row r = {.n = 0};
        add_text(&r, a->def->s.name);
        add_text(&r, f->name);
        add_int(&r, T_INT64, f->n_bytes);
        add_int(&r, T_TIMESTAMP, f->modified_ns / 1000);
        add_text(&r, f->reason ? "skipped" : "loaded");
        add_int(&r, T_INT64, f->n_cells);
        add(&r, f->loaded_us ? value_int(T_TIMESTAMP, f->loaded_us) : value_null(T_TIMESTAMP));
        add_text(&r, f->reason);
        add_text(&r, f->schedule);
        add(&r, f->schedule ? value_int(T_TIMESTAMP, f->slot_us) : value_null(T_TIMESTAMP));
        s = give(c, sc, &r);
    }
    arena_free(arena);
    return s;
}

/* ---- objects ---- */

struct object_scan {
    const struct scan *scan;
    enum object_kind kind;
};

static enum status object_row(struct ctx *c, void *self, const char *name, const char *text)
{
    const struct object_scan *o = self;
    struct row r = {.n = 0};
    add_text(&r, o->kind == OBJECT_VIEW ? "view" : "function");
    add_text(&r, name);
    add_text(&r, text);
    return give(c, o->scan, &r);
}

static enum status object_rows(struct ctx *c, const struct scan *sc)
{
    struct object_scan views = {sc, OBJECT_VIEW}, functions = {sc, OBJECT_FUNCTION};
    TRY(object_each(c, sc->txn, OBJECT_VIEW, object_row, &views));
    return object_each(c, sc->txn, OBJECT_FUNCTION, object_row, &functions);
}

/* ---- the walk ---- */

static int order_of_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of all arrays that the transaction sees, in order, copied into the arena. */
static const char **visible_names(struct txn *t, struct arena *a, int *n)
{
    int most = t->snapshot->n_revs;
    for (const struct change *ch = t->changes; ch; ch = ch->next)
        most++;
    const char **names = arena_array(a, const char *, most + 1);
    *n = 0;
    for (int i = 0; i < t->snapshot->n_revs; i++) {
        bool changed = false;
        for (const struct change *ch = t->changes; ch; ch = ch->next)
            if (ch->slot == t->snapshot->revs[i]->slot) changed = true;
        if (!changed) names[(*n)++] = arena_strdup(a, t->snapshot->revs[i]->name);
    }
    for (const struct change *ch = t->changes; ch; ch = ch->next)
        if (!ch->dropped) names[(*n)++] = arena_strdup(a, ch->def->s.name);
    qsort(names, (size_t)*n, sizeof(*names), order_of_names);
    return names;
}

static enum status rows_of(struct ctx *c, const struct scan *sc, enum sys_table table,
                           struct array *a)
{
    switch (table) {
    case SYS_ARRAYS:
        return array_row(c, sc, a);
    case SYS_DIMENSIONS:
        return dimension_rows(c, sc, a);
    case SYS_ATTRIBUTES:
        return attribute_rows(c, sc, a);
    case SYS_VERSIONS:
        return version_rows(c, sc, a);
    case SYS_FILES:
        return file_rows(c, sc, a);
    default:
        return tile_rows(c, sc, a);
    }
}

enum status sys_scan(struct ctx *c, struct txn *t, enum sys_table table, sys_row_fn *fn, void *self)
{
    struct scan sc = {t, fn, self};
    TRY(txn_snapshot(c, t));
    if (table == SYS_OBJECTS) return object_rows(c, &sc);
    struct arena *arena = arena_new();
    int n;
    const char **names = visible_names(t, arena, &n);
    enum status s = OK;
    for (int i = 0; s == OK && i < n; i++) {
        struct array_ref ref = {.name = names[i], .position = -1};
        struct array *a;
        s = array_open(c, t, &ref, &a);
        if (s == OK) s = rows_of(c, &sc, table, a);
    }
    arena_free(arena);
    return s;
}
