/* ======== What is there? CREATE, ALTER, DROP, COMMENT ======== */
util(A) ::= CREATE(W) orreplace(R) ARRAY ifnotexists(E) qname(N) LP coldecls(D) RP withopts(O).
                                        { A = D; A->pos = W.pos; A->or_replace = R;
                                          A->if_not_exists = E; A->name = N; A->options = O; }
util(A) ::= CREATE(W) tempopt(T) TABLE ifnotexists(E) qname(N) LP coldecls(D) RP withopts(O).
                                        { A = D; A->pos = W.pos; A->temporary = T; A->is_table = true;
                                          A->if_not_exists = E; A->name = N; A->options = O; }
util(A) ::= createas(X).                { A = X; }
%type createas {struct ast_stmt *}
createas(A) ::= CREATE(W) orreplace(R) ARRAY ifnotexists(E) qname(N) AS stmtselect(S).
                                        { A = tree_stmt(p, S_CREATE_ARRAY_AS, W.pos);
                                          A->or_replace = R; A->if_not_exists = E; A->name = N;
                                          tree_set_body(p, A, S); }
createas(A) ::= CREATE(W) tempopt(T) TABLE ifnotexists(E) qname(N) AS stmtselect(S).
                                        { A = tree_stmt(p, S_CREATE_ARRAY_AS, W.pos);
                                          A->temporary = T; A->is_table = true;
                                          A->if_not_exists = E; A->name = N;
                                          tree_set_body(p, A, S); }
util(A) ::= CREATE(W) orreplace(R) VIEW ifnotexists(E) qname(N) optnames(C) AS stmtselect(S).
                                        { A = tree_stmt(p, S_CREATE_VIEW, W.pos); A->or_replace = R;
                                          A->if_not_exists = E; A->name = N; A->columns = C;
                                          tree_set_body(p, A, S); }
util(A) ::= CREATE(W) orreplace(R) FUNCTION qname(N) LP fparams(L) RP as_body(B) expr(X).
                                        { A = tree_stmt(p, S_CREATE_FUNCTION, W.pos);
                                          A->or_replace = R; A->name = N; A->params = L; A->expr = X;
                                          A->body_pos = B; A->body_end = p->last.end; }
util(A) ::= CREATE(W) orreplace(R) MATERIALIZED ARRAY ifnotexists(E) qname(N)
            REFRESH refresh(L) AS stmtselect(S).
                                        { A = tree_stmt(p, S_CREATE_MATERIALIZED, W.pos);
                                          A->or_replace = R; A->if_not_exists = E; A->name = N;
                                          A->options = L; tree_set_body(p, A, S); }
util(A) ::= CREATE(W) uniqopt(U) INDEX ifnotexists(E) colid(I) ON qname(N) LP exprs(L) RP.
                                        { A = tree_stmt(p, S_CREATE_INDEX, W.pos);
                                          A->if_not_exists = E; A->name = tree_name1(p, &I);
                                          tree_set_index(p, A, U, N, L); }
util(A) ::= CREATE(W) uniqopt(U) INDEX ON qname(N) LP exprs(L) RP.
                                        { A = tree_stmt(p, S_CREATE_INDEX, W.pos);
                                          tree_set_index(p, A, U, N, L); }
util(A) ::= CREATE(W) SCHEMA ifnotexists(E) colid(N). { A = tree_stmt(p, S_CREATE_SCHEMA, W.pos);
                                          A->if_not_exists = E; A->name = tree_name1(p, &N); }
util(A) ::= refresh_array(X).           { A = X; }
%type refresh_array {struct ast_stmt *}
refresh_array(A) ::= REFRESH(W) MATERIALIZED ARRAY qname(N).
                                        { A = tree_stmt(p, S_REFRESH, W.pos); A->name = N; }
