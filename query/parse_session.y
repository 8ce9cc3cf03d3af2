/* ======== How does a session run? Transactions, settings, cursors, upkeep, roles, schedules ==== */
util(A) ::= BEGIN(W) txword txmodes(M). { A = M; A->kind = S_BEGIN; A->pos = W.pos; }
util(A) ::= START(W) TRANSACTION txmodes(M). { A = M; A->kind = S_BEGIN; A->pos = W.pos; }
util(A) ::= COMMIT|END(W) txword chain(C). { A = tree_stmt(p, S_COMMIT, W.pos); A->chain = C; }
util(A) ::= ROLLBACK|ABORT(W) txword chain(C). { A = tree_stmt(p, S_ROLLBACK, W.pos); A->chain = C; }
util(A) ::= ROLLBACK|ABORT(W) txword TO spopt colid(N).
                                        { A = tree_stmt(p, S_ROLLBACK_TO, W.pos);
                                          A->name = tree_name1(p, &N); }
util(A) ::= SAVEPOINT(W) colid(N).      { A = tree_stmt(p, S_SAVEPOINT, W.pos);
                                          A->name = tree_name1(p, &N); }
util(A) ::= RELEASE(W) spopt colid(N).  { A = tree_stmt(p, S_RELEASE, W.pos);
                                          A->name = tree_name1(p, &N); }
util(A) ::= PREPARE(W) TRANSACTION SCONST(X). { A = tree_stmt(p, S_PREPARE_TRANSACTION, W.pos);
                                          A->name = tree_name1(p, &X); }
util(A) ::= SET(W) TRANSACTION txml(M). { A = M; A->kind = S_SET_TRANSACTION; A->pos = W.pos; }
util(A) ::= SET(W) SESSION CHARACTERISTICS AS TRANSACTION txml(M).
                                        { A = M; A->kind = S_SET_TRANSACTION; A->pos = W.pos;
                                          A->all = true; }
txword ::= .
txword ::= WORK|TRANSACTION.
spopt ::= .
spopt ::= SAVEPOINT.
%type chain {bool}
chain(A) ::= .                          { A = false; }
chain(A) ::= AND CHAIN.                 { A = true; }
chain(A) ::= AND NO CHAIN.              { A = false; }
%type txmodes {struct ast_stmt *}
txmodes(A) ::= .                        { A = tree_stmt(p, S_BEGIN, 0); }
txmodes(A) ::= txml(M).                 { A = M; }
%type txml {struct ast_stmt *}
txml(A) ::= txmode(F).                  { A = tree_stmt(p, S_BEGIN, 0); tree_set_mode(A, F); }
txml(A) ::= txml(M) txmode(F).          { A = M; tree_set_mode(A, F); }
txml(A) ::= txml(M) COMMA txmode(F).    { A = M; tree_set_mode(A, F); }
%type txmode {const char *}
txmode(A) ::= ISOLATION LEVEL isolation(X). { A = X; }
txmode(A) ::= READ ONLY.                { A = "read only"; }
txmode(A) ::= READ WRITE.               { A = "read write"; }
txmode(A) ::= DEFERRABLE.               { A = NULL; }
txmode(A) ::= NOT DEFERRABLE.           { A = NULL; }
%type isolation {const char *}
isolation(A) ::= READ COMMITTED.        { A = "read committed"; }
isolation(A) ::= READ UNCOMMITTED.      { A = "read uncommitted"; }
isolation(A) ::= REPEATABLE READ.       { A = "repeatable read"; }
isolation(A) ::= SERIALIZABLE.          { A = "serializable"; }

