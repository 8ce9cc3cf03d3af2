/* How do clients come and go, and how do bytes get from their sockets to their threads and back?
 *
 * The loop accepts, and watches who has gone; a client's thread reads and writes its socket itself,
 * so that a short statement takes one call for its message and one for the answer. */
#include "server/loop.h"
#include "server/message.h"
#include "storage/base/log.h"
#include "storage/base/tokens.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

enum { INBOX_BYTES = 16384 };
static const uint64_t TICK_MS = 100;
static const int64_t GRACE_NS =
    INT64_C(5) * 1000000000; /* how long SIGTERM lets statements finish */
static const int64_t LONELY_NS =
    INT64_C(60) * 1000000000; /* how long an embedded server waits for its first client */

struct conn {
    struct conn *next;
    struct loop *loop;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    pthread_t thread;
    bool local, refused;
    int fd;       /* of uv; blocking */
    bool closing; /* loop only: uv_close was called */
    int64_t last_progress_ns;

    char inbox[INBOX_BYTES]; /* the thread's own */
    size_t inbox_at, inbox_end;

    pthread_mutex_t send_lock; /* whole messages go out under it */
    struct strbuf unsent;      /* the end of a message that the socket did not take yet */

    pthread_mutex_t lock; /* everything below */
    bool gone;            /* the client closed, or must be closed */
    bool finished;        /* the thread has ended */
    bool stopping;
    int wake_fd; /* counts conn_wake(); -1 until the thread first waits for it */
    struct session *session;
};

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_timer_t tick;
    uv_signal_t sigterm, sigint;
    uv_pipe_t pipe;
    uv_tcp_t tcp;
    struct engine *engine;
    const struct loop_options *o;
    struct conn *conns;
    int n_conns;
    bool had_client, stopping, closed;
    int64_t started_ns, cancel_at_ns;
    char socket_path[4096];
};

/* ---- the thread's side ---- */

struct engine *conn_engine(struct conn *conn)
{
    return conn->loop->engine;
}
bool conn_refused(const struct conn *conn)
{
    return conn->refused;
}

bool conn_stopping(const struct conn *conn)
{
    struct conn *k = (struct conn *)(uintptr_t)conn;
    pthread_mutex_lock(&k->lock);
    bool stopping = k->stopping;
    pthread_mutex_unlock(&k->lock);
    return stopping;
}

static void wake_loop(struct conn *conn)
{
    uv_async_send(&conn->loop->wake);
}

static bool is_gone(struct conn *conn)
{
    pthread_mutex_lock(&conn->lock);
    bool gone = conn->gone;
    pthread_mutex_unlock(&conn->lock);
    return gone;
}

/* Waits for bytes, up to a time (0: none); false: it is over. */
static bool wait_for_bytes(struct conn *conn, int64_t until_ns)
{
    if (!until_ns) return true; /* recv waits by itself */
    int64_t left_ms = (until_ns - now_ns() + 999999) / 1000000;
    struct pollfd p = {.fd = conn->fd, .events = POLLIN};
    int rc;
    do
        rc = poll(&p, 1, left_ms > INT32_MAX ? INT32_MAX : left_ms > 0 ? (int)left_ms : 0);
    while (rc < 0 && errno == EINTR);
    return rc != 0;
}

/* Some bytes from the socket; 0: there will be none. */
static size_t receive(struct conn *conn, void *to, size_t room)
{
    ssize_t n;
    do
        n = recv(conn->fd, to, room, 0);
    while (n < 0 && errno == EINTR);
    return n > 0 ? (size_t)n : 0;
}

bool conn_take(struct conn *conn, void *bytes, size_t n, int64_t timeout_ms, bool *timed_out)
{
    int64_t until_ns = timeout_ms > 0 ? now_ns() + timeout_ms * 1000000 : 0;
    size_t got = 0;
    if (timed_out) *timed_out = false;
    while (got < n) {
        size_t have = conn->inbox_end - conn->inbox_at, take = have < n - got ? have : n - got;
        if (take) memcpy((char *)bytes + got, conn->inbox + conn->inbox_at, take);
        got += take;
        conn->inbox_at += take;
        if (got == n) break;
        if (!wait_for_bytes(conn, until_ns)) {
            *timed_out = true;
            break;
        }
        bool large = n - got >= INBOX_BYTES;
        size_t came = large ? receive(conn, (char *)bytes + got, n - got)
                            : receive(conn, conn->inbox, INBOX_BYTES);
        if (came == 0) break;
        if (large) {
            got += came;
        } else {
            conn->inbox_at = 0;
            conn->inbox_end = came;
        }
    }
    return got == n;
}

