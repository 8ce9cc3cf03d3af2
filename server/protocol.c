/* One client's conversation: messages in, statements run, answers out. Runs on the connection's own
 * thread. */
#include "server/loop.h"
#include "server/message.h"
#include "storage/base/log.h"
#include "storage/base/tokens.h"
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t MAX_STARTUP_BYTES = 10000, MAX_MESSAGE_BYTES = 1u << 30;
static const size_t FLUSH_BYTES = 64 * 1024, KEPT_BYTES = 1 << 20;
static const int64_t STARTUP_MS = 60000; /* for a client to say who it is */
enum { CODE_CANCEL = 80877102, CODE_SSL = 80877103, CODE_GSS = 80877104, PROTOCOL_3 = 196608 };

enum { N_REPORTED = 7 }; /* settings that clients follow */

struct portal_formats { /* result formats, as Bind gave them */
    struct portal_formats *next;
    char *name;
    int16_t *formats;
    int n;
};

struct peer {
    struct client client; /* first: the session's callbacks are handed this */
    struct conn *conn;
    struct session *session;
    struct strbuf out;      /* whole messages that were not sent yet */
    struct strbuf in;       /* the body of the message being read */
    size_t at;              /* how far its fields were read */
    struct strbuf query;    /* the statement's text, for positions of errors */
    const int16_t *formats; /* of the portal being run */
    int n_formats;
    struct portal_formats *portals;
    bool skip_to_sync;
    bool lost; /* where the next message begins cannot be told */
    char *reported[N_REPORTED];
    int64_t timeout_ms; /* how long the rest of a message may take; 0: for ever */
};

/* ---- sending ---- */

static bool flush(struct peer *p, struct ctx *c)
{
    bool ok = !p->out.len || conn_send(p->conn, c, p->out.s, p->out.len);
    strbuf_clear(&p->out);
    return ok;
}

static enum status flush_some(struct ctx *c, struct peer *p)
{
    if (p->out.len < FLUSH_BYTES || flush(p, c)) return OK;
    return fail(c, ERR_CONNECTION, "the client went away");
}

static void send_error(struct peer *p, const char *severity, const struct error *e)
{
    message_error(&p->out, severity, e, p->query.s);
}

static enum status on_columns(struct ctx *c, struct client *cl, const struct column_desc *cols,
                              int n)
{
    struct peer *p = (struct peer *)cl;
    message_columns(&p->out, cols, n, p->formats, p->n_formats);
    return flush_some(c, p);
}

static enum status on_rows(struct ctx *c, struct client *cl, const struct column *cols, int n_cols,
                           const uint64_t *present, int64_t n)
{
    struct peer *p = (struct peer *)cl;
    for (int64_t i = present ? bits_next(present, 0, n) : 0; i < n;
         i = present ? bits_next(present, i + 1, n) : i + 1) {
        TRY(message_row(c, &p->out, cols, n_cols, i, p->formats, p->n_formats));
        TRY(flush_some(c, p));
    }
    return OK;
}

static enum status on_complete(struct ctx *c, struct client *cl, const char *tag)
{
    struct peer *p = (struct peer *)cl;
    size_t mark = message_begin(&p->out, *tag ? 'C' : 'I');
    if (*tag) message_string(&p->out, tag);
    message_end(&p->out, mark);
    return flush_some(c, p);
}

static void on_notice(void *self, const char *severity, const char *sqlstate, const char *message)
{
    struct peer *p = self;
    const char *least = session_settings(p->session)->client_min_messages.s;
    bool is_notice = !strcmp(severity, "NOTICE");
    if (!strcmp(least, "error") || (is_notice && !strcmp(least, "warning"))) return;
    message_notice(&p->out, severity, sqlstate, message);
}

