/* ======== What is a query? ======== */
%type select_with_parens {struct ast_select *}
select_with_parens(A) ::= LP(W) select_no_parens(X) RP. { A = X; A->pos = W.pos; }
select_with_parens(A) ::= LP(W) select_with_parens(X) RP. { A = X; A->pos = W.pos; }
%type select_no_parens {struct ast_select *}
select_no_parens(A) ::= simple_select(X). { A = X; }
select_no_parens(A) ::= select_clause(X) tail(T). { A = tree_tail(p, X, T); }
select_no_parens(A) ::= with(W) select_clause(X). { A = tree_with(p, X, W); }
select_no_parens(A) ::= with(W) select_clause(X) tail(T).
                                        { A = tree_with(p, tree_tail(p, X, T), W); }
%type select_clause {struct ast_select *}
select_clause(A) ::= simple_select(X).  { A = X; }
select_clause(A) ::= select_with_parens(X). { A = X; }
%type simple_select {struct ast_select *}
simple_select(A) ::= SELECT(W) body(B). { A = B; A->pos = W.pos; }
simple_select(A) ::= SELECT(W) targets(L) body(B). { A = B; A->pos = W.pos; A->targets = L; }
simple_select(A) ::= SELECT(W) ALL targets(L) body(B). { A = B; A->pos = W.pos; A->targets = L; }
simple_select(A) ::= SELECT(W) DISTINCT targets(L) body(B). { A = B; A->pos = W.pos;
                                          A->targets = L; A->distinct = true; }
simple_select(A) ::= SELECT(W) DISTINCT ON LP exprs(D) RP targets(L) body(B).
                                        { A = B; A->pos = W.pos; A->targets = L;
                                          A->distinct = true; A->distinct_on = D; }
simple_select(A) ::= VALUES(W) rows(L). { A = tree_select(p, W.pos);
                                          A->n_rows = L.n; A->rows = L.v; tree_select_done(p, A); }
simple_select(A) ::= TABLE(W) qname(N). { A = tree_select(p, W.pos);
                                          struct ast_from *f = tree_from(p, FROM_NAME, N.pos);
                                          f->name = N; ADD(p, &A->from, f);
                                          ADD(p, &A->targets, ((struct ast_target){.pos = W.pos}));
                                          tree_select_done(p, A); }
simple_select(A) ::= select_clause(X) UNION allopt(O) select_clause(Y).
                                        { A = tree_set(p, SET_UNION, O, X, Y); }
simple_select(A) ::= select_clause(X) INTERSECT allopt(O) select_clause(Y).
                                        { A = tree_set(p, SET_INTERSECT, O, X, Y); }
simple_select(A) ::= select_clause(X) EXCEPT allopt(O) select_clause(Y).
                                        { A = tree_set(p, SET_EXCEPT, O, X, Y); }
%type allopt {bool}
allopt(A) ::= .                         { A = false; }
allopt(A) ::= ALL.                      { A = true; }
allopt(A) ::= DISTINCT.                 { A = false; }
%type rows {struct rows}
rows(A) ::= LP exprs(X) RP.             { A = (struct rows){0}; ADD(p, &A, X); }
rows(A) ::= rows(L) COMMA LP exprs(X) RP. { A = L; ADD(p, &A, X); }

/* FROM and what follows it. */
%type body {struct ast_select *}
body(A) ::= from(F) where(W) group(G) having(H) windowcl(D). { A = G; A->from = F; A->where = W;
                                          A->having = H; A->n_windows = D.n; A->windows = D.v;
                                          tree_select_done(p, A); }

%type targets {struct ast_targets}
targets(A) ::= target(X).               { A = (struct ast_targets){0}; ADD(p, &A, X); }
targets(A) ::= targets(L) COMMA target(X). { A = L; ADD(p, &A, X); }
%type target {struct ast_target}
target(A) ::= STAR(X).                  { A = (struct ast_target){.pos = X.pos}; }
target(A) ::= expr(X).                  { A = (struct ast_target){.e = X, .pos = X->pos}; }
target(A) ::= expr(X) AS collabel(N).   { A = (struct ast_target){X, N.text, .pos = X->pos}; }
target(A) ::= expr(X) AS_LA OF(N).      { A = (struct ast_target){X, N.text, .pos = X->pos}; }
target(A) ::= expr(X) colid(N).         { A = (struct ast_target){X, N.text, .pos = X->pos}; }
target(A) ::= LB(W) dimtarget(X) RB.    { A = X; A.bracket = true; A.pos = W.pos; }
%type dimtarget {struct ast_target}
dimtarget(A) ::= STAR.                  { A = (struct ast_target){0}; }
dimtarget(A) ::= expr(X).               { A = (struct ast_target){.e = X}; }
dimtarget(A) ::= expr(X) AS collabel(N). { A = (struct ast_target){X, .alias = N.text}; }

