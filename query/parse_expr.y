/* ======== What is an expression? ======== */
%type exprs {struct ast_exprs}
exprs(A) ::= expr(X).                   { A = (struct ast_exprs){0}; ADD(p, &A, X); }
exprs(A) ::= exprs(L) COMMA expr(X).    { A = L; ADD(p, &A, X); }

%type expr {struct ast_expr *}
expr(A) ::= c_expr(X).                  { A = X; }
expr(A) ::= expr(X) CAST_TO(O) typename(T). { A = tree_cast(p, O.pos, X, T); }
expr(A) ::= expr(X) COLLATE(O) qname(N). { A = tree_op(p, NULL, O.pos, X, NULL, NULL);
                                          A->kind = X_COLLATE; A->name = N; }
expr(A) ::= expr(X) AT(O) TIME ZONE expr(Y). [AT] { A = tree_op(p, NULL, O.pos, X, Y, NULL);
                                          A->kind = X_AT_TIME_ZONE; }
expr(A) ::= PLUS|MINUS(O) expr(X). [UMINUS] { A = tree_op(p, O.text, O.pos, X, NULL, NULL); }
expr(A) ::= expr(X) PLUS|MINUS(O) expr(Y). { A = tree_op(p, O.text, O.pos, X, Y, NULL); }
expr(A) ::= expr(X) STAR|SLASH|FLOORDIV|PERCENT|MATMUL(O) expr(Y).
                                        { A = tree_op(p, O.text, O.pos, X, Y, NULL); }
expr(A) ::= expr(X) CARET(O) expr(Y).   { A = tree_op(p, O.text, O.pos, X, Y, NULL); }
expr(A) ::= expr(X) OP(O) expr(Y).      { A = tree_op(p, O.text, O.pos, X, Y, NULL); }
expr(A) ::= expr(X) HASH(O) expr(Y).    { A = tree_op(p, O.text, O.pos, X, Y, NULL); }
expr(A) ::= expr(X) OPERATOR(W) LP opname(O) RP expr(Y). [OP]
                                        { A = tree_op(p, O.text, W.pos, X, Y, NULL); }
expr(A) ::= OP(O) expr(X).              { A = tree_op(p, O.text, O.pos, X, NULL, NULL); }
opname(A) ::= anyop(X).                 { A = X; }
opname(A) ::= colid DOT anyop(X).       { A = X; }
anyop(A) ::= OP|EQ|LT|GT|LE|GE|NE|PLUS|MINUS|STAR|SLASH|PERCENT|CARET(X). { A = X; }
expr(A) ::= expr(X) LT|GT|EQ|LE|GE|NE(O) expr(Y). { A = tree_op(p, O.text, O.pos, X, Y, NULL); }
expr(A) ::= expr(X) cmp(O) anyall(W) select_with_parens(S). [OP]
                                        { A = tree_op(p, O.text, O.pos, X, NULL, NULL);
                                          A->kind = W.kind == TK_ALL ? X_OP_ALL : X_OP_ANY;
                                          A->select = S; tree_done(p, A); }
expr(A) ::= expr(X) cmp(O) anyall(W) LP expr(Y) RP. [OP]
                                        { A = tree_op(p, O.text, O.pos, X, Y, NULL);
                                          A->kind = W.kind == TK_ALL ? X_OP_ALL : X_OP_ANY; }
cmp(A) ::= LT|GT|EQ|LE|GE|NE(X).        { A = X; }
cmp(A) ::= OP(X).                       { A = X; }
cmp(A) ::= OPERATOR LP opname(X) RP.    { A = X; }
cmp(A) ::= LIKE(X).                     { A = X; }
cmp(A) ::= ILIKE(X).                    { A = X; }
cmp(A) ::= NOT_LA(N) LIKE.              { A = N; A.text = "not like"; }
cmp(A) ::= NOT_LA(N) ILIKE.             { A = N; A.text = "not ilike"; }
anyall(A) ::= ANY|SOME|ALL(X).          { A = X; }