/* Settings that clients follow. */
static void reported_values(const struct settings *s, const char *names[], const char *values[])
{
    int n = 0;
    names[n] = "application_name", values[n++] = s->application_name.s;
    names[n] = "client_encoding", values[n++] = "UTF8";
    names[n] = "DateStyle", values[n++] = s->datestyle.s;
    names[n] = "default_transaction_read_only",
    values[n++] = s->default_transaction_read_only.n ? "on" : "off";
    names[n] = "IntervalStyle", values[n++] = s->intervalstyle.s;
    names[n] = "standard_conforming_strings", values[n++] = "on";
    names[n] = "TimeZone", values[n++] = s->timezone.s;
}

/* Those that changed since the client heard of them last. */
static void report_parameters(struct peer *p)
{
    const char *names[N_REPORTED], *values[N_REPORTED];
    reported_values(session_settings(p->session), names, values);
    for (int i = 0; i < N_REPORTED; i++) {
        if (p->reported[i] && !strcmp(p->reported[i], values[i])) continue;
        message_parameter(&p->out, names[i], values[i]);
        free(p->reported[i]);
        p->reported[i] = strdup(values[i]);
    }
}

static void on_notification(void *self, int pid, const char *channel, const char *payload)
{
    struct peer *p = self;
    message_notification(&p->out, pid, channel, payload);
}

static void send_notifications(struct peer *p)
{
    int64_t n_lost = session_notifications(p->session, on_notification, p);
    if (n_lost == 0) return;
    char text[96];
    snprintf(text, sizeof text,
             "%lld notifications were lost: they came faster than they were read",
             (long long)n_lost);
    on_notice(p, "WARNING", "01000", text);
}

static bool send_ready(struct peer *p)
{
    send_notifications(p);
    report_parameters(p);
    message_ready(&p->out, session_state(p->session));
    return flush(p, NULL);
}

/* ---- reading ---- */

static bool take_body(struct peer *p, uint32_t bytes)
{
    if (p->in.cap > KEPT_BYTES)
        strbuf_release(&p->in);
    else
        strbuf_clear(&p->in);
    p->at = 0;
    char *to = strbuf_grow(&p->in, bytes);
    bool timed_out;
    return bytes == 0 || conn_take(p->conn, to, bytes, p->timeout_ms, &timed_out);
}

static bool take_length(struct peer *p, uint32_t most, uint32_t *bytes)
{
    uint32_t n;
    bool timed_out;
    if (!conn_take(p->conn, &n, 4, p->timeout_ms, &timed_out)) return false;
    n = be32toh(n);
    if (n < 4 || n - 4 > most) {
        struct ctx c = {0};
        ctx_clear(&c);
        fail(&c, ERR_PROTOCOL, "invalid message length");
        send_error(p, "FATAL", &c.err);
        flush(p, NULL);
        return false;
    }
    *bytes = n - 4;
    return true;
}

static enum status short_message(struct ctx *c)
{
    return fail(c, ERR_PROTOCOL, "insufficient data left in message");
}

static enum status get_bytes(struct ctx *c, struct peer *p, size_t n, const char **out)
{
    if (p->in.len - p->at < n) return short_message(c);
    *out = p->in.s + p->at;
    p->at += n;
    return OK;
}

static enum status get_int16(struct ctx *c, struct peer *p, int *out)
{
    const char *s;
    uint16_t v;
    TRY(get_bytes(c, p, 2, &s));
    memcpy(&v, s, 2);
    *out = (int16_t)be16toh(v);
    return OK;
}

static enum status get_int32(struct ctx *c, struct peer *p, int32_t *out)
{
    const char *s;
    uint32_t v;
    TRY(get_bytes(c, p, 4, &s));
    memcpy(&v, s, 4);
    *out = (int32_t)be32toh(v);
    return OK;
}

static enum status get_string(struct ctx *c, struct peer *p, const char **out)
{
    const char *end = p->in.len > p->at ? memchr(p->in.s + p->at, 0, p->in.len - p->at) : NULL;
    if (!end) return fail(c, ERR_PROTOCOL, "invalid string in message");
    *out = p->in.s + p->at;
    p->at = (size_t)(end - p->in.s) + 1;
    return OK;
}

/* ---- COPY ---- */

