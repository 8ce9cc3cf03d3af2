/* Do programs run over chunks as they should: masks, EMPTY cells, branches, several dimensions,
 * random numbers, and what summaries tell of conditions? */
#include "query/kernels.h"
#include "query/pieces.h"
#include "query/program.h"
#include "storage/base/settings.h"
#include "storage/summary.h"
#include "tests/unit/expr_fixture.h"

static void test_three_values(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    static const char *const values[] = {"(= c1 c1)", "(<> c1 c1)", "(= (nullif c1 c1) 1)"};
    static const char names[] = "tf-";
    static const char *const and_of[] = {"tf-", "fff", "-f-"}, *const or_of[] = {"ttt", "tf-",
                                                                                 "t--"};
    for (int a = 0; a < 3; a++) {
        for (int b = 0; b < 3; b++) {
            char text[200], want[60];
            for (int is_or = 0; is_or < 2; is_or++) {
                char r = (is_or ? or_of : and_of)[a][b];
                snprintf(text, sizeof text, "(%s %s %s)", is_or ? "or" : "and", values[a],
                         values[b]);
                snprintf(want, sizeof want, "boolean: %c %c %c %c %c", r, r, r, r, r);
                assert_string_equal(evaluate(&f, text), want);
                /* The same where the second operand could fail, and so is masked. */
                snprintf(text, sizeof text, "(%s %s (and (> (+ c8 (cast integer c8)) -1) %s))",
                         is_or ? "or" : "and", values[a], values[b]);
                assert_string_equal(evaluate(&f, text), want);
            }
        }
        char text[100], want[60], r = names[(a + (a < 2)) % (a < 2 ? 2 : 3)];
        snprintf(text, sizeof text, "(not %s)", values[a]);
        snprintf(want, sizeof want, "boolean: %c %c %c %c %c", r, r, r, r, r);
        assert_string_equal(evaluate(&f, text), want);
    }
    fixture_close(&f);
}

static void test_branches(void **state)
{
    (void)state;
    static const struct example list[] = {
        {"(// 100 c0)", "22012 division by zero"},
        {"(case (= c0 0) null (// 100 c0))", "tinyint: 100 -34 - - 0"},
        {"(case (<> c0 0) (// 100 c0))", "tinyint: 100 -34 - - 0"},
        {"(case (= c1 10) 'ten' (< c1 0) 'less' (> c1 5) 'more')", "text: ten less - - more"},
        {"(and (<> c0 0) (> (// 100 c0) 0))", "boolean: t f - f f"},
        {"(and (> (// 100 c0) 0) (<> c0 0))", "22012 division by zero"},
        {"(or (= c0 0) (> (// 100 c0) 0))", "boolean: t f - t f"},
        {"(coalesce (nullif c0 1) (+ 2147483647 c0) 7)", "22003 integer out of range"},
        {"(coalesce (nullif c0 2) (+ 2147483647 c0) 7)", "integer: 1 -3 7 0 127"},
        {"(coalesce c0 (// 1 0))", "22012 division by zero"},
        {"(case (isnull c0) 5 true c0)", "tinyint: 1 -3 5 0 127"},
        {"(case false (// 1 0) c1)", "integer: 10 -7 0 2 2147483647"},
        {"(coalesce c1 (// 1 0))", "integer: 10 -7 0 2 2147483647"},
        {"(+ c1 (// 1 0))", "22012 division by zero"},
        {"(case (> c1 100) (- c1 100) (+ c1 100))", "integer: 110 93 100 102 2147483547"},
        {"(+ (case (> c1 100) 0 (+ c1 100)) (case (< c1 100) (+ c1 100) 0))",
         "integer: 220 186 200 204 0"},
        {"(in c2 0.5 nan)", "boolean: t f - f f"},
        {"(in c1 10 2 null)", "boolean: t - - t -"},
        {"(in c4 'abc' null)", "boolean: t - - - -"},
        {"(same (nullif c0 0) c0)", "boolean: t t t f t"},
        {"(greatest c0 (nullif c1 10) c8)", "integer: 1 7 200 255 2147483647"},
        {"(least c0 null)", "tinyint: 1 -3 - 0 127"},
        {"(isnull c2)", "boolean: f f t f f"},
        {"(notnull (+ c2 c0))", "boolean: t t f t t"},
        {"d0", "bigint: 100 101 102 103 104"},
        {"p0", "bigint: 0 1 2 3 4"},
        {"(+ d0 c8)", "bigint: 100 108 302 358 105"},
        {"(and c7 true)", "boolean: t f - f t"},
        {"(or c7 null)", "boolean: t - - - t"},
        {"3", "integer: 3 3 3 3 3"},
    };
    CHECK_EXAMPLES(list);
}