expr(A) ::= expr(X) AND(O) expr(Y).     { A = tree_op(p, "and", O.pos, X, Y, NULL); }
expr(A) ::= expr(X) OR(O) expr(Y).      { A = tree_op(p, "or", O.pos, X, Y, NULL); }
expr(A) ::= NOT(O) expr(X).             { A = tree_op(p, "not", O.pos, X, NULL, NULL); }
expr(A) ::= NOT_LA(O) expr(X). [NOT]    { A = tree_op(p, "not", O.pos, X, NULL, NULL); }

expr(A) ::= expr(X) LIKE(O) expr(Y). [LIKE] { A = tree_op(p, "like", O.pos, X, Y, NULL); }
expr(A) ::= expr(X) LIKE(O) expr(Y) ESCAPE expr(Z). [LIKE]
                                        { A = tree_op(p, "like", O.pos, X, Y, Z); }
expr(A) ::= expr(X) NOT_LA(O) LIKE expr(Y). [NOT_LA]
                                        { A = tree_op(p, "not like", O.pos, X, Y, NULL); }
expr(A) ::= expr(X) NOT_LA(O) LIKE expr(Y) ESCAPE expr(Z). [NOT_LA]
                                        { A = tree_op(p, "not like", O.pos, X, Y, Z); }
expr(A) ::= expr(X) ILIKE(O) expr(Y). [ILIKE] { A = tree_op(p, "ilike", O.pos, X, Y, NULL); }
expr(A) ::= expr(X) ILIKE(O) expr(Y) ESCAPE expr(Z). [ILIKE]
                                        { A = tree_op(p, "ilike", O.pos, X, Y, Z); }
expr(A) ::= expr(X) NOT_LA(O) ILIKE expr(Y). [NOT_LA]
                                        { A = tree_op(p, "not ilike", O.pos, X, Y, NULL); }
expr(A) ::= expr(X) NOT_LA(O) ILIKE expr(Y) ESCAPE expr(Z). [NOT_LA]
                                        { A = tree_op(p, "not ilike", O.pos, X, Y, Z); }
expr(A) ::= expr(X) SIMILAR(O) TO expr(Y). [SIMILAR]
                                        { A = tree_op(p, "similar", O.pos, X, Y, NULL); }
expr(A) ::= expr(X) NOT_LA(O) SIMILAR TO expr(Y). [NOT_LA]
                                        { A = tree_op(p, "not similar", O.pos, X, Y, NULL); }

expr(A) ::= expr(X) IS(O) truth(W). [IS]     { A = tree_is(p, W.text, O.pos, X, false); }
expr(A) ::= expr(X) IS(O) NOT truth(W). [IS] { A = tree_is(p, W.text, O.pos, X, true); }
expr(A) ::= expr(X) ISNULL(O). [IS]     { A = tree_is(p, "null", O.pos, X, false); }
expr(A) ::= expr(X) NOTNULL(O). [IS]    { A = tree_is(p, "null", O.pos, X, true); }
truth(A) ::= NULL|TRUE|FALSE|UNKNOWN(X). { A = X; }
expr(A) ::= expr(X) IS(O) DISTINCT FROM expr(Y). [IS]
                                        { A = tree_op(p, NULL, O.pos, X, Y, NULL);
                                          A->kind = X_DISTINCT; }
expr(A) ::= expr(X) IS(O) NOT DISTINCT FROM expr(Y). [IS]
                                        { A = tree_op(p, NULL, O.pos, X, Y, NULL);
                                          A->kind = X_DISTINCT; A->flag = true; }
expr(A) ::= expr(X) BETWEEN(O) symopt(S) b_expr(Y) AND expr(Z). [BETWEEN]
                                        { A = tree_op(p, NULL, O.pos, X, Y, Z);
                                          A->kind = X_BETWEEN; A->flag2 = S; }