static enum status copy_begin(struct ctx *c, struct peer *p, char type, int n_cols, bool binary)
{
    size_t mark = message_begin(&p->out, type);
    strbuf_addc(&p->out, binary);
    message_int16(&p->out, n_cols);
    for (int i = 0; i < n_cols; i++)
        message_int16(&p->out, binary);
    message_end(&p->out, mark);
    return flush(p, c) ? OK : fail(c, ERR_CONNECTION, "the client went away");
}

static enum status on_copy_in_begin(struct ctx *c, struct client *cl, int n_cols, bool binary)
{
    struct peer *p = (struct peer *)cl;
    return copy_begin(c, p, 'G', n_cols, binary);
}

static enum status copy_cut(struct ctx *c, const struct peer *p)
{
    if (conn_stopping(p->conn))
        return fail(c, ERR_SHUTDOWN, "terminating connection due to administrator command");
    return fail(c, ERR_CONNECTION, "unexpected end of file on client connection with an open COPY");
}

static enum status copy_in_message(struct ctx *c, struct client *cl, const char **bytes, size_t *n)
{
    struct peer *p = (struct peer *)cl;
    for (;;) {
        char type;
        uint32_t len;
        TRY(check_cancel(c));
        if (!conn_take(p->conn, &type, 1, 0, NULL) || !take_length(p, MAX_MESSAGE_BYTES, &len) ||
            !take_body(p, len))
            return copy_cut(c, p);
        switch (type) {
        case 'd':
            *bytes = p->in.s;
            *n = len;
            if (len == 0) continue;
            return OK;
        case 'c':
            *n = 0;
            return OK;
        case 'f':
            return fail(c, ERR_CANCELLED, "COPY from stdin failed: %.*s", (int)len, p->in.s);
        case 'H':
        case 'S':
            continue;
        default:
            p->lost = true;
            return fail(c, ERR_PROTOCOL, "unexpected message type 0x%02X during COPY from stdin",
                        (unsigned char)type);
        }
    }
}

static enum status on_copy_in_read(struct ctx *c, struct client *cl, const char **bytes, size_t *n)
{
    token_pause(c);
    enum status s = copy_in_message(c, cl, bytes, n);
    token_resume(c);
    return s;
}

static enum status on_copy_out_begin(struct ctx *c, struct client *cl, int n_cols, bool binary)
{
    return copy_begin(c, (struct peer *)cl, 'H', n_cols, binary);
}

static enum status on_copy_out_write(struct ctx *c, struct client *cl, const void *bytes, size_t n)
{
    struct peer *p = (struct peer *)cl;
    size_t mark = message_begin(&p->out, 'd');
    strbuf_add(&p->out, bytes, n);
    message_end(&p->out, mark);
    return flush_some(c, p);
}

static enum status on_copy_out_end(struct ctx *c, struct client *cl)
{
    struct peer *p = (struct peer *)cl;
    message_end(&p->out, message_begin(&p->out, 'c'));
    return flush_some(c, p);
}

/* ---- result formats a portal ---- */

static struct portal_formats *formats_of(struct peer *p, const char *portal)
{
    for (struct portal_formats *f = p->portals; f; f = f->next)
        if (!strcmp(f->name, portal)) return f;
    return NULL;
}

static void keep_formats(struct peer *p, const char *portal, int16_t *formats, int n)
{
    struct portal_formats *f = formats_of(p, portal);
    if (!f) {
        f = calloc(1, sizeof *f);
        if (!f) abort();
        f->name = strdup(portal);
        f->next = p->portals;
        p->portals = f;
    }
    free(f->formats);
    f->formats = formats;
    f->n = n;
}

static void drop_formats(struct peer *p, const char *portal)
{
    for (struct portal_formats **at = &p->portals; *at;) {
        struct portal_formats *f = *at;
        if (portal && strcmp(f->name, portal) != 0) {
            at = &f->next;
            continue;
        }
        *at = f->next;
        free(f->name);
        free(f->formats);
        free(f);
    }
}

/* ---- messages ---- */

