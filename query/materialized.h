/* Materialized arrays: results of a query that are kept, and refreshed when their sources change.
 *
 * One is an array like others to who reads it. Two objects of the catalog go with it: its
 * definition
 * ("REFRESH … AS SELECT …") and what the last refresh saw of its sources. Both change within the
 * transaction that writes its cells.
 *
 * materialized.c: definitions, who may not write, what is refreshed at a commit. refresh_shape.c:
 * which queries can be refreshed in part. refresh_seen.c: what a refresh remembers. refresh.c:
 * which boxes of the result are computed anew, and that. */
#ifndef TESSERA_MATERIALIZED_H
#define TESSERA_MATERIALIZED_H
#include "query/session_internal.h"

enum refresh_when { REFRESH_MANUAL, REFRESH_ON_COMMIT, REFRESH_EVERY };

struct materialized {
    struct array *array;
    const struct ast_stmt *def; /* CREATE MATERIALIZED ARRAY … */
    const char *text;           /* … and its source */
    enum refresh_when when;
    const char *every; /* REFRESH_EVERY */
    bool incremental;
};

/* ---- materialized.c ---- */
/* The definition of an array; *found false: it is an ordinary one. ERR_UNDEFINED_TABLE. */
enum status materialized_get(struct ctx *c, struct session *s, const char *name, int pos,
                             struct materialized *out, bool *found);
/* Calls fn for all that there are; text: "REFRESH … AS SELECT …". */
typedef enum status materialized_fn(struct ctx *c, void *self, struct array *a, const char *text);
enum status materialized_each(struct ctx *c, struct txn *t, materialized_fn *fn, void *self);
/* CREATE MATERIALIZED ARRAY, before anything is made: the query can be kept, and refreshed as it
 * says. And once the array is there. */
enum status materialized_check(struct ctx *c, struct run *r);
enum status materialized_keep(struct ctx *c, struct run *r);
/* DROP and RENAME of an array, with the schedule that refreshes it. */
enum status drop_array(struct ctx *c, struct run *r, const char *name);
enum status rename_materialized(struct ctx *c, struct run *r, const char *name, const char *to);
/* ERR_WRONG_OBJECT when the array is one; hint: what else to do. */
enum status refuse_materialized(struct ctx *c, struct run *r, const struct ast_name *name,
                                const char *doing);
/* DROP [MATERIALIZED] ARRAY: it is one, or is none, as it should be. */
enum status check_dropped(struct ctx *c, struct run *r, const struct ast_name *name,
                          bool materialized);
/* Locks what a commit will refresh after a change of the array, in the order in which it will. */
enum status lock_refreshed(struct ctx *c, struct session *s, const char *name);
/* Refreshes what is to be ON COMMIT, sources first, before the open transaction is published. */
enum status refresh_on_commit(struct ctx *c, struct session *s);
enum status run_refresh(struct ctx *c, struct run *r);
/* EXPLAIN [ANALYZE] REFRESH: lines. */
enum status explain_refresh(struct ctx *c, struct run *r, struct strbuf *out);

/* ---- refresh_shape.c ---- */
/* ERR_UNSUPPORTED, with the reason and its place, when changes of the sources can't be told to
 * reach only a part of the bound query's result. */
enum status refresh_in_part(struct ctx *c, const struct bind_env *env, const struct query *q);
/* Do values hang on where the axes' positions are counted from? */
bool counts_positions(const struct bind_env *env, const struct query *q);

/* ---- refresh_seen.c ---- */
struct source {
    struct array *array;
    int64_t since;              /* the version that the last refresh saw */
    int64_t hi[MAX_DIMS];       /* the ends of its axes then */
    bool grown;                 /* … which are others now */
    struct tile_changes *tiles; /* what has changed since */
};
struct sources {
    struct source *list;
    int n;
};
/* The arrays that the query reads, each once, by id. */
enum status query_sources(struct ctx *c, const struct query *q, struct sources *out);
/* What is to be remembered of them as they are now. */
enum status sources_remember(struct ctx *c, struct session *s, const struct materialized *m,
                             const struct sources *of, const char **text);
/* What of it counts still. *why: the reason why that tells nothing; else NULL. */
enum status sources_recall(struct ctx *c, struct session *s, const struct materialized *m,
                           struct sources *of, const char *text, const char **why);
/* Calls fn for each source in a remembered text: its id, and the version seen. */
void seen_walk(const char *text, void (*fn)(void *self, uint32_t id, int64_t version), void *self);

/* ---- refresh.c ---- */
/* One refresh of an array that is locked. */
struct refresh {
    struct session *s;
    struct materialized *m;
    struct run run; /* of its definition */
    struct query q;
    struct sources sources;
    bool counts;         /* counts_positions() */
    const char *why;     /* all is computed anew: the reason; NULL: boxes are */
    struct schema shape; /* of the result; !why */
    struct box *boxes;   /* of the array's positions */
    int64_t n_boxes, n_tiles, n_touched;
};
/* Can it still be refreshed? Binds the query, and compares what it gives with what the array has.
 */
enum status refresh_check(struct ctx *c, struct session *s, struct materialized *m,
                          struct refresh *out);
enum status refresh_plan(struct ctx *c, struct session *s, struct materialized *m,
                         struct refresh *out);
enum status refresh_run(struct ctx *c, struct refresh *rf, int64_t *n_cells);

#endif