expr(A) ::= expr(X) NOT_LA(O) BETWEEN symopt(S) b_expr(Y) AND expr(Z). [NOT_LA]
                                        { A = tree_op(p, NULL, O.pos, X, Y, Z);
                                          A->kind = X_BETWEEN; A->flag = true; A->flag2 = S; }
%type symopt {bool}
symopt(A) ::= .                         { A = false; }
symopt(A) ::= SYMMETRIC.                { A = true; }
symopt(A) ::= ASYMMETRIC.               { A = false; }
/* The right side of IN comes as an expression without its left one. */
expr(A) ::= expr(X) IN(O) inlist(L). [IN] { A = tree_in(p, O.pos, X, L, false); }
expr(A) ::= expr(X) NOT_LA(O) IN inlist(L). [NOT_LA] { A = tree_in(p, O.pos, X, L, true); }
%type inlist {struct ast_expr *}
inlist(A) ::= select_with_parens(S).    { A = tree_select_expr(p, X_IN, S->pos, S); }
inlist(A) ::= LP(O) exprs(L) RP.        { A = tree_args(p, X_IN, O.pos, L); }
expr(A) ::= DEFAULT(X).                 { A = tree_expr(p, X_DEFAULT, X.pos); }

/* What may stand before AND in BETWEEN, or before a column's next option. */
%type b_expr {struct ast_expr *}
b_expr(A) ::= c_expr(X).                { A = X; }
b_expr(A) ::= b_expr(X) CAST_TO(O) typename(T). { A = tree_cast(p, O.pos, X, T); }
b_expr(A) ::= PLUS|MINUS(O) b_expr(X). [UMINUS] { A = tree_op(p, O.text, O.pos, X, NULL, NULL); }
b_expr(A) ::= b_expr(X) PLUS|MINUS(O) b_expr(Y). { A = tree_op(p, O.text, O.pos, X, Y, NULL); }
b_expr(A) ::= b_expr(X) STAR|SLASH|FLOORDIV|PERCENT(O) b_expr(Y).
                                        { A = tree_op(p, O.text, O.pos, X, Y, NULL); }
b_expr(A) ::= b_expr(X) CARET(O) b_expr(Y). { A = tree_op(p, O.text, O.pos, X, Y, NULL); }
b_expr(A) ::= b_expr(X) OP(O) b_expr(Y). { A = tree_op(p, O.text, O.pos, X, Y, NULL); }
b_expr(A) ::= b_expr(X) HASH(O) b_expr(Y). { A = tree_op(p, O.text, O.pos, X, Y, NULL); }
b_expr(A) ::= OP(O) b_expr(X).          { A = tree_op(p, O.text, O.pos, X, NULL, NULL); }

/* ---- without an operator at the top ---- */
%type c_expr {struct ast_expr *}
c_expr(A) ::= colid(X).                 { A = tree_column(p, &X, (struct inds){0}); }
c_expr(A) ::= colid(X) ind1(L).         { A = tree_column(p, &X, L); }
c_expr(A) ::= HASH(H) hashname(N).      { A = tree_expr(p, X_POSITION, H.pos); A->name = N; }
%type hashname {struct ast_name}
hashname(A) ::= colid(X).               { A = tree_name1(p, &X); }
hashname(A) ::= colid(T) DOT attr(X).   { A = tree_name_add(p, tree_name1(p, &T), X.text); }
c_expr(A) ::= literal(X).               { A = X; }
c_expr(A) ::= PARAM(X) indirection(L).  { A = tree_expr(p, X_PARAM, X.pos);
                                          A->number = atoi(X.text); A = tree_indirect(p, A, L); }
c_expr(A) ::= LP expr(X) RP indirection(L). { A = tree_indirect(p, X, L); }
c_expr(A) ::= select_with_parens(S). [UMINUS] { A = tree_select_expr(p, X_SUBQUERY, S->pos, S); }
c_expr(A) ::= select_with_parens(S) ind1(L).
                   { A = tree_indirect(p, tree_select_expr(p, X_SUBQUERY, S->pos, S), L); }
