/* Which row breaks a CHECK constraint? */
#include "query/check.h"

struct checker {
    const struct held_row *row;
    const char *array;
    struct program *program;
    int n_shown; /* coordinates and attributes: the values before are not there */
};

enum status checker_new(struct ctx *c, const struct held_row *row, int n_attrs, const char *array,
                        const struct env *env, struct checker **out)
{
    *out = NULL;
    if (row->checks.n == 0) return OK;
    struct checker *k = arena_new_of(c->arena, struct checker);
    *k = (struct checker){.row = row, .array = array, .n_shown = row->rel.n_cols - n_attrs};
    TRY(program_compile(c, row->checks.es, row->checks.n, &row->rel, env, &k->program));
    *out = k;
    return OK;
}

/* The first cell where column v is false; -1: none. NULL is not false. */
static int64_t first_false(const struct column *v, const uint64_t *present, int64_t n)
{
    const uint8_t *values = v->values;
    for (int64_t i = 0; i < n; i++)
        if (!values[i] && (!present || bit_get(present, i)) && !column_is_null(v, i)) return i;
    return -1;
}

static enum status violated(struct ctx *c, const char *array, const char *name)
{
    return fail(c, ERR_CHECK, "new row for relation \"%s\" violates check constraint \"%s\"", array,
                name);
}

enum status checks_hold(struct ctx *c, const struct checks *checks, const char *array,
                        const struct column *values, const uint64_t *present, int64_t n)
{
    for (int i = 0; i < checks->n; i++)
        if (first_false(&values[i], present, n) >= 0) return violated(c, array, checks->names[i]);
    return OK;
}

static enum status failing_row(struct ctx *c, const struct column *cols, int n, int64_t i)
{
    struct strbuf text = STRBUF_INIT;
    for (int k = 0; k < n; k++) {
        if (k) strbuf_adds(&text, ", ");
        if (column_is_null(&cols[k], i))
            strbuf_adds(&text, "null");
        else
            value_format_at(cols[k].type, cols[k].values, i, &text);
    }
    enum status s = detail(c, "Failing row contains (%s).", text.s ? text.s : "");
    strbuf_release(&text);
    return s;
}

enum status checker_run(struct ctx *c, const struct checker *k, const struct column *cols,
                        const uint64_t *present, int64_t n)
{
    if (!k || n == 0) return OK;
    const struct checks *checks = &k->row->checks;
    struct scratch_mark mark = scratch_mark(c->scratch);
    struct chunk ch = {.box = {.n_dims = 1, .hi = {n}}, .n = n, .n_present = n};
    void *mem;
    enum status st = OK;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(checks->n + 1), &mem));
    struct column *values = mem;
    ch.present = (uint64_t *)(uintptr_t)present; /* programs only look at it */
    ch.cols = (struct column *)(uintptr_t)cols;
    ch.n_cols = k->row->rel.n_cols;
    ch.rel = &k->row->rel;
    if (present) ch.n_present = bits_count(present, 0, n);
    if (ch.n_present) st = program_run(c, k->program, &ch, values);
    for (int i = 0; i < checks->n && st == OK && ch.n_present; i++) {
        int64_t bad = first_false(&values[i], present, n);
        if (bad < 0) continue;
        st = violated(c, k->array, checks->names[i]);
        failing_row(c, cols, k->n_shown, bad);
    }
    scratch_release(c->scratch, mark);
    return st;
}