static void test_empty_cells(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t present = 0x0f; /* not the last one */
    f.chunk.present = &present;
    f.chunk.n_present = 4;
    assert_string_equal(evaluate(&f, "(+ c1 1)"), "integer: 11 -6 1 3 .");
    assert_string_equal(evaluate(&f, "(// 10 c1)"), "22012 division by zero");
    present = 0x0b;
    assert_string_equal(evaluate(&f, "(// 20 c1)"), "integer: 2 -3 . 10 .");
    assert_string_equal(evaluate(&f, "(cast text (+ c1 1))"), "text: 11 -6 . 3 .");
    struct expr *e;
    struct program *p;
    assert_int_equal(sexpr(&f.c, &f.rel, "(and (> c8 0) (> (// 20 c1) 0))", &e), OK);
    assert_int_equal(program_compile(&f.c, &e, 1, &f.rel, &f.env, &p), OK);
    f.chunk.n_present = 3;
    assert_int_equal(program_filter(&f.c, p, &f.chunk), OK);
    assert_int_equal(present, 0x08);
    assert_int_equal(f.chunk.n_present, 1);
    f.chunk.present = NULL; /* made when there is none */
    f.chunk.n_present = N_CELLS;
    assert_int_equal(sexpr(&f.c, &f.rel, "c7", &e), OK);
    assert_int_equal(program_compile(&f.c, &e, 1, &f.rel, &f.env, &p), OK);
    assert_int_equal(program_filter(&f.c, p, &f.chunk), OK);
    assert_int_equal(f.chunk.present[0], 0x11);
    assert_int_equal(f.chunk.n_present, 2);
    fixture_close(&f);
}

static void test_outputs(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    static const char *const texts[] = {"c1", "(+ c1 0)", "(+ c1 0)", "7", "(+ (+ c1 0) c8)"};
    struct expr *es[5];
    struct program *p;
    struct column out[5];
    for (int i = 0; i < 5; i++)
        assert_int_equal(sexpr(&f.c, &f.rel, texts[i], &es[i]), OK);
    assert_int_equal(program_compile(&f.c, es, 5, &f.rel, &f.env, &p), OK);
    f.ints[4] = 0;
    assert_int_equal(program_run(&f.c, p, &f.chunk, out), OK);
    assert_ptr_equal(out[0].values, f.ints);        /* passed through */
    assert_ptr_equal(out[1].values, out[2].values); /* computed once */
    assert_int_equal(p->run.n_steps, 6);            /* two columns, a cast, two sums, a constant */
    assert_memory_equal(out[1].values, f.ints, sizeof f.ints);
    assert_int_equal(((int32_t *)out[3].values)[4], 7);
    assert_int_equal(((int32_t *)out[4].values)[2], 200);
    /* No cell: no work. */
    f.chunk.n_present = 0;
    assert_int_equal(program_run(&f.c, p, &f.chunk, out), OK);
    assert_int_equal(out[4].type, T_INT32);
    fixture_close(&f);
}

/* ---- several dimensions ---- */

struct cube {
    struct axis axes[3];
    struct rel_dim dims[3];
    struct rel rel;
};

static void cube_open(struct cube *q)
{
    static const struct value lo = {.type = T_FLOAT64, .d = -1},
                              hi = {.type = T_FLOAT64, .d = 8.75},
                              step = {.type = T_FLOAT64, .d = 0.25};
    struct ctx c = {0};
    assert_int_equal(axis_regular(&c, "lat", T_FLOAT64, &lo, &hi, &step, &q->axes[1]), OK);
    q->axes[0] = axis_count(50);
    q->axes[2] = axis_count(70);
    for (int d = 0; d < 3; d++)
        q->dims[d] = (struct rel_dim){
            .axis = &q->axes[d], .lo = q->axes[d].lo, .hi = q->axes[d].hi, .stride = 1, .tile = 16};
    q->rel = (struct rel){.n_dims = 3, .dims = q->dims};
}