c_expr(A) ::= EXISTS(W) select_with_parens(S). { A = tree_select_expr(p, X_EXISTS, W.pos, S); }
c_expr(A) ::= ARRAY(W) select_with_parens(S). { A = tree_select_expr(p, X_ARRAY_SELECT, W.pos, S); }
c_expr(A) ::= ARRAY(W) LB RB.           { A = tree_expr(p, X_ARRAY, W.pos); }
c_expr(A) ::= ARRAY(W) LB arrelems(L) RB. { A = tree_args(p, X_ARRAY, W.pos, L); }
%type arrelems {struct ast_exprs}
%type arrelem {struct ast_expr *}
arrelems(A) ::= arrelem(X).             { A = (struct ast_exprs){0}; ADD(p, &A, X); }
arrelems(A) ::= arrelems(L) COMMA arrelem(X). { A = L; ADD(p, &A, X); }
arrelem(A) ::= expr(X).                 { A = X; }
arrelem(A) ::= LB(W) arrelems(L) RB.    { A = tree_args(p, X_ARRAY, W.pos, L); }
c_expr(A) ::= CASE(W) caseopt(O) whens(L) elseopt(E) END.
                                        { A = tree_args(p, X_CASE, W.pos, L);
                                          A->operand = O; A->otherwise = E; tree_done(p, A); }
%type caseopt {struct ast_expr *}
caseopt(A) ::= .                        { A = NULL; }
caseopt(A) ::= expr(X).                 { A = X; }
%type whens {struct ast_exprs}
whens(A) ::= WHEN expr(X) THEN expr(Y). { A = (struct ast_exprs){0}; ADD(p, &A, X); ADD(p, &A, Y); }
whens(A) ::= whens(L) WHEN expr(X) THEN expr(Y). { A = L; ADD(p, &A, X); ADD(p, &A, Y); }
%type elseopt {struct ast_expr *}
elseopt(A) ::= .                        { A = NULL; }
elseopt(A) ::= ELSE expr(X).            { A = X; }
c_expr(A) ::= CAST(W) LP expr(X) AS typename(T) RP. { A = tree_cast(p, W.pos, X, T); }
c_expr(A) ::= ROW_LA(W) LP exprs(L) RP. { A = tree_args(p, X_ROW, W.pos, L); }
c_expr(A) ::= ROW_LA(W) LP RP.          { A = tree_expr(p, X_ROW, W.pos); }
c_expr(A) ::= LP(W) exprs(L) COMMA expr(X) RP. { ADD(p, &L, X); A = tree_args(p, X_ROW, W.pos, L); }

/* ---- literals ---- */
%type literal {struct ast_expr *}
literal(A) ::= ICONST|FCONST(X).        { A = tree_number(p, &X); }
literal(A) ::= SCONST(X).               { A = tree_literal(p, X_STRING, &X); }
literal(A) ::= NULL(X).                 { A = tree_expr(p, X_NULL, X.pos); }
literal(A) ::= TRUE(X).                 { A = tree_expr(p, X_BOOL, X.pos); A->flag = true; }
literal(A) ::= FALSE(X).                { A = tree_expr(p, X_BOOL, X.pos); }
literal(A) ::= ID(T) SCONST(X).         { A = tree_typed(p, &T, &X); }
literal(A) ::= TIMESTAMP(T) SCONST(X).  { A = tree_typed(p, &T, &X); }
literal(A) ::= TIME(T) SCONST(X).       { A = tree_typed(p, &T, &X); }
literal(A) ::= TIMESTAMP(T) WITH_LA TIME ZONE SCONST(X). { A = tree_typed(p, &T, &X);
                                          A->type->with_time_zone = true; }
literal(A) ::= INTERVAL(T) SCONST(X) ivfield(F). { A = tree_typed(p, &T, &X);
                                          if (F) A->name = tree_name_add(p, A->name, F); }

