/* ======== How do cells change? INSERT, UPDATE, DELETE, TRUNCATE, COPY ======== */
%type dml {struct ast_stmt *}
dml(A) ::= dmlcore(X).                  { A = tree_stmt_end(p, X); }
dml(A) ::= with(W) dmlcore(X).          { A = X; A->pos = W->pos; A->n_ctes = W->list.n;
                                          A->ctes = W->list.v; A->recursive = W->recursive;
                                          tree_stmt_end(p, A); }
%type dmlcore {struct ast_stmt *}
dmlcore(A) ::= INSERT(W) INTO qname(N) insalias(B) insrest(X) onconf(C) returning(R).
                                        { A = X; A->pos = W.pos; A->name = N; A->alias = B;
                                          A->on_conflict = C->on_conflict;
                                          A->conflict_columns = C->conflict_columns;
                                          A->conflict_sets = C->conflict_sets;
                                          A->conflict_where = C->conflict_where;
                                          A->returning = R; }
%type insalias {const char *}
insalias(A) ::= .                       { A = NULL; }
insalias(A) ::= AS colid(N).            { A = N.text; }
%type insrest {struct ast_stmt *}
insrest(A) ::= insbody(X).              { A = X; }
insrest(A) ::= bracket(L) insbody(X).   { A = X; A->axes = L; A->has_axes = true; }
insrest(A) ::= bracket(L) LP namelist(C) RP insbody(X). { A = X; A->axes = L; A->has_axes = true;
                                          A->columns = C; }
insrest(A) ::= LP namelist(C) RP insbody(X). { A = X; A->columns = C; }
%type insbody {struct ast_stmt *}
insbody(A) ::= stmtselect(S).           { A = tree_stmt(p, S_INSERT, 0);
                                          A->select = tree_mark_empty(p, S); }
insbody(A) ::= DEFAULT VALUES.          { A = tree_stmt(p, S_INSERT, 0); A->default_values = true; }
%type onconf {struct ast_stmt *}
onconf(A) ::= .                         { A = tree_stmt(p, S_INSERT, 0); }
onconf(A) ::= ON CONFLICT conflact(C).  { A = tree_stmt(p, S_INSERT, 0);
                                          A->on_conflict = C.kind == TK_ERROR ? ON_CONFLICT_ERROR
                                                         : C.kind == TK_IGNORE ? ON_CONFLICT_IGNORE
                                                         : ON_CONFLICT_REPLACE; }
onconf(A) ::= ON CONFLICT optnames(L) DO NOTHING.
                                        { A = tree_stmt(p, S_INSERT, 0); A->conflict_columns = L;
                                          A->on_conflict = ON_CONFLICT_IGNORE; }
onconf(A) ::= ON CONFLICT optnames(L) DO UPDATE SET sets(S) where(X).
                                        { A = tree_stmt(p, S_INSERT, 0); A->conflict_columns = L;
                                          A->on_conflict = ON_CONFLICT_UPDATE;
                                          A->conflict_sets = S; A->conflict_where = X; }
conflact(A) ::= ERROR|IGNORE|REPLACE(X). { A = X; }
%type returning {struct ast_targets}
returning(A) ::= .                      { A = (struct ast_targets){0}; }
returning(A) ::= RETURNING targets(L).  { A = L; }
dmlcore(A) ::= UPDATE(W) target_array(N) SET sets(L) from(F) where(X) returning(R).
                                        { A = N; A->kind = S_UPDATE; A->pos = W.pos; A->sets = L;
                                          A->from = F; A->where = X; A->returning = R; }
dmlcore(A) ::= DELETE(W) FROM target_array(N) usingopt(F) where(X) returning(R).
                                        { A = N; A->kind = S_DELETE; A->pos = W.pos;
                                          A->from = F; A->where = X; A->returning = R; }
%type target_array {struct ast_stmt *}
target_array(A) ::= qname(N) colalias(B). { A = tree_stmt(p, S_UPDATE, 0); A->name = N; A->alias = B; }
target_array(A) ::= qname(N) bracket(L) colalias(B).
                                        { A = tree_stmt(p, S_UPDATE, 0); A->name = N; A->alias = B;
                                          A->axes = L; A->has_axes = true; }
%type colalias {const char *}
colalias(A) ::= .                       { A = NULL; }
colalias(A) ::= ID(N).                  { A = N.text; }
colalias(A) ::= AS colid(N).            { A = N.text; }
%type usingopt {struct ast_froms}
usingopt(A) ::= .                       { A = (struct ast_froms){0}; }
usingopt(A) ::= USING fromlist(L).      { A = L; }
%type sets {struct ast_sets}
sets(A) ::= setc(X).                    { A = (struct ast_sets){0}; ADD(p, &A, X); }
sets(A) ::= sets(L) COMMA setc(X).      { A = L; ADD(p, &A, X); }
%type setc {struct ast_set}
setc(A) ::= colid(N) EQ expr(X).        { A = (struct ast_set){.e = X, .pos = N.pos};
                                          ADD(p, &A.columns, N.text); }
setc(A) ::= LP(W) namelist(L) RP EQ expr(X). { A = (struct ast_set){L, X, W.pos}; }