static void run_over(struct fixture *f, const struct cube *q, const char *text,
                     const struct box *box, struct column *out)
{
    struct expr *e;
    struct program *p;
    struct chunk ch = {.box = *box, .n = box_cells(box), .rel = &q->rel};
    ch.n_present = ch.n;
    assert_int_equal(sexpr(&f->c, &q->rel, text, &e), OK);
    assert_int_equal(program_compile(&f->c, &e, 1, &q->rel, &f->env, &p), OK);
    assert_int_equal(program_run(&f->c, p, &ch, out), OK);
}

static void test_dimensions(void **state)
{
    (void)state;
    struct fixture f;
    struct cube q;
    fixture_open(&f);
    cube_open(&q);
    struct box box = {.n_dims = 3, .lo = {3, 5, 7}, .hi = {43, 36, 68}};
    struct column out[5];
    static const char *const texts[5] = {"d0", "(cos d1)", "(+ (* d0 10000) (+ (* p1 100) d2))",
                                         "(nullif d1 2.0)", "d1"};
    for (int i = 0; i < 5; i++)
        run_over(&f, &q, texts[i], &box, &out[i]);
    struct chunk ch = {.box = box, .n = box_cells(&box), .rel = &q.rel};
    double *lat = arena_array(f.c.arena, double, ch.n);
    chunk_coords(&ch, 1, &q.axes[1], lat);
    for (int64_t i = 0; i < ch.n; i++) {
        int64_t pos[3];
        box_position(&box, i, pos);
        double want = -1 + 0.25 * (double)pos[1];
        assert_true(lat[i] == want);
        assert_int_equal(((int64_t *)out[0].values)[i], pos[0]);
        assert_true(fabs(((double *)out[1].values)[i] - cos(want)) < 1e-15);
        assert_int_equal(((int64_t *)out[2].values)[i], pos[0] * 10000 + pos[1] * 100 + pos[2]);
        assert_int_equal(column_is_null(&out[3], i), want == 2);
        assert_true(((double *)out[4].values)[i] == want);
    }
    fixture_close(&f);
}

static void test_random(void **state)
{
    (void)state;
    struct fixture f;
    struct cube q;
    fixture_open(&f);
    cube_open(&q);
    struct box all, part = {.n_dims = 3, .lo = {3, 5, 7}, .hi = {43, 36, 68}};
    rel_box(&q.rel, &all);
    struct column whole, piece, normal, other;
    run_over(&f, &q, "(random 42)", &all, &whole);
    run_over(&f, &q, "(random 42)", &part, &piece);
    run_over(&f, &q, "(random 43)", &all, &other);
    run_over(&f, &q, "(random_normal 42)", &all, &normal);
    int64_t n = box_cells(&all), same = 0;
    double sum = 0, sum_n = 0, sum_n2 = 0, product = 0;
    for (int64_t i = 0; i < n; i++) {
        double x = ((double *)whole.values)[i], z = ((double *)normal.values)[i];
        double y = ((double *)other.values)[i];
        assert_true(x >= 0 && x < 1 && isfinite(z));
        sum += x;
        sum_n += z;
        sum_n2 += z * z;
        product += (x - 0.5) * (y - 0.5);
        same += x == y;
    }
    double count = (double)n; /* 140,000: bounds of about five standard errors */
    assert_true(fabs(sum / count - 0.5) < 0.004);
    assert_true(fabs(sum_n / count) < 0.014 && fabs(sum_n2 / count - 1) < 0.02);
    assert_true(fabs(product / count) < 0.0012 && same == 0);
    for (int64_t i = 0; i < box_cells(&part); i++) {
        int64_t pos[3];
        box_position(&part, i, pos);
        assert_true(((double *)piece.values)[i] == ((double *)whole.values)[box_index(&all, pos)]);
    }
    fixture_close(&f);
}

/* ---- summaries ---- */

struct known_summaries {
    struct summary of[N_COLS];
    bool known[N_COLS];
};

static const struct summary *summary_of(void *self, int column, const struct axis **axis)
{
    struct known_summaries *k = self;
    *axis = NULL;
    return k->known[column] ? &k->of[column] : NULL;
}

/* Summaries of the fixture's columns: what they tell includes what the cells are, and for the
 * simple conditions is no more. */
