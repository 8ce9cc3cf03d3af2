/* Expressions for tests, written as lists: (+ c0 (* 2 c1)), (case (> c0 1) 'a' 'b'), (in c0 1 2),
 * (isnull x), (notnull x), (distinct a b), (same a b), (cast real x), (weakcast real x).
 * Atoms: cN a column, dN a coordinate, pN a position, $N a parameter, numbers, 'text', date'…',
 * timestamp'…', interval'…', true, false, null. Everything is built by expr.h's functions. */
#ifndef TESSERA_TEST_SEXPR_H
#define TESSERA_TEST_SEXPR_H
#include "query/expr.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct sexpr {
    struct ctx *c;
    const struct rel *in;
    const enum type *params;
    const char *text, *at;
};

static inline void sexpr_space(struct sexpr *p)
{
    while (isspace((unsigned char)*p->at))
        p->at++;
}

static inline enum status sexpr_parse(struct sexpr *p, struct expr **out);

static inline enum status sexpr_quoted(struct sexpr *p, const char *type, struct expr **out)
{
    int pos = (int)(p->at - p->text);
    const char *end = strchr(p->at + 1, '\'');
    struct text t = {p->at + 1, end - p->at - 1};
    p->at = end + 1;
    struct value v = {.type = T_UNKNOWN, .t = t};
    if (*type) TRY(value_parse(p->c, type_by_name(type), t, &v));
    *out = expr_make_const(p->c, &v, pos);
    return OK;
}

static inline enum status sexpr_number(struct sexpr *p, struct expr **out)
{
    int pos = (int)(p->at - p->text);
    size_t len = strspn(p->at, "-+.0123456789einfa");
    char *word = arena_strndup(p->c->arena, p->at, len);
    p->at += len;
    struct value v;
    if (strpbrk(word, ".en")) {
        v = value_double(strtod(word, NULL));
    } else if (word[0] != '-' && strlen(word) >= 19 && strtoull(word, NULL, 10) > INT64_MAX) {
        v = (struct value){.type = T_UINT64, .u = strtoull(word, NULL, 10)};
    } else {
        long long i = strtoll(word, NULL, 10);
        v = value_int(i == (int32_t)i ? T_INT32 : T_INT64, i);
    }
    *out = expr_make_const(p->c, &v, pos);
    return OK;
}

static inline enum status sexpr_atom(struct sexpr *p, struct expr **out)
{
    int pos = (int)(p->at - p->text);
    if (*p->at == '\'') return sexpr_quoted(p, "", out);
    if (isdigit((unsigned char)*p->at) || *p->at == '-') return sexpr_number(p, out);
    if (strchr("cdp$", *p->at) && isdigit((unsigned char)p->at[1])) {
        char kind = *p->at++;
        int i = (int)strtol(p->at, (char **)(uintptr_t)&p->at, 10);
        if (kind == 'c') *out = expr_make_ref(p->c, E_COL, i, p->in->cols[i].type, pos);
        if (kind == 'd') *out = expr_make_ref(p->c, E_DIM, i, p->in->dims[i].axis->type, pos);
        if (kind == 'p') *out = expr_make_ref(p->c, E_POS, i, T_INT64, pos);
        if (kind == '$')
            *out =
                expr_make_ref(p->c, E_PARAM, i - 1, p->params ? p->params[i - 1] : T_UNKNOWN, pos);
        return OK;
    }
    size_t len = strcspn(p->at, " ()'");
    char *word = arena_strndup(p->c->arena, p->at, len);
    p->at += len;
    if (*p->at == '\'') return sexpr_quoted(p, word, out);
    struct value v = {.type = T_BOOL, .i = strcmp(word, "true") == 0};
    if (strcmp(word, "null") == 0) v = value_null(T_UNKNOWN);
    if (strcmp(word, "nan") == 0 || strcmp(word, "inf") == 0) v = value_double(strtod(word, NULL));
    *out = expr_make_const(p->c, &v, pos);
    return OK;
}

static inline enum status sexpr_list(struct sexpr *p, struct expr **out)
{
    int pos = (int)(p->at - p->text), n = 0;
    struct expr *args[300];
    p->at++;
    size_t len = strcspn(p->at, " )");
    char *name = arena_strndup(p->c->arena, p->at, len);
    p->at += len;
    enum type to = T_NONE;
    bool cast = strcmp(name, "cast") == 0, weak = strcmp(name, "weakcast") == 0;
    if (cast || weak) {
        sexpr_space(p);
        len = strcspn(p->at, " )");
        to = type_by_name(arena_strndup(p->c->arena, p->at, len));
        p->at += len;
    }
    for (char *dot = name; (dot = strchr(dot, '_'));) { /* not_like: "not like" */
        if (strncmp(name, "not_", 4) == 0 && dot == name + 3) *dot = ' ';
        dot++;
    }
    for (sexpr_space(p); *p->at != ')'; sexpr_space(p))
        TRY(sexpr_parse(p, &args[n++]));
    p->at++;
    struct ctx *c = p->c;
    if (cast || weak) return expr_make_cast(c, args[0], to, cast, pos, out);
    if (strcmp(name, "case") == 0)
        return expr_make_case(c, args, n & ~1, n % 2 ? args[n - 1] : NULL, pos, out);
    if (strcmp(name, "in") == 0) return expr_make_in(c, args[0], args + 1, n - 1, false, pos, out);
    if (strcmp(name, "not in") == 0)
        return expr_make_in(c, args[0], args + 1, n - 1, true, pos, out);
    if (strcmp(name, "isnull") == 0) return expr_make_is_null(c, args[0], false, pos, out);
    if (strcmp(name, "notnull") == 0) return expr_make_is_null(c, args[0], true, pos, out);
    if (strcmp(name, "distinct") == 0)
        return expr_make_distinct(c, args[0], args[1], false, pos, out);
    if (strcmp(name, "same") == 0) return expr_make_distinct(c, args[0], args[1], true, pos, out);
    return expr_make_call(c, name, args, n, pos, out);
}

static inline enum status sexpr_parse(struct sexpr *p, struct expr **out)
{
    sexpr_space(p);
    return *p->at == '(' ? sexpr_list(p, out) : sexpr_atom(p, out);
}

/* Reads one expression over a relation. */
static inline enum status sexpr(struct ctx *c, const struct rel *in, const char *text,
                                struct expr **out)
{
    struct sexpr p = {.c = c, .in = in, .text = text, .at = text};
    TRY(sexpr_parse(&p, out));
    return expr_resolve_unknown(c, out);
}

#endif
