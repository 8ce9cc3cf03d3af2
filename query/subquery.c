/* How do the values of sub-queries come to the expressions that ask for them? */
#include "query/subquery.h"
#include "query/lookup.h"
#include "query/op.h"
#include "query/op_rowset.h"
#include "query/rowset_internal.h"
#include "query/sortkey.h"
#include <pthread.h>
#include <stdlib.h>

#define FIRST_SLOTS 256

/* What was found for args met before. When its memory is used up it is forgotten, and starts
 * afresh. */
struct memo {
    uint64_t seed;
    int64_t n, n_slots; /* open addresses; a power of two */
    int64_t limit_bytes;
    struct memo_slot {
        struct lookup_key key;
        struct value *values; /* NULL: free */
    } * slots;
    struct arena *arena; /* of values and texts */
    int64_t arena_bytes;
};

enum run_kind { RUN_KNOWN, RUN_FAILED, RUN_LOOKUP, RUN_EACH };

struct subquery_run {
    const struct subquery *sq;
    struct exec *x;
    enum run_kind kind;
    int first_arg;         /* RUN_EACH: of those that a cell hands over */
    struct error error;    /* RUN_FAILED */
    struct value *values;  /* RUN_KNOWN; RUN_LOOKUP: where no row has the key */
    struct lookup *lookup; /* RUN_LOOKUP */
    struct memo memo;      /* RUN_EACH */
    bool one_by_one;       /* a plan that is written to as it opens */
    pthread_mutex_t lock;  /* of the memo */
    pthread_mutex_t turn;  /* of one_by_one */
};

/* ---- one row ---- */

struct one_row {
    struct sink sink;
    pthread_mutex_t lock;
    const struct subquery *sq;
    const struct plan *plan;
    struct arena *arena;
    int64_t n_rows;
    struct value *values;
};

static enum type column_type(const struct subquery *sq, int i)
{
    const struct rel *r = &sq->plan->rel;
    if (!sq->is_dim[i]) return r->cols[sq->columns[i]].type;
    const struct axis *axis = r->dims[sq->columns[i]].axis;
    return axis ? axis->type : T_INT64;
}

static struct value cell_value(const struct chunk *ch, const struct subquery *sq, bool empty, int i,
                               int64_t cell)
{
    int at = empty ? i : sq->columns[i];
    if (!empty && sq->is_dim[i]) {
        int64_t pos[MAX_DIMS];
        box_position(&ch->box, cell, pos);
        const struct axis *axis = ch->rel->dims[at].axis;
        return axis ? axis_coord(axis, pos[at]) : value_int(T_INT64, pos[at]);
    }
    const struct column *col = &ch->cols[at];
    if (column_is_null(col, cell)) return value_null(col->type);
    return value_get(col->type, col->values, cell);
}

static enum status take_row(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                            const struct chunk *ch)
{
    (void)c, (void)worker, (void)seq;
    struct one_row *s = (struct one_row *)sink;
    pthread_mutex_lock(&s->lock);
    if (s->n_rows == 0 && !s->sq->exists) {
        int64_t cell = ch->present ? bits_next(ch->present, 0, ch->n) : 0;
        for (int i = 0; i < s->sq->n_cols; i++) {
            struct value v = cell_value(ch, s->sq, s->plan == s->sq->empty, i, cell);
            s->values[i] = value_dup(s->arena, &v);
        }
    }
    s->n_rows += ch->n_present;
    if (s->sq->exists || s->n_rows > 1) atomic_store(&s->sink.done, true);
    pthread_mutex_unlock(&s->lock);
    return OK;
}

static struct value *null_values(struct arena *a, const struct subquery *sq)
{
    struct value *v = arena_array(a, struct value, sq->n_cols + 1);
    for (int i = 0; i < sq->n_cols; i++)
        v[i] = value_null(column_type(sq, i));
    return v;
}

/* The plan's one row, in the arena; for EXISTS whether it has any. */
static enum status run_once(struct ctx *c, const struct subquery_run *r, const struct plan *p,
                            const struct value *args, int n_args, struct arena *arena,
                            struct value **out)
{
    const struct subquery *sq = r->sq;
    struct one_row s = {.sink = {.consume = take_row}, .sq = sq, .plan = p, .arena = arena};
    s.values = sq->exists ? arena_array(arena, struct value, 1) : null_values(arena, sq);
    pthread_mutex_init(&s.lock, NULL);
    enum status st = exec_plan(c, r->x, p, args, n_args, &s.sink);
    pthread_mutex_destroy(&s.lock);
    TRY(st);
    if (!sq->exists && s.n_rows > 1)
        return fail_at(c, ERR_CARDINALITY, sq->plan->pos,
                       "more than one row returned by a subquery used as an expression");
    if (sq->exists) s.values[0] = value_int(T_BOOL, s.n_rows > 0);
    *out = s.values;
    return OK;
}

