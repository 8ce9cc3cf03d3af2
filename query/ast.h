/* The tree that the parser builds: one struct per kind of expression, query and statement, all in
 * the statement's arena. Names are folded to lower case unless quoted. `pos` is the byte offset in
 * the text. Nothing is resolved here. */
#ifndef TESSERA_AST_H
#define TESSERA_AST_H
#include "storage/base/arena.h"
#include "storage/base/types.h"

struct ast_expr;
struct ast_select;
struct ast_stmt;

/* Lists are arrays with a count, filled by the parser; `n` 0 and `v` NULL when empty. */
#define AST_LIST(name, type)                                                                       \
    struct name {                                                                                  \
        int n;                                                                                     \
        type *v;                                                                                   \
    }
AST_LIST(ast_names, const char *);
AST_LIST(ast_exprs, struct ast_expr *);

struct ast_name { /* a, schema.a, alias.column.field */
    int n;
    const char **part;
    int pos;
};

/* ---- types as written ---- */
struct ast_type {
    const char
        *name; /* as written and folded: "real", "double precision", "timestamptz", "varchar" */
    const char *schema;    /* pg_catalog.int4: NULL as a rule */
    struct ast_exprs mods; /* varchar(20) */
    int array_dims;        /* int[] */
    bool setof, with_time_zone;
    int pos;
};

/* ---- one bracket ---- */
enum axis_item_kind { AXIS_POINT, AXIS_RANGE, AXIS_NEAREST };
struct ast_axis { /* lat => 40 : 60 : 2, #time => -1, NEAREST 47.4 TOLERANCE 1, * */
    enum axis_item_kind kind;
    const char *dim;            /* before =>; NULL: positional */
    bool by_position;           /* #dim => … */
    struct ast_expr *lo;        /* POINT: the value; NULL: `*` */
    struct ast_expr *hi;        /* RANGE; NULL: `*` */
    struct ast_expr *step;      /* RANGE; NULL: none */
    struct ast_expr *tolerance; /* NEAREST */
    bool all;                   /* a lone `*` (kind POINT with lo NULL) */
    int pos;
};
AST_LIST(ast_axes, struct ast_axis);

/* ---- expressions ---- */
enum ast_expr_kind {
    X_INT,    /* text: digits */
    X_FLOAT,  /* text */
    X_STRING, /* text */
    X_NULL,
    X_BOOL,     /* flag */
    X_TYPED,    /* DATE '…', INTERVAL '…' DAY: type, text (interval field in name.part[0]) */
    X_PARAM,    /* $n: number */
    X_NAME,     /* column reference: name; star: a.* */
    X_POSITION, /* #d: name */
    X_STAR,     /* count(*) only */
    X_OP, /* op, args (1 or 2): "+", "-", "=", "<>", "and", "or", "not", "||", "~", "@", "like",
             "ilike", "similar", "not like" …; args[2]: LIKE's ESCAPE */
    X_OP_ANY,
    X_OP_ALL,   /* x op ANY (args[1] | select) */
    X_CAST,     /* args[0], type */
    X_IS,       /* args[0] IS [NOT] op: "null", "true", "false", "unknown"; flag: NOT */
    X_DISTINCT, /* args[0] IS [NOT] DISTINCT FROM args[1]; flag: NOT */
    X_BETWEEN,  /* args 0, 1, 2; flag: NOT; flag2: SYMMETRIC */
    X_IN,       /* args[0] IN (args[1] …), or select; flag: NOT */
    X_CASE,     /* operand (may be NULL), args: when, then, when, then …; otherwise */
    X_CALL,     /* name, args, call modifiers below. COALESCE, NULLIF, GREATEST, EXTRACT (field as
                   X_STRING first), SUBSTRING, POSITION, TRIM, OVERLAY, CURRENT_DATE … come as calls of
                   that lower-case name */
    X_SUBQUERY, /* (select) as a value */
    X_EXISTS,
    X_ARRAY_SELECT, /* select */
    X_ARRAY,        /* ARRAY[args] */
    X_ROW,          /* (a, b), ROW(…) */
    X_CELL,         /* args[0] [axes]: value at another cell, or an array subscript */
    X_FIELD,        /* (args[0]).name, (…).* */
    X_COLLATE,      /* args[0], name */
    X_AT_TIME_ZONE, /* args[0], args[1] */
    X_DEFAULT,
    X_EMPTY
};

