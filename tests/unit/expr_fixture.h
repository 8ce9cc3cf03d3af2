/* Five cells of every type, for tests of expressions; the last cell of each column but c4 and d0 is
 * what makes trouble. */
#ifndef TESSERA_EXPR_FIXTURE_H
#define TESSERA_EXPR_FIXTURE_H
#include "storage/base/datetime.h"
#include "tests/unit/sexpr.h"
#include "tests/unit/unit.h"
#include <math.h>
#include <stdio.h>

#define N_CELLS 5
#define N_COLS 10
struct fixture {
    struct ctx c;
    struct budget budget;
    struct axis axis;
    struct rel_dim dim;
    struct rel_col cols[N_COLS];
    struct rel rel;
    struct column data[N_COLS];
    struct chunk chunk;
    struct env env;
    enum type param_types[4];
    struct value params[4];
    int8_t tiny[N_CELLS];
    int32_t ints[N_CELLS];
    float reals[N_CELLS];
    double doubles[N_CELLS];
    struct text texts[N_CELLS];
    int64_t times[N_CELLS];
    int32_t dates[N_CELLS];
    uint8_t bools[N_CELLS], bytes[N_CELLS];
    uint64_t large[N_CELLS];
    uint64_t not_third; /* a bitmap: all but cell 2 */
};

static inline void fixture_column(struct fixture *f, int i, const char *name, enum type t,
                                  void *values, bool nulls)
{
    f->cols[i] = (struct rel_col){.name = name, .type = t};
    f->data[i] = (struct column){.type = t, .values = values};
    f->data[i].valid = nulls ? &f->not_third : NULL;
}

static inline struct text text_of(const char *s)
{
    return (struct text){s, (int64_t)strlen(s)};
}

static inline void fixture_open(struct fixture *f)
{
    *f = (struct fixture){
        .tiny = {1, -3, 99, 0, 127},
        .ints = {10, -7, 0, 2, 2147483647},
        .reals = {0.5f, -2.25f, 9, 3, NAN},
        .doubles = {1.5, -0.5, 2.5, 100, INFINITY},
        .bools = {1, 0, 1, 0, 1},
        .bytes = {0, 7, 200, 255, 1},
        .large = {0, 1, 5, 10, UINT64_MAX},
        .dates = {18262, 18322, 0, -1, 20000}, /* 2020-01-01, 2020-03-01 */
        .not_third = 0x1b,
    };
    const char *texts[N_CELLS] = {"abc", "", "NULL", "\303\234n\303\257 x", "a%b"};
    for (int i = 0; i < N_CELLS; i++) {
        f->texts[i] = i == 2 ? (struct text){NULL, 0} : text_of(texts[i]);
        f->times[i] = f->dates[i] * US_PER_DAY + (i * 3600 + 61) * US_PER_SECOND;
    }
    fixture_column(f, 0, "tiny", T_INT8, f->tiny, true);
    fixture_column(f, 1, "ints", T_INT32, f->ints, false);
    fixture_column(f, 2, "reals", T_FLOAT32, f->reals, true);
    fixture_column(f, 3, "doubles", T_FLOAT64, f->doubles, false);
    fixture_column(f, 4, "texts", T_TEXT, f->texts, true);
    fixture_column(f, 5, "times", T_TIMESTAMP, f->times, false);
    fixture_column(f, 6, "dates", T_DATE, f->dates, true);
    fixture_column(f, 7, "bools", T_BOOL, f->bools, true);
    fixture_column(f, 8, "bytes", T_UINT8, f->bytes, false);
    fixture_column(f, 9, "large", T_UINT64, f->large, false);
    f->axis = axis_count(N_CELLS);
    f->axis.origin = 100;
    f->dim = (struct rel_dim){
        .name = "i", .axis = &f->axis, .hi = N_CELLS, .stride = 1, .tile = N_CELLS};
    f->rel = (struct rel){.n_dims = 1, .n_cols = N_COLS, .dims = &f->dim, .cols = f->cols};
    f->chunk = (struct chunk){.n = N_CELLS, .n_present = N_CELLS, .n_cols = N_COLS};
    f->chunk.cols = f->data;
    f->chunk.rel = &f->rel;
    rel_box(&f->rel, &f->chunk.box);
    f->env = (struct env){.params = f->params, .n_params = 4};
    f->env.statement_us = 18262 * US_PER_DAY + US_PER_SECOND;
    for (int i = 0; i < 4; i++)
        f->param_types[i] = T_UNKNOWN;
    budget_init(&f->budget, NULL, 0);
    f->c = (struct ctx){.arena = arena_new(), .budget = &f->budget};
    f->c.scratch = scratch_new(&f->budget);
}

static inline void fixture_close(struct fixture *f)
{
    scratch_free(f->c.scratch);
    arena_free(f->c.arena);
    assert_int_equal(f->budget.used_bytes, 0);
}

/* "type: v v v", "-" for NULL, "." for a cell that does not exist; or "SQLSTATE message". */
static inline const char *evaluate(struct fixture *f, const char *text)
{
    struct ctx *c = &f->c;
    struct expr *e;
    struct program *p;
    struct column col;
    ctx_clear(c);
    enum status s = sexpr_parse(&(struct sexpr){c, &f->rel, f->param_types, text, text}, &e);
    if (s == OK) s = expr_resolve_unknown(c, &e);
    if (s == OK) s = program_compile(c, &e, 1, &f->rel, &f->env, &p);
    if (s == OK) s = program_run(c, p, &f->chunk, &col);
    struct strbuf b = STRBUF_INIT;
    if (s < 0) {
        strbuf_addf(&b, "%s %s", status_sqlstate(s), c->err.message);
    } else {
        strbuf_addf(&b, "%s:", type_name(e->type));
        for (int i = 0; i < N_CELLS; i++) {
            strbuf_addc(&b, ' ');
            if (f->chunk.present && !bit_get(f->chunk.present, i))
                strbuf_addc(&b, '.');
            else if (column_is_null(&col, i))
                strbuf_addc(&b, '-');
            else
                value_format_at(e->type, col.values, i, &b);
        }
    }
    const char *out = arena_strdup(c->arena, b.s);
    strbuf_release(&b);
    return out;
}

struct example {
    const char *expr, *result;
};

static inline void check_examples(const struct example *x, size_t n)
{
    struct fixture f;
    fixture_open(&f);
    int bad = 0;
    for (size_t i = 0; i < n; i++) {
        const char *got = evaluate(&f, x[i].expr);
        if (strcmp(got, x[i].result) == 0) continue;
        print_error("%s\n   gives %s\n    not  %s\n", x[i].expr, got, x[i].result);
        bad++;
    }
    fixture_close(&f);
    assert_int_equal(bad, 0);
}
#define CHECK_EXAMPLES(list) check_examples(list, sizeof(list) / sizeof *(list))

#endif
