/* An engine over a fresh data directory, and statements whose answer is a text: for tests of what
 * lies between a statement and its plan. */
#ifndef TESSERA_QUERY_FIXTURE_H
#define TESSERA_QUERY_FIXTURE_H
#include "query/session.h"
#include "storage/base/value.h"
#include "tests/unit/unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct query_fixture {
    char dir[64];
    struct arena *arena;
    struct settings settings;
    struct engine *engine;
    struct session *session;
    struct ctx c;         /* of the last statement: its error */
    struct strbuf answer; /* rows, a line each, "|" between values, NULL as NULL */
};

struct answer_client {
    struct client client;
    struct strbuf *out;
};

static inline enum status answer_columns(struct ctx *c, struct client *cl,
                                         const struct column_desc *cols, int n)
{
    (void)c, (void)cl, (void)cols, (void)n;
    return OK;
}

static inline enum status answer_rows(struct ctx *c, struct client *cl, const struct column *cols,
                                      int n_cols, const uint64_t *present, int64_t n)
{
    struct strbuf *out = ((struct answer_client *)cl)->out;
    (void)c;
    for (int64_t i = 0; i < n; i++) {
        if (present && !bit_get(present, i)) continue;
        for (int k = 0; k < n_cols; k++) {
            if (k) strbuf_addc(out, '|');
            if (column_is_null(&cols[k], i))
                strbuf_adds(out, "NULL");
            else
                value_format_at(cols[k].type, cols[k].values, i, out);
        }
        strbuf_addc(out, '\n');
    }
    return OK;
}

static inline enum status answer_complete(struct ctx *c, struct client *cl, const char *tag)
{
    (void)c, (void)cl, (void)tag;
    return OK;
}

/* The rows, or NULL: f->c.err says why. Lives until the next call. */
static inline const char *query_run(struct query_fixture *f, const char *sql)
{
    struct answer_client k = {
        .client = {.columns = answer_columns, .rows = answer_rows, .complete = answer_complete},
        .out = &f->answer};
    memset(&f->c, 0, sizeof f->c);
    ctx_clear(&f->c);
    strbuf_clear(&f->answer);
    if (session_simple(&f->c, f->session, sql, strlen(sql), &k.client) < 0) return NULL;
    return f->answer.s ? f->answer.s : "";
}

static inline void query_must(struct query_fixture *f, const char *sql)
{
    if (query_run(f, sql)) return;
    print_error("%s\n%s: %s\n", sql, status_sqlstate(f->c.err.code), f->c.err.message);
    assert_true(false);
}

static inline int query_open(void **state)
{
    struct query_fixture *f = calloc(1, sizeof *f);
    struct ctx c = {0};
    snprintf(f->dir, sizeof f->dir, "/tmp/tessera-query-XXXXXX");
    if (!f || !mkdtemp(f->dir)) return -1;
    f->arena = arena_new();
    c.arena = f->arena;
    ctx_clear(&c);
    settings_defaults(&f->settings);
    if (engine_open(&c, f->dir, &f->settings, &f->engine) < 0) return -1;
    if (session_new(&c, f->engine, &f->session) < 0) return -1;
    *state = f;
    return 0;
}

static inline int query_close(void **state)
{
    struct query_fixture *f = *state;
    char command[96];
    session_free(f->session);
    engine_close(f->engine);
    settings_release(&f->settings);
    arena_free(f->arena);
    strbuf_release(&f->answer);
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    free(f);
    return system(command) == 0 ? 0 : -1;
}

#endif