/* ---- rows by key ---- */

struct filling {
    struct sink sink;
    const struct subquery *sq;
    struct lookup *lookup;
};

static enum status fill(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                        const struct chunk *ch)
{
    (void)worker, (void)seq;
    const struct filling *f = (struct filling *)sink;
    const struct subquery *sq = f->sq;
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(sq->n_keys + sq->n_cols + 1), &mem));
    struct column *cols = mem;
    for (int i = 0; i < sq->n_keys; i++)
        cols[i] = ch->cols[sq->keys[i]];
    for (int i = 0; i < sq->n_cols; i++)
        cols[sq->n_keys + i] = ch->cols[sq->columns[i]];
    return lookup_add(c, f->lookup, cols, sq->n_keys, cols + sq->n_keys, ch->present, ch->n);
}

static enum status open_lookup(struct ctx *c, struct subquery_run *r)
{
    const struct subquery *sq = r->sq;
    enum type *types = arena_array(c->arena, enum type, sq->n_cols + 1);
    for (int i = 0; i < sq->n_cols; i++)
        types[i] = column_type(sq, i);
    TRY(lookup_new(c, types, sq->n_cols, exec_tmp_dir(r->x), &r->lookup));
    struct filling f = {.sink = {.consume = fill}, .sq = sq, .lookup = r->lookup};
    TRY(exec_plan(c, r->x, sq->plan, NULL, 0, &f.sink));
    TRY(lookup_seal(c, r->lookup));
    if (!sq->exists) r->values = null_values(c->arena, sq);
    if (sq->empty) TRY(run_once(c, r, sq->empty, NULL, 0, c->arena, &r->values));
    return OK;
}

/* ---- opening ---- */

static bool writes_itself(const struct plan *p)
{
    if (p->kind == P_PIVOT) return true;
    for (int i = 0; i < p->n_in; i++)
        if (writes_itself(p->in[i])) return true;
    return false;
}

/* Errors that the data made, or the statement, and not the machine. */
static bool is_of_values(const struct ctx *c)
{
    const char *state = status_sqlstate(c->err.code);
    return !strncmp(state, "22", 2) || !strncmp(state, "21", 2);
}

static enum status open_kind(struct ctx *c, struct subquery_run *r)
{
    if (r->sq->n_keys) {
        r->kind = RUN_LOOKUP;
        return open_lookup(c, r);
    }
    if (r->sq->n_args == 0) {
        r->kind = RUN_KNOWN;
        return run_once(c, r, r->sq->plan, NULL, 0, c->arena, &r->values);
    }
    r->kind = RUN_EACH;
    r->one_by_one = writes_itself(r->sq->plan);
    r->memo.seed = (uint64_t)now_ns();
    r->memo.limit_bytes = memory_share(c, 8);
    r->memo.arena = arena_new();
    return OK;
}

enum status subquery_open(struct ctx *c, struct exec *x, const struct subquery *sq,
                          struct subquery_run **out)
{
    struct subquery_run *r = arena_new_of(c->arena, struct subquery_run);
    r->sq = sq;
    r->x = x;
    pthread_mutex_init(&r->lock, NULL);
    pthread_mutex_init(&r->turn, NULL);
    *out = r;
    enum status s = open_kind(c, r);
    if (s != OK && is_of_values(c) && sq->each) { /* of rows that no cell may ask for */
        ctx_clear(c);
        lookup_free(r->lookup);
        r->lookup = NULL;
        r->sq = sq->each;
        r->first_arg = sq->each_arg;
        s = open_kind(c, r);
    }
    if (s == OK || !is_of_values(c)) return s;
    r->kind = RUN_FAILED;
    r->error = c->err;
    ctx_clear(c);
    return OK;
}

void subquery_close(struct subquery_run *r)
{
    if (!r) return;
    lookup_free(r->lookup);
    r->lookup = NULL;
    if (r->memo.arena) arena_free(r->memo.arena);
    r->memo.arena = NULL;
    buf_free(r->memo.slots);
    r->memo.slots = NULL;
    pthread_mutex_destroy(&r->lock);
    pthread_mutex_destroy(&r->turn);
}