/* ---- settings ---- */
util(A) ::= SHOW(W) setting(N).         { A = tree_stmt(p, S_SHOW, W.pos); A->name = N; }
util(A) ::= SHOW(W) ALL.                { A = tree_stmt(p, S_SHOW, W.pos); A->all = true; }
util(A) ::= RESET(W) setting(N).        { A = tree_stmt(p, S_RESET, W.pos); A->name = N; }
util(A) ::= RESET(W) ALL.               { A = tree_stmt(p, S_RESET, W.pos); A->all = true; }
%type setting {struct ast_name}
setting(A) ::= qname(N).                { A = tree_setting(p, N); }
setting(A) ::= TIME(W) ZONE.            { W.text = "timezone"; A = tree_name1(p, &W); }
setting(A) ::= TRANSACTION(W) ISOLATION LEVEL. { W.text = "transaction_isolation";
                                          A = tree_name1(p, &W); }
setting(A) ::= SESSION(W) AUTHORIZATION. { W.text = "session_authorization"; A = tree_name1(p, &W); }
util(A) ::= SET(W) scope(S) qname(N) EQ|TO setvals(L).
                                        { A = tree_stmt(p, S_SET, W.pos); A->local = S;
                                          A->name = tree_setting(p, N); A->values = L; }
util(A) ::= SET(W) scope(S) TIME(Z) ZONE zone(V).
                                        { A = tree_stmt(p, S_SET, W.pos); A->local = S;
                                          Z.text = "timezone"; A->name = tree_name1(p, &Z);
                                          if (V) ADD(p, &A->values, V); }
util(A) ::= SET(W) scope(S) NAMES(N) SCONST(X).
                                        { A = tree_stmt(p, S_SET, W.pos); A->local = S;
                                          N.text = "client_encoding"; A->name = tree_name1(p, &N);
                                          ADD(p, &A->values, X.text); }
util(A) ::= SET(W) scope(S) NAMES(N) DEFAULT.
                                        { A = tree_stmt(p, S_SET, W.pos); A->local = S;
                                          N.text = "client_encoding"; A->name = tree_name1(p, &N); }
util(A) ::= SET(W) scope(S) ROLE(N) ID|SCONST(X).
                                        { A = tree_stmt(p, S_SET, W.pos); A->local = S;
                                          A->name = tree_name1(p, &N); ADD(p, &A->values, X.text); }
util(A) ::= SET(W) SESSION(N) AUTHORIZATION ID|SCONST(X).
                                        { A = tree_stmt(p, S_SET, W.pos);
                                          N.text = "session_authorization";
                                          A->name = tree_name1(p, &N); ADD(p, &A->values, X.text); }
util(A) ::= SET(W) SESSION(N) AUTHORIZATION DEFAULT.
                                        { A = tree_stmt(p, S_SET, W.pos);
                                          N.text = "session_authorization";
                                          A->name = tree_name1(p, &N); }
%type scope {bool}
scope(A) ::= .                          { A = false; }
scope(A) ::= SESSION.                   { A = false; }
scope(A) ::= LOCAL.                     { A = true; }
%type setvals {struct ast_names}
setvals(A) ::= DEFAULT.                 { A = (struct ast_names){0}; }
setvals(A) ::= setlist(L).              { A = L; }
%type setlist {struct ast_names}
setlist(A) ::= setval(X).               { A = (struct ast_names){0}; ADD(p, &A, X); }
setlist(A) ::= setlist(L) COMMA setval(X). { A = L; ADD(p, &A, X); }
%type setval {const char *}
setval(A) ::= SCONST|ID|ON|TRUE|FALSE(X). { A = X.text; }
setval(A) ::= signum(X).                { A = X; }
%type zone {const char *}
zone(A) ::= SCONST|ID(X).               { A = X.text; }
zone(A) ::= signum(X).                  { A = X; }
zone(A) ::= INTERVAL SCONST(X) ivfield. { A = X.text; }
zone(A) ::= DEFAULT|LOCAL.              { A = NULL; }
util(A) ::= DISCARD(W) ALL.             { A = tree_stmt(p, S_DISCARD, W.pos); A->all = true; }
util(A) ::= DISCARD(W) PLANS|SEQUENCES|TEMP|TEMPORARY(X). { A = tree_stmt(p, S_DISCARD, W.pos);
                                          A->name = tree_name1(p, &X); }
