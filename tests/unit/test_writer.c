/* What was written is read: random boxes and cells into arrays of one to four dimensions, with
 * aborted statements, savepoints, rollbacks, reopened directories and old versions, against a plain
 * model in memory; and which tiles are said to have changed between versions. */
#include "storage/db_internal.h"
#include "tests/unit/db_fixture.h"

#define MOST_CELLS 4096
#define MOST_VERSIONS 64
#define N_ATTRS 3

static const char *const words[] = {"", "alpha", "beta", "gamma", "a longer text than the others"};

struct model_cell {
    bool there, null[N_ATTRS];
    int32_t v;
    double d;
    int word;
};

struct model {
    struct model_cell cells[MOST_CELLS];
};

struct run {
    struct dbf *f;
    uint64_t seed;
    bool small;         /* most statements write few cells */
    int64_t most_bytes; /* of patches that were seen */
    int n_dims;
    int64_t lengths[MAX_DIMS], tiles[MAX_DIMS];
    bool renewed[MOST_CELLS]; /* tiles, in the statement that is under way */
    int64_t n;
    struct box box;
    struct model now;
    int n_old;
    int64_t old_versions[MOST_VERSIONS];
    struct model *old[MOST_VERSIONS];
};

static const struct attr attrs[N_ATTRS] = {
    {.name = "v",
     .type = T_INT32,
     .not_null = true,
     .has_default = true,
     .deflt = {.type = T_INT32, .i = 7}},
    {.name = "d", .type = T_FLOAT64},
    {.name = "w", .type = T_TEXT, .has_default = true, .deflt = {.type = T_TEXT, .t = {"beta", 4}}},
};

static int64_t pick(struct run *r, int64_t n)
{
    return (int64_t)(test_random(&r->seed) % (uint64_t)n);
}

/* ---- columns ---- */

struct columns {
    struct column cols[N_ATTRS];
    uint64_t *present;
};

static void random_columns(struct run *r, int64_t n, struct columns *out)
{
    struct ctx *c = &r->f->t.c;
    void *p;
    for (int k = 0; k < N_ATTRS; k++) {
        ok(r->f, column_alloc(c, attrs[k].type, n, &out->cols[k]));
        if (k > 0 && pick(r, 2)) ok(r->f, column_need_valid(c, &out->cols[k], n));
    }
    ok(r->f, scratch_alloc(c, (size_t)bits_words(n) * 8, &p));
    out->present = p;
    memset(p, 0, (size_t)bits_words(n) * 8);
    for (int64_t i = 0; i < n; i++) {
        const char *word = words[pick(r, 5)];
        ((int32_t *)out->cols[0].values)[i] = (int32_t)pick(r, 1000) - 500;
        ((double *)out->cols[1].values)[i] = (double)pick(r, 1000) / 8;
        ((struct text *)out->cols[2].values)[i] = (struct text){word, (int64_t)strlen(word)};
        for (int k = 1; k < N_ATTRS; k++)
            if (out->cols[k].valid && pick(r, 4) == 0) bit_clear(out->cols[k].valid, i);
        if (pick(r, 3)) bit_set(out->present, i);
    }
}

static int word_index(struct text t)
{
    for (int w = 0; w < 5; w++)
        if ((int64_t)strlen(words[w]) == t.len && memcmp(words[w], t.s, (size_t)t.len) == 0)
            return w;
    return -1;
}

static void set_from_columns(struct model_cell *cell, const struct columns *cols, int64_t i,
                             const int *given, int n)
{
    for (int g = 0; g < n; g++) {
        const struct column *col = &cols->cols[given[g]];
        cell->null[given[g]] = column_is_null(col, i);
        if (given[g] == 0) cell->v = ((int32_t *)col->values)[i];
        if (given[g] == 1) cell->d = ((double *)col->values)[i];
        if (given[g] == 2) cell->word = word_index(((struct text *)col->values)[i]);
    }
}