static void remember_query(struct peer *p, const char *text)
{
    strbuf_clear(&p->query);
    strbuf_add(&p->query, text, strlen(text) + 1);
}

static enum status do_query(struct ctx *c, struct peer *p)
{
    const char *text;
    TRY(get_string(c, p, &text));
    remember_query(p, text);
    p->n_formats = 0;
    return session_simple(c, p->session, p->query.s, p->query.len - 1, &p->client);
}

static enum status do_parse(struct ctx *c, struct peer *p)
{
    const char *name, *text;
    int n;
    TRY(get_string(c, p, &name));
    TRY(get_string(c, p, &text));
    TRY(get_int16(c, p, &n));
    remember_query(p, text);
    if (n < 0 || (size_t)n > (p->in.len - p->at) / 4) return short_message(c);
    uint32_t *oids = calloc((size_t)n + 1, sizeof *oids);
    if (!oids) return fail(c, ERR_MEMORY, "out of memory");
    enum status st = OK;
    for (int i = 0; i < n && st == OK; i++) {
        int32_t oid = 0;
        st = get_int32(c, p, &oid);
        oids[i] = (uint32_t)oid;
    }
    if (st == OK) st = session_parse(c, p->session, name, p->query.s, p->query.len - 1, oids, n);
    free(oids);
    if (st == OK) message_end(&p->out, message_begin(&p->out, '1'));
    return st;
}

static enum status get_formats(struct ctx *c, struct peer *p, int16_t **out, int *n)
{
    TRY(get_int16(c, p, n));
    if (*n < 0 || (size_t)*n > (p->in.len - p->at) / 2) return short_message(c);
    *out = calloc((size_t)*n + 1, sizeof **out);
    if (!*out) return fail(c, ERR_MEMORY, "out of memory");
    for (int i = 0; i < *n; i++) {
        int f = 0;
        TRY(get_int16(c, p, &f));
        if (f != 0 && f != 1) return fail(c, ERR_PROTOCOL, "unsupported format code: %d", f);
        (*out)[i] = (int16_t)f;
    }
    return OK;
}

struct bind_values {
    int16_t *formats, *results, *each;
    const char **values;
    int *lens;
    int n_formats, n_results, n;
};

static enum status get_values(struct ctx *c, struct peer *p, struct bind_values *v)
{
    TRY(get_formats(c, p, &v->formats, &v->n_formats));
    TRY(get_int16(c, p, &v->n));
    if (v->n < 0 || (size_t)v->n > (p->in.len - p->at) / 4) return short_message(c);
    if (v->n_formats > 1 && v->n_formats != v->n)
        return fail(c, ERR_PROTOCOL, "bind message has %d parameter formats but %d parameters",
                    v->n_formats, v->n);
    v->values = calloc((size_t)v->n + 1, sizeof *v->values);
    v->lens = calloc((size_t)v->n + 1, sizeof *v->lens);
    v->each = calloc((size_t)v->n + 1, sizeof *v->each);
    if (!v->values || !v->lens || !v->each) return fail(c, ERR_MEMORY, "out of memory");
    for (int i = 0; i < v->n; i++) {
        int32_t len = 0;
        TRY(get_int32(c, p, &len));
        v->lens[i] = len;
        v->each[i] = (int16_t)column_format(v->formats, v->n_formats, i);
        if (len >= 0) TRY(get_bytes(c, p, (size_t)len, &v->values[i]));
    }
    return get_formats(c, p, &v->results, &v->n_results);
}

static enum status do_bind(struct ctx *c, struct peer *p)
{
    const char *portal, *statement;
    struct bind_values v = {0};
    TRY(get_string(c, p, &portal));
    TRY(get_string(c, p, &statement));
    enum status st = get_values(c, p, &v);
    if (st == OK)
        st = session_bind(c, p->session, portal, statement, v.values, v.lens, v.each, v.n);
    if (st == OK) {
        keep_formats(p, portal, v.results, v.n_results);
        v.results = NULL;
        message_end(&p->out, message_begin(&p->out, '2'));
    }
    free(v.formats);
    free(v.results);
    free(v.each);
    free(v.values);
    free(v.lens);
    return st;
}