/* ---- calls ---- */
c_expr(A) ::= call(X) within(W) filter(F) over(O). { A = X; A->filter = F; A->over = O;
                                          if (W.n) { A->within_group = true; A->order = W; }
                                          tree_done(p, A); }
%type call {struct ast_expr *}
call(A) ::= fname(N) LP RP.             { A = tree_call_args(p, N, NULL); }
call(A) ::= fname(N) LP args(L) RP.     { A = tree_call_args(p, N, L); }
call(A) ::= fname(N) LP args(L) orderby(O) RP. { A = tree_call_args(p, N, L); A->order = O; }
call(A) ::= fname(N) LP ALL args(L) RP. { A = tree_call_args(p, N, L); }
call(A) ::= fname(N) LP DISTINCT args(L) RP. { A = tree_call_args(p, N, L); A->distinct = true; }
call(A) ::= fname(N) LP DISTINCT args(L) orderby(O) RP.
                                        { A = tree_call_args(p, N, L);
                                          A->distinct = true; A->order = O; }
call(A) ::= fname(N) LP STAR(S) RP.     { struct ast_expr *star = tree_expr(p, X_STAR, S.pos);
                                          A = tree_call_args(p, N, NULL); ADD(p, &A->args, star); }
%type fname {struct ast_name}
fname(A) ::= colid(X).                  { A = tree_name1(p, &X); }
fname(A) ::= colid(X) ind1(L).          { A = tree_function_name(p, &X, L); }
fname(A) ::= LEFT|RIGHT|OUTER|BINARY(X). { A = tree_name1(p, &X); }
fname(A) ::= CURRENT_SCHEMA(X).         { A = tree_name1(p, &X); }
%type args {struct call_args *}
args(A) ::= arg(X).                     { A = X; }
args(A) ::= args(L) COMMA arg(X).       { A = L; tree_add_arg(p, A, X->names.v[0], X->exprs.v[0]);
                                          A->variadic = X->variadic; }
%type arg {struct call_args *}
arg(A) ::= expr(X).                     { A = arena_new_of(p->c->arena, struct call_args);
                                          tree_add_arg(p, A, NULL, X); }
arg(A) ::= colid(N) ARROW expr(X).      { A = arena_new_of(p->c->arena, struct call_args);
                                          tree_add_arg(p, A, N.text, X); }
arg(A) ::= VARIADIC expr(X).            { A = arena_new_of(p->c->arena, struct call_args);
                                          tree_add_arg(p, A, NULL, X); A->variadic = true; }
arg(A) ::= LB(W) axes(L) RB.            { A = arena_new_of(p->c->arena, struct call_args);
                                          tree_add_arg(p, A, NULL, tree_bracket(p, W.pos, L)); }
%type within {struct ast_sorts}
within(A) ::= .                         { A = (struct ast_sorts){0}; }
within(A) ::= WITHIN GROUP LP orderby(O) RP. { A = O; }
%type filter {struct ast_expr *}
filter(A) ::= .                         { A = NULL; }
filter(A) ::= FILTER LP WHERE expr(X) RP. { A = X; }

/* Calls with a grammar of their own. */
c_expr(A) ::= EXTRACT(W) LP extfield(F) FROM expr(X) RP.
                        { A = tree_call(p, &W, tree_literal(p, X_STRING, &F), X, NULL, NULL); }
extfield(A) ::= ID|YEAR|MONTH|DAY|HOUR|MINUTE|SECOND|SCONST(X). { A = X; }
c_expr(A) ::= SUBSTRING(W) LP expr(X) FROM expr(Y) RP. { A = tree_call(p, &W, X, Y, NULL, NULL); }
c_expr(A) ::= SUBSTRING(W) LP expr(X) FROM expr(Y) FOR expr(Z) RP.
                                        { A = tree_call(p, &W, X, Y, Z, NULL); }
c_expr(A) ::= SUBSTRING(W) LP expr(X) FOR expr(Z) RP.
                        { struct token one = {.kind = TK_ICONST, .pos = W.pos, .text = "1", .len = 1};
                          A = tree_call(p, &W, X, tree_number(p, &one), Z, NULL); }