%type with {struct with *}
with(A) ::= WITH(W) ctes(L).           { A = arena_new_of(p->c->arena, struct with);
                                          *A = (struct with){L, false, W.pos}; }
with(A) ::= WITH_LA(W) ctes(L).           { A = arena_new_of(p->c->arena, struct with);
                                          *A = (struct with){L, false, W.pos}; }
with(A) ::= WITH(W) RECURSIVE ctes(L).  { A = arena_new_of(p->c->arena, struct with);
                                          *A = (struct with){L, true, W.pos}; }
%type ctes {struct ctes}
ctes(A) ::= cte(X).                     { A = (struct ctes){0}; ADD(p, &A, *X); }
ctes(A) ::= ctes(L) COMMA cte(X).       { A = L; ADD(p, &A, *X); }
%type cte {struct ast_cte *}
cte(A) ::= colid(N) optnames(L) AS matopt LP ctebody(X) RP.
                                        { A = arena_new_of(p->c->arena, struct ast_cte);
                                          A->name = N.text; A->columns = L; A->stmt = X;
                                          A->pos = N.pos; }
cte(A) ::= LP(W) namelist(L) RP AS arrayfn(X). { A = arena_new_of(p->c->arena, struct ast_cte);
                                          A->targets = L; A->call = X; A->pos = W.pos; }
matopt ::= .
matopt ::= MATERIALIZED.
matopt ::= NOT MATERIALIZED.
%type ctebody {struct ast_stmt *}
ctebody(A) ::= stmtselect(X).           { A = tree_query(p, X); }
ctebody(A) ::= dml(X).                  { A = X; }

%type where {struct ast_expr *}
where(A) ::= .                          { A = NULL; }
where(A) ::= WHERE expr(X).             { A = X; }
%type having {struct ast_expr *}
having(A) ::= .                         { A = NULL; }
having(A) ::= HAVING expr(X).           { A = X; }
/* The select itself, with its groups. */
%type group {struct ast_select *}
group(A) ::= .                          { A = tree_select(p, 0); }
group(A) ::= GROUP BY groups(L).        { A = tree_select(p, 0); A->groups = L; }
group(A) ::= GROUP BY DISTINCT groups(L). { A = tree_select(p, 0); A->groups = L;
                                          A->group_distinct = true; }
%type groups {struct ast_groups}
groups(A) ::= groupitem(X).             { A = (struct ast_groups){0}; ADD(p, &A, *X); }
groups(A) ::= groups(L) COMMA groupitem(X). { A = L; ADD(p, &A, *X); }
%type groupitem {struct ast_group *}
groupitem(A) ::= expr(X).               { A = arena_new_of(p->c->arena, struct ast_group);
                                          *A = (struct ast_group){GROUP_EXPR, .e = X, .pos = X->pos}; }
groupitem(A) ::= BLOCK(W) LB axes(L) RB. { A = arena_new_of(p->c->arena, struct ast_group);
                                          *A = (struct ast_group){GROUP_BLOCK, .axes = L, .pos = W.pos}; }
groupitem(A) ::= ROLLUP(W) LP exprs(L) RP. { A = arena_new_of(p->c->arena, struct ast_group);
                                          *A = (struct ast_group){GROUP_ROLLUP, .list = L, .pos = W.pos}; }
groupitem(A) ::= CUBE(W) LP exprs(L) RP. { A = arena_new_of(p->c->arena, struct ast_group);
                                          *A = (struct ast_group){GROUP_CUBE, .list = L, .pos = W.pos}; }
