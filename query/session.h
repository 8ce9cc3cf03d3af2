/* The engine as a server (or a test) sees it: sessions that are handed text and give results.
 *
 * A session is used by one thread at a time; session_cancel() may come from any. Results flow into
 * a `struct client`, a table of callbacks: the protocol's encoder, or the test runner's collector.
 */
#ifndef TESSERA_SESSION_H
#define TESSERA_SESSION_H
#include "query/chunk.h"
#include "storage/base/settings.h"
#include "storage/db.h"

struct engine; /* one a process: db, pool, budget, server settings, sessions */
struct session;
struct prepared;
struct portal;

/* settings: the server's, copied. dir: the data directory. */
enum status engine_open(struct ctx *c, const char *dir, const struct settings *settings,
                        struct engine **out);
void engine_close(struct engine *e); /* no session is left */

struct column_desc {
    const char *name;
    enum type type;
};

/* Where results go. Every callback may fail (the client went away): the statement then stops. */
struct client {
    /* The result's columns, before any row. Not called for statements without rows. */
    enum status (*columns)(struct ctx *c, struct client *cl, const struct column_desc *cols, int n);
    /* Rows, in order. cols[k] is result column k over n cells; those with a present bit are rows.
     */
    enum status (*rows)(struct ctx *c, struct client *cl, const struct column *cols, int n_cols,
                        const uint64_t *present, int64_t n);
    /* The statement is done: "SELECT 3", "INSERT 0 1", "CREATE ARRAY". Called once a statement; ""
     * for an empty query. */
    enum status (*complete)(struct ctx *c, struct client *cl, const char *tag);
    void (*notice)(void *self, const char *severity, const char *sqlstate,
                   const char *message); /* self is the client */
    /* COPY … FROM STDIN: begin, then bytes until *n is 0 (the end). ERR_CANCELLED on CopyFail. */
    enum status (*copy_in_begin)(struct ctx *c, struct client *cl, int n_cols, bool binary);
    enum status (*copy_in_read)(struct ctx *c, struct client *cl, const char **bytes, size_t *n);
    enum status (*copy_out_begin)(struct ctx *c, struct client *cl, int n_cols, bool binary);
    enum status (*copy_out_write)(struct ctx *c, struct client *cl, const void *bytes, size_t n);
    enum status (*copy_out_end)(struct ctx *c, struct client *cl);
};

/* A notification of no session, from any thread: at once, to all that LISTEN. A channel is a name,
 * a payload shorter than 8000 bytes. */
void engine_notify(struct engine *e, const char *channel, const char *payload);

enum status session_new(struct ctx *c, struct engine *e, struct session **out);
void session_free(struct session *s); /* rolls back */
/* Settings at connect (-c options, application_name, file_root). */
enum status session_set(struct ctx *c, struct session *s, const char *name, const char *value);
const struct settings *session_settings(const struct session *s);
int session_pid(const struct session *s); /* BackendKeyData */
int session_secret(const struct session *s);
char session_state(const struct session *s); /* 'I', 'T', 'E': ReadyForQuery */
/* Cancels what the session with this pid and secret runs. */
void engine_cancel(struct engine *e, int pid, int secret);
void session_cancel(struct session *s, enum cancel_reason why);
/* done and total of the running statement, and how often the client wants to hear of it; false when
 * it doesn't, or nothing runs. From any thread. */
bool session_progress(struct session *s, int64_t *done, int64_t *total, int64_t *every_ms);

/* Has LISTEN been said? From the session's own thread. */
bool session_listens(const struct session *s);
/* wake is called, from any thread, when a notification has come; it must not call the session. */
void session_on_notify(struct session *s, void (*wake)(void *self), void *self);
typedef void notification_fn(void *self, int pid, const char *channel, const char *payload);
/* Hands over what has come, in order; inside a transaction block nothing. Returns how many were
 * lost since, because they were not taken. */
int64_t session_notifications(struct session *s, notification_fn *fn, void *self);

/* Simple query: every statement of the text, one implicit transaction unless BEGIN says otherwise.
 * On an error it stops, rolls back and returns it: the error is in c->err. */
enum status session_simple(struct ctx *c, struct session *s, const char *text, size_t n,
                           struct client *cl);

/* Extended query. A name "" is the unnamed statement or portal. param_oids: 0 is unknown. */
enum status session_parse(struct ctx *c, struct session *s, const char *name, const char *text,
                          size_t n, const uint32_t *param_oids, int n_params);
/* Type OIDs of the parameters, and the columns (n_cols -1: no rows). Arrays live until the
 * statement goes. */
enum status session_describe(struct ctx *c, struct session *s, const char *name,
                             const uint32_t **param_oids, int *n_params,
                             const struct column_desc **cols, int *n_cols);
/* Values are given as text or binary in the wire format (format 0, 1); lens -1: NULL. */
enum status session_bind(struct ctx *c, struct session *s, const char *portal,
                         const char *statement, const char *const *values, const int *lens,
                         const int16_t *formats, int n);
enum status session_describe_portal(struct ctx *c, struct session *s, const char *portal,
                                    const struct column_desc **cols, int *n_cols);
/* The source of the portal's statement, for positions of errors; NULL: no such portal. */
const char *session_portal_text(struct session *s, const char *portal);
/* max_rows 0: all. *suspended: more rows are left (client->complete was not called).
 * client->columns is not called. */
enum status session_execute(struct ctx *c, struct session *s, const char *portal, int64_t max_rows,
                            struct client *cl, bool *suspended);
void session_close_statement(struct session *s, const char *name);
void session_close_portal(struct session *s, const char *name);
/* End of an extended sequence: commits (or rolls back) the implicit transaction. */
enum status session_sync(struct ctx *c, struct session *s);
/* After an error of any of these: the transaction is marked failed, or the implicit one rolled
 * back. */
void session_failed(struct session *s);

/* A column's value in PostgreSQL's binary format (n bytes after the length) appended; and back. */
enum status wire_put(struct ctx *c, enum type t, const void *values, int64_t i, struct strbuf *out);
/* Is it an array's type? Of others than BIGINT wire_get gives the text, {1,2}. */
bool wire_is_array(uint32_t oid);
enum status wire_get(struct ctx *c, uint32_t oid, const char *bytes, size_t n, struct value *out);
/* One of a column's type, in the format that wire_put gives it; range and encoding are checked. */
enum status wire_get_as(struct ctx *c, enum type t, const char *bytes, size_t n, struct value *out);

#endif
