/* What the grammar's actions build the tree with; private to the parser (parse.c, parse_tree.c and
 * the parse_*.y files). Everything lies in the statement's arena. An action that finds a mistake
 * records it in p->status, and the parser stops at the end of the token. */
#ifndef TESSERA_PARSE_TREE_H
#define TESSERA_PARSE_TREE_H
#include "query/ast.h"
#include "query/lex.h"
#include "storage/base/strbuf.h"

/* How deep expressions and queries nest at most: whoever walks the tree may recurse. */
enum { TREE_DEPTH_MAX = 1000 };

struct parser {
    struct ctx *c;
    const char *src;
    int n;
    struct token cur, last, before; /* the token being looked at, and the two before it */
    enum status status;
    struct ast_script script;
    struct ast_expr *expr; /* parse_expr()'s result */
};

/* Appends to a list {n, v}. Its room is the power of two at or above n, four at least. */
#define ADD(p, list, item)                                                                         \
    ((list)->v = tree_room((p), (list)->v, (list)->n, sizeof *(list)->v),                          \
     (list)->v[(list)->n++] = (item))
void *tree_room(struct parser *p, const void *v, int n, size_t bytes);

/* `syntax error at or near "…"`, with a hint for the usual slips. */
void parse_syntax_error(struct parser *p, const struct token *t);
/* Any other mistake. */
void parse_mistake(struct parser *p, enum status code, int pos, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void parse_too_deep(struct parser *p);

/* ---- what the grammar needs between rules and the tree doesn't keep ---- */
enum ind_kind { IND_NAME, IND_STAR, IND_BRACKET };
struct ind { /* .name, .*, [axes] behind an expression */
    enum ind_kind kind;
    const char *name;
    struct ast_axes axes;
    int pos;
};
AST_LIST(inds, struct ind);

struct call_args {
    struct ast_exprs exprs;
    struct ast_names names; /* parallel; NULL: none given */
    bool named, variadic;
};
struct alias {
    const char *name;
    struct ast_columns typed; /* AS name (a int, b text) */
    struct ast_names columns;
};
AST_LIST(rows, struct ast_exprs);
AST_LIST(ctes, struct ast_cte);
struct with {
    struct ctes list;
    bool recursive;
    int pos;
};
struct tail { /* what follows a select */
    struct ast_sorts order;
    struct ast_expr *limit, *offset;
    bool has_limit; /* LIMIT ALL has no expression */
    const char *locking;
    int limit_pos;
};
struct frame_edge {
    enum frame_bound bound;
    struct ast_expr *e;
};
AST_LIST(window_defs, struct ast_window_def);
struct join_how {
    struct ast_expr *on;
    struct ast_names using_cols;
};
struct constraint { /* of the table: CHECK, PRIMARY KEY or UNIQUE */
    bool primary_key;
    struct ast_names columns;
    struct ast_check check; /* e NULL: none */
};
AST_LIST(names_list, struct ast_name);
AST_LIST(types_list, struct ast_type *);

/* ---- expressions ---- */
struct ast_expr *tree_expr(struct parser *p, enum ast_expr_kind kind, int pos); /* a leaf */
/* Measures the depth of an expression whose parts are in place; returns it. */
struct ast_expr *tree_done(struct parser *p, struct ast_expr *e);
struct ast_expr *tree_literal(struct parser *p, enum ast_expr_kind kind, const struct token *t);
struct ast_expr *tree_number(struct parser *p, const struct token *t); /* TK_ICONST, TK_FCONST */
struct ast_expr *tree_op(struct parser *p, const char *op, int pos, struct ast_expr *a,
                         struct ast_expr *b, struct ast_expr *c);
struct ast_expr *tree_is(struct parser *p, const char *what, int pos, struct ast_expr *a,
                         bool not );
struct ast_expr *tree_args(struct parser *p, enum ast_expr_kind kind, int pos,
                           struct ast_exprs args);
struct ast_expr *tree_select_expr(struct parser *p, enum ast_expr_kind kind, int pos,
                                  struct ast_select *s);
struct ast_expr *tree_typed(struct parser *p, const struct token *type, const struct token *text);
struct ast_expr *tree_cast(struct parser *p, int pos, struct ast_expr *e, struct ast_type *type);
struct ast_expr *tree_name(struct parser *p, struct ast_name name);
/* A call with a fixed number of arguments, a NULL ends them. */
struct ast_expr *tree_call(struct parser *p, const struct token *name, struct ast_expr *a,
                           struct ast_expr *b, struct ast_expr *c, struct ast_expr *d);
struct ast_expr *tree_call_args(struct parser *p, struct ast_name name, struct call_args *args);
struct ast_expr *tree_bracket(struct parser *p, int pos, struct ast_axes axes);
/* IN: the right side comes as an X_IN without its left one. */
struct ast_expr *tree_in(struct parser *p, int pos, struct ast_expr *e, struct ast_expr *right,
                         bool not );
/* TRIM's arguments: the text comes last when what is taken off stands before FROM. */
struct ast_expr *tree_trim(struct parser *p, const struct token *name, struct ast_exprs args);
/* A name, or any expression, with what stands behind it. */
struct ast_expr *tree_column(struct parser *p, const struct token *first, struct inds rest);
struct ast_expr *tree_indirect(struct parser *p, struct ast_expr *e, struct inds rest);
struct ast_name tree_function_name(struct parser *p, const struct token *first, struct inds rest);
void tree_add_arg(struct parser *p, struct call_args *args, const char *name, struct ast_expr *e);

/* ---- names, types, axes ---- */
struct ast_name tree_name1(struct parser *p, const struct token *t);
struct ast_name tree_name_add(struct parser *p, struct ast_name name, const char *part);
struct ast_name tree_setting(struct parser *p, struct ast_name name); /* a.b in one part */
struct ast_type *tree_type(struct parser *p, const struct token *t, const char *name);
struct ast_axis *tree_axis(struct parser *p, enum axis_item_kind kind, int pos);

/* ---- queries ---- */
struct ast_select *tree_select(struct parser *p, int pos);
struct ast_select *tree_select_done(struct parser *p, struct ast_select *s);
struct ast_select *tree_set(struct parser *p, enum set_op op, bool all, struct ast_select *left,
                            struct ast_select *right);
struct ast_select *tree_with(struct parser *p, struct ast_select *s, const struct with *w);
struct tail *tree_tail_new(struct parser *p, struct ast_sorts order, const struct tail *limits);
struct tail *tree_limit(struct parser *p, int pos, struct ast_expr *e);
struct ast_select *tree_select_all(struct parser *p, struct ast_from *f); /* SELECT * FROM f */
struct ast_from *tree_from_call(struct parser *p, struct ast_expr *call);
struct ast_select *tree_tail(struct parser *p, struct ast_select *s, const struct tail *t);
struct ast_from *tree_from(struct parser *p, enum from_kind kind, int pos);
struct ast_from *tree_from_done(struct parser *p, struct ast_from *f);
struct ast_from *tree_pair(struct parser *p, enum from_kind kind, struct ast_from *left,
                           struct ast_from *right);
struct ast_from *tree_alias(struct parser *p, struct ast_from *f, const struct alias *a);
struct ast_from *tree_join(struct parser *p, struct ast_from *f, enum join_kind kind,
                           const struct join_how *how, struct ast_expr *tolerance);

/* ---- statements ---- */
struct ast_stmt *tree_stmt(struct parser *p, enum stmt_kind kind, int pos);
/* Ends the statement's text at the last token; returns it. */
struct ast_stmt *tree_stmt_end(struct parser *p, struct ast_stmt *s);
struct ast_stmt *tree_query(struct parser *p, struct ast_select *s); /* S_SELECT */
/* INSERT's source: EMPTY in VALUES is the cell's state, not a column. */
struct ast_select *tree_mark_empty(struct parser *p, struct ast_select *s);
struct ast_option *tree_option(struct parser *p, const char *name, int pos, const char *value);
struct ast_stmt *tree_fetch(struct parser *p, const char *direction, int64_t count);
struct ast_stmt *tree_fetch_all(struct parser *p, const char *direction);
struct ast_column *tree_columndef(struct parser *p, const struct token *name, struct ast_type *t);
struct ast_column *tree_dimension(struct parser *p, struct ast_column *d, enum dim_kind kind,
                                  int pos);
void tree_check_null(struct parser *p, const struct ast_column *d, int pos);
/* REFERENCES, FOREIGN KEY: refused. */
void tree_no_references(struct parser *p, int pos);
void tree_add_constraint(struct parser *p, struct ast_stmt *s, const struct constraint *k);
/* AS select: the statement's query, and where its text lies. */
void tree_set_body(struct parser *p, struct ast_stmt *s, struct ast_select *select);
void tree_set_index(struct parser *p, struct ast_stmt *s, bool unique, struct ast_name array,
                    struct ast_exprs columns);
void tree_set_mode(struct ast_stmt *s, const char *mode); /* of a transaction; NULL: none */
struct ast_stmt *tree_grant_on(struct parser *p, const char *what, struct names_list names);
struct ast_stmt *tree_grant(struct parser *p, enum stmt_kind kind, int pos, struct ast_options what,
                            const struct ast_stmt *on, struct ast_names to);
void tree_set_schedule_body(struct parser *p, struct ast_stmt *s, struct ast_stmt *body, int pos);
void tree_explain_options(struct ast_stmt *s);
int64_t tree_int(struct parser *p, const struct token *t); /* of TK_ICONST */

#endif