/* The rule of each conflict mode on one cell; false: the statement fails. */
static bool model_put(struct model_cell *cell, enum conflict mode, const struct columns *cols,
                      int64_t i, const int *given, int n, int64_t *written)
{
    switch (mode) {
    case CONFLICT_ERROR:
    case CONFLICT_RENEW:
    case CONFLICT_IGNORE:
        if (cell->there) return mode == CONFLICT_IGNORE;
        break;
    case CONFLICT_UPDATE:
    case CONFLICT_DELETE:
        if (!cell->there) return true;
        break;
    default:
        break;
    }
    ++*written;
    if (mode == CONFLICT_DELETE) {
        cell->there = false;
        return true;
    }
    if (mode != CONFLICT_UPDATE)
        *cell = (struct model_cell){.there = true, .v = 7, .word = 2, .null = {false, true, false}};
    set_from_columns(cell, cols, i, given, n);
    return true;
}

/* ---- tiles ---- */

static int64_t n_tiles(const struct run *r, struct box *tiles)
{
    box_tiles(&r->box, r->tiles, tiles);
    return box_cells(tiles);
}

/* The cells of tile number t. */
static void tile_part(const struct run *r, int64_t t, struct box *part)
{
    struct box tiles;
    int64_t tile[MAX_DIMS];
    n_tiles(r, &tiles);
    box_position(&tiles, t, tile);
    part->n_dims = r->n_dims;
    for (int d = 0; d < r->n_dims; d++) {
        part->lo[d] = tile[d] * r->tiles[d];
        part->hi[d] = part->lo[d] + r->tiles[d];
    }
    box_intersect(part, &r->box, part);
}

static void model_clear_tile(struct run *r, struct model *m, int64_t t)
{
    struct box part;
    int64_t pos[MAX_DIMS];
    tile_part(r, t, &part);
    for (int64_t i = 0; i < box_cells(&part); i++) {
        box_position(&part, i, pos);
        m->cells[box_index(&r->box, pos)].there = false;
    }
    r->renewed[t] = true;
}

/* CONFLICT_RENEW: a cell is put, so what its tile had before goes. */
static void model_renew(struct run *r, enum conflict mode, struct model *m, const int64_t *pos)
{
    struct box tiles;
    int64_t tile[MAX_DIMS];
    n_tiles(r, &tiles);
    for (int d = 0; d < r->n_dims; d++)
        tile[d] = pos[d] / r->tiles[d];
    int64_t t = box_index(&tiles, tile);
    if (mode == CONFLICT_RENEW && !r->renewed[t]) model_clear_tile(r, m, t);
}

/* … and what tiles of the box had that nothing was put into. */
static void clear_rest(struct run *r, struct writer *w, struct model *m, const struct box *box)
{
    struct box tiles, part;
    ok(r->f, writer_clear_rest(&r->f->t.c, w, box));
    for (int64_t t = n_tiles(r, &tiles) - 1; t >= 0; t--) {
        tile_part(r, t, &part);
        if (!r->renewed[t] && (!box || box_intersect(&part, box, &part))) model_clear_tile(r, m, t);
    }
}

static bool same_cell(const struct model_cell *a, const struct model_cell *b)
{
    if (!a->there || !b->there) return a->there == b->there;
    if (a->v != b->v || a->null[1] != b->null[1] || a->null[2] != b->null[2]) return false;
    return (a->null[1] || a->d == b->d) && (a->null[2] || a->word == b->word);
}

/* Every tile that differs from the version's is among the changes since. */
static void compare_changes(struct run *r, struct array *a, const struct model *now,
                            const struct model *old, int64_t since)
{
    struct tile_changes *changes;
    struct box tiles, part;
    int64_t pos[MAX_DIMS], n_met = 0;
    ok(r->f, array_changes(&r->f->t.c, a, since, &changes));
    for (int64_t t = n_tiles(r, &tiles) - 1; t >= 0; t--) {
        bool same = true;
        tile_part(r, t, &part);
        for (int64_t i = 0; i < box_cells(&part); i++) {
            box_position(&part, i, pos);
            int64_t at = box_index(&r->box, pos);
            same = same && same_cell(&now->cells[at], &old->cells[at]);
        }
        bool met = changes_meet(changes, &part);
        n_met += met;
        assert_true(met || same);
    }
    assert_int_equal(n_met, changes_count(changes));
    if (since == array_version(a)) assert_int_equal(n_met, 0);
}