bool conn_wait(struct conn *conn)
{
    if (conn->inbox_at < conn->inbox_end) return true;
    pthread_mutex_lock(&conn->lock);
    bool first = conn->wake_fd < 0;
    if (first) conn->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int fd = conn->wake_fd;
    pthread_mutex_unlock(&conn->lock);
    if (first && fd >= 0) return false; /* who came to wake it before found no descriptor */
    struct pollfd p[2] = {{.fd = conn->fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    int rc;
    do
        rc = poll(p, 2, -1);
    while (rc < 0 && errno == EINTR);
    uint64_t count;
    return p[0].revents || read(fd, &count, sizeof count) < 0;
}

void conn_wake(void *self)
{
    struct conn *conn = self;
    uint64_t one = 1;
    pthread_mutex_lock(&conn->lock);
    if (conn->wake_fd >= 0 && write(conn->wake_fd, &one, sizeof one) < 0)
        log_line(LOG_WARNING, "a client's thread cannot be woken: %s", strerror(errno));
    pthread_mutex_unlock(&conn->lock);
}

/* Under send_lock. *paused: the client was waited for. */
static bool send_all(struct conn *conn, struct ctx *c, const char *bytes, size_t n, bool *paused)
{
    while (n) {
        bool wait = *paused || !c;
        ssize_t sent = send(conn->fd, bytes, n, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && !wait && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            token_pause(c);
            *paused = true;
            continue;
        }
        if (sent <= 0) return false;
        bytes += sent;
        n -= (size_t)sent;
    }
    return true;
}

bool conn_send(struct conn *conn, struct ctx *c, const void *bytes, size_t n)
{
    bool paused = false;
    pthread_mutex_lock(&conn->send_lock);
    bool ok = send_all(conn, c, conn->unsent.s, conn->unsent.len, &paused) &&
              send_all(conn, c, bytes, n, &paused);
    strbuf_clear(&conn->unsent);
    pthread_mutex_unlock(&conn->send_lock);
    if (paused) token_resume(c);
    return ok && !is_gone(conn);
}

void conn_set_session(struct conn *conn, struct session *s)
{
    pthread_mutex_lock(&conn->lock);
    conn->session = s;
    pthread_mutex_unlock(&conn->lock);
}

static void *thread_main(void *arg)
{
    struct conn *conn = arg;
    protocol_serve(conn);
    pthread_mutex_lock(&conn->lock);
    conn->finished = true;
    pthread_mutex_unlock(&conn->lock);
    wake_loop(conn);
    return NULL;
}

/* ---- the loop's side ---- */

static void free_conn(struct conn *conn)
{
    struct conn **at = &conn->loop->conns;
    while (*at != conn)
        at = &(*at)->next;
    *at = conn->next;
    conn->loop->n_conns--;
    strbuf_release(&conn->unsent);
    if (conn->wake_fd >= 0) close(conn->wake_fd);
    pthread_mutex_destroy(&conn->send_lock);
    pthread_mutex_destroy(&conn->lock);
    free(conn);
}

static void on_closed(uv_handle_t *h)
{
    struct conn *conn = h->data;
    pthread_join(conn->thread, NULL);
    free_conn(conn);
}

/* The client is gone: its thread hears of it, and what it runs is cancelled. */
static void mark_gone(struct conn *conn)
{
    pthread_mutex_lock(&conn->lock);
    bool first = !conn->gone;
    conn->gone = true;
    if (conn->session) session_cancel(conn->session, CANCEL_SHUTDOWN);
    pthread_mutex_unlock(&conn->lock);
    if (first && !conn->closing) (void)shutdown(conn->fd, SHUT_RDWR);
}

/* Closes a connection when its thread has ended. */
static void close_finished(struct conn *conn)
{
    pthread_mutex_lock(&conn->lock);
    bool finished = conn->finished;
    pthread_mutex_unlock(&conn->lock);
    if (conn->closing || !finished) return;
    conn->closing = true;
    uv_close(&conn->uv.handle, on_closed);
}

/* Who closed its end while its statement runs is not waiting for the answer. */
static void find_gone(struct conn *conn)
{
    struct pollfd p = {.fd = conn->fd, .events = POLLRDHUP};
    pthread_mutex_lock(&conn->lock);
    bool look = conn->session && !conn->gone && !conn->finished && !conn->stopping;
    pthread_mutex_unlock(&conn->lock);
    if (look && poll(&p, 1, 0) > 0 && p.revents & (POLLRDHUP | POLLHUP | POLLERR)) mark_gone(conn);
}

static void close_listeners(struct loop *l)
{
    if (l->closed) return;
    l->closed = true;
    unlink(l->socket_path);
    uv_close((uv_handle_t *)&l->pipe, NULL);
    uv_close((uv_handle_t *)&l->tcp, NULL);
}

static void stop(struct loop *l, int64_t grace_ns)
{
    int64_t cancel_at_ns = now_ns() + grace_ns;
    if (!l->stopping) log_line(LOG_INFO, "stopping");
    if (!l->stopping || cancel_at_ns < l->cancel_at_ns) l->cancel_at_ns = cancel_at_ns;
    l->stopping = true;
    close_listeners(l);
    for (struct conn *k = l->conns; k; k = k->next) {
        pthread_mutex_lock(&k->lock);
        k->stopping = true;
        pthread_mutex_unlock(&k->lock);
        if (!k->closing) (void)shutdown(k->fd, SHUT_RD); /* wakes who waits for the next message */
    }
}

static void on_wake(uv_async_t *h)
{
    struct loop *l = h->data;
    for (struct conn *k = l->conns, *next; k; k = next) {
        next = k->next;
        close_finished(k);
    }
}

static void report_progress(struct conn *k)
{
    int64_t done, total, every_ms;
    struct strbuf m = STRBUF_INIT;
    if (pthread_mutex_trylock(&k->send_lock) != 0) return; /* it is being sent rows */
    pthread_mutex_lock(&k->lock);
    if (k->session && session_progress(k->session, &done, &total, &every_ms) && total > 0 &&
        now_ns() - k->last_progress_ns >= every_ms * 1000000) {
        char text[64];
        snprintf(text, sizeof text, "%lld/%lld", (long long)done, (long long)total);
        message_notice(&m, "NOTICE", "01TSP", text);
        k->last_progress_ns = now_ns();
    }
    pthread_mutex_unlock(&k->lock);
    if (m.len && !k->unsent.len) {
        ssize_t sent = send(k->fd, m.s, m.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) strbuf_add(&k->unsent, m.s + sent, m.len - (size_t)sent);
    }
    pthread_mutex_unlock(&k->send_lock);
    strbuf_release(&m);
}

static void end_loop(struct loop *l)
{
    close_listeners(l);
    uv_close((uv_handle_t *)&l->wake, NULL);
    uv_close((uv_handle_t *)&l->tick, NULL);
    uv_close((uv_handle_t *)&l->sigterm, NULL);
    uv_close((uv_handle_t *)&l->sigint, NULL);
}

/* What was asked for last while its client left, or while the server stops, must not run on. */
static void cancel_forlorn(struct loop *l)
{
    bool cancel_all = l->stopping && now_ns() >= l->cancel_at_ns;
    /* A client that takes nothing would keep its thread waiting for ever. */
    bool part_from_all = l->stopping && now_ns() >= l->cancel_at_ns + GRACE_NS;
    for (struct conn *k = l->conns; k; k = k->next) {
        pthread_mutex_lock(&k->lock);
        if (k->session && (k->gone || cancel_all))
            session_cancel(k->session, cancel_all ? CANCEL_SHUTDOWN : CANCEL_USER);
        pthread_mutex_unlock(&k->lock);
        if (part_from_all) {
            mark_gone(k);
        }
    }
}

static void on_tick(uv_timer_t *t)
{
    struct loop *l = t->data;
    for (struct conn *k = l->conns; k; k = k->next)
        find_gone(k);
    for (struct conn *k = l->conns; k; k = k->next)
        report_progress(k);
    cancel_forlorn(l);
    bool idle = l->o->embedded && l->n_conns == 0 &&
                (l->had_client || now_ns() - l->started_ns > LONELY_NS);
    if ((l->stopping || idle) && l->n_conns == 0) end_loop(l);
}

static void on_signal(uv_signal_t *s, int signum)
{
    struct loop *l = s->data;
    stop(l, signum == SIGTERM ? GRACE_NS : 0);
}

/* The Unix socket is for the user who runs the server (and root). */
static bool same_user(int fd)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0) return false;
    return peer.uid == geteuid() || peer.uid == 0;
}