util(A) ::= LISTEN(W) colid(N).         { A = tree_stmt(p, S_LISTEN, W.pos);
                                          A->name = tree_name1(p, &N); }
util(A) ::= UNLISTEN(W) colid(N).       { A = tree_stmt(p, S_UNLISTEN, W.pos);
                                          A->name = tree_name1(p, &N); }
util(A) ::= UNLISTEN(W) STAR.           { A = tree_stmt(p, S_UNLISTEN, W.pos); A->all = true; }
util(A) ::= NOTIFY(W) colid(N).         { A = tree_stmt(p, S_NOTIFY, W.pos);
                                          A->name = tree_name1(p, &N); }
util(A) ::= NOTIFY(W) colid(N) COMMA SCONST(X). { A = tree_stmt(p, S_NOTIFY, W.pos);
                                          A->name = tree_name1(p, &N); A->to_name = X.text; }

/* ---- prepared statements and cursors ---- */
util(A) ::= PREPARE(W) colid(N) typelist(T) AS preparable(X).
                                        { A = tree_stmt(p, S_PREPARE, W.pos);
                                          A->name = tree_name1(p, &N); A->n_types = T.n;
                                          A->types = T.v; A->inner = X; }
%type typelist {struct types_list}
typelist(A) ::= .                       { A = (struct types_list){0}; }
typelist(A) ::= LP types(L) RP.         { A = L; }
%type preparable {struct ast_stmt *}
preparable(A) ::= stmtselect(S).        { A = tree_query(p, S); }
preparable(A) ::= dml(X).               { A = X; }
util(A) ::= execute(X).                 { A = X; }
%type execute {struct ast_stmt *}
execute(A) ::= EXECUTE(W) colid(N).     { A = tree_stmt(p, S_EXECUTE, W.pos);
                                          A->name = tree_name1(p, &N); }
execute(A) ::= EXECUTE(W) colid(N) LP exprs(L) RP. { A = tree_stmt(p, S_EXECUTE, W.pos);
                                          A->name = tree_name1(p, &N); A->exprs = L; }
util(A) ::= DEALLOCATE(W) prepopt colid(N). { A = tree_stmt(p, S_DEALLOCATE, W.pos);
                                          A->name = tree_name1(p, &N); }
util(A) ::= DEALLOCATE(W) prepopt ALL.  { A = tree_stmt(p, S_DEALLOCATE, W.pos); A->all = true; }
prepopt ::= .
prepopt ::= PREPARE.
util(A) ::= DECLARE(W) colid(N) curopts(O) CURSOR holdopt(H) FOR stmtselect(S).
                                        { A = O; A->pos = W.pos; A->name = tree_name1(p, &N);
                                          A->hold = H; A->select = S; A->inner = tree_query(p, S); }
