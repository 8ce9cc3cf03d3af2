/* Which rows of two sides match, and what comes of them? */
#include "query/join_match.h"
#include "query/gather.h"
#include "query/rowset_internal.h"
#include "storage/base/pool.h"
#include <string.h>

#define PAIRS 2048
#define READ_ROWS 4096
#define PART_BITS 4
#define N_PARTS (1 << PART_BITS)
#define MAX_LEVEL 7 /* lower bits part, the upper ones place in tables */
#define STEPS 65536 /* of chains, between looks at cancellation */

/* ---- pairs ---- */

enum status match_alone(struct ctx *c, struct matching *m, int side, const struct column *cols,
                        const int64_t *rows, int64_t n)
{
    const struct join_side *own = &m->side[side];
    int n_left = m->side[0].n_cols, n_cols = n_left + m->side[1].n_cols;
    for (int64_t at = 0; at < n; at += PAIRS) {
        int64_t k = n - at < PAIRS ? n - at : PAIRS;
        struct scratch_mark mark = scratch_mark(c->scratch);
        void *mem;
        TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(n_cols + 2), &mem));
        struct column *out = mem;
        for (int s = 0, i = 0; s < 2; s++)
            for (int j = 0; j < m->side[s].n_cols; j++, i++)
                TRY(s == side ? column_take(c, &cols[j], rows + at, k, &out[i])
                              : column_nulls(c, m->side[s].types[j], k, &out[i]));
        TRY(column_take(c, &cols[own->rank_col], rows + at, k, &out[n_cols + side]));
        TRY(column_nulls(c, T_INT64, k, &out[n_cols + !side]));
        TRY(rowset_append(c, m->pairs, out, NULL, k));
        scratch_release(c->scratch, mark);
    }
    return OK;
}

/* Pairs that wait to be looked at together. */
struct pairs {
    struct matching *m;
    const struct join_table *t;
    const struct column *probe;
    uint8_t *hits, *build_hits;
    int64_t n;
    int64_t *of_side[2]; /* cell or row of each side */
};

/* A column of a pair, by the number that the residual knows it by. */
static enum status pair_column(struct ctx *c, const struct pairs *p, int side, int column,
                               struct column *out)
{
    const struct column *from = side == p->m->build ? p->t->cols : p->probe;
    return column_take(c, &from[column], p->of_side[side], p->n, out);
}

static enum status add_pairs(struct ctx *c, const struct pairs *p, struct column *cols,
                             const struct chunk *ch)
{
    struct matching *m = p->m;
    int n = m->side[0].n_cols + m->side[1].n_cols;
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(n + 2), &mem));
    struct column *out = mem;
    memcpy(out, cols, sizeof *cols * (size_t)n);
    for (int s = 0; s < 2; s++)
        TRY(pair_column(c, p, s, m->side[s].rank_col, &out[n + s]));
    if (!ch->present) return rowset_append(c, m->pairs, out, NULL, p->n);
    int64_t *sel, k = 0;
    TRY(scratch_alloc(c, (size_t)(ch->n_present + 1) * sizeof *sel, &mem));
    sel = mem;
    for (int64_t i = bits_next(ch->present, 0, p->n); i < p->n;
         i = bits_next(ch->present, i + 1, p->n))
        sel[k++] = i;
    return rowset_append(c, m->pairs, out, sel, k);
}

static enum status look_at_pairs(struct ctx *c, struct pairs *p)
{
    struct matching *m = p->m;
    int n_left = m->side[0].n_cols, n_right = m->side[1].n_cols, n = n_left + n_right;
    struct scratch_mark mark = scratch_mark(c->scratch);
    void *mem;
    if (p->n == 0) return OK;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(n + m->side[0].n_extra + 1), &mem));
    struct column *cols = mem;
    for (int i = 0; i < n + m->side[0].n_extra; i++) {
        int side = i >= n_left && i < n;
        cols[i] = (struct column){.type = m->pair_rel.cols[i].type};
        if (m->used[i] || i < n)
            TRY(pair_column(c, p, side, i < n_left ? i : i - (side ? n_left : n_right), &cols[i]));
    }
    struct chunk ch = {.box = {.n_dims = 1, .hi = {p->n}},
                       .n = p->n,
                       .n_present = p->n,
                       .n_cols = m->pair_rel.n_cols,
                       .cols = cols,
                       .rel = &m->pair_rel};
    if (m->residual) TRY(program_filter(c, m->residual, &ch));
    for (int64_t i = 0; i < p->n && ch.n_present; i++) {
        if (ch.present && !bit_get(ch.present, i)) continue;
        p->hits[p->of_side[!m->build][i]] = 1;
        if (p->build_hits)
            __atomic_store_n(&p->build_hits[p->of_side[m->build][i]], 1, __ATOMIC_RELAXED);
    }
    if (ch.n_present) TRY(add_pairs(c, p, cols, &ch));
    scratch_release(c->scratch, mark);
    p->n = 0;
    return check_cancel(c);
}