struct ast_sort {
    struct ast_expr *e;
    bool desc;
    int nulls; /* 0: default (last when ascending), 1: first, 2: last */
};
AST_LIST(ast_sorts, struct ast_sort);

enum ast_edge { EDGE_SHRINK, EDGE_NULL, EDGE_NEAREST, EDGE_REFLECT, EDGE_WRAP };
enum frame_unit { FRAME_NONE, FRAME_ROWS, FRAME_RANGE, FRAME_GROUPS };
enum frame_bound {
    BOUND_UNBOUNDED_PRECEDING,
    BOUND_PRECEDING,
    BOUND_CURRENT,
    BOUND_FOLLOWING,
    BOUND_UNBOUNDED_FOLLOWING
};
enum frame_exclude { EXCLUDE_NONE, EXCLUDE_CURRENT, EXCLUDE_GROUP, EXCLUDE_TIES };
struct ast_window {
    const char *name; /* OVER w, or a base window */
    bool bare;        /* OVER w, not OVER (w …) */
    bool by_cells;    /* [ … ]: axes and edge; else the standard form */
    struct ast_axes axes;
    enum ast_edge edge;
    struct ast_exprs partition;
    struct ast_sorts order;
    enum frame_unit unit;
    enum frame_bound from, to;
    struct ast_expr *from_expr, *to_expr;
    enum frame_exclude exclude;
    int pos;
};

struct ast_arg_name {
    const char *name;
}; /* f(name => x) */

struct ast_expr {
    enum ast_expr_kind kind;
    int pos;
    const char *text; /* literals, NUL-terminated; text_len for embedded bytes */
    int text_len;
    const char *op;
    struct ast_name name;
    bool flag, flag2, star;
    int number;
    struct ast_exprs args;
    struct ast_type *type;
    struct ast_select *select;
    struct ast_expr *operand, *otherwise;
    struct ast_axes axes; /* X_CELL; also a bracket as a function argument (X_CALL reshape(a, [..]):
                             an arg of kind X_CELL with no args) */
    /* X_CALL */
    const char **arg_names; /* parallel to args; NULL when none is named */
    bool distinct, variadic;
    struct ast_sorts order; /* inside the call, or WITHIN GROUP */
    bool within_group;
    struct ast_expr *filter;
    struct ast_window *over;
    int depth; /* levels of expressions and queries below and with this one */
};

/* ---- queries ---- */
struct ast_target {
    struct ast_expr *e; /* NULL: `*` (bracket: `[*]`) */
    const char *alias;
    bool bracket; /* [e]: keep as a dimension */
    int pos;
};
AST_LIST(ast_targets, struct ast_target);

enum from_kind {
    FROM_NAME,
    FROM_FUNCTION,
    FROM_SELECT,
    FROM_GRID,
    FROM_MATMUL,
    FROM_JOIN,
    FROM_ROWS_FROM
};
enum join_kind { JOIN_INNER, JOIN_LEFT, JOIN_RIGHT, JOIN_FULL, JOIN_CROSS };
struct ast_from {
    enum from_kind kind;
    int pos;
    struct ast_name name;  /* NAME, FUNCTION */
    struct ast_expr *call; /* FUNCTION: an X_CALL; ROWS_FROM: an X_ROW of them */
    struct ast_select *select;
    struct ast_axes axes; /* the slice; GRID: its dimensions */
    bool has_axes;
    bool keep_dims; /* single values of the slice narrow their dimension: what is changed */
    struct ast_expr *version; /* VERSION n: X_INT or X_PARAM */
    struct ast_expr *as_of;
    struct ast_from *left, *right; /* MATMUL, JOIN */
    enum join_kind join;
    bool natural, asof, lateral, with_ordinality, only;
    struct ast_names using_cols;
    struct ast_expr *on;
    struct ast_expr *align_tolerance; /* ALIGN NEAREST TOLERANCE x */
    const char *alias;
    struct ast_names columns;       /* alias (a, b) */
    struct ast_type **column_types; /* alias (a int, b text); NULL when none */
    int depth;
};
AST_LIST(ast_froms, struct ast_from *);