/* ---- comparing ---- */

static void compare_box(struct run *r, struct array *a, const struct model *m,
                        const struct box *want)
{
    struct ctx *c = &r->f->t.c;
    struct scratch_mark mark = scratch_mark(c->scratch);
    int which[N_ATTRS] = {0, 1, 2};
    struct column cols[N_ATTRS];
    uint64_t *present;
    int64_t n_present, seen = 0, pos[MAX_DIMS];
    bool may;
    ok(r->f, array_read(c, a, want, which, N_ATTRS, cols, &present, &n_present));
    ok(r->f, array_may_have(c, a, want, &may));
    for (int64_t i = 0; i < box_cells(want); i++) {
        box_position(want, i, pos);
        struct box one = r->box;
        bool inside = true;
        for (int d = 0; d < r->n_dims; d++)
            if (pos[d] < one.lo[d] || pos[d] >= one.hi[d]) inside = false;
        const struct model_cell none = {0};
        const struct model_cell *cell = inside ? &m->cells[box_index(&r->box, pos)] : &none;
        bool there = n_present > 0 && (!present || bit_get(present, i));
        assert_int_equal(there, cell->there);
        if (!there) continue;
        seen++;
        assert_int_equal(((int32_t *)cols[0].values)[i], cell->v);
        assert_int_equal(column_is_null(&cols[1], i), cell->null[1]);
        assert_int_equal(column_is_null(&cols[2], i), cell->null[2]);
        if (!cell->null[1]) assert_true(((double *)cols[1].values)[i] == cell->d);
        if (!cell->null[2])
            assert_int_equal(word_index(((struct text *)cols[2].values)[i]), cell->word);
    }
    assert_int_equal(seen, n_present);
    if (seen) assert_true(may);
    scratch_release(c->scratch, mark);
}

/* Every tile's summary against the model. */
static void compare_summaries(struct run *r, struct array *a, const struct model *m)
{
    struct ctx *c = &r->f->t.c;
    struct box tiles;
    box_tiles(&r->box, r->tiles, &tiles);
    for (int64_t t = 0; t < box_cells(&tiles); t++) {
        int64_t tile[MAX_DIMS], pos[MAX_DIMS], cells = 0, nulls = 0, sum = 0;
        struct box part = {.n_dims = r->n_dims};
        box_position(&tiles, t, tile);
        for (int d = 0; d < r->n_dims; d++) {
            part.lo[d] = tile[d] * r->tiles[d];
            part.hi[d] = part.lo[d] + r->tiles[d];
        }
        box_intersect(&part, &r->box, &part);
        for (int64_t i = 0; i < box_cells(&part); i++) {
            box_position(&part, i, pos);
            const struct model_cell *cell = &m->cells[box_index(&r->box, pos)];
            if (!cell->there) continue;
            cells++;
            sum += cell->v;
            if (cell->null[1]) nulls++;
        }
        struct summary s;
        bool found;
        ok(r->f, array_summary(c, a, 0, tile, &s, &found));
        assert_int_equal(found, cells > 0);
        if (!found) continue;
        assert_int_equal(s.n_cells, cells);
        assert_true(s.isum == sum);
        ok(r->f, array_summary(c, a, 1, tile, &s, &found));
        assert_int_equal(s.n_nulls, nulls);
        ok(r->f, array_summary(c, a, -1, tile, &s, &found));
        assert_int_equal(s.n_cells, cells);
    }
}

