/* The event loop: listening sockets, timers and signals. Each client has a thread that reads its
 * messages, runs its statements and writes the answers, without another thread between.
 *
 * A client that does not take its rows stops its own thread; nobody else waits. */
#ifndef TESSERA_LOOP_H
#define TESSERA_LOOP_H
#include "query/session.h"
#include "storage/base/strbuf.h"

struct conn;
struct loop;

struct loop_options {
    const char *dir;
    int port;      /* 0: the Unix socket only */
    bool embedded; /* leave with the last client */
    int ready_fd;  /* a byte is written there once clients can connect; -1: none */
    int max_connections;
};

/* Listens and serves until SIGTERM, SIGINT, or (embedded) until the last client has left. */
enum status loop_run(struct ctx *c, struct engine *e, const struct loop_options *o);

/* ---- for the connection's own thread (protocol.c) ---- */
struct engine *conn_engine(struct conn *conn);
/* True when no place is left for it. */
bool conn_refused(const struct conn *conn);
/* Waits until n bytes have come and takes them. false: the client went away, or (timeout_ms > 0)
 * *timed_out. */
bool conn_take(struct conn *conn, void *bytes, size_t n, int64_t timeout_ms, bool *timed_out);
/* Waits until bytes have come or the client is gone (true), or conn_wake() was called (false). */
bool conn_wait(struct conn *conn);
void conn_wake(void *conn); /* from any thread; a wait to come returns too */
/* Sends whole messages; waits while the client is slow, others working meanwhile. c: the
 * statement's, NULL: none. false: the client went away. */
bool conn_send(struct conn *conn, struct ctx *c, const void *bytes, size_t n);
/* The session whose progress the loop reports and which it cancels when the client goes away. NULL:
 * none. */
void conn_set_session(struct conn *conn, struct session *s);
/* The server is stopping: the thread leaves as soon as it is idle. */
bool conn_stopping(const struct conn *conn);

/* The thread's main function: from the first byte to the last. */
void protocol_serve(struct conn *conn);

#endif