groupitem(A) ::= GROUPING(W) SETS LP groups(L) RP.
                                        { A = arena_new_of(p->c->arena, struct ast_group);
                                          *A = (struct ast_group){GROUP_SETS, .n_sets = L.n,
                                                                  .sets = L.v, .pos = W.pos}; }
groupitem(A) ::= LP(W) RP.              { A = arena_new_of(p->c->arena, struct ast_group);
                                          *A = (struct ast_group){GROUP_EMPTY, .pos = W.pos}; }
%type windowcl {struct window_defs}
windowcl(A) ::= .                       { A = (struct window_defs){0}; }
windowcl(A) ::= WINDOW windefs(L).      { A = L; }
%type windefs {struct window_defs}
%type windef {struct ast_window_def}
windefs(A) ::= windef(X).               { A = (struct window_defs){0}; ADD(p, &A, X); }
windefs(A) ::= windefs(L) COMMA windef(X). { A = L; ADD(p, &A, X); }
windef(A) ::= colid(N) AS winspec(X).   { A = (struct ast_window_def){N.text, X}; }
windef(A) ::= colid(N) AS winaxes(X).   { A = (struct ast_window_def){N.text, X}; }

/* ---- ORDER BY, LIMIT, FOR ---- */
%type orderby {struct ast_sorts}
orderby(A) ::= ORDER BY sorts(L).       { A = L; }
%type orderbyopt {struct ast_sorts}
orderbyopt(A) ::= .                     { A = (struct ast_sorts){0}; }
orderbyopt(A) ::= orderby(L).           { A = L; }
%type sorts {struct ast_sorts}
sorts(A) ::= sort(X).                   { A = (struct ast_sorts){0}; ADD(p, &A, X); }
sorts(A) ::= sorts(L) COMMA sort(X).    { A = L; ADD(p, &A, X); }
%type sort {struct ast_sort}
sort(A) ::= expr(X) ascdesc(D) nullsopt(N). { A = (struct ast_sort){X, D, N}; }
%type ascdesc {bool}
ascdesc(A) ::= .                        { A = false; }
ascdesc(A) ::= ASC.                     { A = false; }
ascdesc(A) ::= DESC.                    { A = true; }
ascdesc(A) ::= USING LT.                { A = false; }
ascdesc(A) ::= USING GT.                { A = true; }
%type nullsopt {int}
nullsopt(A) ::= .                       { A = 0; }
nullsopt(A) ::= NULLS FIRST.            { A = 1; }
nullsopt(A) ::= NULLS LAST.             { A = 2; }

%type tail {struct tail *}
tail(A) ::= orderby(O).                 { A = tree_tail_new(p, O, NULL); }
tail(A) ::= orderby(O) limits(L).       { A = tree_tail_new(p, O, L); }
tail(A) ::= limits(L).                  { A = L; }
tail(A) ::= orderby(O) limits(L) locking(F). { A = tree_tail_new(p, O, L); A->locking = F; }
tail(A) ::= limits(L) locking(F).       { A = L; A->locking = F; }
tail(A) ::= orderby(O) locking(F).      { A = tree_tail_new(p, O, NULL); A->locking = F; }
tail(A) ::= locking(F).                 { A = arena_new_of(p->c->arena, struct tail); A->locking = F; }
%type locking {const char *}
locking(A) ::= FOR UPDATE|SHARE(X).     { A = X.text; }
%type limits {struct tail *}
limits(A) ::= limit(X).                 { A = X; }
limits(A) ::= offset(X).                { A = X; }
limits(A) ::= limit(X) offset(Y).       { A = X; A->offset = Y->offset; }
limits(A) ::= offset(Y) limit(X).       { A = X; A->offset = Y->offset; }
%type limit {struct tail *}
limit(A) ::= LIMIT(W) expr(X).          { A = tree_limit(p, W.pos, X); }
limit(A) ::= LIMIT(W) ALL.              { A = tree_limit(p, W.pos, NULL); }
limit(A) ::= FETCH(W) FIRST|NEXT fetchn(X) ROW|ROWS ONLY. { A = tree_limit(p, W.pos, X); }
%type fetchn {struct ast_expr *}
fetchn(A) ::= .           { A = tree_number(p, &(struct token){TK_ICONST, .text = "1", .len = 1}); }
fetchn(A) ::= ICONST(X).                { A = tree_number(p, &X); }
fetchn(A) ::= PARAM(X).                 { A = tree_expr(p, X_PARAM, X.pos); A->number = atoi(X.text); }
%type offset {struct tail *}
offset(A) ::= OFFSET expr(X).        { A = arena_new_of(p->c->arena, struct tail);
                                          A->offset = X; }