%type curopts {struct ast_stmt *}
curopts(A) ::= .                        { A = tree_stmt(p, S_DECLARE, 0); }
curopts(A) ::= curopts(O) BINARY.       { A = O; A->binary = true; }
curopts(A) ::= curopts(O) INSENSITIVE.  { A = O; }
curopts(A) ::= curopts(O) SCROLL.       { A = O; A->scroll = true; }
curopts(A) ::= curopts(O) NO SCROLL.    { A = O; }
%type holdopt {bool}
holdopt(A) ::= .                        { A = false; }
holdopt(A) ::= WITH HOLD.               { A = true; }
holdopt(A) ::= WITHOUT HOLD.            { A = false; }
util(A) ::= FETCH(W) fetcharg(X).       { A = X; A->pos = W.pos; }
util(A) ::= MOVE(W) fetcharg(X).        { A = X; A->pos = W.pos; A->kind = S_MOVE; }
%type fetcharg {struct ast_stmt *}
fetcharg(A) ::= colid(N).               { A = tree_fetch(p, "forward", 1); A->name = tree_name1(p, &N); }
fetcharg(A) ::= fromin colid(N).        { A = tree_fetch(p, "forward", 1); A->name = tree_name1(p, &N); }
fetcharg(A) ::= fdir(D) colid(N).       { A = D; A->name = tree_name1(p, &N); }
fetcharg(A) ::= fdir(D) fromin colid(N). { A = D; A->name = tree_name1(p, &N); }
fromin ::= FROM|IN.
%type fdir {struct ast_stmt *}
fdir(A) ::= NEXT.                       { A = tree_fetch(p, "forward", 1); }
fdir(A) ::= PRIOR.                      { A = tree_fetch(p, "backward", 1); }
fdir(A) ::= FIRST.                      { A = tree_fetch(p, "absolute", 1); }
fdir(A) ::= LAST.                       { A = tree_fetch(p, "absolute", -1); }
fdir(A) ::= ALL.                        { A = tree_fetch_all(p, "forward"); }
fdir(A) ::= count(N).                   { A = tree_fetch(p, "forward", N); }
fdir(A) ::= ABSOLUTE count(N).          { A = tree_fetch(p, "absolute", N); }
fdir(A) ::= RELATIVE count(N).          { A = tree_fetch(p, "relative", N); }
fdir(A) ::= FORWARD.                    { A = tree_fetch(p, "forward", 1); }
fdir(A) ::= FORWARD count(N).           { A = tree_fetch(p, "forward", N); }
fdir(A) ::= FORWARD ALL.                { A = tree_fetch_all(p, "forward"); }
fdir(A) ::= BACKWARD.                   { A = tree_fetch(p, "backward", 1); }
fdir(A) ::= BACKWARD count(N).          { A = tree_fetch(p, "backward", N); }
fdir(A) ::= BACKWARD ALL.               { A = tree_fetch_all(p, "backward"); }
%type count {int64_t}
count(A) ::= ICONST(X).                 { A = tree_int(p, &X); }
count(A) ::= PLUS ICONST(X).            { A = tree_int(p, &X); }
count(A) ::= MINUS ICONST(X).           { A = -tree_int(p, &X); }
util(A) ::= CLOSE(W) colid(N).          { A = tree_stmt(p, S_CLOSE, W.pos);
                                          A->name = tree_name1(p, &N); }
util(A) ::= CLOSE(W) ALL.               { A = tree_stmt(p, S_CLOSE, W.pos); A->all = true; }

/* ---- looking and keeping up ---- */
util(A) ::= EXPLAIN(W) explainable(X).  { A = tree_stmt(p, S_EXPLAIN, W.pos); A->inner = X; }
util(A) ::= EXPLAIN(W) VERBOSE explainable(X). { A = tree_stmt(p, S_EXPLAIN, W.pos); A->inner = X;
                                          A->verbose = true; }
util(A) ::= EXPLAIN(W) ANALYZE explainable(X). { A = tree_stmt(p, S_EXPLAIN, W.pos); A->inner = X;
                                          A->analyze = true; }
util(A) ::= EXPLAIN(W) ANALYZE VERBOSE explainable(X).
                                        { A = tree_stmt(p, S_EXPLAIN, W.pos); A->inner = X;
                                          A->analyze = A->verbose = true; }
util(A) ::= EXPLAIN(W) LP copts(L) RP explainable(X).
                                        { A = tree_stmt(p, S_EXPLAIN, W.pos); A->inner = X;
                                          A->options = L; tree_explain_options(A); }
%type explainable {struct ast_stmt *}
explainable(A) ::= select_no_parens(S). { A = tree_query(p, S); }
explainable(A) ::= select_with_parens(S). [UMINUS] { A = tree_query(p, S); }
explainable(A) ::= dml(X).              { A = X; }
explainable(A) ::= createas(X).         { A = tree_stmt_end(p, X); }
explainable(A) ::= refresh_array(X).    { A = tree_stmt_end(p, X); }
explainable(A) ::= execute(X).          { A = tree_stmt_end(p, X); }
util(A) ::= CHECK(W) ARRAY qname(N).    { A = tree_stmt(p, S_CHECK, W.pos); A->name = N; }
util(A) ::= ANALYZE(W).                 { A = tree_stmt(p, S_ANALYZE, W.pos); }
util(A) ::= ANALYZE(W) qname(N).        { A = tree_stmt(p, S_ANALYZE, W.pos); A->name = N; }
util(A) ::= vacuum(X).                  { A = X; }
util(A) ::= VACUUM(W).                  { A = tree_stmt(p, S_VACUUM, W.pos); }
util(A) ::= VACUUM(W) FULL|ANALYZE(X).  { A = tree_stmt(p, S_VACUUM, W.pos);
                                      ADD(p, &A->options, *tree_option(p, X.text, X.pos, NULL)); }