/* ---- probing ---- */

static enum status match_row(struct ctx *c, struct pairs *p, int64_t i, int64_t *steps)
{
    const struct matching *m = p->m;
    const struct join_side *probe = &m->side[!m->build];
    const struct join_table *t = p->t;
    uint64_t hash = ((const uint64_t *)p->probe[probe->hash_col].values)[i];
    for (uint32_t at = join_table_first(t, hash); at; at = t->next[at - 1]) {
        if (++*steps % STEPS == 0) TRY(check_cancel(c));
        if (!join_table_equal(t, at - 1, probe, p->probe, i)) continue;
        if (m->marks) {
            p->hits[i] = 1;
            return OK;
        }
        p->of_side[m->build][p->n] = at - 1;
        p->of_side[!m->build][p->n] = i;
        if (++p->n == PAIRS) TRY(look_at_pairs(c, p));
    }
    return OK;
}

enum status match_rows(struct ctx *c, struct matching *m, const struct join_table *t,
                       const struct column *cols, const int64_t *rows, int64_t n, uint8_t *hits,
                       uint8_t *build_hits)
{
    enum { AHEAD = 8 };
    struct pairs p = {.m = m, .t = t, .probe = cols, .hits = hits, .build_hits = build_hits};
    const uint64_t *hash = cols[m->side[!m->build].hash_col].values;
    int64_t steps = 0;
    struct scratch_mark mark = scratch_mark(c->scratch);
    for (int s = 0; s < 2; s++) {
        void *mem;
        TRY(scratch_alloc(c, PAIRS * sizeof(int64_t), &mem));
        p.of_side[s] = mem;
    }
    for (int64_t r = 0; r < n; r++) {
        int64_t i = rows ? rows[r] : r;
        if (r + AHEAD < n && t->shift < 64)
            __builtin_prefetch(&t->slots[hash[rows ? rows[r + AHEAD] : r + AHEAD] >> t->shift]);
        if (m->marks && hits[i]) continue;
        TRY(match_row(c, &p, i, &steps));
    }
    TRY(look_at_pairs(c, &p));
    scratch_release(c->scratch, mark);
    return OK;
}

enum status match_rest(struct ctx *c, struct matching *m, const struct join_table *t,
                       const uint8_t *build_hits)
{
    int64_t rows[PAIRS], n = 0;
    for (int64_t i = 0; i < t->n; i++) {
        if (build_hits[i]) continue;
        rows[n++] = i;
        if (n < PAIRS) continue;
        TRY(match_alone(c, m, m->build, t->cols, rows, n));
        TRY(check_cancel(c));
        n = 0;
    }
    return match_alone(c, m, m->build, t->cols, rows, n);
}

/* ---- rowsets ---- */

/* One table against all probing rows. */
struct round {
    struct matching *m;
    const struct join_table *t;
    const struct rowset *probe;
    uint64_t *hits; /* a bit a probing row: ranges of READ_ROWS share no word */
    uint8_t *build_hits;
};

static enum status read_rows(struct ctx *c, const struct rowset *r, int64_t lo, int64_t n,
                             struct column **out)
{
    void *cols;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)rowset_columns(r), &cols));
    TRY(rowset_read(c, r, lo, lo + n, NULL, 0, cols));
    *out = cols;
    return OK;
}

static enum status match_range(struct ctx *c, void *self, int worker, int64_t task)
{
    (void)worker;
    struct round *r = self;
    int64_t lo = task * READ_ROWS, n = rowset_rows(r->probe) - lo;
    if (n > READ_ROWS) n = READ_ROWS;
    struct column *cols;
    void *mem;
    TRY(check_cancel(c));
    TRY(read_rows(c, r->probe, lo, n, &cols));
    TRY(scratch_alloc(c, READ_ROWS, &mem));
    uint8_t *hits = mem;
    memset(hits, 0, READ_ROWS);
    uint64_t *kept = r->hits ? r->hits + lo / 64 : NULL;
    if (kept) bits_to_bytes(hits, kept, n);
    TRY(match_rows(c, r->m, r->t, cols, NULL, n, hits, r->build_hits));
    if (kept) bits_from_bytes(kept, hits, n);
    return OK;
}

static enum status new_bytes(struct ctx *c, int64_t n, void **out)
{
    TRY(buf_alloc(c, (size_t)n + 8, out));
    memset(*out, 0, (size_t)n + 8);
    return OK;
}

static enum status match_block(struct ctx *c, struct round *r, const struct rowset *build,
                               int64_t lo, int64_t hi)
{
    struct matching *m = r->m;
    struct join_table t;
    void *hits = NULL;
    int64_t tasks = (rowset_rows(r->probe) + READ_ROWS - 1) / READ_ROWS;
    enum status st = join_table_load(c, &m->side[m->build], build, lo, hi, &t);
    if (st == OK && m->outer[m->build]) st = new_bytes(c, t.n, &hits);
    r->t = &t;
    r->build_hits = hits;
    if (st == OK) st = pool_run(c, tasks, 0, match_range, r);
    if (st == OK && hits) st = match_rest(c, m, &t, hits);
    buf_free(hits);
    join_table_free(&t);
    return st;
}

