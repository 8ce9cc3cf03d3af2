/* How is a chunk cut into pieces, and what does each of them see? */
#include "query/pieces.h"
#include "query/machine.h"
#include <string.h>

struct pieces {
    const struct chunk *whole;
    struct machine *machine;     /* NULL: no step to run */
    const struct output *output; /* of each column */
    void **values;               /* memory of each column that is computed */
    struct chunk piece;
    struct scratch_mark mark;
    int cut;       /* the dimension that is cut; pieces have one position of those before it */
    int64_t step;  /* positions of it */
    int64_t inner; /* cells from one of its positions to the next */
    int64_t at;    /* the next piece's first cell */
};

/* Whole positions of the outermost dimension that has few enough cells below it, in even parts. */
static void lay(struct pieces *s, int64_t most)
{
    const struct box *b = &s->whole->box;
    s->inner = s->step = 1;
    s->cut = b->n_dims - 1;
    if (s->cut < 0) return;
    while (s->cut > 0 && s->inner * box_extent(b, s->cut) <= most)
        s->inner *= box_extent(b, s->cut--);
    int64_t extent = box_extent(b, s->cut), step = most > s->inner ? most / s->inner : 1;
    int64_t parts = (extent + step - 1) / step;
    if (extent * s->inner > most) step = (extent + parts - 1) / parts;
    if (s->inner == 1 && step >= 64) step = (step + 63) / 64 * 64; /* bitmaps need no shifting */
    s->step = step < extent ? step : extent;
}

static enum status open_outputs(struct ctx *c, struct pieces *s, const struct code *code)
{
    int64_t n = s->step * s->inner;
    void *mem;
    TRY(scratch_zeroed(c, sizeof(void *) * (size_t)(code->n_outputs + 1), &mem));
    s->values = mem;
    s->output = code->outputs;
    for (int o = 0; o < code->n_outputs; o++) {
        if (s->output[o].column >= 0 || s->output[o].same_as >= 0) continue;
        struct column col;
        TRY(column_alloc(c, s->output[o].type, n, &col));
        s->values[o] = col.values;
    }
    return OK;
}

enum status pieces_open(struct ctx *c, const struct program *p, const struct chunk *in,
                        int64_t most, struct pieces **out)
{
    void *mem;
    TRY(scratch_zeroed(c, sizeof(struct pieces), &mem));
    struct pieces *s = mem;
    s->whole = in;
    /* One stored column, once looked at, is better taken in one go. */
    lay(s, !p || (!p->run.n_steps && p->run.n_outputs <= 1) ? in->n : most);
    s->piece = (struct chunk){.rel = in->rel};
    if (p) {
        const struct code *code = &p->run;
        TRY(scratch_zeroed(c, sizeof(struct column) * (size_t)(code->n_outputs + 1), &mem));
        s->piece.cols = mem;
        s->piece.n_cols = code->n_outputs;
        TRY(open_outputs(c, s, code));
        if (code->n_steps && in->n_present) {
            TRY(scratch_alloc(c, sizeof(struct machine), &mem));
            s->machine = mem;
            TRY(machine_open(c, s->machine, p, code, in, s->piece.cols));
        }
    }
    s->mark = scratch_mark(c->scratch);
    *out = s;
    return OK;
}

/* Bits [at, at + n) as a bitmap of their own. */
static enum status part_of_bits(struct ctx *c, const uint64_t *bits, int64_t at, int64_t n,
                                uint64_t **out)
{
    union {
        const uint64_t *from;
        uint64_t *to;
    } same = {.from = bits ? bits + at / 64 : NULL}; /* read only, as the whole's */
    *out = same.to;
    if (!bits || at % 64 == 0) return OK;
    void *mem;
    TRY(scratch_alloc(c, (size_t)bits_words(n) * 8, &mem));
    bits_copy(mem, 0, bits, at, n);
    *out = mem;
    return OK;
}

static void place_next(struct pieces *s)
{
    const struct box *b = &s->whole->box;
    struct chunk *piece = &s->piece;
    piece->box = *b;
    piece->n = s->whole->n - s->at;
    if (s->cut >= 0 && piece->n > 0) {
        int64_t pos[MAX_DIMS];
        box_position(b, s->at, pos);
        for (int d = 0; d < s->cut; d++) {
            piece->box.lo[d] = pos[d];
            piece->box.hi[d] = pos[d] + 1;
        }
        piece->box.lo[s->cut] = pos[s->cut];
        if (pos[s->cut] + s->step < b->hi[s->cut]) piece->box.hi[s->cut] = pos[s->cut] + s->step;
        piece->n = box_cells(&piece->box);
    }
}

static enum status make_columns(struct ctx *c, struct pieces *s, int64_t at)
{
    struct chunk *piece = &s->piece;
    for (int o = 0; o < piece->n_cols; o++) {
        struct column *to = &piece->cols[o];
        *to = (struct column){.type = s->output[o].type, .values = s->values[o]};
        if (s->output[o].column < 0) continue;
        const struct column *from = &s->whole->cols[s->output[o].column];
        to->values = (char *)from->values + (size_t)at * type_bytes(from->type);
        TRY(part_of_bits(c, from->valid, at, piece->n, &to->valid));
    }
    if (!s->machine) return OK;
    memset(s->machine->out_valid, 0, sizeof *s->machine->out_valid * (size_t)piece->n_cols);
    s->machine->pool = (struct text_pool){0};
    return machine_run(c, s->machine, at, at + piece->n);
}

enum status pieces_next(struct ctx *c, struct pieces *s, const struct chunk **out)
{
    struct chunk *piece = &s->piece;
    *out = NULL;
    while (s->at < s->whole->n && s->whole->n_present) {
        int64_t at = s->at;
        scratch_release(c->scratch, s->mark);
        place_next(s);
        s->at += piece->n;
        TRY(part_of_bits(c, s->whole->present, at, piece->n, &piece->present));
        piece->n_present = piece->present ? bits_count(piece->present, 0, piece->n) : piece->n;
        if (!piece->n_present) continue;
        if (piece->n_present == piece->n) piece->present = NULL;
        TRY(make_columns(c, s, at));
        *out = piece;
        return OK;
    }
    return OK;
}
