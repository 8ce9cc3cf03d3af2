/* Which overload does a call by name mean? */
#include "query/func.h"
#include "query/agg.h"
#include "storage/base/datetime.h"
#include "storage/base/names.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ARGS 100 /* PostgreSQL's limit */

static const int UNFIT = 1000;

/* ---- names ---- */

/* A name, and where its overloads stand in the table: all of them one after another. */
struct named {
    const char *name, *means;
    int first, n;
};

static struct named *index_of_names;
static int n_index;
static pthread_once_t index_once = PTHREAD_ONCE_INIT;

static int order_of_named(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static void make_index(void)
{
    struct named *all = calloc((size_t)(n_func_table + n_func_aliases), sizeof *all);
    if (!all) abort();
    for (int i = 0; i < n_func_table; i++) {
        const char *name = func_table[i].name;
        if (n_index && strcmp(all[n_index - 1].name, name) == 0)
            all[n_index - 1].n++;
        else
            all[n_index++] = (struct named){name, name, i, 1};
    }
    for (int i = 0; i < n_func_aliases; i++)
        all[n_index++] = (struct named){func_aliases[i].name, func_aliases[i].means, 0, 0};
    qsort(all, (size_t)n_index, sizeof *all, order_of_named);
    index_of_names = all; /* kept for good, as func_names() keeps its list */
}

static const struct named *find_named(const char *name)
{
    struct named key = {.name = name};
    pthread_once(&index_once, make_index);
    return bsearch(&key, index_of_names, (size_t)n_index, sizeof key, order_of_named);
}

const char *func_canonical(const char *name)
{
    const struct named *named = find_named(name);
    return named ? named->means : name;
}

/* Those of a canonical name; *n 0: there is none. */
static const struct func *overloads_of(const char *name, int *n)
{
    const struct named *named = find_named(name);
    *n = named ? named->n : 0;
    return named ? &func_table[named->first] : NULL;
}

bool func_exists(const char *name)
{
    int n;
    (void)overloads_of(func_canonical(name), &n);
    return n > 0;
}

const char *func_name(const struct func *f)
{
    return f->name;
}

bool func_is_operator(const struct func *f)
{
    char ch = f->name[0];
    return !((ch >= 'a' && ch <= 'z') || ch == '_') || strstr(f->name, "like") ||
           strstr(f->name, "similar");
}

/* All names that can be called, each once; made at the first call and kept. */
const char *const *func_names(int *n)
{
    static const char *names[512];
    static _Atomic int count;
    int have = count;
    if (have == 0) {
        const char *fresh[512];
        for (int i = 0; i < n_func_table && have < 400; i++) {
            if (func_is_operator(&func_table[i])) continue;
            if (i > 0 && strcmp(func_table[i].name, func_table[i - 1].name) == 0) continue;
            fresh[have++] = func_table[i].name;
        }
        for (int i = 0; i < n_func_aliases && have < 512; i++)
            fresh[have++] = func_aliases[i].name;
        /* Two threads that come here at once write the same pointers. */
        for (int i = 0; i < have; i++)
            __atomic_store_n(&names[i], fresh[i], __ATOMIC_RELAXED);
        count = have;
    }
    *n = have;
    return names;
}

/* ---- finding the overload ---- */

/* How far an argument is from what a letter wants: 0 at home, UNFIT never. */
static int letter_cost(char letter, const struct expr *e)
{
    enum type t = e->type;
    if (letter == '?') return 0;
    if (t == T_UNKNOWN) return letter == 't' ? 2 : letter == 'x' || letter == 'o' ? 4 : 3;
    switch (letter) {
    case 'n':
        return type_is_numeric(t) ? 0 : UNFIT;
    case 'i':
        return type_is_integer(t) ? 0 : UNFIT;
    case 'f':
        return type_is_float(t) ? 0 : type_is_numeric(t) ? 1 : UNFIT;
    case 'd':
        return t == T_FLOAT64 ? 0 : type_is_numeric(t) ? 1 : UNFIT;
    case 'l':
        return t == T_INT64 ? 0 : type_is_integer(t) ? 1 : UNFIT;
    case 't':
        return t == T_TEXT ? 0 : UNFIT;
    case 'x':
    case 'o':
        return t == T_TEXT ? 1 : 6;
    case 'b':
        return t == T_BOOL ? 0 : UNFIT;
    case 'D':
        return t == T_DATE ? 0 : UNFIT;
    case 'T':
        return t == T_TIMESTAMP ? 0 : t == T_DATE ? 1 : UNFIT;
    default:
        return t == T_INTERVAL ? 0 : UNFIT;
    }
}

/* The letter for argument i, '\0' past the end. */
static char letter_at(const char *pattern, int i)
{
    for (int k = 0;; k++) {
        if (pattern[k] == '\0') return '\0';
        if (pattern[k + 1] == '*') return i >= k ? pattern[k] : pattern[i];
        if (k == i) return pattern[k];
    }
}

static bool count_fits(const char *pattern, int n)
{
    size_t len = strlen(pattern);
    if (len > 0 && pattern[len - 1] == '*') return n >= (int)len - 2;
    return n == (int)len;
}

static int overload_cost(const struct func *f, struct expr *const *args, int n)
{
    if (!count_fits(f->args, n)) return UNFIT;
    int cost = 0;
    for (int i = 0; i < n && cost < UNFIT; i++)
        cost += letter_cost(letter_at(f->args, i), args[i]);
    return cost;
}

/* PostgreSQL's rule for operators: a quoted literal is first taken to be of the other operand's
 * type. */
static int cost_as_other(const struct func *f, struct expr *const *args)
{
    int unknown = args[0]->type == T_UNKNOWN ? 0 : 1;
    struct expr as_other = *args[1 - unknown];
    struct expr *both[2] = {&as_other, &as_other};
    return overload_cost(f, both, 2);
}

static void add_types(struct strbuf *b, struct expr *const *args, int n)
{
    for (int i = 0; i < n; i++)
        strbuf_addf(b, "%s%s", i ? ", " : "", type_name(args[i]->type));
}

static bool is_operator_name(const char *name)
{
    struct func f = {.name = name};
    return func_is_operator(&f);
}

static enum status no_such(struct ctx *c, const char *name, struct expr *const *args, int n,
                           int pos, bool ambiguous)
{
    bool op = is_operator_name(name);
    enum status code = ambiguous ? ERR_AMBIGUOUS_FUNCTION : ERR_UNDEFINED_FUNCTION;
    const char *what = ambiguous ? "is not unique" : "does not exist";
    struct strbuf types = STRBUF_INIT;
    if (op && n == 2) {
        fail_at(c, code, pos, "operator %s: %s %s %s", what, type_name(args[0]->type), name,
                type_name(args[1]->type));
    } else if (op && n == 1) {
        fail_at(c, code, pos, "operator %s: %s %s", what, name, type_name(args[0]->type));
    } else {
        add_types(&types, args, n);
        fail_at(c, code, pos, "function %s(%s) %s", name, types.len ? types.s : "", what);
        strbuf_release(&types);
    }
    if (ambiguous)
        return hint(c,
                    "Could not choose a best candidate %s. You might need to add explicit type "
                    "casts.",
                    op ? "operator" : "function");
    if (!op && !func_exists(name)) {
        int n_names, n_aggs;
        const char *const *names = func_names(&n_names), *const *aggs = agg_names(&n_aggs);
        const char *near[2];
        int n_near = 0;
        if ((near[n_near] = nearest_name(name, names, n_names))) n_near++;
        if ((near[n_near] = nearest_name(name, aggs, n_aggs))) n_near++;
        const char *nearest = n_near ? nearest_name(name, near, n_near) : NULL;
        if (nearest) return hint(c, "Perhaps you meant \"%s\".", nearest);
    } else if (!op) {
        int n_all;
        const struct func *f = overloads_of(func_canonical(name), &n_all);
        if (f->how == HOW_RANDOM) return hint(c, "Give the seed: %s(1).", name);
    }
    return hint(c, "No %s matches the given %s. You might need to add explicit type casts.",
                op ? "operator" : "function",
                op ? "name and argument types" : "name and arguments");
}

static enum status find_overload(struct ctx *c, const char *name, struct expr *const *args, int n,
                                 int pos, const struct func **out)
{
    int n_all;
    const struct func *all = overloads_of(func_canonical(name), &n_all);
    bool one_unknown = n == 2 && (args[0]->type == T_UNKNOWN) != (args[1]->type == T_UNKNOWN);
    const struct func *best = NULL;
    int best_cost = UNFIT, ties = 0;
    for (int as_other = one_unknown && is_operator_name(name); as_other >= 0 && !best; as_other--) {
        for (const struct func *f = all; f < all + n_all; f++) {
            int cost = as_other ? count_fits(f->args, 2) ? cost_as_other(f, args) : UNFIT
                                : overload_cost(f, args, n);
            if (cost < best_cost) {
                best = f;
                best_cost = cost;
                ties = 0;
            } else if (cost == best_cost && cost < UNFIT) {
                ties++;
            }
        }
    }
    if (!best || (ties && n > 1 && is_operator_name(name)))
        return no_such(c, name, args, n, pos, best != NULL);
    *out = best;
    return OK;
}

/* ---- making the call ---- */

static enum type letter_type(char letter, enum type common)
{
    switch (letter) {
    case 'd':
        return T_FLOAT64;
    case 'l':
        return T_INT64;
    case 'I':
        return T_INT32;
    case 't':
    case 'x':
    case 'o':
        return T_TEXT;
    case 'b':
        return T_BOOL;
    case 'D':
        return T_DATE;
    case 'T':
        return T_TIMESTAMP;
    case 'V':
        return T_INTERVAL;
    default:
        return common;
    }
}

/* A comparison keeps BIGINT and UBIGINT as they are: no type holds both. A parameter's type counts
 * in full, so that tiny = $1 is false for a large $1, not an error. */
static enum status coerce_compared(struct ctx *c, struct expr **args, int pos)
{
    bool weak[2] = {args[0]->weak, args[1]->weak};
    struct expr own[2] = {*args[0], *args[1]};
    struct expr *both[2] = {&own[0], &own[1]};
    for (int i = 0; i < 2; i++)
        own[i].weak = weak[i] && (own[i].kind == E_CONST || type_is_float(own[i].type));
    enum type common = coerce_common_number(both, 2, false);
    enum type a = args[0]->type, b = args[1]->type;
    if (type_is_float(common) && type_is_integer(a) && type_is_integer(b)) {
        TRY(coerce(c, &args[0], type_is_signed(a) ? T_INT64 : T_UINT64, pos));
        return coerce(c, &args[1], type_is_signed(b) ? T_INT64 : T_UINT64, pos);
    }
    TRY(coerce(c, &args[0], common, pos));
    return coerce(c, &args[1], common, pos);
}

/* A truth as PostgreSQL's output functions write it: t, f. */
static enum status truth_as_output(struct ctx *c, struct expr **e, int pos)
{
    struct value t = value_text("t"), f = value_text("f"), null = value_null(T_TEXT);
    struct expr * not, *branches[4] = {*e, expr_typed_const(c, &t, pos), NULL, NULL};
    TRY(expr_make_call(c, "not", e, 1, pos, &not ));
    branches[2] = not ;
    branches[3] = expr_typed_const(c, &f, pos);
    return expr_make_case(c, branches, 4, expr_typed_const(c, &null, pos), pos, e);
}

static enum status coerce_args(struct ctx *c, const struct func *f, struct expr **args, int n,
                               int pos, enum type *common)
{
    struct expr *grouped[MAX_ARGS];
    int n_grouped = 0;
    bool floats = false, integers = false;
    for (int i = 0; i < n; i++) {
        char letter = letter_at(f->args, i);
        if (letter != 'n' && letter != 'i' && letter != 'f') continue;
        floats |= letter == 'f';
        integers |= letter == 'i';
        grouped[n_grouped++] = args[i];
    }
    *common = T_NONE;
    if ((f->flags & FN_COMPARE) && n_grouped == 2) return coerce_compared(c, args, pos);
    if (n_grouped > 0) *common = coerce_common_number(grouped, n_grouped, floats);
    if (integers && !type_is_integer(*common))
        return *common != T_FLOAT64 || n_grouped < 2
                   ? no_such(c, f->name, args, n, pos, false)
                   : fail_at(c, ERR_UNDEFINED_FUNCTION, pos,
                             "no integer type holds both %s and %s; cast one of them",
                             type_name(grouped[0]->type), type_name(grouped[1]->type));
    for (int i = 0; i < n; i++) {
        char letter = letter_at(f->args, i);
        if (letter == '?') continue;
        if (letter == 'o' && args[i]->type == T_BOOL) TRY(truth_as_output(c, &args[i], pos));
        TRY(coerce(c, &args[i], letter_type(letter, *common), pos));
    }
    return OK;
}

static const char *const time_units[] = {
    "microsecond", "microseconds", "millisecond", "milliseconds", "second",  "minute", "hour",
    "day",         "week",         "month",       "quarter",      "year",    "decade", "century",
    "millennium",  "dow",          "isodow",      "doy",          "isoyear", "epoch",  "julian"};

/* extract(fortnight FROM t) fails when it is written, not when it is run. */
static enum status check_field(struct ctx *c, const struct func *f, struct expr *const *args,
                               int pos)
{
    if (args[0]->kind != E_CONST || args[0]->value.null || args[1]->kind == E_CONST) return OK;
    struct text field = args[0]->value.t;
    char lower[32];
    bool known = field.len < (int64_t)sizeof lower;
    for (int64_t i = 0; known && i < field.len; i++)
        lower[i] = (char)(field.s[i] >= 'A' && field.s[i] <= 'Z' ? field.s[i] + 32 : field.s[i]);
    if (known) {
        int64_t us;
        double d;
        struct interval iv = {0};
        size_t len = (size_t)field.len;
        known = strcmp(f->name, "date_trunc") == 0 ? timestamp_trunc(lower, len, 0, &us)
                : args[1]->type == T_INTERVAL      ? interval_extract(lower, len, &iv, &d)
                                                   : timestamp_extract(lower, len, 0, &d);
    }
    if (known) return OK;
    fail_at(c, ERR_INVALID_PARAMETER, args[0]->pos >= 0 ? args[0]->pos : pos,
            "unit \"%.*s\" not recognized for type %s", (int)field.len, field.s,
            type_name(args[1]->type));
    char *name = arena_strndup(c->arena, field.s, (size_t)field.len);
    const char *near =
        nearest_name(name, time_units, (int)(sizeof time_units / sizeof *time_units));
    return near ? hint(c, "Perhaps you meant \"%s\".", near) : ERR_INVALID_PARAMETER;
}

/* Finds the overload and makes the arguments fit it. */
static enum status resolve(struct ctx *c, const char *name, struct expr **args, int n, int pos,
                           const struct func **f, enum type *common)
{
    TRY(find_overload(c, name, args, n, pos, f));
    return coerce_args(c, *f, args, n, pos, common);
}

enum status func_resolve(struct ctx *c, const char *name, struct expr **args, int n, int pos,
                         const struct func **out)
{
    enum type common;
    return resolve(c, name, args, n, pos, out, &common);
}

enum status expr_make_call(struct ctx *c, const char *name, struct expr **given, int n, int pos,
                           struct expr **out)
{
    if (n > MAX_ARGS)
        return fail_at(c, ERR_LIMIT_EXCEEDED, pos, "cannot pass more than %d arguments to %s",
                       MAX_ARGS, name);
    const struct func *f;
    enum type common;
    struct expr *e = expr_new(c, E_CALL, T_NONE, pos, n);
    if (n > 0) memcpy(e->args, given, sizeof *given * (size_t)n);
    TRY(resolve(c, name, e->args, n, pos, &f, &common));
    if (f->how == HOW_REWRITE) return f->rewrite(c, e->args, n, pos, out);
    if (f->flags & FN_FIELD) TRY(check_field(c, f, e->args, pos));
    e->func = f;
    e->type = letter_type(f->result, common);
    e->weak = n > 0 && f->how != HOW_RANDOM; /* of which every cell has another */
    for (int i = 0; i < n; i++)
        e->weak &= e->args[i]->weak;
    *out = expr_fold(c, e);
    return OK;
}