static void send_description(struct peer *p, const struct column_desc *cols, int n,
                             const int16_t *formats, int n_formats)
{
    if (n < 0)
        message_end(&p->out, message_begin(&p->out, 'n'));
    else
        message_columns(&p->out, cols, n, formats, n_formats);
}

static enum status do_describe(struct ctx *c, struct peer *p)
{
    const char *what, *name;
    const struct column_desc *cols;
    int n_cols;
    TRY(get_bytes(c, p, 1, &what));
    TRY(get_string(c, p, &name));
    if (*what == 'P') {
        TRY(session_describe_portal(c, p->session, name, &cols, &n_cols));
        struct portal_formats *f = formats_of(p, name);
        send_description(p, cols, n_cols, f ? f->formats : NULL, f ? f->n : 0);
        return OK;
    }
    const uint32_t *oids;
    int n_params;
    TRY(session_describe(c, p->session, name, &oids, &n_params, &cols, &n_cols));
    size_t mark = message_begin(&p->out, 't');
    message_int16(&p->out, n_params);
    for (int i = 0; i < n_params; i++)
        message_int32(&p->out, (int32_t)oids[i]);
    message_end(&p->out, mark);
    send_description(p, cols, n_cols, NULL, 0);
    return OK;
}

static enum status do_execute(struct ctx *c, struct peer *p)
{
    const char *portal;
    int32_t max_rows = 0;
    bool suspended = false;
    TRY(get_string(c, p, &portal));
    TRY(get_int32(c, p, &max_rows));
    struct portal_formats *f = formats_of(p, portal);
    p->formats = f ? f->formats : NULL;
    p->n_formats = f ? f->n : 0;
    const char *text = session_portal_text(p->session, portal);
    if (text) remember_query(p, text);
    enum status st = session_execute(c, p->session, portal, max_rows, &p->client, &suspended);
    p->n_formats = 0;
    if (suspended) message_end(&p->out, message_begin(&p->out, 's'));
    return st;
}

static enum status do_close(struct ctx *c, struct peer *p)
{
    const char *what, *name;
    TRY(get_bytes(c, p, 1, &what));
    TRY(get_string(c, p, &name));
    if (*what == 'P') {
        session_close_portal(p->session, name);
        drop_formats(p, name);
    } else {
        session_close_statement(p->session, name);
    }
    message_end(&p->out, message_begin(&p->out, '3'));
    return OK;
}

/* A message outside a COPY that belongs to one (the server gave up on it before): passed over. */
static bool is_copy_rest(char type)
{
    return type == 'd' || type == 'c' || type == 'f';
}

/* Is the answer followed by ReadyForQuery? */
static bool ends_sequence(char type)
{
    return type == 'Q' || type == 'S' || type == 'F';
}

static enum status handle(struct ctx *c, struct peer *p, char type)
{
    switch (type) {
    case 'Q':
        return do_query(c, p);
    case 'P':
        return do_parse(c, p);
    case 'B':
        return do_bind(c, p);
    case 'D':
        return do_describe(c, p);
    case 'E':
        return do_execute(c, p);
    case 'C':
        return do_close(c, p);
    case 'S':
        return session_sync(c, p->session);
    case 'H':
        return flush(p, c) ? OK : fail(c, ERR_CONNECTION, "the client went away");
    case 'F':
        return fail(c, ERR_UNSUPPORTED, "function calls by protocol message are not available");
    default:
        p->lost = true;
        return fail(c, ERR_PROTOCOL, "invalid frontend message type %d", (unsigned char)type);
    }
}

/* The error of a message goes out, and what follows of its sequence is passed over. */
static bool recover(struct peer *p, char type, const struct error *e)
{
    bool fatal = p->lost || e->code == ERR_SHUTDOWN || e->code == ERR_CONNECTION;
    session_failed(p->session);
    send_error(p, fatal ? "FATAL" : "ERROR", e);
    p->skip_to_sync = !ends_sequence(type);
    if (fatal) flush(p, NULL);
    return !fatal;
}

