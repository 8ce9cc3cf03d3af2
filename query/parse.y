/* What is a statement? The grammar of the language page, in Lemon's notation: this file and
 * parse_*.y, put together by the Makefile, which adds %fallback and the class `collabel` from
 * storage/base/keywords.h. It has no conflicts, and may have none: make fails on the first.
 *
 * Reductions wait for the next token (lemon -c), so that p->last is the last token of what is being
 * reduced. Tokens that end in _LA are keywords that the token behind them has decided (parse.c). */
%name grammar
%token_prefix TK_
%token_type {struct token}
%extra_argument {struct parser *p}
%stack_size 4000
%include {
#include "query/parse_tree.h"
#include <assert.h>
#include <stdlib.h>
}
%syntax_error { (void)yymajor; parse_syntax_error(p, &TOKEN); }
%stack_overflow { parse_too_deep(p); }

/* From loosest to tightest. */
%left UNION EXCEPT.
%left INTERSECT.
%left OR.
%left AND.
%right NOT.
%nonassoc IS ISNULL NOTNULL.
%nonassoc LT GT EQ LE GE NE.
%nonassoc BETWEEN IN LIKE ILIKE SIMILAR NOT_LA.
%nonassoc ESCAPE.
%nonassoc ID.
%left OP OPERATOR HASH.
%left PLUS MINUS.
%left STAR SLASH FLOORDIV PERCENT MATMUL.
%left CARET.
%left AT.
%left COLLATE.
%right UMINUS.
%left LB RB.
%left LP RP.
%left CAST_TO.
%left DOT.
%left JOIN CROSS LEFT FULL RIGHT INNER NATURAL ASOF.
%left ALIGN.

%fallback ID ROW_LA ROWS_LA WITHOUT_LA.

start ::= script.
start ::= START_EXPR expr(X).           { p->expr = X; }
script ::= stmtopt.
script ::= script SEMI stmtopt.
stmtopt ::= .
stmtopt ::= stmt(X).                    { tree_stmt_end(p, X); ADD(p, &p->script, X); }

%type stmt {struct ast_stmt *}
stmt(A) ::= select_no_parens(X).        { A = tree_query(p, X); }
stmt(A) ::= select_with_parens(X). [UMINUS] { A = tree_query(p, X); }
stmt(A) ::= dml(X).                     { A = X; }
stmt(A) ::= util(X).                    { A = X; }

/* A query that is a part of a statement. */
%type stmtselect {struct ast_select *}
stmtselect(A) ::= select_no_parens(X).  { A = X; }
stmtselect(A) ::= select_with_parens(X). { A = X; }

/* ---- names ---- */
colid(A) ::= ID(X). { A = X; }
colid(A) ::= ROW(X). { A = X; }
colid(A) ::= TIMESTAMP(X). { A = X; }
colid(A) ::= TIME(X). { A = X; }
colid(A) ::= INTERVAL(X). { A = X; }
attr(A) ::= collabel(X).                { A = X; }

%type qname {struct ast_name}
qname(A) ::= colid(X).                  { A = tree_name1(p, &X); }
qname(A) ::= qname(Q) DOT attr(X).      { A = tree_name_add(p, Q, X.text); }
%type qnames {struct names_list}
qnames(A) ::= qname(X).                 { A = (struct names_list){0}; ADD(p, &A, X); }
qnames(A) ::= qnames(L) COMMA qname(X). { A = L; ADD(p, &A, X); }
%type namelist {struct ast_names}
namelist(A) ::= colid(X).               { A = (struct ast_names){0}; ADD(p, &A, X.text); }
namelist(A) ::= namelist(L) COMMA colid(X). { A = L; ADD(p, &A, X.text); }
%type optnames {struct ast_names}
optnames(A) ::= .                       { A = (struct ast_names){0}; }
optnames(A) ::= LP namelist(L) RP.      { A = L; }

/* A number with its sign, as text. */
%type signum {const char *}
signum(A) ::= ICONST|FCONST(X).         { A = X.text; }
signum(A) ::= PLUS ICONST|FCONST(X).    { A = X.text; }
signum(A) ::= MINUS ICONST|FCONST(X).   { A = arena_printf(p->c->arena, "-%s", X.text); }