static enum status raise_kept(struct ctx *c, const struct subquery_run *r)
{
    c->err = r->error;
    return r->error.code;
}

enum status subquery_value(struct ctx *c, const struct subquery_run *r, int column,
                           struct value *out)
{
    if (r->kind == RUN_FAILED) return raise_kept(c, r);
    if (r->kind != RUN_KNOWN)
        return fail(c, ERR_INTERNAL, "a sub-query that depends on cells has no single value");
    *out = r->values[column];
    return OK;
}

const struct value *subquery_known(const struct subquery_run *r, int column)
{
    return r->kind == RUN_KNOWN ? &r->values[column] : NULL;
}

bool subquery_range(const struct subquery_run *r, struct value *lo, struct value *hi, bool *any)
{
    uint64_t words[2];
    char values[32];
    if (r->kind != RUN_LOOKUP || r->sq->n_keys != 1 ||
        !lookup_range(r->lookup, &words[0], &words[1]))
        return false;
    enum type t = r->sq->plan->rel.cols[r->sq->keys[0]].type;
    *any = words[0] <= words[1];
    if (!*any) return true;
    sortkey_decode(t, words, 2, values);
    *lo = value_get(t, values, 0);
    *hi = value_get(t, values, 1);
    return true;
}

/* ---- cells ---- */

/* copy: the text would not stay where it is. */
static enum status put(struct ctx *c, struct call *k, int64_t i, const struct value *v, bool copy)
{
    if (v->null) {
        bit_clear(k->valid, i);
        return OK;
    }
    if (copy && type_is_varlen(v->type))
        return call_text_dup(c, k, v->t.s, (size_t)v->t.len, &((struct text *)k->out)[i]);
    value_put(v, k->out, i);
    return OK;
}

static enum status look_up(struct ctx *c, struct subquery_run *r, int column, struct call *k)
{
    struct lookup_key keys[LOOKUP_BLOCK];
    uint64_t todo[LOOKUP_BLOCK / 64];
    bits_fill(todo, 0, k->n, true);
    bits_and(todo, k->todo, k->n);
    lookup_comparable(k->arg, r->sq->n_keys, todo, k->n);
    TRY(lookup_keys(c, k->arg, r->sq->n_keys, todo, k->n, lookup_seed(r->lookup), keys));
    EACH_CELL(k, i)
    {
        int64_t row = -1;
        if (bit_get(todo, i))
            TRY(at(c, lookup_find(c, r->lookup, keys[i], &row), r->sq->plan->pos));
        if (r->sq->exists) {
            ((uint8_t *)k->out)[i] = row >= 0;
            continue;
        }
        struct value v = r->values[column];
        if (row >= 0) TRY(lookup_value(c, r->lookup, row, column, &v));
        TRY(put(c, k, i, &v, false));
    }
    return OK;
}

/* ---- a run for each combination of args ---- */

static struct memo_slot *slot_of(const struct memo *m, struct lookup_key key)
{
    for (uint64_t at = key.hi;; at++) {
        struct memo_slot *s = &m->slots[at & (uint64_t)(m->n_slots - 1)];
        if (!s->values || (s->key.hi == key.hi && s->key.lo == key.lo)) return s;
    }
}

static const struct value *remembered(const struct memo *m, struct lookup_key key)
{
    return m->n_slots ? slot_of(m, key)->values : NULL;
}

static void forget(struct memo *m)
{
    arena_free(m->arena);
    m->arena = arena_new();
    m->arena_bytes = 0;
    m->n = 0;
    if (m->n_slots) memset(m->slots, 0, (size_t)m->n_slots * sizeof *m->slots);
}