static void random_box(struct run *r, const struct box *within, int64_t past, struct box *out)
{
    out->n_dims = within->n_dims;
    for (int d = 0; d < within->n_dims; d++) {
        int64_t length = box_extent(within, d) + 2 * past;
        int64_t a = within->lo[d] - past + pick(r, length);
        int64_t b = within->lo[d] - past + pick(r, length);
        out->lo[d] = a < b ? a : b;
        out->hi[d] = (a < b ? b : a) + 1;
    }
}

static void compare(struct run *r, struct txn *t, const struct model *m, int64_t version)
{
    struct array_ref ref = {.name = "a", .version = version, .position = -1};
    struct array *a;
    struct box want = r->box;
    ok(r->f, array_open(&r->f->t.c, t, &ref, &a));
    compare_box(r, a, m, &want);
    for (int i = 0; i < 3; i++) {
        random_box(r, &r->box, 2, &want);
        compare_box(r, a, m, &want);
    }
    compare_summaries(r, a, m);
}

/* ---- statements ---- */

static void shrink(struct run *r, struct box *box)
{
    for (int d = 0; d < box->n_dims; d++) {
        int64_t hi = box->lo[d] + 1 + pick(r, 4);
        if (hi < box->hi[d]) box->hi[d] = hi;
    }
}

static bool put_box(struct run *r, struct writer *w, enum conflict mode, struct model *m,
                    const int *given, int n, int64_t *expected, int64_t *written)
{
    struct ctx *c = &r->f->t.c;
    struct box box;
    struct columns cols;
    struct column use[N_ATTRS];
    int64_t pos[MAX_DIMS];
    bool good = true;
    random_box(r, &r->box, 0, &box);
    if (pick(r, r->small ? 30 : 4) == 0)
        box = r->box;
    else if (r->small)
        shrink(r, &box);
    random_columns(r, box_cells(&box), &cols);
    if (pick(r, 3) == 0) cols.present = NULL;
    for (int64_t i = 0; i < box_cells(&box); i++) {
        box_position(&box, i, pos);
        if (cols.present && !bit_get(cols.present, i)) continue;
        model_renew(r, mode, m, pos);
        good &= model_put(&m->cells[box_index(&r->box, pos)], mode, &cols, i, given, n, expected);
    }
    for (int g = 0; g < n; g++)
        use[g] = cols.cols[given[g]];
    enum status s = writer_put_box(c, w, &box, use, cols.present, written);
    if (good) {
        ok(r->f, s);
    } else {
        fails(r->f, ERR_DUPLICATE_CELL, s);
    }
    return good;
}

static bool put_cells(struct run *r, struct writer *w, enum conflict mode, struct model *m,
                      const int *given, int n, int64_t *expected, int64_t *written)
{
    struct ctx *c = &r->f->t.c;
    struct columns cols;
    struct column use[N_ATTRS];
    int64_t many = r->small ? 10 : 300, at[MAX_DIMS];
    int64_t n_cells = pick(r, 3) ? 1 + pick(r, 8) : 1 + pick(r, many);
    int64_t *pos[MAX_DIMS];
    bool good = true;
    random_columns(r, n_cells, &cols);
    for (int d = 0; d < r->n_dims; d++)
        pos[d] = arena_array(c->arena, int64_t, n_cells);
    for (int64_t i = 0; i < n_cells; i++) {
        for (int d = 0; d < r->n_dims; d++)
            at[d] = pos[d][i] = pick(r, r->lengths[d]);
        model_renew(r, mode, m, at);
        good &= model_put(&m->cells[box_index(&r->box, at)], mode, &cols, i, given, n, expected);
    }
    for (int g = 0; g < n; g++)
        use[g] = cols.cols[given[g]];
    enum status s = writer_put_cells(c, w, n_cells, pos, use, written);
    if (good) {
        ok(r->f, s);
    } else {
        fails(r->f, ERR_DUPLICATE_CELL, s);
    }
    return good;
}