enum group_kind { GROUP_EXPR, GROUP_BLOCK, GROUP_ROLLUP, GROUP_CUBE, GROUP_SETS, GROUP_EMPTY };
struct ast_group {
    enum group_kind kind;
    struct ast_expr *e;
    struct ast_axes axes;  /* BLOCK: dim, and the size in lo */
    struct ast_exprs list; /* ROLLUP, CUBE */
    int n_sets;
    struct ast_group *sets; /* SETS; one of several columns is an X_ROW */
    int pos;
};
AST_LIST(ast_groups, struct ast_group);

struct ast_cte {
    const char *name;
    struct ast_names columns;
    struct ast_stmt *stmt;    /* select or DML */
    struct ast_names targets; /* WITH (u, s, vt) AS svd(…) */
    struct ast_expr *call;
    int pos;
};

struct ast_window_def {
    const char *name;
    struct ast_window *w;
};

enum set_op { SET_NONE, SET_UNION, SET_INTERSECT, SET_EXCEPT };
struct ast_select {
    int pos;
    /* WITH … */
    int n_ctes;
    struct ast_cte *ctes;
    bool recursive;
    /* one of: a set operation, VALUES, TABLE name (as a plain select), a plain select */
    enum set_op set;
    bool set_all;
    struct ast_select *left, *right;
    int n_rows;
    struct ast_exprs *rows; /* VALUES */
    bool distinct;
    struct ast_exprs distinct_on;
    struct ast_targets targets;
    struct ast_froms from;
    struct ast_expr *where, *having;
    struct ast_groups groups;
    bool group_distinct;
    int n_windows;
    struct ast_window_def *windows;
    struct ast_sorts order;
    struct ast_expr *limit, *offset; /* NULL: none, LIMIT ALL */
    const char *locking;             /* FOR "update" or "share"; NULL */
    int depth;
};

/* ---- definitions ---- */
struct ast_check { /* CHECK (e), with its text's range */
    struct ast_expr *e;
    const char *name; /* CONSTRAINT name; NULL: none */
    int pos, end;
};
AST_LIST(ast_checks, struct ast_check);

enum dim_kind { DIM_NONE, DIM_RANGE, DIM_LABELS, DIM_GROWING };
struct ast_column {
    const char *name;
    struct ast_type *type;
    enum dim_kind dim;
    struct ast_axis range;   /* DIM_RANGE */
    struct ast_exprs labels; /* DIM_LABELS */
    int64_t tile;            /* 0: not given */
    bool not_null, null, primary_key, unique;
    bool identity; /* GENERATED … AS IDENTITY */
    struct ast_expr *deflt;
    const char *codec;
    struct ast_checks checks;
    const char *constraint; /* CONSTRAINT name, of what follows */
    int pos;
};
AST_LIST(ast_columns, struct ast_column);

struct ast_option { /* name = value, name value; a bare name has value NULL */
    const char *name;
    const char *value; /* text of a string, number, word, true/false; "*" */
    bool value_is_string;
    struct ast_names list; /* (a, b) */
    struct ast_expr *e;    /* a schedule's START and END, instead of value */
    int pos;
};
AST_LIST(ast_options, struct ast_option);

struct ast_set {              /* UPDATE … SET */
    struct ast_names columns; /* more than one: (a, b) = row */
    struct ast_expr *e;
    int pos;
};
AST_LIST(ast_sets, struct ast_set);

enum ast_conflict {
    ON_CONFLICT_DEFAULT,
    ON_CONFLICT_ERROR,
    ON_CONFLICT_IGNORE,
    ON_CONFLICT_REPLACE,
    ON_CONFLICT_UPDATE
};

