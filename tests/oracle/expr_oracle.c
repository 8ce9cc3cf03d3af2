/* Evaluates expressions for the tests that compare with NumPy (tests/oracle/test_expr.py).
 *
 * Reads requests: a line with the expression (tests/unit/sexpr.h), a line "n n_cols has_present",
 * per column a line "type has_valid", then n bytes of presence if any, and per column its values
 * and n bytes of validity if any. Answers "ok type has_valid n_present\n", values and validity
 * bytes, or "error SQLSTATE message\n". An expression after "filter " is a condition: the answer is
 * the presence left, as bytes. */
#include "query/expr.h"
#include "tests/unit/sexpr.h"
#include <stdio.h>

struct request {
    struct rel rel;
    struct rel_dim dim;
    struct axis axis;
    struct rel_col cols[16];
    struct column data[16];
    struct chunk chunk;
};

static void must(bool ok, const char *what)
{
    if (ok) return;
    fprintf(stderr, "expr_oracle: %s\n", what);
    exit(2);
}

static uint64_t *read_bits(struct ctx *c, int64_t n)
{
    uint8_t *bytes = arena_alloc(c->arena, (size_t)n + 1);
    uint64_t *bits = arena_alloc(c->arena, (size_t)bits_words(n) * 8 + 8);
    must(fread(bytes, 1, (size_t)n, stdin) == (size_t)n, "short bitmap");
    bits_from_bytes(bits, bytes, n);
    return bits;
}

static void read_request(struct ctx *c, struct request *r)
{
    long long n;
    int n_cols, has_present, has_valid[16];
    must(scanf("%lld %d %d\n", &n, &n_cols, &has_present) == 3 && n_cols <= 16, "bad request");
    r->axis = axis_count(n);
    r->dim = (struct rel_dim){.name = "i", .axis = &r->axis, .hi = n, .stride = 1, .tile = n};
    r->rel = (struct rel){.n_dims = 1, .n_cols = n_cols, .dims = &r->dim, .cols = r->cols};
    for (int i = 0; i < n_cols; i++) {
        char type[32];
        must(scanf("%31s %d", type, &has_valid[i]) == 2, "bad column");
        must(getchar() == '\n', "no end of line");
        r->cols[i] = (struct rel_col){.name = "c", .type = type_by_name(type)};
        must(r->cols[i].type != T_NONE, type);
    }
    r->chunk = (struct chunk){.n = n, .n_present = n, .n_cols = n_cols, .cols = r->data};
    r->chunk.rel = &r->rel;
    rel_box(&r->rel, &r->chunk.box);
    if (has_present) {
        r->chunk.present = read_bits(c, n);
        r->chunk.n_present = bits_count(r->chunk.present, 0, n);
    }
    for (int i = 0; i < n_cols; i++) {
        size_t bytes = (size_t)n * type_bytes(r->cols[i].type);
        r->data[i] = (struct column){.type = r->cols[i].type};
        r->data[i].values = arena_alloc(c->arena, bytes + 1);
        must(fread(r->data[i].values, 1, bytes, stdin) == bytes, "short column");
        if (has_valid[i]) r->data[i].valid = read_bits(c, n);
    }
}

static void write_bits(struct ctx *c, const uint64_t *bits, int64_t n)
{
    uint8_t *bytes = arena_alloc(c->arena, (size_t)n + 1);
    bits_to_bytes(bytes, bits, n);
    fwrite(bytes, 1, (size_t)n, stdout);
}

static enum status answer(struct ctx *c, const char *text)
{
    struct request r = {0};
    read_request(c, &r);
    bool filter = strncmp(text, "filter ", 7) == 0;
    struct expr *e;
    struct program *p;
    struct column out;
    TRY(sexpr(c, &r.rel, filter ? text + 7 : text, &e));
    TRY(program_compile(c, &e, 1, &r.rel, NULL, &p));
    if (filter) {
        TRY(program_filter(c, p, &r.chunk));
        printf("ok boolean 0 %lld\n", (long long)r.chunk.n_present);
        write_bits(c, r.chunk.present, r.chunk.n);
        return OK;
    }
    TRY(program_run(c, p, &r.chunk, &out));
    printf("ok %s|%d %lld\n", type_name(e->type), out.valid != NULL, (long long)r.chunk.n_present);
    size_t bytes = (size_t)r.chunk.n * type_bytes(e->type);
    if (!out.values) out.values = arena_alloc(c->arena, bytes); /* no cell exists */
    fwrite(out.values, 1, bytes, stdout);
    if (out.valid) write_bits(c, out.valid, r.chunk.n);
    return OK;
}

int main(void)
{
    static char line[65536];
    struct budget budget;
    budget_init(&budget, NULL, 0);
    while (fgets(line, sizeof line, stdin)) {
        struct ctx c = {.arena = arena_new(), .scratch = scratch_new(&budget), .budget = &budget};
        line[strcspn(line, "\n")] = 0;
        enum status s = answer(&c, line);
        if (s < 0) printf("error %s %s\n", status_sqlstate(c.err.code), c.err.message);
        fflush(stdout);
        scratch_free(c.scratch);
        arena_free(c.arena);
    }
    return 0;
}
