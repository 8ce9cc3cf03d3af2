/* Does a join by value give the pairs that it must, in order, of every kind, in memory and out of
 * it, with any number of workers? */
#include "query/bind_internal.h"
#include "query/op.h"
#include "tests/unit/mem_op.h"
#include <stdio.h>

/* Side: cells i in [0, n); column k = NULLIF(i % m, 0), column v = i, column s = v as text. */
struct side {
    int64_t n, m;
};
struct joining {
    struct side left, right;
    enum hash_join_kind kind;
    bool residual; /* left v < right v; SEMI and ANTI have none */
    int64_t limit_bytes;
    int threads;
};

static struct expr *call(struct ctx *c, const char *name, struct expr *a, struct expr *b)
{
    struct expr *both[2] = {a, b}, *out;
    assert_ok(c, expr_make_call(c, name, both, 2, -1, &out));
    return out;
}

static struct expr *number(struct ctx *c, int64_t i)
{
    struct value v = value_int(T_INT64, i);
    return expr_make_const(c, &v, -1);
}

static struct plan *side_plan(struct ctx *c, const struct side *s)
{
    struct plan *grid = plan_new(c, P_GRID, -1, 0);
    struct axis *axis = arena_new_of(c->arena, struct axis);
    *axis = axis_count(s->n);
    grid->rel.n_dims = 1;
    grid->rel.dims = arena_array(c->arena, struct rel_dim, 1);
    grid->rel.dims[0] =
        (struct rel_dim){.name = "i", .axis = axis, .hi = s->n, .stride = 1, .tile = 1000};
    struct expr *i = dim_ref(c, &grid->rel, 0), *es[3];
    es[0] = call(c, "nullif", call(c, "%", i, number(c, s->m)), number(c, 0));
    es[1] = i;
    assert_ok(c, expr_make_cast(c, i, T_TEXT, true, -1, &es[2]));
    const char *const names[] = {"k", "v", "s"};
    return plan_map(c, grid, es, names, 3);
}

static bool is_marks(const struct joining *j)
{
    return j->kind == HASH_SEMI || j->kind == HASH_ANTI;
}

static struct plan *join_plan(struct ctx *c, const struct joining *j)
{
    struct plan *p = plan_new(c, P_HASH_JOIN, -1, 2);
    p->in[0] = side_plan(c, &j->left);
    p->in[1] = side_plan(c, &j->right);
    p->hash_join = j->kind;
    p->left_keys = arena_array(c->arena, struct expr *, 1);
    p->right_keys = arena_array(c->arena, struct expr *, 1);
    p->left_keys[0] = col_ref(c, &p->in[0]->rel, 0);
    p->right_keys[0] = col_ref(c, &p->in[1]->rel, 0);
    p->n_join_keys = 1;
    if (j->residual)
        p->residual =
            call(c, "<", dim_ref(c, &p->in[0]->rel, 0), expr_make_ref(c, E_COL, 4, T_INT64, -1));
    if (is_marks(j)) {
        p->rel = p->in[0]->rel;
        return p;
    }
    rel_list(c, &p->rel, -1, 6);
    for (int i = 0; i < 6; i++)
        p->rel.cols[i] = p->in[i >= 3]->rel.cols[i % 3];
    return p;
}

static bool matches(const struct joining *j, int64_t left, int64_t right)
{
    int64_t k = left % j->left.m;
    return k && k == right % j->right.m && (!j->residual || left < right);
}

/* The left's first match at or after `from`: right cells of one key lie m apart. */
static int64_t first_match(const struct joining *j, int64_t left, int64_t from)
{
    int64_t k = left % j->left.m, m = j->right.m;
    if (!k || k >= m) return j->right.n;
    from += (k - from % m + m) % m;
    while (from < j->right.n && !matches(j, left, from))
        from += m;
    return from;
}

/* ---- pairs ---- */

static void check_side(const struct chunk *ch, int64_t i, int at, int64_t want, int64_t m)
{
    char text[24];
    const struct column *col = ch->cols + at;
    if (want < 0) {
        for (int k = 0; k < 3; k++)
            assert_true(column_is_null(&col[k], i));
        return;
    }
    assert_int_equal(column_is_null(&col[0], i), want % m == 0);
    if (want % m) assert_true(((const int64_t *)col[0].values)[i] == want % m);
    assert_true(((const int64_t *)col[1].values)[i] == want);
    int len = snprintf(text, sizeof text, "%lld", (long long)want);
    assert_true(text_is(&col[2], i, (struct text){text, len}));
}

/* Where the expected rows have got to. */
struct walk {
    int64_t left, right; /* right: the next candidate of the left row */
    bool any;            /* the left row had a match */
    int64_t alone;       /* the right rows without one */
};