static void on_refused(uv_handle_t *h)
{
    free(h->data);
}

static void on_connection(uv_stream_t *server, int err)
{
    struct loop *l = server->data;
    if (err < 0) return;
    struct conn *k = calloc(1, sizeof *k);
    if (!k) return;
    k->loop = l;
    k->local = server == (uv_stream_t *)&l->pipe;
    if (k->local)
        uv_pipe_init(&l->uv, &k->uv.pipe, 0);
    else
        uv_tcp_init(&l->uv, &k->uv.tcp);
    k->uv.handle.data = k;
    uv_os_fd_t fd;
    bool ok = uv_accept(server, &k->uv.stream) == 0 && !l->stopping;
    if (ok) ok = uv_fileno(&k->uv.handle, &fd) == 0;
    if (ok && k->local && !same_user(fd)) ok = false;
    if (ok) ok = fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) == 0;
    if (ok && !k->local) uv_tcp_nodelay(&k->uv.tcp, 1);
    if (!ok) {
        uv_close(&k->uv.handle, on_refused);
        return;
    }
    k->fd = fd;
    k->wake_fd = -1;
    pthread_mutex_init(&k->lock, NULL);
    pthread_mutex_init(&k->send_lock, NULL);
    k->refused = l->n_conns >= l->o->max_connections;
    k->next = l->conns;
    l->conns = k;
    l->n_conns++;
    l->had_client = true;
    if (pthread_create(&k->thread, NULL, thread_main, k) != 0) {
        struct conn **at = &l->conns;
        *at = k->next;
        l->n_conns--;
        uv_close(&k->uv.handle, on_refused);
    }
}