/* One message; false ends the conversation. */
static bool converse(struct peer *p, char type)
{
    uint32_t len;
    struct ctx c = {0};
    ctx_clear(&c);
    if (!take_length(p, MAX_MESSAGE_BYTES, &len) || !take_body(p, len)) return false;
    if (type == 'X') return false;
    if (is_copy_rest(type)) return true;
    if (p->skip_to_sync && type != 'S') return true;
    p->skip_to_sync = false;
    if (handle(&c, p, type) < 0 && !recover(p, type, &c.err)) return false;
    if (!ends_sequence(type)) return true;
    drop_formats(p, type == 'S' && session_state(p->session) == 'I' ? NULL : "");
    return send_ready(p);
}

static void say_fatal(struct peer *p, enum status code, const char *text)
{
    struct ctx c = {0};
    ctx_clear(&c);
    fail(&c, code, "%s", text);
    strbuf_clear(&p->query);
    message_error(&p->out, "FATAL", &c.err, NULL);
    flush(p, NULL);
}

/* Until the client's next message begins, notifications go out as they come; false: it is gone. */
static bool notify_while_idle(struct peer *p)
{
    while (session_state(p->session) == 'I' && session_listens(p->session) && !conn_wait(p->conn)) {
        send_notifications(p);
        if (!flush(p, NULL)) return false;
    }
    return true;
}

static void serve_session(struct peer *p)
{
    for (;;) {
        char type;
        if (!notify_while_idle(p)) return;
        bool timed_out = false;
        int64_t idle_ms = session_state(p->session) == 'I'
                              ? 0
                              : session_settings(p->session)->idle_in_transaction_session_timeout.n;
        if (!conn_take(p->conn, &type, 1, idle_ms, &timed_out)) {
            if (timed_out)
                say_fatal(p, ERR_IDLE_TIMEOUT,
                          "terminating connection due to idle-in-transaction timeout");
            else if (conn_stopping(p->conn))
                say_fatal(p, ERR_SHUTDOWN, "terminating connection due to administrator command");
            return;
        }
        if (!converse(p, type)) return;
    }
}

/* ---- the beginning ---- */

static void negotiate(struct peer *p, int32_t version, const char *unknown[], int n_unknown)
{
    if (version == PROTOCOL_3 && n_unknown == 0) return;
    size_t mark = message_begin(&p->out, 'v');
    message_int32(&p->out, PROTOCOL_3);
    message_int32(&p->out, n_unknown);
    for (int i = 0; i < n_unknown; i++)
        message_string(&p->out, unknown[i]);
    message_end(&p->out, mark);
}

/* "-c name=value --name=value" of the startup packet's options. */
static enum status apply_options(struct ctx *c, struct peer *p, char *text)
{
    char *save = NULL;
    for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        if (!strcmp(w, "-c"))
            w = strtok_r(NULL, " ", &save);
        else if (!strncmp(w, "-c", 2) || !strncmp(w, "--", 2))
            w += 2;
        char *eq = w ? strchr(w, '=') : NULL;
        if (!eq)
            return fail(c, ERR_SYNTAX, "invalid command-line argument for server process: %s",
                        w ? w : "-c");
        *eq = 0;
        TRY(session_set(c, p->session, w, eq + 1));
    }
    return OK;
}

static enum status apply_startup(struct ctx *c, struct peer *p, const char *unknown[], int most,
                                 int *n_unknown)
{
    const char *name, *value;
    for (;;) {
        TRY(get_string(c, p, &name));
        if (!*name) return OK;
        TRY(get_string(c, p, &value));
        if (!strncmp(name, "_pq_.", 5)) {
            if (*n_unknown < most) unknown[(*n_unknown)++] = name;
        } else if (!strcmp(name, "options")) {
            char *copy = strdup(value);
            if (!copy) abort();
            enum status st = apply_options(c, p, copy);
            free(copy);
            TRY(st);
        } else if (strcmp(name, "user") != 0 && strcmp(name, "database") != 0 &&
                   strcmp(name, "replication") != 0) {
            TRY(session_set(c, p->session, name, value));
        }
    }
}

