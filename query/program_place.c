/* Where do a program's registers lie? Those whose lives do not overlap share memory. */
#include "query/program.h"

/* Of registers: what leaves room in a first-level cache of 32 KiB for columns that pass by. */
#define NEAR_BYTES (16 << 10)

static void note_use(struct code *code, int r, int step, bool writes)
{
    if (r < 0) return;
    struct reg *reg = &code->regs[r];
    if (writes && reg->first < 0) reg->first = step;
    reg->last = step;
}

static bool makes_mask(enum step_kind kind)
{
    return kind == STEP_TRUE || kind == STEP_NOT_FALSE || kind == STEP_NOT_TRUE ||
           kind == STEP_NULL || kind == STEP_COMPARE || kind == STEP_UNION || kind == STEP_EXCEPT;
}

void code_place_registers(struct arena *a, struct code *code)
{
    for (int i = 0; i < code->n_steps; i++) {
        const struct step *s = &code->steps[i];
        if (!makes_mask(s->kind)) note_use(code, s->dst, i, true);
        note_use(code, s->a, i, false);
        note_use(code, s->b, i, false);
        note_use(code, s->c, i, false);
        for (int j = 0; j < s->n_args; j++)
            note_use(code, s->args[j], i, false);
    }
    size_t used = 0;
    for (int r = 0; r < code->n_regs; r++) {
        struct reg *reg = &code->regs[r];
        if (!reg->filled) continue;
        reg->offset = used;
        used += BLOCK * type_bytes(reg->type);
    }
    struct slot {
        size_t offset, bytes;
        int reg; /* who has it */
    } *slots = arena_alloc(a, sizeof *slots * (size_t)(code->n_regs + 1));
    int n_slots = 0;
    for (int i = 0; i < code->n_steps; i++) {
        int r = makes_mask(code->steps[i].kind) ? -1 : code->steps[i].dst;
        struct reg *reg = r >= 0 ? &code->regs[r] : NULL;
        if (!reg || reg->first != i || reg->in_place || reg->output >= 0) continue;
        size_t bytes = BLOCK * type_bytes(reg->type);
        int at = 0;
        while (at < n_slots && (slots[at].bytes != bytes || code->regs[slots[at].reg].last >= i))
            at++;
        if (at == n_slots) {
            slots[n_slots++] = (struct slot){used, bytes, r};
            used += bytes;
        }
        slots[at].reg = r;
        reg->offset = slots[at].offset;
    }
    code->block = BLOCK;
    if (used > NEAR_BYTES) { /* all offsets are multiples of BLOCK */
        code->block = BLOCK / 2;
        for (int r = 0; r < code->n_regs; r++)
            code->regs[r].offset /= 2;
        used /= 2;
    }
    code->value_bytes = used;
}