util(A) ::= VACUUM(W) LP copts(L) RP.   { A = tree_stmt(p, S_VACUUM, W.pos); A->options = L; }
util(A) ::= VACUUM(W) LP copts(L) RP qname(N). { A = tree_stmt(p, S_VACUUM, W.pos); A->options = L;
                                          A->name = N; }
%type vacuum {struct ast_stmt *}
vacuum(A) ::= VACUUM(W) qname(N).       { A = tree_stmt(p, S_VACUUM, W.pos); A->name = N; }
vacuum(A) ::= VACUUM(W) qname(N) KEEP ICONST(X) VERSIONS.
                                        { A = tree_stmt(p, S_VACUUM, W.pos); A->name = N;
                                          A->keep = tree_int(p, &X); A->has_keep = true; }
util(A) ::= backup(X).                  { A = X; }
%type backup {struct ast_stmt *}
backup(A) ::= BACKUP(W) TO SCONST(X).   { A = tree_stmt(p, S_BACKUP, W.pos); A->file = X.text; }
util(A) ::= CANCEL(W) ICONST(X).        { A = tree_stmt(p, S_CANCEL, W.pos);
                                          A->count = tree_int(p, &X); A->has_count = true; }
util(A) ::= LOCK(W) tableopt qnames(L). { A = tree_stmt(p, S_LOCK, W.pos); A->n_names = L.n;
                                          A->names = L.v; }

/* ---- roles ---- */
util(A) ::= CREATE(W) ROLE|USER colid(N) withkw roleopts(L).
                                        { A = tree_stmt(p, S_CREATE_ROLE, W.pos);
                                          A->name = tree_name1(p, &N); A->options = L; }
util(A) ::= ALTER(W) ROLE|USER colid(N) withkw roleopts(L).
                                        { A = tree_stmt(p, S_ALTER_ROLE, W.pos);
                                          A->name = tree_name1(p, &N); A->options = L; }
withkw ::= .
withkw ::= WITH.
%type roleopts {struct ast_options}
%type roleopt {struct ast_option *}
roleopts(A) ::= .                       { A = (struct ast_options){0}; }
roleopts(A) ::= roleopts(L) roleopt(X). { A = L; ADD(p, &A, *X); }
roleopt(A) ::= ID(X).                   { A = tree_option(p, X.text, X.pos, NULL); }
roleopt(A) ::= PASSWORD(W) SCONST(X).   { A = tree_option(p, "password", W.pos, X.text);
                                          A->value_is_string = true; }
roleopt(A) ::= PASSWORD(W) NULL.        { A = tree_option(p, "password", W.pos, NULL); }
roleopt(A) ::= CONNECTION(W) LIMIT signum(X). { A = tree_option(p, "connection_limit", W.pos, X); }
roleopt(A) ::= IN(W) ROLE namelist(L).  { A = tree_option(p, "in_role", W.pos, NULL); A->list = L; }
util(A) ::= GRANT(W) privs(X) ON grantobj(O) TO grantees(G) grantopt(Y).
                                        { A = tree_grant(p, S_GRANT, W.pos, X, O, G);
                                          A->grant_option = Y; }
util(A) ::= GRANT(W) privs(X) TO grantees(G). { A = tree_grant(p, S_GRANT, W.pos, X, NULL, G); }
util(A) ::= REVOKE(W) privs(X) ON grantobj(O) FROM grantees(G) cascopt(C).
                                        { A = tree_grant(p, S_REVOKE, W.pos, X, O, G);
                                          A->cascade = C; }