/* One statement; false: it failed, as the model says it must. The model is then as before. */
static bool statement(struct run *r, struct txn *t, struct model *m)
{
    struct ctx *c = &r->f->t.c;
    static const enum conflict modes[] = {CONFLICT_ERROR,   CONFLICT_IGNORE, CONFLICT_REPLACE,
                                          CONFLICT_REPLACE, CONFLICT_UPDATE, CONFLICT_DELETE,
                                          CONFLICT_RENEW};
    enum conflict mode = modes[pick(r, 7)];
    int all[] = {0, 1, 2}, some[] = {2, 1}, one[] = {1}, n = N_ATTRS, *given = all;
    struct model *before = malloc(sizeof *before);
    struct writer *w;
    int64_t expected = 0, written = 0;
    bool good = true;
    if (pick(r, 3) == 0) {
        given = pick(r, 2) ? some : one;
        n = given == some ? 2 : 1;
    }
    if (mode == CONFLICT_DELETE) n = 0;
    *before = *m;
    memset(r->renewed, 0, sizeof r->renewed);
    ok(r->f, txn_statement_begin(c, t));
    ok(r->f, writer_open(c, t, "a", mode, given, n, &w));
    for (int64_t k = 1 + pick(r, 4); k > 0 && good; k--)
        good = pick(r, 2) ? put_box(r, w, mode, m, given, n, &expected, &written)
                          : put_cells(r, w, mode, m, given, n, &expected, &written);
    if (good && mode == CONFLICT_RENEW && pick(r, 3)) {
        struct box box;
        random_box(r, &r->box, 2, &box);
        clear_rest(r, w, m, pick(r, 3) ? &box : NULL);
    }
    bool keep = good && pick(r, 5) > 0;
    if (good) {
        assert_int_equal(written, expected);
        if (pick(r, 10) || keep) ok(r->f, writer_finish(c, w));
    }
    writer_free(w);
    txn_statement_end(t, keep);
    if (!keep) *m = *before;
    free(before);
    scratch_reset(c->scratch);
    arena_reset(c->arena);
    return keep;
}

static void remember(struct run *r, struct txn *t)
{
    if (r->n_old == MOST_VERSIONS) return;
    int64_t version = array_version(dbf_array(r->f, t, "a"));
    if (r->n_old && r->old_versions[r->n_old - 1] == version) return;
    r->old[r->n_old] = malloc(sizeof(struct model));
    *r->old[r->n_old] = r->now;
    r->old_versions[r->n_old++] = version;
}

static void one_transaction(struct run *r)
{
    struct ctx *c = &r->f->t.c;
    struct model *m = malloc(sizeof *m), *at_savepoint = malloc(sizeof *m);
    struct txn *t = dbf_begin(r->f);
    bool has_savepoint = false;
    *m = r->now;
    for (int64_t k = 1 + pick(r, 4); k > 0; k--) {
        if (pick(r, 4) == 0) {
            ok(r->f, txn_savepoint(c, t, "s"));
            *at_savepoint = *m;
            has_savepoint = true;
        }
        statement(r, t, m);
        if (pick(r, 3) == 0) compare(r, t, m, 0);
        if (has_savepoint && pick(r, 4) == 0) {
            ok(r->f, txn_rollback_to(c, t, "s"));
            *m = *at_savepoint;
        }
    }
    compare(r, t, m, 0);
    if (pick(r, 4)) {
        ok(r->f, txn_commit(c, t));
        r->now = *m;
    } else {
        txn_rollback(t);
    }
    free(m);
    free(at_savepoint);
}

static void check_all(struct run *r)
{
    struct ctx *c = &r->f->t.c;
    struct txn *t = dbf_begin(r->f);
    int64_t tiles;
    compare(r, t, &r->now, 0);
    ok(r->f, array_check(c, t, "a", &tiles));
    remember(r, t);
    for (int i = 0; i < r->n_old; i++) {
        compare(r, t, r->old[i], r->old_versions[i]);
        compare_changes(r, dbf_array(r->f, t, "a"), &r->now, r->old[i], r->old_versions[i]);
    }
    txn_rollback(t);
}

