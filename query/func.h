/* Scalar functions and operators: one table of overloads (func_table.c), how a call finds its
 * overload (func.c), and what runs it.
 *
 * An overload's arguments are a pattern, one letter each; `*` repeats the last letter:
 *   n  a number; all n of a call are promoted to one type     t  TEXT
 *   i  the same of integers                                   x  anything, turned into TEXT
 *   f  the same, integers becoming DOUBLE PRECISION           o  as x, but true is t (output)
 *   b  BOOLEAN
 *   d  DOUBLE PRECISION                                       D  DATE
 *   l  BIGINT                                                 T  TIMESTAMP (or a DATE)
 *   ?  anything, as it is                                     V  INTERVAL
 * The result's letter is one of these (n, i, f: the common type) or I, INTEGER.
 *
 * A cell function computes the cells of a block one by one: text, calendars, whatever has no
 * kernel. It is called with the cells that count alone, so it may fail on any of them. */
#ifndef TESSERA_FUNC_H
#define TESSERA_FUNC_H
#include "query/expr.h"
#include "query/kernels.h"

struct operand {
    const void *values;
    const uint64_t *valid; /* NULL: all are */
    int64_t step;          /* 0: a constant, at index 0; else 1 */
    enum type type;
};

/* Room for texts that a block makes; they live as long as the chunk. */
struct text_pool {
    char *at, *end;
};

struct call {
    const struct func *func; /* NULL in a cast */
    enum type type;          /* of the result */
    int n_args;
    const struct operand *arg;
    void *out;
    uint64_t *valid;      /* of the result; clear a bit to give NULL */
    const uint64_t *todo; /* cells to compute: they exist, are reached and (strict) not NULL */
    int64_t n;
    int64_t now_us;
    struct text_pool *pool;
};
typedef enum status cell_fn(struct ctx *c, struct call *k);
typedef enum status rewrite_fn(struct ctx *c, struct expr **args, int n, int pos,
                               struct expr **out);

enum func_how {
    HOW_BINARY,   /* kernel */
    HOW_UNARY,    /* kernel */
    HOW_EXTREME,  /* kernel, NULLs passed over: greatest, least */
    HOW_CELL,     /* cell: strict */
    HOW_CELL_ALL, /* cell: sees NULLs too */
    HOW_REWRITE,  /* becomes other expressions at bind time */
    HOW_RANDOM,   /* a function of seed and position; kernel: 1 for the normal distribution */
    HOW_NOW       /* of the environment */
};
enum func_flags {
    FN_COMPARE = 1, /* a comparison: operands are promoted, BIGINT and UBIGINT kept apart */
    FN_FAILS = 2,   /* some arguments raise an error (kernels that can are told by type) */
    FN_ACTS = 8,    /* does something each time: neither folded nor moved */
    FN_FIELD = 4    /* the first argument is a unit of time; a constant one is checked at once */
};

struct func {
    const char *name, *args;
    char result;
    enum func_how how;
    int kernel;
    cell_fn *cell;
    rewrite_fn *rewrite;
    unsigned flags;
};

extern const struct func func_table[];
extern const int n_func_table;
struct func_alias {
    const char *name, *means;
};
extern const struct func_alias func_aliases[];
extern const int n_func_aliases;

/* The name that the table knows a function by. */
const char *func_canonical(const char *name);
bool func_is_operator(const struct func *f);
/* Finds the overload and makes the arguments fit it, in place; no call is built. */
enum status func_resolve(struct ctx *c, const char *name, struct expr **args, int n, int pos,
                         const struct func **out);
/* May its value raise an error on some cell? */
bool expr_may_fail(const struct expr *e);

/* ---- types of arguments (coerce.c) ---- */
/* The common type of numbers; weak ones take the type of what they meet. integers_to_double: as
 * for `f`. */
enum type coerce_common_number(struct expr *const *es, int n, bool integers_to_double);
/* Gives e the type: constants are converted, parameters of unknown type told, else a cast is
 * added. */
enum status coerce(struct ctx *c, struct expr **e, enum type to, int pos);
struct expr *expr_new(struct ctx *c, enum expr_kind kind, enum type type, int pos, int n_args);
/* Evaluates a node whose arguments are constants; one that fails stays as it is, to fail when it
 * is reached. */
struct expr *expr_fold(struct ctx *c, struct expr *e);
struct expr *expr_typed_const(struct ctx *c, const struct value *v, int pos); /* not weak */

/* ---- for cell functions ---- */
#define ARG(k, j, T, i) (((const T *)(k)->arg[j].values)[(k)->arg[j].step * (i)])
#define EACH_CELL(k, i)                                                                            \
    for (int64_t i = bits_next((k)->todo, 0, (k)->n); i < (k)->n;                                  \
         i = bits_next((k)->todo, i + 1, (k)->n))
static inline bool arg_null(const struct call *k, int j, int64_t i)
{
    return k->arg[j].valid && !bit_get(k->arg[j].valid, k->arg[j].step * i);
}
/* Room for n bytes of a result's text, from c->scratch. */
enum status call_text(struct ctx *c, struct call *k, int64_t n, char **out);
enum status call_text_dup(struct ctx *c, struct call *k, const void *bytes, size_t n,
                          struct text *out);

cell_fn cell_cast_to_text, cell_cast_from_text, cell_cast_date_timestamp, cell_cast_timestamp_date;
/* A compiled regular expression of this thread, kept for the next call. */
struct pattern;
enum status pattern_get(struct ctx *c, struct text source, bool fold_case, bool similar,
                        const struct pattern **out);
bool pattern_matches(const struct pattern *p, struct text s);

#endif