c_expr(A) ::= SUBSTRING(W) LP args(L) RP. { A = tree_call_args(p, tree_name1(p, &W), L); }
c_expr(A) ::= POSITION(W) LP b_expr(X) IN b_expr(Y) RP. { A = tree_call(p, &W, Y, X, NULL, NULL); }
c_expr(A) ::= OVERLAY(W) LP expr(X) PLACING expr(Y) FROM expr(Z) RP.
                                        { A = tree_call(p, &W, X, Y, Z, NULL); }
c_expr(A) ::= OVERLAY(W) LP expr(X) PLACING expr(Y) FROM expr(Z) FOR expr(V) RP.
                                        { A = tree_call(p, &W, X, Y, Z, V); }
c_expr(A) ::= TRIM(W) LP trimspec(L) RP. { W.text = "btrim"; A = tree_trim(p, &W, L); }
c_expr(A) ::= TRIM(W) LP trimside(S) trimspec(L) RP.
                                        { W.text = S.kind == TK_LEADING    ? "ltrim"
                                                   : S.kind == TK_TRAILING ? "rtrim"
                                                                           : "btrim";
                                          A = tree_trim(p, &W, L); }
/* The text first, then what is taken off. */
%type trimspec {struct ast_exprs}
trimspec(A) ::= exprs(L).               { A = L; }
trimspec(A) ::= FROM exprs(L).          { A = L; }
trimspec(A) ::= expr(X) FROM exprs(L).  { A = L; ADD(p, &A, X); }
trimside(A) ::= BOTH|LEADING|TRAILING(X). { A = X; }
c_expr(A) ::= GROUPING(W) LP exprs(L) RP. { A = tree_args(p, X_CALL, W.pos, L);
                                          A->name = tree_name1(p, &W); }
c_expr(A) ::= CURRENT_SCHEMA(W). [ID]   { A = tree_call(p, &W, NULL, NULL, NULL, NULL); }
c_expr(A) ::= CURRENT_DATE|CURRENT_TIME|CURRENT_TIMESTAMP|LOCALTIME|LOCALTIMESTAMP(W).
                                        { A = tree_call(p, &W, NULL, NULL, NULL, NULL); }
c_expr(A) ::= CURRENT_USER|CURRENT_ROLE|SESSION_USER|USER|CURRENT_CATALOG(W).
                                        { A = tree_call(p, &W, NULL, NULL, NULL, NULL); }

/* ---- behind an expression ---- */
%type indirection {struct inds}
%type ind1 {struct inds}
%type ind {struct ind *}
indirection(A) ::= .                    { A = (struct inds){0}; }
indirection(A) ::= ind1(L).             { A = L; }
ind1(A) ::= ind(X).                     { A = (struct inds){0}; ADD(p, &A, *X); }
ind1(A) ::= ind1(L) ind(X).             { A = L; ADD(p, &A, *X); }
ind(A) ::= DOT attr(X).                 { A = arena_new_of(p->c->arena, struct ind);
                                          *A = (struct ind){IND_NAME, .name = X.text, .pos = X.pos}; }
ind(A) ::= DOT STAR(X).                 { A = arena_new_of(p->c->arena, struct ind);
                                          *A = (struct ind){IND_STAR, .pos = X.pos}; }
ind(A) ::= LB(W) axes(L) RB.            { A = arena_new_of(p->c->arena, struct ind);
                                          *A = (struct ind){IND_BRACKET, .axes = L, .pos = W.pos}; }

/* ---- windows ---- */
%type over {struct ast_window *}
over(A) ::= .                           { A = NULL; }
over(A) ::= OVER winspec(X).            { A = X; }
over(A) ::= OVER ID(X).                 { A = arena_new_of(p->c->arena, struct ast_window);
                                          A->name = X.text; A->bare = true; A->pos = X.pos; }