/* Where a function's body begins: behind AS. */
%type as_body {int}
as_body(A) ::= AS.                      { A = p->cur.pos; }
%type tempopt {bool}
tempopt(A) ::= .                        { A = false; }
tempopt(A) ::= TEMP.                    { A = true; }
tempopt(A) ::= TEMPORARY.               { A = true; }
%type uniqopt {bool}
uniqopt(A) ::= .                        { A = false; }
uniqopt(A) ::= UNIQUE.                  { A = true; }
%type orreplace {bool}
orreplace(A) ::= .                      { A = false; }
orreplace(A) ::= OR REPLACE.            { A = true; }
%type ifnotexists {bool}
ifnotexists(A) ::= .                    { A = false; }
ifnotexists(A) ::= IF NOT EXISTS.       { A = true; }
%type ifexists {bool}
ifexists(A) ::= .                       { A = false; }
ifexists(A) ::= IF EXISTS.              { A = true; }
%type fparams {struct ast_names}
fparams(A) ::= .                        { A = (struct ast_names){0}; }
fparams(A) ::= namelist(L).             { A = L; }
%type refresh {struct ast_options}
refresh(A) ::= refresh_when(L).         { A = L; }
refresh(A) ::= refresh_when(L) INCREMENTAL(W).
                                  { A = L; ADD(p, &A, *tree_option(p, "incremental", W.pos, NULL)); }
%type refresh_when {struct ast_options}
refresh_when(A) ::= EVERY(W) SCONST(X). { A = (struct ast_options){0};
                                          ADD(p, &A, *tree_option(p, "refresh", W.pos, "every"));
                                          ADD(p, &A, *tree_option(p, "every", X.pos, X.text)); }
refresh_when(A) ::= ON(W) COMMIT.       { A = (struct ast_options){0};
                                          ADD(p, &A, *tree_option(p, "refresh", W.pos, "commit")); }
refresh_when(A) ::= MANUAL(W).          { A = (struct ast_options){0};
                                          ADD(p, &A, *tree_option(p, "refresh", W.pos, "manual")); }

/* WITH (name = value, …) */
%type withopts {struct ast_options}
withopts(A) ::= .                       { A = (struct ast_options){0}; }
withopts(A) ::= WITH LP opts(L) RP.     { A = L; }
%type opts {struct ast_options}
%type opt {struct ast_option *}
opts(A) ::= opt(X).                     { A = (struct ast_options){0}; ADD(p, &A, *X); }
opts(A) ::= opts(L) COMMA opt(X).       { A = L; ADD(p, &A, *X); }
opt(A) ::= colid(N) EQ SCONST(X).       { A = tree_option(p, N.text, N.pos, X.text);
                                          A->value_is_string = true; }
opt(A) ::= colid(N) EQ signum(X).       { A = tree_option(p, N.text, N.pos, X); }
opt(A) ::= colid(N) EQ ID|ON|TRUE|FALSE|NULL(X). { A = tree_option(p, N.text, N.pos, X.text); }

/* ---- columns: dimensions and attributes ---- */
%type coldecls {struct ast_stmt *}
coldecls(A) ::= coldecl(X).             { A = tree_stmt(p, S_CREATE_ARRAY, 0); ADD(p, &A->defs, *X); }
coldecls(A) ::= tconstraint(X).         { A = tree_stmt(p, S_CREATE_ARRAY, 0);
                                          tree_add_constraint(p, A, X); }
coldecls(A) ::= coldecls(L) COMMA coldecl(X). { A = L; ADD(p, &A->defs, *X); }
coldecls(A) ::= coldecls(L) COMMA tconstraint(X). { A = L; tree_add_constraint(p, A, X); }
%type tconstraint {struct constraint *}
tconstraint(A) ::= tconstraint1(X).     { A = X; }
tconstraint(A) ::= CONSTRAINT colid(N) tconstraint1(X). { A = X; A->check.name = N.text; }
%type tconstraint1 {struct constraint *}
tconstraint1(A) ::= PRIMARY KEY LP namelist(L) RP.
                                        { A = arena_new_of(p->c->arena, struct constraint);
                                          *A = (struct constraint){.primary_key = true, .columns = L}; }
tconstraint1(A) ::= UNIQUE LP namelist(L) RP.
                                        { A = arena_new_of(p->c->arena, struct constraint);
                                          A->columns = L; }
tconstraint1(A) ::= CHECK LP(L) expr(X) RP(R). { A = arena_new_of(p->c->arena, struct constraint);
                                          A->check = (struct ast_check){X, NULL, L.pos + 1, R.pos}; }
tconstraint1(A) ::= FOREIGN(W) KEY LP namelist RP references.
                                        { A = arena_new_of(p->c->arena, struct constraint);
                                          tree_no_references(p, W.pos); }