static void forget_old(struct run *r)
{
    for (int i = 0; i < r->n_old; i++)
        free(r->old[i]);
    r->n_old = 0;
}

static void random_run(struct dbf *f, uint64_t seed, int n_dims, int rounds, bool small)
{
    static const int64_t all_lengths[][4] = {{37},         {23, 19}, {7, 11, 13},
                                             {5, 4, 7, 6}, {1700},   {60, 50}};
    static const int64_t all_tiles[][4] = {{5}, {7, 4}, {3, 5, 4}, {2, 3, 3, 5}, {300}, {23, 31}};
    const int64_t(*lengths)[4] = all_lengths + (small ? 4 : 0);
    const int64_t(*tiles)[4] = all_tiles + (small ? 4 : 0);
    struct run *r = calloc(1, sizeof *r);
    r->f = f;
    r->seed = seed;
    r->small = small;
    r->n_dims = n_dims;
    r->n = 1;
    r->box.n_dims = n_dims;
    for (int d = 0; d < n_dims; d++) {
        r->lengths[d] = r->box.hi[d] = lengths[n_dims - 1][d];
        r->tiles[d] = tiles[n_dims - 1][d];
        r->n *= r->lengths[d];
    }
    struct txn *t = dbf_begin(f);
    ok(f, array_create(&f->t.c, t,
                       dbf_schema(f, "a", n_dims, r->lengths, r->tiles, false, attrs, N_ATTRS)));
    ok(f, txn_commit(&f->t.c, t));
    for (int i = 0; i < rounds; i++) {
        one_transaction(r);
        if (i % 5 == 0) check_all(r);
        if (i % 7 == 6) dbf_reopen(f);
        if (i % 11 == 10) {
            ok(f, db_vacuum(&f->t.c, f->db, "a", 2));
            forget_old(r);
            check_all(r);
        }
        if (i % 4 == 3) db_sweep_wait(f->db);
        int64_t bytes = atomic_load(&f->db->patch_bytes);
        if (bytes > r->most_bytes) r->most_bytes = bytes;
        scratch_reset(f->t.c.scratch);
        arena_reset(f->t.c.arena);
    }
    check_all(r);
    forget_old(r);
    assert_true(!small || r->most_bytes > 0);
    t = dbf_begin(f);
    ok(f, array_drop(&f->t.c, t, "a"));
    ok(f, txn_commit(&f->t.c, t));
    free(r);
}

static void random_1d(void **state)
{
    random_run(*state, 1, 1, 40, false);
}

static void random_2d(void **state)
{
    random_run(*state, 2, 2, 40, false);
}

static void random_3d(void **state)
{
    random_run(*state, 3, 3, 30, false);
}

static void random_4d(void **state)
{
    random_run(*state, 4, 4, 30, false);
}

static void random_small(void **state)
{
    random_run(*state, 5, 1, 60, true);
    random_run(*state, 6, 2, 60, true);
}