static void test_truths(void **state)
{
    (void)state;
    struct fixture f;
    struct known_summaries k = {0};
    fixture_open(&f);
    for (int i = 0; i < N_COLS; i++) {
        if (i == 4) continue; /* a text */
        k.known[i] = true;
        summary_init(&k.of[i]);
        summary_add(&k.of[i], &f.data[i], NULL, N_CELLS);
    }
    static const struct {
        const char *text;
        int truths;
    } list[] = {
        {"(> c1 -8)", 2},
        {"(> c1 -7)", 3},
        {"(< c1 -7)", 1},
        {"(<= c1 -7)", 3},
        {"(= c8 255)", 3},
        {"(= c8 300)", 1},
        {"(<> c8 300)", 2},
        {"(> c0 127)", 5},
        {"(>= c0 -3)", 6},
        {"(> c2 100)", 5},
        {"(< c2 100)", 7},
        {"(<> c2 100)", 6},
        {"(isnull c1)", 1},
        {"(notnull c1)", 2},
        {"(isnull c0)", 3},
        {"(in c1 -100 5000000000)", 1},
        {"(in c1 -100 5)", 3},
        {"(in c0 -100 null)", 4},
        {"(not (> c1 -8))", 1},
        {"(and (> c1 -8) (= c8 300))", 1},
        {"(or (> c1 -8) (> c0 5))", 2},
        {"(or (= c8 300) (> c0 127))", 5},
        {"c7", 7},
        {"(= c4 'x')", 7},
        {"(> (+ c1 1) 0)", 7},
        {"(> c9 -1)", 2},
        {"(> c9 c1)", 3},
        {"(> d0 104)", 1},
        {"(>= d0 100)", 2},
        {"(and (>= d0 100) (<= d0 102))", 3},
        {"(> c5 '1900-01-01')", 2},
        {"(> c6 timestamp'2100-01-01')", 5},
        {"(> c1 $1)", 1},
        {"(= c1 $2)", 4},
    };
    f.params[0] = value_int(T_INT32, INT32_MAX);
    f.params[1] = value_null(T_INT32);
    struct value lo = value_int(T_INT64, 100), hi = value_int(T_INT64, 104);
    int bad = 0;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct expr *e;
        struct program *p;
        struct column col;
        assert_int_equal(sexpr(&f.c, &f.rel, list[i].text, &e), OK);
        int got = expr_truths(e, &f.env, summary_of, &k, &lo, &hi);
        if (got != list[i].truths) {
            print_error("%s: %d, not %d\n", list[i].text, got, list[i].truths);
            bad++;
        }
        if (strcmp(list[i].text, "(> (+ c1 1) 0)") == 0) continue; /* overflows */
        assert_int_equal(program_compile(&f.c, &e, 1, &f.rel, &f.env, &p), OK);
        assert_int_equal(program_run(&f.c, p, &f.chunk, &col), OK);
        for (int j = 0; j < N_CELLS; j++) {
            int is = column_is_null(&col, j) ? 4 : ((uint8_t *)col.values)[j] ? 2 : 1;
            assert_true(got & is);
        }
    }
    assert_int_equal(bad, 0);
    fixture_close(&f);
}

/* Pieces of any size hold what the whole has: values, validity, presence, positions. */
static void test_pieces(void **state)
{
    (void)state;
    static const char *const texts[4] = {"(+ (* d0 10000) (+ (* p1 100) d2))", "(nullif d1 2.0)",
                                         "(cast text d2)", "(random 7)"};
    static const int64_t sizes[] = {1, 61, 64, 100, 1000, 2048, 5000, INT64_MAX};
    struct fixture f;
    struct cube q;
    fixture_open(&f);
    cube_open(&q);
    struct expr *es[4];
    struct program *p;
    struct column want[4];
    struct box box = {.n_dims = 3, .lo = {3, 5, 7}, .hi = {13, 36, 68}};
    struct chunk ch = {.box = box, .n = box_cells(&box), .rel = &q.rel};
    uint64_t *present = arena_array(f.c.arena, uint64_t, bits_words(ch.n));
    for (int64_t i = 0; i < ch.n; i++) /* some pieces have no cell */
        bit_put(present, i, i % 3 != 0 && i / 3000 != 2);
    ch.present = present;
    ch.n_present = bits_count(present, 0, ch.n);
    for (int i = 0; i < 4; i++)
        assert_int_equal(sexpr(&f.c, &q.rel, texts[i], &es[i]), OK);
    assert_int_equal(program_compile(&f.c, es, 4, &q.rel, &f.env, &p), OK);
    assert_int_equal(program_run(&f.c, p, &ch, want), OK);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        struct pieces *pieces;
        const struct chunk *piece;
        int64_t n_present = 0, most = sizes[k] < ch.n ? sizes[k] : ch.n;
        assert_int_equal(pieces_open(&f.c, p, &ch, most, &pieces), OK);
        for (;;) {
            assert_int_equal(pieces_next(&f.c, pieces, &piece), OK);
            if (!piece) break;
            assert_true(piece->n <= (most < 64 ? 64 : most) && piece->n == box_cells(&piece->box));
            n_present += piece->n_present;
            for (int64_t i = 0; i < piece->n; i++) {
                int64_t pos[3];
                box_position(&piece->box, i, pos);
                int64_t at = box_index(&box, pos);
                bool is = !piece->present || bit_get(piece->present, i);
                assert_int_equal(is, bit_get(present, at));
                for (int o = 0; o < 4 && is; o++) {
                    bool null = column_is_null(&piece->cols[o], i);
                    assert_int_equal(null, column_is_null(&want[o], at));
                    if (null) continue;
                    struct value a = value_get(es[o]->type, piece->cols[o].values, i);
                    struct value b = value_get(es[o]->type, want[o].values, at);
                    assert_int_equal(value_compare(&a, &b), 0);
                }
            }
        }
        assert_int_equal(n_present, ch.n_present);
    }
    fixture_close(&f);
}