static void send_welcome(struct peer *p)
{
    size_t mark = message_begin(&p->out, 'R');
    message_int32(&p->out, 0);
    message_end(&p->out, mark);
    message_parameter(&p->out, "in_hot_standby", "off");
    message_parameter(&p->out, "integer_datetimes", "on");
    message_parameter(&p->out, "is_superuser", "on");
    message_parameter(&p->out, "server_encoding", "UTF8");
    message_parameter(&p->out, "server_version", "15.0 (Tessera)");
    message_parameter(&p->out, "session_authorization", "tessera");
    report_parameters(p);
    mark = message_begin(&p->out, 'K');
    message_int32(&p->out, session_pid(p->session));
    message_int32(&p->out, session_secret(p->session));
    message_end(&p->out, mark);
}

/* Up to the startup message proper: encryption is declined, a cancel request is carried out (and
 * ends it). */
static bool take_startup(struct peer *p, int32_t *version)
{
    for (;;) {
        uint32_t len;
        struct ctx c = {0};
        ctx_clear(&c);
        if (!take_length(p, MAX_STARTUP_BYTES, &len) || !take_body(p, len)) return false;
        if (get_int32(&c, p, version) < 0) return false;
        if (*version == CODE_SSL || *version == CODE_GSS) {
            if (!conn_send(p->conn, NULL, "N", 1)) return false;
            continue;
        }
        if (*version == CODE_CANCEL) {
            int32_t pid = 0, secret = 0;
            if (get_int32(&c, p, &pid) == OK && get_int32(&c, p, &secret) == OK)
                engine_cancel(conn_engine(p->conn), pid, secret);
            return false;
        }
        return true;
    }
}

static bool greet(struct peer *p)
{
    int32_t version;
    const char *unknown[32];
    int n_unknown = 0;
    struct ctx c = {0};
    ctx_clear(&c);
    if (!take_startup(p, &version)) return false;
    if (version >> 16 != 3) {
        char text[96];
        snprintf(text, sizeof text,
                 "unsupported frontend protocol %d.%d: server supports 3.0 to 3.0", version >> 16,
                 version & 0xffff);
        say_fatal(p, ERR_UNSUPPORTED, text);
        return false;
    }
    if (conn_refused(p->conn)) {
        say_fatal(p, ERR_TOO_MANY_CLIENTS, "sorry, too many clients already");
        return false;
    }
    enum status st = session_new(&c, conn_engine(p->conn), &p->session);
    if (st == OK) st = apply_startup(&c, p, unknown, 32, &n_unknown);
    if (st < 0) {
        message_error(&p->out, "FATAL", &c.err, NULL);
        flush(p, NULL);
        return false;
    }
    conn_set_session(p->conn, p->session);
    session_on_notify(p->session, conn_wake, p->conn);
    negotiate(p, version, unknown, n_unknown);
    send_welcome(p);
    p->timeout_ms = 0;
    return send_ready(p);
}

void protocol_serve(struct conn *conn)
{
    struct peer p = {.conn = conn,
                     .client = {.columns = on_columns,
                                .rows = on_rows,
                                .complete = on_complete,
                                .notice = on_notice,
                                .copy_in_begin = on_copy_in_begin,
                                .copy_in_read = on_copy_in_read,
                                .copy_out_begin = on_copy_out_begin,
                                .copy_out_write = on_copy_out_write,
                                .copy_out_end = on_copy_out_end},
                     .timeout_ms = STARTUP_MS};
    if (greet(&p)) serve_session(&p);
    conn_set_session(conn, NULL);
    session_free(p.session);
    drop_formats(&p, NULL);
    for (int i = 0; i < N_REPORTED; i++)
        free(p.reported[i]);
    strbuf_release(&p.in);
    strbuf_release(&p.out);
    strbuf_release(&p.query);
}