/* Room for one more; without memory for a larger table it starts afresh. */
static enum status make_room(struct ctx *c, struct memo *m, int64_t more_bytes)
{
    int64_t slot = (int64_t)sizeof *m->slots;
    if (m->arena_bytes + more_bytes + m->n_slots * slot > m->limit_bytes && m->n) forget(m);
    if (m->n_slots && m->n + 1 <= m->n_slots / 2) return OK;
    int64_t n_slots = m->n_slots ? 2 * m->n_slots : FIRST_SLOTS;
    struct memo_slot *fresh = NULL;
    if (n_slots * slot + m->arena_bytes <= m->limit_bytes || !m->n_slots)
        fresh = buf_try(c->budget, (size_t)(n_slots * slot));
    if (!fresh && !m->n_slots) return fail(c, ERR_MEMORY, "out of memory");
    if (!fresh) {
        forget(m);
        return OK;
    }
    struct memo old = *m;
    memset(fresh, 0, (size_t)(n_slots * slot));
    m->slots = fresh;
    m->n_slots = n_slots;
    for (int64_t i = 0; i < old.n_slots; i++)
        if (old.slots[i].values) *slot_of(m, old.slots[i].key) = old.slots[i];
    buf_free(old.slots);
    return OK;
}

static enum status remember(struct ctx *c, struct memo *m, struct lookup_key key,
                            const struct value *values, int n)
{
    int64_t bytes = (int64_t)sizeof *values * (n + 1);
    for (int i = 0; i < n; i++)
        if (!values[i].null && type_is_varlen(values[i].type)) bytes += values[i].t.len;
    TRY(make_room(c, m, bytes));
    struct memo_slot *s = slot_of(m, key);
    if (s->values) return OK;
    s->key = key;
    s->values = arena_array(m->arena, struct value, n + 1);
    for (int i = 0; i < n; i++)
        s->values[i] = value_dup(m->arena, &values[i]);
    m->arena_bytes += bytes;
    m->n++;
    return OK;
}

static enum status run_for(struct ctx *c, struct subquery_run *r, const struct call *k, int64_t i,
                           struct arena *arena, struct value **out)
{
    struct value *args = arena_array(arena, struct value, k->n_args + 1);
    for (int j = 0; j < k->n_args; j++) {
        const struct operand *a = &k->arg[j];
        args[j] =
            arg_null(k, j, i) ? value_null(a->type) : value_get(a->type, a->values, a->step * i);
    }
    const struct plan *p = r->sq->plan;
    if (r->sq->narrows) {
        struct arena *own = c->arena;
        struct plan *narrower;
        c->arena = arena;
        enum status s = plan_with_args(c, p, args, k->n_args, exec_env(r->x), &narrower);
        c->arena = own;
        TRY(s);
        p = narrower;
    }
    if (r->one_by_one) pthread_mutex_lock(&r->turn);
    enum status s = run_once(c, r, p, args, k->n_args, arena, out);
    if (r->one_by_one) pthread_mutex_unlock(&r->turn);
    return s;
}

static enum status run_and_put(struct ctx *c, struct subquery_run *r, int column, struct call *k,
                               int64_t i, struct lookup_key key)
{
    struct arena *arena = arena_new();
    struct value *values;
    enum status s = run_for(c, r, k, i, arena, &values);
    if (s == OK) {
        pthread_mutex_lock(&r->lock);
        s = remember(c, &r->memo, key, values, r->sq->exists ? 1 : r->sq->n_cols);
        pthread_mutex_unlock(&r->lock);
    }
    if (s == OK) s = put(c, k, i, &values[column], true);
    arena_free(arena);
    return s;
}

static enum status run_each(struct ctx *c, struct subquery_run *r, int column, struct call *all)
{
    struct lookup_key keys[LOOKUP_BLOCK];
    struct call own = *all, *k = &own;
    k->arg += r->first_arg;
    k->n_args -= r->first_arg;
    TRY(lookup_keys(c, k->arg, k->n_args, k->todo, k->n, r->memo.seed, keys));
    EACH_CELL(k, i)
    {
        pthread_mutex_lock(&r->lock);
        const struct value *known = remembered(&r->memo, keys[i]);
        enum status s = known ? put(c, k, i, &known[column], true) : OK;
        pthread_mutex_unlock(&r->lock);
        TRY(s);
        if (!known) TRY(run_and_put(c, r, column, k, i, keys[i]));
    }
    return OK;
}

enum status subquery_cells(struct ctx *c, struct subquery_run *r, int column, struct call *k)
{
    if (bits_next(k->todo, 0, k->n) >= k->n) return OK;
    switch (r->kind) {
    case RUN_FAILED:
        return raise_kept(c, r);
    case RUN_KNOWN:
        EACH_CELL(k, i) TRY(put(c, k, i, &r->values[column], false));
        return OK;
    case RUN_LOOKUP:
        return look_up(c, r, column, k);
    case RUN_EACH:
        return run_each(c, r, column, k);
    }
    return OK;
}