%type util {struct ast_stmt *}
util(A) ::= truncate(X).                { A = X; }
%type truncate {struct ast_stmt *}
truncate(A) ::= TRUNCATE(W) tableopt qnames(L) cascopt(C).
                                        { A = tree_stmt(p, S_TRUNCATE, W.pos); A->n_names = L.n;
                                          A->names = L.v; A->cascade = C; }
tableopt ::= .
tableopt ::= TABLE.
tableopt ::= ARRAY.

/* ---- COPY ---- */
util(A) ::= copy(X).                    { A = X; }
%type copy {struct ast_stmt *}
copy(A) ::= COPY(W) qname(N) optnames(C) FROM|TO(D) copyend(E) copywith(O) where(X).
                                        { A = E; A->pos = W.pos; A->name = N; A->columns = C;
                                          A->copy_from = D.kind == TK_FROM; A->options = O;
                                          A->where = X; }
copy(A) ::= COPY(W) LP copyq(Q) RP TO copyend(E) copywith(O).
                                        { A = E; A->pos = W.pos; A->options = O; A->inner = Q;
                                          A->select = Q->kind == S_SELECT ? Q->select : NULL; }
%type copyq {struct ast_stmt *}
copyq(A) ::= stmtselect(S).             { A = tree_query(p, S); }
copyq(A) ::= dml(X).                    { A = X; }
copyq(A) ::= product(F).                { A = tree_query(p, tree_select_all(p, F)); }
%type copyend {struct ast_stmt *}
copyend(A) ::= SCONST(X).               { A = tree_stmt(p, S_COPY, 0); A->file = X.text;
                                          A->end_kind = COPY_FILE; }
copyend(A) ::= STDIN.                   { A = tree_stmt(p, S_COPY, 0); A->end_kind = COPY_STDIN; }
copyend(A) ::= STDOUT.                  { A = tree_stmt(p, S_COPY, 0); A->end_kind = COPY_STDOUT; }
copyend(A) ::= PROGRAM SCONST(X).       { A = tree_stmt(p, S_COPY, 0); A->file = X.text;
                                          A->end_kind = COPY_PROGRAM; }
%type copywith {struct ast_options}
copywith(A) ::= .                       { A = (struct ast_options){0}; }
copywith(A) ::= LP copts(L) RP.         { A = L; }
copywith(A) ::= WITH LP copts(L) RP.    { A = L; }
copywith(A) ::= WITH oldopts(L).        { A = L; }
copywith(A) ::= oldopts(L).             { A = L; }
/* As PostgreSQL had them before the parentheses, given the names that they have now. */
%type oldopts {struct ast_options}
%type oldopt {struct ast_option *}
oldopts(A) ::= oldopt(X).               { A = (struct ast_options){0}; ADD(p, &A, *X); }
oldopts(A) ::= oldopts(L) oldopt(X).    { A = L; ADD(p, &A, *X); }
oldopt(A) ::= CSV|BINARY(W).            { A = tree_option(p, "format", W.pos, W.text); }
oldopt(A) ::= HEADER|FREEZE(W).         { A = tree_option(p, W.text, W.pos, NULL); }
oldopt(A) ::= DELIMITER|NULL|QUOTE|ESCAPE(W) asopt SCONST(X).
                                        { A = tree_option(p, W.text, W.pos, X.text);
                                          A->value_is_string = true; }
oldopt(A) ::= ENCODING(W) SCONST(X).    { A = tree_option(p, W.text, W.pos, X.text);
                                          A->value_is_string = true; }
asopt ::= .
asopt ::= AS.
/* name value, name value …: COPY, EXPLAIN, VACUUM. */
%type copts {struct ast_options}
%type copt {struct ast_option *}
copts(A) ::= copt(X).                   { A = (struct ast_options){0}; ADD(p, &A, *X); }
copts(A) ::= copts(L) COMMA copt(X).    { A = L; ADD(p, &A, *X); }
copt(A) ::= optkey(N).                  { A = tree_option(p, N.text, N.pos, NULL); }
copt(A) ::= optkey(N) collabel(X).      { A = tree_option(p, N.text, N.pos, X.text); }
copt(A) ::= optkey(N) SCONST(X).        { A = tree_option(p, N.text, N.pos, X.text);
                                          A->value_is_string = true; }
copt(A) ::= optkey(N) signum(X).        { A = tree_option(p, N.text, N.pos, X); }
copt(A) ::= optkey(N) STAR.             { A = tree_option(p, N.text, N.pos, "*"); }
copt(A) ::= optkey(N) LP namelist(L) RP. { A = tree_option(p, N.text, N.pos, NULL); A->list = L; }
copt(A) ::= ON(W) CONFLICT conflact(C). { A = tree_option(p, "on_conflict", W.pos, C.text); }
copt(A) ::= ON(W) ERROR colid(X).       { A = tree_option(p, "on_error", W.pos, X.text); }
optkey(A) ::= colid(X).                 { A = X; }
optkey(A) ::= ANALYZE|VERBOSE|FREEZE|NULL|DEFAULT(X). { A = X; }