/* With little memory pending tiles are stored early and come back. */
static void little_memory(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    const int64_t lengths[] = {3000, 2000}, tiles[] = {100, 100};
    struct attr a[] = {{.name = "x", .type = T_FLOAT64}};
    int which = 0;
    f->t.budget.limit_bytes = 24 << 20;
    struct txn *t = dbf_begin(f);
    struct writer *w;
    ok(f, array_create(c, t, dbf_schema(f, "a", 2, lengths, tiles, false, a, 1)));
    ok(f, writer_open(c, t, "a", CONFLICT_ERROR, &which, 1, &w));
    int64_t written = 0;
    for (int64_t row = 0; row < lengths[0]; row++) {
        struct box box = {.n_dims = 2, .lo = {row, 0}, .hi = {row + 1, lengths[1]}};
        struct column col;
        ok(f, column_alloc(c, T_FLOAT64, lengths[1], &col));
        for (int64_t i = 0; i < lengths[1]; i++)
            ((double *)col.values)[i] = (double)(row * lengths[1] + i) / 7;
        ok(f, writer_put_box(c, w, &box, &col, NULL, &written));
        scratch_reset(c->scratch);
    }
    ok(f, writer_finish(c, w));
    writer_free(w);
    assert_int_equal(written, lengths[0] * lengths[1]);
    ok(f, txn_commit(c, t));
    t = dbf_begin(f);
    int64_t n_tiles;
    ok(f, array_check(c, t, "a", &n_tiles));
    assert_int_equal(n_tiles, 2 * 30 * 20);
    struct array *arr = dbf_array(f, t, "a");
    struct box box = {.n_dims = 2, .lo = {1234, 56}, .hi = {1236, 1956}};
    struct column col;
    uint64_t *present;
    int64_t n_present;
    ok(f, array_read(c, arr, &box, &which, 1, &col, &present, &n_present));
    assert_null(present);
    for (int64_t i = 0; i < n_present; i++) {
        int64_t pos[2];
        box_position(&box, i, pos);
        assert_true(((double *)col.values)[i] == (double)(pos[0] * lengths[1] + pos[1]) / 7);
    }
    txn_rollback(t);
    assert_true(atomic_load(&f->t.budget.peak_bytes) <= 24 << 20);
}

/* Values in random order over many tiles, by cells. */
static void scattered_cells(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    const int64_t lengths[] = {200, 300}, tiles[] = {16, 16};
    struct attr a[] = {{.name = "x", .type = T_INT64}};
    int which = 0;
    f->t.budget.limit_bytes = 24 << 20;
    struct txn *t = dbf_begin(f);
    struct writer *w;
    ok(f, array_create(c, t, dbf_schema(f, "a", 2, lengths, tiles, false, a, 1)));
    ok(f, writer_open(c, t, "a", CONFLICT_ERROR, &which, 1, &w));
    int64_t n = lengths[0] * lengths[1], step = 7919,
            written = 0; /* coprime to n: every cell once */
    enum { BLOCK = 1000 };
    for (int64_t from = 0; from < n; from += BLOCK) {
        int64_t x[BLOCK], y[BLOCK], *pos[2] = {x, y}, v[BLOCK];
        for (int64_t i = 0; i < BLOCK; i++) {
            int64_t at = (from + i) * step % n;
            x[i] = at / lengths[1];
            y[i] = at % lengths[1];
            v[i] = at * 3;
        }
        struct column col = {T_INT64, v, NULL};
        ok(f, writer_put_cells(c, w, BLOCK, pos, &col, &written));
    }
    ok(f, writer_finish(c, w));
    writer_free(w);
    assert_int_equal(written, n);
    ok(f, txn_commit(c, t));
    t = dbf_begin(f);
    struct array *arr = dbf_array(f, t, "a");
    struct box box;
    struct column col;
    uint64_t *present;
    int64_t n_present;
    schema_box(array_schema(arr), &box);
    ok(f, array_read(c, arr, &box, &which, 1, &col, &present, &n_present));
    assert_int_equal(n_present, n);
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(((int64_t *)col.values)[i], i * 3);
    txn_rollback(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_1d, dbf_setup, dbf_teardown),
        cmocka_unit_test_setup_teardown(random_2d, dbf_setup, dbf_teardown),
        cmocka_unit_test_setup_teardown(random_3d, dbf_setup, dbf_teardown),
        cmocka_unit_test_setup_teardown(random_4d, dbf_setup, dbf_teardown),
        cmocka_unit_test_setup_teardown(random_small, dbf_setup, dbf_teardown),
        cmocka_unit_test_setup_teardown(little_memory, dbf_setup, dbf_teardown),
        cmocka_unit_test_setup_teardown(scattered_cells, dbf_setup, dbf_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