/* Probing rows with (marks) or without (outer) a match. */
static enum status end_of_probe(struct ctx *c, const struct round *r)
{
    struct matching *m = r->m;
    const struct join_side *side = &m->side[!m->build];
    int64_t total = rowset_rows(r->probe);
    for (int64_t lo = 0; lo < total; lo += READ_ROWS) {
        int64_t n = total - lo < READ_ROWS ? total - lo : READ_ROWS, rows[READ_ROWS], k = 0;
        for (int64_t i = 0; i < n; i++)
            if (bit_get(r->hits, lo + i) == m->marks) rows[k++] = i;
        struct scratch_mark mark = scratch_mark(c->scratch);
        struct column *cols, rank;
        TRY(check_cancel(c));
        if (m->marks) {
            TRY(rowset_read(c, r->probe, lo, lo + n, &side->rank_col, 1, &rank));
            TRY(rowset_append(c, m->ranks, &rank, rows, k));
        } else {
            TRY(read_rows(c, r->probe, lo, n, &cols));
            TRY(match_alone(c, m, !m->build, cols, rows, k));
        }
        scratch_release(c->scratch, mark);
    }
    return OK;
}

static enum status match_blocks(struct ctx *c, struct matching *m, const struct rowset *build,
                                const struct rowset *probe)
{
    struct round r = {.m = m, .probe = probe};
    void *hits = NULL;
    int64_t n = rowset_rows(build), step = join_table_rows(build, memory_share(c, 3));
    enum status st = OK;
    if (m->marks || m->outer[!m->build]) {
        st = new_bytes(c, bits_words(rowset_rows(probe)) * 8 + READ_ROWS / 8, &hits);
        r.hits = hits;
    }
    for (int64_t lo = 0; lo < n && st == OK; lo += step)
        st = match_block(c, &r, build, lo, n - lo < step ? n : lo + step);
    if (st == OK && hits) st = end_of_probe(c, &r);
    buf_free(hits);
    return st;
}

/* ---- partitions ---- */

static enum status split(struct ctx *c, const struct matching *m, int side, int level,
                         const struct rowset *from, struct rowset **parts)
{
    const struct join_side *s = &m->side[side];
    int64_t total = rowset_rows(from), bytes = memory_share(c, 4) / (2 * N_PARTS);
    void *mem;
    for (int p = 0; p < N_PARTS; p++)
        TRY(rowset_new_within(c, s->types, s->n_all, m->tmp_dir, bytes, &parts[p]));
    TRY(scratch_alloc(c, sizeof(int64_t) * N_PARTS * READ_ROWS, &mem));
    int64_t(*rows)[READ_ROWS] = mem;
    for (int64_t lo = 0; lo < total; lo += READ_ROWS) {
        int64_t n = total - lo < READ_ROWS ? total - lo : READ_ROWS, count[N_PARTS] = {0};
        struct scratch_mark mark = scratch_mark(c->scratch);
        struct column *cols;
        TRY(check_cancel(c));
        TRY(read_rows(c, from, lo, n, &cols));
        const uint64_t *hash = cols[s->hash_col].values;
        for (int64_t i = 0; i < n; i++) {
            int p = (int)(hash[i] >> (level * PART_BITS)) & (N_PARTS - 1);
            rows[p][count[p]++] = i;
        }
        for (int p = 0; p < N_PARTS; p++)
            if (count[p]) TRY(rowset_append(c, parts[p], cols, rows[p], count[p]));
        scratch_release(c->scratch, mark);
    }
    return OK;
}

enum status match_rowsets(struct ctx *c, struct matching *m, struct rowset *build,
                          struct rowset *probe, int level)
{
    int64_t n = rowset_rows(build);
    bool fits = n <= join_table_rows(build, memory_share(c, 3));
    bool hashed = m->side[0].n_keys > 0;
    if (fits || !hashed || level > MAX_LEVEL) {
        enum status st = match_blocks(c, m, build, probe);
        rowset_free(build);
        rowset_free(probe);
        return st;
    }
    struct rowset *parts[2][N_PARTS] = {{NULL}};
    struct scratch_mark mark = scratch_mark(c->scratch);
    enum status st = split(c, m, m->build, level, build, parts[0]);
    rowset_free(build);
    if (st == OK) st = split(c, m, !m->build, level, probe, parts[1]);
    rowset_free(probe);
    scratch_release(c->scratch, mark);
    for (int p = 0; p < N_PARTS; p++) {
        bool alike = st == OK && rowset_rows(parts[0][p]) == n; /* nothing came apart */
        if (st == OK) {
            st = match_rowsets(c, m, parts[0][p], parts[1][p], alike ? MAX_LEVEL + 1 : level + 1);
        } else {
            rowset_free(parts[0][p]);
            rowset_free(parts[1][p]);
        }
    }
    return st;
}