%type coldecl {struct ast_column *}
coldecl(A) ::= colid(N) typename(T).    { A = tree_columndef(p, &N, T); }
coldecl(A) ::= coldecl(X) DIMENSION(W) LB bound(L) COLON bound(H) RB.
                                        { A = tree_dimension(p, X, DIM_RANGE, W.pos);
                                          A->range = *L; A->range.kind = AXIS_RANGE;
                                          A->range.all = false; A->range.hi = H->lo; }
coldecl(A) ::= coldecl(X) DIMENSION(W) LB bound(L) COLON bound(H) COLON expr(S) RB.
                                        { A = tree_dimension(p, X, DIM_RANGE, W.pos);
                                          A->range = *L; A->range.kind = AXIS_RANGE;
                                          A->range.all = false; A->range.hi = H->lo;
                                          A->range.step = S; }
coldecl(A) ::= coldecl(X) DIMENSION(W) LP exprs(L) RP.
                                        { A = tree_dimension(p, X, DIM_LABELS, W.pos); A->labels = L; }
coldecl(A) ::= coldecl(X) DIMENSION(W). [ID] { A = tree_dimension(p, X, DIM_GROWING, W.pos); }
coldecl(A) ::= coldecl(X) TILE ICONST(N).
                          { A = X; A->tile = tree_int(p, &N);
                            if (A->tile < 1)
                                parse_mistake(p, ERR_INVALID_DEFINITION, N.pos,
                                              "a tile has at least one cell along a dimension"); }
coldecl(A) ::= coldecl(X) NOT NULL(W).  { A = X; A->not_null = true; tree_check_null(p, A, W.pos); }
coldecl(A) ::= coldecl(X) NULL(W).      { A = X; A->null = true; tree_check_null(p, A, W.pos); }
coldecl(A) ::= coldecl(X) DEFAULT(W) b_expr(E).
                          { A = X;
                            if (A->deflt)
                                parse_mistake(p, ERR_SYNTAX, W.pos, "multiple default values "
                                              "specified for column \"%s\"", A->name);
                            A->deflt = E; }
coldecl(A) ::= coldecl(X) CODEC SCONST(C). { A = X; A->codec = C.text; }
coldecl(A) ::= coldecl(X) PRIMARY KEY.  { A = X; A->primary_key = true; }
coldecl(A) ::= coldecl(X) UNIQUE.       { A = X; A->unique = true; }
coldecl(A) ::= coldecl(X) CHECK LP(L) expr(E) RP(R).
                          { A = X;
                            ADD(p, &A->checks, ((struct ast_check){E, A->constraint, L.pos + 1, R.pos}));
                            A->constraint = NULL; }
coldecl(A) ::= coldecl(X) CONSTRAINT colid(N). { A = X; A->constraint = N.text; }
coldecl(A) ::= coldecl(X) references(W). { A = X; tree_no_references(p, W); }
%type references {int}
references(A) ::= REFERENCES(W) qname optnames. { A = W.pos; }
references(A) ::= references(W) ON UPDATE|DELETE refact. { A = W; }
refact ::= CASCADE.
refact ::= RESTRICT.
refact ::= SET NULL.
refact ::= SET DEFAULT.
refact ::= ID ID.
coldecl(A) ::= coldecl(X) GENERATED identity AS IDENTITY. { A = X; A->identity = true; }
identity ::= ALWAYS.
identity ::= BY DEFAULT.

/* ---- ALTER, DROP, COMMENT ---- */
%type alterhead {struct ast_stmt *}
alterhead(A) ::= ALTER(W) arrtab(K) ifexists(E) qname(N).
                                        { A = tree_stmt(p, S_ALTER, W.pos); A->drop = K;
                                          A->is_table = K == DROP_TABLE;
                                          A->if_exists = E; A->name = N; }
%type arrtab {enum drop_kind}
arrtab(A) ::= ARRAY.                    { A = DROP_ARRAY; }
arrtab(A) ::= TABLE.                    { A = DROP_TABLE; }
arrtab(A) ::= VIEW.                     { A = DROP_VIEW; }
util(A) ::= alterhead(X) RENAME TO colid(N). { A = X; A->alter = ALTER_RENAME; A->to_name = N.text; }
util(A) ::= alterhead(X) RENAME colopt colid(F) TO colid(N).
                                        { A = X; A->alter = ALTER_RENAME_COLUMN;
                                          A->from_name = F.text; A->to_name = N.text; }