/* The next row, -1 for a side that has none; false at the end. */
static bool next_row(const struct joining *j, struct walk *w, const bool *right_hit, int64_t *left,
                     int64_t *right)
{
    bool keeps_left = j->kind == HASH_LEFT || j->kind == HASH_FULL;
    bool keeps_right = j->kind == HASH_RIGHT || j->kind == HASH_FULL;
    for (; w->left < j->left.n; w->left++, w->right = 0, w->any = false) {
        int64_t at = first_match(j, w->left, w->right);
        *left = w->left;
        *right = at;
        if (at < j->right.n) {
            w->right = at + 1;
            w->any = true;
            return true;
        }
        if (w->any || !keeps_left) continue;
        *right = -1;
        w->any = true;
        w->right = j->right.n;
        return true;
    }
    while (keeps_right && w->alone < j->right.n && right_hit[w->alone])
        w->alone++;
    if (!keeps_right || w->alone == j->right.n) return false;
    *left = -1;
    *right = w->alone++;
    return true;
}

static void check_pairs(struct ctx *c, const struct joining *j, struct op *root)
{
    bool *hit = test_calloc((size_t)j->right.n + 1, 1);
    for (int64_t i = 0; i < j->left.n; i++)
        for (int64_t k = first_match(j, i, 0); k < j->right.n; k = first_match(j, i, k + 1))
            hit[k] = true;
    struct walk w = {0};
    int64_t left, right;
    for (int64_t lo = 0, n = root->box.hi[0]; lo < n; lo += 4096) {
        struct box b = {.n_dims = 1, .lo = {lo}, .hi = {lo + 4096 < n ? lo + 4096 : n}};
        struct chunk ch;
        scratch_reset(c->scratch);
        assert_ok(c, op_produce(c, root, &b, &ch));
        for (int64_t i = 0; i < ch.n; i++) {
            if (!is_present(&ch, i)) continue;
            assert_true(next_row(j, &w, hit, &left, &right));
            check_side(&ch, i, 0, left, j->left.m);
            check_side(&ch, i, 3, right, j->right.m);
        }
    }
    assert_false(next_row(j, &w, hit, &left, &right));
    test_free(hit);
}

/* ---- marks ---- */

static bool stays(const struct joining *j, int64_t i)
{
    bool hit = first_match(j, i, 0) < j->right.n;
    return hit == (j->kind == HASH_SEMI);
}

static void check_marks(struct ctx *c, const struct joining *j, struct op *root)
{
    for (int64_t lo = 0, n = root->box.hi[0]; lo < n; lo += 700) {
        struct box b = {.n_dims = 1, .lo = {lo}, .hi = {lo + 700 < n ? lo + 700 : n}};
        struct chunk ch;
        scratch_reset(c->scratch);
        assert_ok(c, op_produce(c, root, &b, &ch));
        for (int64_t i = 0; i < ch.n; i++) {
            assert_int_equal(is_present(&ch, i), stays(j, lo + i));
            if (is_present(&ch, i)) check_side(&ch, i, 0, lo + i, j->left.m);
        }
    }
}

/* ---- runs ---- */

/* Returns the bytes spilled. */
static int64_t run(const struct joining *j)
{
    struct bench b;
    struct exec *x;
    struct ctx *c = bench_init(&b, j->threads, j->limit_bytes);
    struct query q = {.root = join_plan(c, j)};
    assert_ok(c, exec_open(c, &q, NULL, 0, NULL, &x));
    (is_marks(j) ? check_marks : check_pairs)(c, j, exec_root(x));
    exec_close(x);
    int64_t spilled = b.counters.bytes_spilled;
    bench_release(&b);
    return spilled;
}

static void every_kind(struct joining j, bool spills)
{
    for (int kind = HASH_INNER; kind <= HASH_ANTI; kind++) {
        j.kind = (enum hash_join_kind)kind;
        if (is_marks(&j)) j.residual = false;
        for (j.threads = 1; j.threads <= 2; j.threads++) {
            int64_t spilled = run(&j);
            assert_true(!spills || spilled > 0);
        }
    }
}

static void test_in_memory(void **state)
{
    (void)state;
    every_kind((struct joining){.left = {500, 37}, .right = {300, 41}}, false);
    every_kind((struct joining){.left = {60, 7}, .right = {400, 41}, .residual = true}, false);
    every_kind((struct joining){.left = {50, 60}, .right = {1, 1}}, false);
    every_kind((struct joining){.left = {50, 60}, .right = {0, 1}}, false);
    every_kind((struct joining){.left = {90, 100}, .right = {80, 100}}, false);
}

/* The larger side by far is the one that goes into tables: the kinds that mark always take the
 * right one. */
static __attribute__((unused)) void test_partitions(void **state)
{
    (void)state;
    every_kind((struct joining){.left = {150000, 150001},
                                .right = {140000, 160011},
                                .limit_bytes = 24 << 20},
               true);
}

/* All keys are one: no partition helps, tables come block by block. */
static __attribute__((unused)) void test_skew(void **state)
{
    (void)state;
    every_kind((struct joining){.left = {20, 2}, .right = {150000, 2}, .limit_bytes = 24 << 20},
               false);
    every_kind(
        (struct joining){.left = {150000, 2}, .right = {140000, 140001}, .limit_bytes = 24 << 20},
        true);
}

/* What spills takes minutes under ThreadSanitizer. */
#ifdef __SANITIZE_THREAD__
#define SLOW(test)
#else
#define SLOW(test) cmocka_unit_test(test),
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_in_memory),
                                       SLOW(test_partitions) SLOW(test_skew)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