/* ---- starting ---- */

/* Binds through the directory's descriptor, so that the path may be longer than a socket's name can
 * be. */
static enum status listen_local(struct ctx *c, struct loop *l)
{
    snprintf(l->socket_path, sizeof l->socket_path, "%s/.s.PGSQL.5432", l->o->dir);
    unlink(l->socket_path); /* the directory's lock is ours, so a socket there is stale */
    int dir = open(l->o->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    snprintf(addr.sun_path, sizeof addr.sun_path, "/proc/self/fd/%d/.s.PGSQL.5432", dir);
    mode_t old = umask(077);
    int err = dir < 0 || fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 ? errno : 0;
    umask(old);
    if (dir >= 0) close(dir);
    if (!err)
        err = -uv_pipe_open(&l->pipe, fd);
    else if (fd >= 0)
        close(fd);
    if (!err) err = -uv_listen((uv_stream_t *)&l->pipe, 128, on_connection);
    if (err)
        return fail(c, ERR_IO, "could not listen on \"%s\": %s", l->socket_path, strerror(err));
    return OK;
}

static enum status listen_tcp(struct ctx *c, struct loop *l)
{
    if (!l->o->port) return OK;
    struct sockaddr_in addr;
    int err = uv_ip4_addr("127.0.0.1", l->o->port, &addr);
    if (!err) err = uv_tcp_bind(&l->tcp, (const struct sockaddr *)&addr, 0);
    if (!err) err = uv_listen((uv_stream_t *)&l->tcp, 128, on_connection);
    if (!err) return OK;
    fail(c, ERR_IO, "could not listen on 127.0.0.1:%d: %s", l->o->port, uv_strerror(err));
    return hint(c, "Is another server running on that port? Choose one with -p.");
}

static enum status start(struct ctx *c, struct loop *l)
{
    l->wake.data = l->tick.data = l->sigterm.data = l->sigint.data = l;
    l->pipe.data = l->tcp.data = l;
    l->started_ns = now_ns();
    uv_pipe_init(&l->uv, &l->pipe, 0);
    uv_tcp_init(&l->uv, &l->tcp);
    uv_async_init(&l->uv, &l->wake, on_wake);
    uv_timer_init(&l->uv, &l->tick);
    uv_timer_start(&l->tick, on_tick, TICK_MS, TICK_MS);
    uv_signal_init(&l->uv, &l->sigterm);
    uv_signal_init(&l->uv, &l->sigint);
    uv_signal_start(&l->sigterm, on_signal, SIGTERM);
    uv_signal_start(&l->sigint, on_signal, SIGINT);
    TRY(listen_local(c, l));
    TRY(listen_tcp(c, l));
    if (l->o->ready_fd >= 0) {
        if (write(l->o->ready_fd, "1", 1) != 1) log_line(LOG_WARNING, "nobody waits for readiness");
        close(l->o->ready_fd);
    }
    return OK;
}

enum status loop_run(struct ctx *c, struct engine *e, const struct loop_options *o)
{
    struct loop *l = calloc(1, sizeof *l);
    if (!l) return fail(c, ERR_MEMORY, "out of memory");
    l->engine = e;
    l->o = o;
    signal(SIGPIPE, SIG_IGN);
    int err = uv_loop_init(&l->uv);
    if (err) {
        free(l);
        return fail(c, ERR_IO, "could not start the event loop: %s", uv_strerror(err));
    }
    enum status st = start(c, l);
    if (st < 0)
        end_loop(l);
    else
        log_line(LOG_INFO, "ready: %s%s", l->socket_path, o->port ? " and 127.0.0.1" : "");
    uv_run(&l->uv, UV_RUN_DEFAULT);
    signal(SIGTERM, SIG_IGN); /* it is ending: what runs on schedule is being put back */
    signal(SIGINT, SIG_IGN);
    uv_loop_close(&l->uv);
    free(l);
    return st;
}