offset(A) ::= OFFSET c_expr(X) ROW|ROWS. { A = arena_new_of(p->c->arena, struct tail);
                                          A->offset = X; }

/* ---- FROM ---- */
%type from {struct ast_froms}
from(A) ::= .                           { A = (struct ast_froms){0}; }
from(A) ::= FROM fromlist(L).           { A = L; }
%type fromlist {struct ast_froms}
fromlist(A) ::= tref(X).                { A = (struct ast_froms){0}; ADD(p, &A, X); }
fromlist(A) ::= fromlist(L) COMMA tref(X). { A = L; ADD(p, &A, X); }
%type tref {struct ast_from *}
tref(A) ::= arr(X) aliasopt(N).         { A = tree_alias(p, X, N); }
tref(A) ::= LATERAL arr(X) aliasopt(N). { A = tree_alias(p, X, N); A->lateral = true; }
tref(A) ::= product(X) aliasopt(N).     { A = tree_alias(p, X, N); }
tref(A) ::= joined(X).                  { A = X; }
tref(A) ::= LP joined(X) RP aliasopt(N). { A = tree_alias(p, X, N); }
/* A matrix product binds tighter than a join. */
%type product {struct ast_from *}
product(A) ::= arr(X) MATMUL arr(Y).    { A = tree_pair(p, FROM_MATMUL, X, Y); }
product(A) ::= product(X) MATMUL arr(Y). { A = tree_pair(p, FROM_MATMUL, X, Y); }
%type arr {struct ast_from *}
arr(A) ::= qname(N) version(V).         { A = V; A->name = N; A->pos = N.pos; }
arr(A) ::= qname(N) bracket(L) version(V). { A = V; A->name = N; A->pos = N.pos;
                                          A->axes = L; A->has_axes = true; tree_from_done(p, A); }
arr(A) ::= ONLY qname(N).               { A = tree_from(p, FROM_NAME, N.pos); A->name = N;
                                          A->only = true; }
arr(A) ::= arrayfn(X).                  { A = tree_from_call(p, X); }
arr(A) ::= arrayfn(X) bracket(L).       { A = tree_from_call(p, X);
                                          A->axes = L; A->has_axes = true; tree_from_done(p, A); }
arr(A) ::= arrayfn(X) WITH_LA ORDINALITY. { A = tree_from_call(p, X); A->with_ordinality = true; }
arr(A) ::= ROWS_LA(W) FROM LP exprs(L) RP. { A = tree_from(p, FROM_ROWS_FROM, W.pos);
                                          A->call = tree_args(p, X_ROW, W.pos, L);
                                          tree_from_done(p, A); }
arr(A) ::= GRID(W) bracket(L).          { A = tree_from(p, FROM_GRID, W.pos);
                                          A->axes = L; A->has_axes = true; tree_from_done(p, A); }
arr(A) ::= select_with_parens(S). [UMINUS] { A = tree_from(p, FROM_SELECT, S->pos); A->select = S;
                                          tree_from_done(p, A); }
arr(A) ::= select_with_parens(S) bracket(L). { A = tree_from(p, FROM_SELECT, S->pos); A->select = S;
                                          A->axes = L; A->has_axes = true; tree_from_done(p, A); }
arr(A) ::= LP product(X) RP.            { A = X; }
arr(A) ::= LP product(X) RP bracket(L). { A = X; A->axes = L; A->has_axes = true;
                                          tree_from_done(p, A); }
%type version {struct ast_from *}
version(A) ::= .                        { A = tree_from(p, FROM_NAME, 0); }
version(A) ::= VERSION ICONST(X).       { A = tree_from(p, FROM_NAME, 0);
                                          A->version = tree_number(p, &X); }
version(A) ::= VERSION PARAM(X).        { A = tree_from(p, FROM_NAME, 0);
                                          A->version = tree_expr(p, X_PARAM, X.pos);
                                          A->version->number = atoi(X.text); }