util(A) ::= REVOKE(W) privs(X) FROM grantees(G) cascopt(C).
                                        { A = tree_grant(p, S_REVOKE, W.pos, X, NULL, G);
                                          A->cascade = C; }
/* No option: all. */
%type privs {struct ast_options}
privs(A) ::= ALL.                       { A = (struct ast_options){0}; }
privs(A) ::= ALL PRIVILEGES.            { A = (struct ast_options){0}; }
privs(A) ::= privl(L).                  { A = L; }
%type privl {struct ast_options}
privl(A) ::= priv(X).                   { A = (struct ast_options){0}; ADD(p, &A, *X); }
privl(A) ::= privl(L) COMMA priv(X).    { A = L; ADD(p, &A, *X); }
%type priv {struct ast_option *}
priv(A) ::= ID|SELECT|CREATE|REFERENCES(X) optnames(L).
                                        { A = tree_option(p, X.text, X.pos, NULL); A->list = L; }
%type grantobj {struct ast_stmt *}
grantobj(A) ::= qnames(L).              { A = tree_grant_on(p, "array", L); }
grantobj(A) ::= TABLE|ARRAY qnames(L).  { A = tree_grant_on(p, "array", L); }
grantobj(A) ::= SCHEMA qnames(L).       { A = tree_grant_on(p, "schema", L); }
grantobj(A) ::= ALL TABLES IN SCHEMA qnames(L). { A = tree_grant_on(p, "all in schema", L); }
%type grantees {struct ast_names}
grantees(A) ::= grantee(X).             { A = (struct ast_names){0}; ADD(p, &A, X.text); }
grantees(A) ::= grantees(L) COMMA grantee(X). { A = L; ADD(p, &A, X.text); }
grantee(A) ::= colid(X).                { A = X; }
grantee(A) ::= CURRENT_USER(X).         { A = X; }
%type grantopt {bool}
grantopt(A) ::= .                       { A = false; }
grantopt(A) ::= WITH GRANT OPTION.      { A = true; }

/* ---- schedules ---- */
util(A) ::= CREATE(W) orreplace(R) SCHEDULE ifnotexists(E) colid(N) when(T) schedopts(L) as_body(B)
            schedbody(X).               { A = tree_stmt(p, S_CREATE_SCHEDULE, W.pos);
                                          A->or_replace = R; A->if_not_exists = E;
                                          A->name = tree_name1(p, &N); A->options = T;
                                          for (int i = 0; i < L.n; i++) ADD(p, &A->options, L.v[i]);
                                          tree_set_schedule_body(p, A, X, B); }
%type when {struct ast_options}
when(A) ::= EVERY(W) SCONST(X).         { A = (struct ast_options){0};
                                          ADD(p, &A, *tree_option(p, W.text, W.pos, X.text)); }
when(A) ::= CRON(W) SCONST(X).          { A = (struct ast_options){0};
                                          ADD(p, &A, *tree_option(p, W.text, W.pos, X.text)); }
when(A) ::= EVERY(W) SCONST(X) OFFSET(V) SCONST(Y).
                                        { A = (struct ast_options){0};
                                          ADD(p, &A, *tree_option(p, W.text, W.pos, X.text));
                                          ADD(p, &A, *tree_option(p, V.text, V.pos, Y.text)); }
when(A) ::= AFTER(W) colid(X).          { A = (struct ast_options){0};
                                          ADD(p, &A, *tree_option(p, W.text, W.pos, X.text)); }
%type schedopts {struct ast_options}
%type schedopt {struct ast_option *}
schedopts(A) ::= .                      { A = (struct ast_options){0}; }
schedopts(A) ::= schedopts(L) schedopt(X). { A = L; ADD(p, &A, *X); }
schedopts(A) ::= schedopts(L) ON(W) MISSED ALL MAX ICONST(X).
                              { A = L; ADD(p, &A, *tree_option(p, "on_missed", W.pos, "all"));
                                ADD(p, &A, *tree_option(p, "missed_max", X.pos, X.text)); }