util(A) ::= alterhead(X) ADD coldecl(D). { A = X; A->alter = ALTER_ADD; ADD(p, &A->defs, *D); }
util(A) ::= alterhead(X) ADD tconstraint(K). { A = X; A->alter = ALTER_ADD;
                                          tree_add_constraint(p, A, K); }
util(A) ::= alterhead(X) ADD COLUMN ifnotexists(E) coldecl(D).
                                        { A = X; A->alter = ALTER_ADD; ADD(p, &A->defs, *D);
                                          A->part_if_not_exists = E; }
util(A) ::= alterhead(X) DROP colid(N) cascopt(C).
                                        { A = X; A->alter = ALTER_DROP_COLUMN;
                                          A->from_name = N.text; A->cascade = C; }
util(A) ::= alterhead(X) DROP COLUMN ifexists(E) colid(N) cascopt(C).
                                        { A = X; A->alter = ALTER_DROP_COLUMN; A->cascade = C;
                                          A->from_name = N.text; A->part_if_exists = E; }
util(A) ::= alterhead(X) DIMENSION colid(N) RESIZE LB range(R) RB.
                                        { A = X; A->alter = ALTER_RESIZE; A->from_name = N.text;
                                          ADD(p, &A->axes, *R); A->has_axes = true; }
util(A) ::= alterhead(X) SET TILE LP opts(L) RP. { A = X; A->alter = ALTER_TILE; A->options = L; }
util(A) ::= alterhead(X) SET LP opts(L) RP. { A = X; A->alter = ALTER_SET; A->options = L; }
util(A) ::= alterhead(X) ALTER colopt colid(N) SET LP opts(L) RP.
                                        { A = X; A->alter = ALTER_COLUMN_SET;
                                          A->from_name = N.text; A->options = L; }
util(A) ::= alterhead(X) OWNER TO colid(N). { A = X; A->alter = ALTER_OWNER; A->to_name = N.text; }
colopt ::= .
colopt ::= COLUMN.

util(A) ::= DROP(W) dropkind(K) ifexists(E) qnames(L) cascopt(C).
                                        { A = tree_stmt(p, S_DROP, W.pos); A->drop = K;
                                          A->is_table = K == DROP_TABLE; A->if_exists = E;
                                          A->n_names = L.n; A->names = L.v; A->cascade = C; }
%type dropkind {enum drop_kind}
dropkind(A) ::= arrtab(K).              { A = K; }
dropkind(A) ::= FUNCTION.               { A = DROP_FUNCTION; }
dropkind(A) ::= INDEX.                  { A = DROP_INDEX; }
dropkind(A) ::= MATERIALIZED ARRAY.     { A = DROP_MATERIALIZED; }
dropkind(A) ::= SCHEDULE.               { A = DROP_SCHEDULE; }
dropkind(A) ::= ROLE|USER.              { A = DROP_ROLE; }
dropkind(A) ::= SCHEMA.                 { A = DROP_SCHEMA; }
%type cascopt {bool}
cascopt(A) ::= .                        { A = false; }
cascopt(A) ::= CASCADE.                 { A = true; }
cascopt(A) ::= RESTRICT.                { A = false; }

util(A) ::= COMMENT(W) ON ckind(K) qname(N) IS SCONST(X).
                                        { A = tree_stmt(p, S_COMMENT, W.pos); A->comment = K;
                                          A->name = N; A->to_name = X.text; }
util(A) ::= COMMENT(W) ON ckind(K) qname(N) IS NULL.
                                        { A = tree_stmt(p, S_COMMENT, W.pos); A->comment = K;
                                          A->name = N; }
%type ckind {enum comment_kind}
ckind(A) ::= ARRAY.                     { A = COMMENT_ARRAY; }
ckind(A) ::= TABLE.                     { A = COMMENT_TABLE; }
ckind(A) ::= COLUMN.                    { A = COMMENT_COLUMN; }
ckind(A) ::= VIEW.                      { A = COMMENT_VIEW; }
ckind(A) ::= FUNCTION.                  { A = COMMENT_FUNCTION; }
ckind(A) ::= DIMENSION.                 { A = COMMENT_DIMENSION; }
ckind(A) ::= SCHEDULE.                  { A = COMMENT_SCHEDULE; }