version(A) ::= AS_LA OF c_expr(X).      { A = tree_from(p, FROM_NAME, 0); A->as_of = X;
                                          tree_from_done(p, A); }
%type arrayfn {struct ast_expr *}
arrayfn(A) ::= qname(N) LP RP.          { A = tree_call_args(p, N, NULL); }
arrayfn(A) ::= qname(N) LP args(L) RP.  { A = tree_call_args(p, N, L); }
arrayfn(A) ::= OUTER(X) LP args(L) RP.  { A = tree_call_args(p, tree_name1(p, &X), L); }

%type aliasopt {struct alias *}
aliasopt(A) ::= .                       { A = NULL; }
aliasopt(A) ::= ID(N) coldefs(X).       { A = X; A->name = N.text; }
aliasopt(A) ::= AS colid(N) coldefs(X). { A = X; A->name = N.text; }
aliasopt(A) ::= AS LP cds(L) RP.        { A = arena_new_of(p->c->arena, struct alias); A->typed = L; }
%type coldefs {struct alias *}
coldefs(A) ::= .                        { A = arena_new_of(p->c->arena, struct alias); }
coldefs(A) ::= LP namelist(L) RP.       { A = arena_new_of(p->c->arena, struct alias); A->columns = L; }
coldefs(A) ::= LP cds(L) RP.            { A = arena_new_of(p->c->arena, struct alias); A->typed = L; }
%type cds {struct ast_columns}
cds(A) ::= cd(X).                       { A = (struct ast_columns){0}; ADD(p, &A, *X); }
cds(A) ::= cds(L) COMMA cd(X).          { A = L; ADD(p, &A, *X); }
%type cd {struct ast_column *}
cd(A) ::= colid(N) typename(T).         { A = tree_columndef(p, &N, T); }

%type joined {struct ast_from *}
joined(A) ::= tref(X) CROSS JOIN tref(Y). { A = tree_pair(p, FROM_JOIN, X, Y); A->join = JOIN_CROSS; }
joined(A) ::= tref(X) jointype(K) JOIN tref(Y) joinqual(Q) align(T).
                               { A = tree_join(p, tree_pair(p, FROM_JOIN, X, Y), K, Q, T); }
joined(A) ::= tref(X) JOIN tref(Y) joinqual(Q) align(T).
                               { A = tree_join(p, tree_pair(p, FROM_JOIN, X, Y), JOIN_INNER, Q, T); }
joined(A) ::= tref(X) ASOF JOIN tref(Y) joinqual(Q) align(T).
                               { A = tree_join(p, tree_pair(p, FROM_JOIN, X, Y), JOIN_INNER, Q, T);
                                 A->asof = true; }
joined(A) ::= tref(X) ASOF LEFT JOIN tref(Y) joinqual(Q) align(T).
                               { A = tree_join(p, tree_pair(p, FROM_JOIN, X, Y), JOIN_LEFT, Q, T);
                                 A->asof = true; }
joined(A) ::= tref(X) NATURAL JOIN tref(Y) align(T).
                               { A = tree_join(p, tree_pair(p, FROM_JOIN, X, Y), JOIN_INNER, NULL, T);
                                 A->natural = true; }
joined(A) ::= tref(X) NATURAL jointype(K) JOIN tref(Y) align(T).
                               { A = tree_join(p, tree_pair(p, FROM_JOIN, X, Y), K, NULL, T);
                                 A->natural = true; }
%type jointype {enum join_kind}
jointype(A) ::= FULL outeropt.          { A = JOIN_FULL; }
jointype(A) ::= LEFT outeropt.          { A = JOIN_LEFT; }
jointype(A) ::= RIGHT outeropt.         { A = JOIN_RIGHT; }
jointype(A) ::= INNER.                  { A = JOIN_INNER; }
outeropt ::= .
outeropt ::= OUTER.
%type joinqual {struct join_how *}
joinqual(A) ::= USING LP namelist(L) RP. { A = arena_new_of(p->c->arena, struct join_how);
                                          A->using_cols = L; }
joinqual(A) ::= ON expr(X).             { A = arena_new_of(p->c->arena, struct join_how); A->on = X; }
%type align {struct ast_expr *}
align(A) ::= . [JOIN]                   { A = NULL; }
align(A) ::= ALIGN NEAREST TOLERANCE expr(X). { A = X; }