/* ---- statements ---- */
#define STMT_LIST(X)                                                                               \
    X(S_SELECT, "SELECT")                                                                          \
    X(S_INSERT, "INSERT")                                                                          \
    X(S_UPDATE, "UPDATE")                                                                          \
    X(S_DELETE, "DELETE")                                                                          \
    X(S_TRUNCATE, "TRUNCATE")                                                                      \
    X(S_CREATE_ARRAY, "CREATE ARRAY") X(S_CREATE_ARRAY_AS, "CREATE ARRAY AS")                      \
        X(S_CREATE_VIEW, "CREATE VIEW") X(S_CREATE_FUNCTION, "CREATE FUNCTION") X(                 \
            S_CREATE_MATERIALIZED,                                                                 \
            "CREATE MATERIALIZED ARRAY") X(S_REFRESH, "REFRESH") X(S_CREATE_INDEX, "CREATE INDEX") \
            X(S_CREATE_SCHEMA, "CREATE SCHEMA") X(S_DROP, "DROP") X(S_ALTER, "ALTER ARRAY") X(     \
                S_COMMENT, "COMMENT") X(S_COPY, "COPY") X(S_BEGIN, "BEGIN") X(S_COMMIT, "COMMIT")  \
                X(S_ROLLBACK, "ROLLBACK") X(S_SAVEPOINT, "SAVEPOINT") X(S_ROLLBACK_TO, "ROLLBACK") \
                    X(S_RELEASE, "RELEASE") X(S_PREPARE_TRANSACTION, "PREPARE TRANSACTION") X(     \
                        S_SET_TRANSACTION, "SET TRANSACTION") X(S_SHOW, "SHOW") X(S_SET, "SET")    \
                        X(S_RESET, "RESET") X(S_DISCARD, "DISCARD ALL") X(S_LISTEN, "LISTEN") X(   \
                            S_UNLISTEN, "UNLISTEN") X(S_NOTIFY, "NOTIFY") X(S_PREPARE, "PREPARE")  \
                            X(S_EXECUTE, "EXECUTE") X(S_DEALLOCATE, "DEALLOCATE") X(               \
                                S_DECLARE, "DECLARE CURSOR") X(S_FETCH, "FETCH") X(S_MOVE, "MOVE") \
                                X(S_CLOSE, "CLOSE CURSOR") X(S_EXPLAIN, "EXPLAIN")                 \
                                    X(S_CHECK, "CHECK ARRAY") X(S_ANALYZE, "ANALYZE")              \
                                        X(S_VACUUM, "VACUUM") X(S_BACKUP, "BACKUP")                \
                                            X(S_CANCEL, "CANCEL") X(S_LOCK, "LOCK TABLE") X(       \
                                                S_CREATE_ROLE, "CREATE ROLE")                      \
                                                X(S_ALTER_ROLE, "ALTER ROLE") X(S_GRANT, "GRANT")  \
                                                    X(S_REVOKE, "REVOKE")                          \
                                                        X(S_CREATE_SCHEDULE, "CREATE SCHEDULE")    \
                                                            X(S_ALTER_SCHEDULE, "ALTER SCHEDULE")  \
                                                                X(S_RUN_SCHEDULE, "RUN SCHEDULE")  \
                                                                    X(S_EMPTY, "")
enum stmt_kind {
#define X(id, tag) id,
    STMT_LIST(X)
#undef X
};

enum alter_kind {
    ALTER_RENAME,
    ALTER_RENAME_COLUMN,
    ALTER_ADD,
    ALTER_DROP_COLUMN,
    ALTER_RESIZE,
    ALTER_TILE,
    ALTER_SET,
    ALTER_COLUMN_SET,
    ALTER_OWNER
};
enum drop_kind {
    DROP_ARRAY,
    DROP_TABLE,
    DROP_VIEW,
    DROP_FUNCTION,
    DROP_INDEX,
    DROP_MATERIALIZED,
    DROP_SCHEDULE,
    DROP_ROLE,
    DROP_SCHEMA
};
enum comment_kind {
    COMMENT_ARRAY,
    COMMENT_TABLE,
    COMMENT_COLUMN,
    COMMENT_VIEW,
    COMMENT_FUNCTION,
    COMMENT_DIMENSION,
    COMMENT_SCHEDULE
};
enum copy_end { COPY_FILE, COPY_STDIN, COPY_STDOUT, COPY_PROGRAM };