/* A product and a sum are one step, rounded twice unless fast_math is set; no step where the
 * product is wanted for itself. */
static void test_muladd(void **state)
{
    (void)state;
    static const char *const texts[] = {"(+ (* c3 c3) -1.0)", "(- (* c3 c3) 1.0)",
                                        "(- 1.0 (* c3 c3))"};
    struct fixture f;
    fixture_open(&f);
    for (int fast = 0; fast < 2; fast++)
        for (int i = 0; i < 3; i++) {
            struct settings settings;
            struct expr *e;
            struct program *p;
            struct column col;
            const double x = 1 + 0x1p-30, sign[3] = {1, 1, -1}, add[3] = {-1, -1, 1};
            settings_defaults(&settings);
            assert_int_equal(settings_set(&f.c, &settings, "fast_math", fast ? "on" : "off", false),
                             OK);
            f.c.settings = &settings;
            f.doubles[0] = x;
            assert_int_equal(sexpr(&f.c, &f.rel, texts[i], &e), OK);
            assert_int_equal(program_compile(&f.c, &e, 1, &f.rel, &f.env, &p), OK);
            assert_int_equal(p->run.n_steps, 2);
            assert_int_equal(program_run(&f.c, p, &f.chunk, &col), OK);
            volatile double product = x * x, twice = sign[i] * product + add[i];
            double once = fma(sign[i] * x, x, add[i]);
            assert_true(once != twice);
            assert_true(((double *)col.values)[0] == (fast ? once : twice));
            f.c.settings = NULL;
            settings_release(&settings);
        }
    struct expr *es[2];
    struct program *p;
    assert_int_equal(sexpr(&f.c, &f.rel, "(* c3 c3)", &es[0]), OK);
    assert_int_equal(sexpr(&f.c, &f.rel, "(+ (* c3 c3) c3)", &es[1]), OK);
    assert_int_equal(program_compile(&f.c, es, 2, &f.rel, &f.env, &p), OK);
    assert_int_equal(p->run.n_steps, 3);
    assert_int_equal(p->run.steps[2].kind, STEP_BINARY);
    fixture_close(&f);
}

static void test_memory(void **state)
{
    (void)state;
    struct fixture f;
    struct expr *e;
    struct program *p;
    struct column col;
    fixture_open(&f);
    assert_int_equal(sexpr(&f.c, &f.rel, "(upper c4)", &e), OK);
    assert_int_equal(program_compile(&f.c, &e, 1, &f.rel, &f.env, &p), OK);
    scratch_free(f.c.scratch);
    f.budget.limit_bytes = 64;
    f.c.scratch = scratch_new(&f.budget);
    assert_int_equal(program_run(&f.c, p, &f.chunk, &col), ERR_MEMORY);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_values), cmocka_unit_test(test_branches),
        cmocka_unit_test(test_empty_cells),  cmocka_unit_test(test_outputs),
        cmocka_unit_test(test_dimensions),   cmocka_unit_test(test_random),
        cmocka_unit_test(test_truths),       cmocka_unit_test(test_memory),
        cmocka_unit_test(test_pieces),       cmocka_unit_test(test_muladd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