over(A) ::= OVER winaxes(X).            { A = X; }
%type winaxes {struct ast_window *}
winaxes(A) ::= LB(W) axes(L) RB.        { A = arena_new_of(p->c->arena, struct ast_window);
                                          A->by_cells = true; A->axes = L; A->pos = W.pos; }
%type winspec {struct ast_window *}
winspec(A) ::= LP(W) winbody(X) RP.     { A = X; A->pos = W.pos; }
%type winbody {struct ast_window *}
winbody(A) ::= wname(N) partition(L) orderbyopt(O) frame(F). { A = F; A->name = N; A->partition = L;
                                          A->order = O; }
winbody(A) ::= winaxes(X) edge(E).      { A = X; A->edge = E; }
%type wname {const char *}
wname(A) ::= .                          { A = NULL; }
wname(A) ::= ID(X).                     { A = X.text; }
%type partition {struct ast_exprs}
partition(A) ::= .                      { A = (struct ast_exprs){0}; }
partition(A) ::= PARTITION BY exprs(L). { A = L; }
%type frame {struct ast_window *}
frame(A) ::= .                          { A = arena_new_of(p->c->arena, struct ast_window); }
frame(A) ::= frameunit(U) fbound(X) frexcl(E).
                                        { A = arena_new_of(p->c->arena, struct ast_window);
                                          A->unit = U; A->exclude = E;
                                          A->from = X.bound; A->from_expr = X.e;
                                          A->to = BOUND_CURRENT; }
frame(A) ::= frameunit(U) BETWEEN fbound(X) AND fbound(Y) frexcl(E).
                                        { A = arena_new_of(p->c->arena, struct ast_window);
                                          A->unit = U; A->exclude = E;
                                          A->from = X.bound; A->from_expr = X.e;
                                          A->to = Y.bound; A->to_expr = Y.e; }
%type frameunit {enum frame_unit}
frameunit(A) ::= ROWS.                  { A = FRAME_ROWS; }
frameunit(A) ::= RANGE.                 { A = FRAME_RANGE; }
frameunit(A) ::= GROUPS.                { A = FRAME_GROUPS; }
%type fbound {struct frame_edge}
fbound(A) ::= UNBOUNDED PRECEDING.      { A = (struct frame_edge){BOUND_UNBOUNDED_PRECEDING, NULL}; }
fbound(A) ::= UNBOUNDED FOLLOWING.      { A = (struct frame_edge){BOUND_UNBOUNDED_FOLLOWING, NULL}; }
fbound(A) ::= CURRENT ROW.              { A = (struct frame_edge){BOUND_CURRENT, NULL}; }
fbound(A) ::= expr(X) PRECEDING.        { A = (struct frame_edge){BOUND_PRECEDING, X}; }
fbound(A) ::= expr(X) FOLLOWING.        { A = (struct frame_edge){BOUND_FOLLOWING, X}; }
%type frexcl {enum frame_exclude}
frexcl(A) ::= .                         { A = EXCLUDE_NONE; }
frexcl(A) ::= EXCLUDE CURRENT ROW.      { A = EXCLUDE_CURRENT; }
frexcl(A) ::= EXCLUDE GROUP.            { A = EXCLUDE_GROUP; }
frexcl(A) ::= EXCLUDE TIES.             { A = EXCLUDE_TIES; }
frexcl(A) ::= EXCLUDE NO OTHERS.        { A = EXCLUDE_NONE; }
%type edge {enum ast_edge}
edge(A) ::= .                           { A = EDGE_SHRINK; }
edge(A) ::= EDGE SHRINK.                { A = EDGE_SHRINK; }
edge(A) ::= EDGE NULL.                  { A = EDGE_NULL; }
edge(A) ::= EDGE NEAREST.               { A = EDGE_NEAREST; }
edge(A) ::= EDGE REFLECT.               { A = EDGE_REFLECT; }
edge(A) ::= EDGE WRAP.                  { A = EDGE_WRAP; }