schedopts(A) ::= schedopts(L) RETRY(W) ICONST(X) BACKOFF(V) SCONST(Y).
                              { A = L; ADD(p, &A, *tree_option(p, W.text, W.pos, X.text));
                                ADD(p, &A, *tree_option(p, V.text, V.pos, Y.text)); }
schedopt(A) ::= TIME(W) ZONE SCONST(X). { A = tree_option(p, "time_zone", W.pos, X.text); }
schedopt(A) ::= START|END(W) b_expr(X). { A = tree_option(p, W.text, W.pos, NULL); A->e = X; }
schedopt(A) ::= ON(W) OVERLAP SKIP|QUEUE|CANCEL(X). { A = tree_option(p, "on_overlap", W.pos, X.text); }
schedopt(A) ::= ON(W) MISSED ALL(X).    { A = tree_option(p, "on_missed", W.pos, X.text); }
schedopt(A) ::= ON(W) MISSED SKIP|ONCE(X). { A = tree_option(p, "on_missed", W.pos, X.text); }
schedopt(A) ::= RETRY(W) ICONST(X).     { A = tree_option(p, W.text, W.pos, X.text); }
schedopt(A) ::= TIMEOUT(W) SCONST(X).   { A = tree_option(p, W.text, W.pos, X.text); }
schedopt(A) ::= SUSPEND(W) AFTER ICONST(X) FAILURES. { A = tree_option(p, "suspend_after", W.pos, X.text); }
/* S_EMPTY with the text in file when it is given as a string. */
%type schedbody {struct ast_stmt *}
schedbody(A) ::= SCONST(X).             { A = tree_stmt(p, S_EMPTY, X.pos); A->file = X.text; }
schedbody(A) ::= select_no_parens(S).   { A = tree_query(p, S); }
schedbody(A) ::= select_with_parens(S). [UMINUS] { A = tree_query(p, S); }
schedbody(A) ::= dml(X).                { A = X; }
schedbody(A) ::= copy(X).               { A = X; }
schedbody(A) ::= execute(X).            { A = X; }
schedbody(A) ::= vacuum(X).             { A = X; }
schedbody(A) ::= backup(X).             { A = X; }
schedbody(A) ::= truncate(X).           { A = X; }
schedbody(A) ::= refresh_array(X).      { A = X; }
util(A) ::= ALTER(W) SCHEDULE colid(N) SUSPEND|RESUME(X).
                                        { A = tree_stmt(p, S_ALTER_SCHEDULE, W.pos);
                                          A->name = tree_name1(p, &N); A->direction = X.text; }
util(A) ::= RUN(W) SCHEDULE colid(N).   { A = tree_stmt(p, S_RUN_SCHEDULE, W.pos);
                                          A->name = tree_name1(p, &N); }
util(A) ::= RUN(W) SCHEDULE colid(N) FOR slot(X) TO slot(Y).
                                        { A = tree_stmt(p, S_RUN_SCHEDULE, W.pos);
                                          A->name = tree_name1(p, &N);
                                          ADD(p, &A->exprs, X); ADD(p, &A->exprs, Y); }
util(A) ::= RUN(W) SCHEDULE colid(N) FOR slot(X) TO slot(Y) IN PARALLEL.
                                        { A = tree_stmt(p, S_RUN_SCHEDULE, W.pos);
                                          A->name = tree_name1(p, &N); A->all = true;
                                          ADD(p, &A->exprs, X); ADD(p, &A->exprs, Y); }
%type slot {struct ast_expr *}
slot(A) ::= SCONST(X).                  { A = tree_literal(p, X_STRING, &X); }
slot(A) ::= PARAM(X).                   { A = tree_expr(p, X_PARAM, X.pos); A->number = atoi(X.text); }
slot(A) ::= TIMESTAMP(T) SCONST(X).     { A = tree_typed(p, &T, &X); }
