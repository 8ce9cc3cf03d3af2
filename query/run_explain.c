/* EXPLAIN: what would a statement do, and (ANALYZE) what did it? */
#include "query/materialized.h"
#include "query/write.h"
#include <ctype.h>
#include <string.h>

static enum status ignore_rows(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                               const struct chunk *ch)
{
    (void)c, (void)sink, (void)worker, (void)seq, (void)ch;
    return OK;
}

static void format_counters(const struct counters *k, struct strbuf *out)
{
    static const char *const labels[] = {
#define X(field, label) label,
        COUNTER_LIST(X)
#undef X
    };
    const atomic_int_least64_t *values = (const atomic_int_least64_t *)k;
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        int64_t v = atomic_load(&values[i]);
        if (v) strbuf_addf(out, "%s: %lld\n", labels[i], (long long)v);
    }
}

/* Runs the query, and writes what the job says when there is one. */
static enum status analyze(struct ctx *c, struct run *r, const struct query *q,
                           const struct write_job *j, struct strbuf *out)
{
    struct exec *x = NULL;
    struct rowset *returned = NULL;
    int64_t start = now_ns(), n;
    struct sink s = {.consume = ignore_rows};
    enum status st = exec_open(c, q, r->params, r->n_params, r->s->txn, &x);
    if (st == OK)
        st = j ? write_query(c, x, j, &n, &returned) : exec_run(c, exec_root(x), NULL, &s);
    if (st == OK) {
        exec_format(x, out);
        format_counters(&r->s->counters, out);
        strbuf_addf(out, "memory: %lld bytes at most, limit %lld\n",
                    (long long)atomic_load(&r->s->budget.peak_bytes),
                    (long long)r->s->budget.limit_bytes);
        strbuf_addf(out, "time: %.3f ms\n", (double)(now_ns() - start) / 1e6);
    }
    rowset_free(returned);
    exec_close(x);
    return st;
}

/* ---- FORMAT json: the same lines as a tree ---- */

static void add_json_text(struct strbuf *out, const char *s, size_t n)
{
    strbuf_addc(out, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char ch = (unsigned char)s[i];
        if (ch == '"' || ch == '\\')
            strbuf_addf(out, "\\%c", ch);
        else if (ch < 0x20)
            strbuf_addf(out, "\\u%04x", ch);
        else
            strbuf_addc(out, (char)ch);
    }
    strbuf_addc(out, '"');
}

static int indent_of(const char *line)
{
    return (int)strspn(line, " ");
}

static bool is_node(const char *line)
{
    return strncmp(line + indent_of(line), "-> ", 3) == 0;
}

static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');
    return end ? end + 1 : line + strlen(line);
}

/* A node, and those below it that are further in; returns the line after them. */
static const char *add_json_node(struct strbuf *out, const char *line)
{
    int indent = indent_of(line), n = 0;
    const char *text = line + indent + 3;
    strbuf_adds(out, "{\"Node\": ");
    add_json_text(out, text, strcspn(text, "\n"));
    for (line = next_line(line); *line && is_node(line) && indent_of(line) > indent; n++) {
        strbuf_adds(out, n ? ", " : ", \"Plans\": [");
        line = add_json_node(out, line);
    }
    if (n) strbuf_addc(out, ']');
    strbuf_addc(out, '}');
    return line;
}

/* Lines that are no nodes are a name and a value, or head the node below them. */
static void to_json(struct strbuf *text)
{
    struct strbuf out = STRBUF_INIT;
    const char *line = text->s ? text->s : "";
    strbuf_adds(&out, "[{");
    for (int n = 0; *line; n++) {
        size_t len = strcspn(line, "\n");
        const char *colon = memchr(line, ':', len), *after = next_line(line);
        if (n) strbuf_adds(&out, ", ");
        if (is_node(line)) {
            strbuf_adds(&out, "\"Plan\": ");
            line = add_json_node(&out, line);
        } else if (*after && is_node(after)) {
            add_json_text(&out, line, len);
            strbuf_adds(&out, ": ");
            line = add_json_node(&out, after);
        } else {
            size_t name = colon ? (size_t)(colon - line) : len;
            add_json_text(&out, line, name);
            strbuf_adds(&out, ": ");
            add_json_text(&out, colon ? colon + 2 : "", colon ? len - name - 2 : 0);
            line = after;
        }
    }
    strbuf_adds(&out, "}]");
    strbuf_release(text);
    *text = out;
}

/* ---- the statement ---- */

/* The query under the statement, and what is done with its rows: *job NULL, they are shown. */
static enum status bind_explained(struct ctx *c, struct run *r, struct query *q,
                                  struct write_job *job, bool *writes)
{
    const struct ast_stmt *inner = r->stmt->inner;
    const struct returning *what;
    *writes = inner->kind == S_INSERT || inner->kind == S_UPDATE || inner->kind == S_DELETE;
    if (*writes) {
        if (r->stmt->analyze) {
            TRY(want_write(c, r->s, "EXPLAIN ANALYZE of a change"));
            TRY(lock_target(c, r, inner));
        }
        TRY(bind_write_job(c, r, inner, job, &what));
        *q = *job->query;
        return OK;
    }
    if (inner->kind != S_SELECT && inner->kind != S_CREATE_ARRAY_AS)
        return fail_at(
            c, ERR_UNSUPPORTED, inner->pos,
            "EXPLAIN shows queries, INSERT, UPDATE, DELETE, CREATE ARRAY AS and REFRESH");
    struct bind_env env = session_bind_env(r);
    env.stored = inner->kind == S_CREATE_ARRAY_AS;
    TRY(bind_select(c, &env, inner->select, q));
    return plan_rewrite(c, q, !r->s->settings.optimizer.n);
}

static void format_target(const struct ast_stmt *inner, struct strbuf *out)
{
    static const char *const words[] = {
        [S_INSERT] = "insert into", [S_UPDATE] = "update", [S_DELETE] = "delete from"};
    strbuf_addf(out, "%s %s\n", words[inner->kind], last_part(&inner->name));
}

enum status run_explain(struct ctx *c, struct run *r)
{
    const char *format = r->stmt->format ? r->stmt->format : "text";
    bool json = !strcmp(format, "json"), writes;
    struct query q;
    struct write_job job;
    if (!json && strcmp(format, "text") != 0) {
        fail_at(c, ERR_UNSUPPORTED, r->stmt->pos, "EXPLAIN (FORMAT %s) is not available", format);
        return hint(c, "FORMAT text or json.");
    }
    TRY(need_txn(c, r->s));
    bool refresh = r->stmt->inner->kind == S_REFRESH;
    if (!refresh) TRY(bind_explained(c, r, &q, &job, &writes));
    struct strbuf text = STRBUF_INIT;
    enum status st = OK;
    if (!refresh && writes) format_target(r->stmt->inner, &text);
    if (refresh)
        st = explain_refresh(c, r, &text);
    else if (r->stmt->analyze)
        st = analyze(c, r, &q, writes ? &job : NULL, &text);
    else
        plan_format(&q, &text);
    if (st == OK && json) to_json(&text);
    if (st == OK) st = send_lines(c, r->cl, "QUERY PLAN", text.s ? text.s : "");
    strbuf_release(&text);
    return st < 0 ? st : tag(r, "EXPLAIN");
}