struct ast_stmt {
    enum stmt_kind kind;
    int pos, end;         /* byte range of the statement's text */
    struct ast_name name; /* what it is about */
    bool or_replace, if_exists, if_not_exists, temporary, is_table, cascade;
    struct ast_select
        *select; /* SELECT, INSERT's source (VALUES included), AS select, COPY (query) */
    int n_ctes;
    struct ast_cte *ctes;
    bool recursive; /* WITH before DML */
    /* INSERT, UPDATE, DELETE */
    struct ast_names columns;
    struct ast_axes axes;
    bool has_axes;
    const char *alias;
    struct ast_sets sets;
    struct ast_froms from;
    struct ast_expr *where;
    enum ast_conflict on_conflict;
    struct ast_names conflict_columns;
    struct ast_sets conflict_sets;
    struct ast_expr *conflict_where;
    struct ast_targets returning;
    bool default_values;
    /* definitions */
    struct ast_columns defs;
    struct ast_names primary_key; /* table constraint */
    int n_uniques;
    struct ast_names *uniques; /* table constraints */
    struct ast_checks checks;  /* table constraints */
    struct ast_options options;
    struct ast_names params; /* CREATE FUNCTION */
    struct ast_expr *expr;   /* CREATE FUNCTION's body, with body_pos, body_end its text */
    int body_pos, body_end;  /* text range of a view's select or a function's expression */
    /* ALTER: what is altered in drop; the column or dimension in from_name; ADD's column in defs;
     * RESIZE's range in axes */
    enum alter_kind alter;
    bool part_if_exists, part_if_not_exists; /* DROP COLUMN IF EXISTS, ADD COLUMN IF NOT EXISTS */
    const char *from_name, *to_name; /* RENAME x TO y; COMMENT's text in to_name (NULL: IS NULL) */
    enum drop_kind drop;
    int n_names;
    struct ast_name *names; /* DROP, TRUNCATE, LOCK; CREATE INDEX: the array, columns in exprs */
    enum comment_kind comment;
    /* COPY */
    bool copy_from;
    enum copy_end end_kind;
    const char *file;
    /* transactions */
    bool read_only, read_write, chain;
    const char *isolation; /* "read committed" …; NULL */
    /* SHOW, SET, RESET: the setting is name.part[0], "a.b" in one; TIME ZONE is "timezone", NAMES
     * "client_encoding", TRANSACTION ISOLATION LEVEL "transaction_isolation". SET TRANSACTION with
     * all: SET SESSION CHARACTERISTICS. */
    bool local, all; /* SET LOCAL; SHOW ALL, RESET ALL, DEALLOCATE ALL, CLOSE ALL; RUN SCHEDULE …
                        IN PARALLEL */
    struct ast_names values; /* SET x = a, b; n 0: DEFAULT */
    /* PREPARE, EXECUTE, DECLARE, FETCH, EXPLAIN, VACUUM, CANCEL */
    int n_types;
    struct ast_type **types;
    struct ast_stmt *inner; /* PREPARE, EXPLAIN, DECLARE, CREATE SCHEDULE, COPY (INSERT …) */
    struct ast_exprs exprs; /* EXECUTE's values; RUN SCHEDULE's FOR and TO */
    bool analyze, verbose, scroll, hold, binary;
    const char *format; /* EXPLAIN (FORMAT json) */
    /* FETCH, MOVE: "forward", "backward", "absolute" or "relative" by count, or all (NEXT is
     * forward 1, PRIOR backward 1, FIRST absolute 1, LAST absolute -1). ALTER SCHEDULE: "suspend",
     * "resume". CANCEL: count. */
    const char *direction;
    int64_t count;
    bool has_count;
    int64_t keep;
    bool has_keep;
    /* GRANT, REVOKE: options are the privileges (list: columns) or the roles granted, all: every
     * privilege; names what they are on (direction "array", "schema" or "all in schema"), params
     * the grantees. Roles: options. Schedules: options every, offset, cron, after, time_zone,
     * start, end, on_overlap, on_missed, missed_max, retry, backoff, timeout, suspend_after, and
     * body for AS $$…$$. Materialized arrays: options refresh (every, commit, manual), every,
     * incremental. */
    bool grant_option;
};
AST_LIST(ast_script, struct ast_stmt *);

#endif