/* ---- types ---- */
%type typename {struct ast_type *}
%type simpletype {struct ast_type *}
%type dimsuffix {int}
typename(A) ::= simpletype(X).          { A = X; }
typename(A) ::= SETOF simpletype(X).    { A = X; A->setof = true; }
typename(A) ::= simpletype(X) dimsuffix(N). { A = X; A->array_dims = N; }
typename(A) ::= simpletype(X) ARRAY.    { A = X; A->array_dims = 1; }
dimsuffix(A) ::= LB RB.                 { A = 1; }
dimsuffix(A) ::= LB ICONST RB.          { A = 1; }
dimsuffix(A) ::= dimsuffix(N) LB RB.    { A = N + 1; }
dimsuffix(A) ::= dimsuffix(N) LB ICONST RB. { A = N + 1; }
simpletype(A) ::= ID(X) typmod(M).      { A = tree_type(p, &X, X.text); A->mods = M; }
simpletype(A) ::= ID(S) DOT attr(X) typmod(M). { A = tree_type(p, &S, X.text); A->schema = S.text;
                                          A->mods = M; }
simpletype(A) ::= DOUBLE(X) PRECISION.  { A = tree_type(p, &X, "double precision"); }
simpletype(A) ::= DOUBLE(X). [ID]       { A = tree_type(p, &X, "double precision"); }
simpletype(A) ::= CHARACTER(X) VARYING typmod(M). { A = tree_type(p, &X, "varchar"); A->mods = M; }
simpletype(A) ::= CHARACTER(X) typmod(M). { A = tree_type(p, &X, "char"); A->mods = M; }
simpletype(A) ::= TIMESTAMP|TIME(X) typmod(M) tz(Z). { A = tree_type(p, &X, X.text); A->mods = M;
                                          A->with_time_zone = Z; }
simpletype(A) ::= INTERVAL(X) ivfield.  { A = tree_type(p, &X, X.text); }
simpletype(A) ::= INTERVAL(X) LP ICONST RP. { A = tree_type(p, &X, X.text); }
%type typmod {struct ast_exprs}
typmod(A) ::= .                         { A = (struct ast_exprs){0}; }
typmod(A) ::= LP exprs(L) RP.           { A = L; }
%type tz {bool}
tz(A) ::= .                             { A = false; }
tz(A) ::= WITH_LA TIME ZONE.            { A = true; }
tz(A) ::= WITHOUT_LA TIME ZONE.         { A = false; }
/* "day", "year to month"; NULL when none is said. */
%type ivfield {const char *}
ivfield(A) ::= .                        { A = NULL; }
ivfield(A) ::= ivunit(X).               { A = X.text; }
ivfield(A) ::= ivunit(X) TO ivunit(Y).  { A = arena_printf(p->c->arena, "%s to %s", X.text, Y.text); }
ivunit(A) ::= YEAR|MONTH|DAY|HOUR|MINUTE|SECOND(X). { A = X; }
%type types {struct types_list}
types(A) ::= typename(X).               { A = (struct types_list){0}; ADD(p, &A, X); }
types(A) ::= types(L) COMMA typename(X). { A = L; ADD(p, &A, X); }

/* ---- one bracket, wherever it stands ---- */
%type bracket {struct ast_axes}
bracket(A) ::= LB axes(L) RB.           { A = L; }
%type axes {struct ast_axes}
axes(A) ::= axis(X).                    { A = (struct ast_axes){0}; ADD(p, &A, *X); }
axes(A) ::= axes(L) COMMA axis(X).      { A = L; ADD(p, &A, *X); }
%type axis {struct ast_axis *}
axis(A) ::= range(X).                   { A = X; }
axis(A) ::= colid(D) ARROW range(X).    { A = X; A->dim = D.text; A->pos = D.pos; }
axis(A) ::= HASH(H) colid(D) ARROW range(X). { A = X; A->dim = D.text; A->by_position = true;
                                          A->pos = H.pos; }
%type range {struct ast_axis *}
range(A) ::= bound(X).                  { A = X; }
range(A) ::= bound(X) COLON bound(Y).   { A = X; A->kind = AXIS_RANGE; A->all = false; A->hi = Y->lo; }
range(A) ::= bound(X) COLON bound(Y) COLON expr(Z). { A = X; A->kind = AXIS_RANGE; A->all = false;
                                          A->hi = Y->lo; A->step = Z; }
range(A) ::= NEAREST(N) expr(X).        { A = tree_axis(p, AXIS_NEAREST, N.pos); A->lo = X; }
range(A) ::= NEAREST(N) expr(X) TOLERANCE expr(Y). { A = tree_axis(p, AXIS_NEAREST, N.pos);
                                          A->lo = X; A->tolerance = Y; }
%type bound {struct ast_axis *}
bound(A) ::= expr(X).                   { A = tree_axis(p, AXIS_POINT, X->pos); A->lo = X; }
bound(A) ::= STAR(X).                   { A = tree_axis(p, AXIS_POINT, X.pos); A->all = true; }

