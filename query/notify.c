/* LISTEN, NOTIFY: who hears of what, and when?
 *
 * What a transaction asks for waits in its session until it commits: then LISTEN and UNLISTEN take
 * effect, and its notifications go, each once, to all sessions that listen, the own one included.
 * They wait in a queue of that session until it is outside a transaction. A queue that its client
 * does not take keeps QUEUE_BYTES at most, then counts what is lost: who notifies is never held
 * up. */
#include "query/func_cells.h"
#include "query/session_internal.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { PAYLOAD_BYTES = 8000 }; /* fewer, as in PostgreSQL */
static const size_t QUEUE_BYTES = 16 << 20, PENDING_BYTES = 16 << 20;

struct notification { /* in a session's queue */
    struct notification *next;
    int pid;
    const char *payload; /* in text */
    char text[];         /* the channel, then the payload */
};

/* A step of the open transaction: S_LISTEN, S_UNLISTEN (channel "": all), S_NOTIFY, S_SAVEPOINT
 * (channel: its name). */
struct notify_step {
    struct notify_step *next;
    enum stmt_kind kind;
    size_t bytes; /* of a notification */
    const char *payload;
    char text[];
};

struct channel { /* listened to */
    struct channel *next;
    char name[];
};

static struct text text_of(const char *s)
{
    return (struct text){s, (int64_t)strlen(s)};
}

/* A struct of `head` bytes followed by both texts, each ended by a NUL. */
static void *with_texts(size_t head, struct text a, struct text b)
{
    char *p = calloc(1, head + (size_t)a.len + (size_t)b.len + 2);
    if (!p) abort();
    if (a.len) memcpy(p + head, a.s, (size_t)a.len);
    if (b.len) memcpy(p + head + a.len + 1, b.s, (size_t)b.len);
    return p;
}

/* ---- the transaction's steps ---- */

static struct notify_step **end_of_steps(struct session *s)
{
    struct notify_step **at = &s->notify.steps;
    while (*at)
        at = &(*at)->next;
    return at;
}

static enum status add_step(struct ctx *c, struct session *s, enum stmt_kind kind, struct text name,
                            struct text payload)
{
    struct notify *n = &s->notify;
    if (!n->steps) n->steps_end = &n->steps, n->steps_bytes = 0;
    size_t bytes = kind == S_NOTIFY ? (size_t)name.len + (size_t)payload.len + 64 : 0;
    if (n->steps_bytes + bytes > PENDING_BYTES)
        return fail(c, ERR_LIMIT_EXCEEDED, "too many notifications in the transaction");
    struct notify_step *step = with_texts(sizeof *step, name, payload);
    step->kind = kind;
    step->bytes = bytes;
    step->payload = step->text + name.len + 1;
    *n->steps_end = step;
    n->steps_end = &step->next;
    n->steps_bytes += bytes;
    return OK;
}

static void drop_steps(struct session *s, struct notify_step **from)
{
    while (*from) {
        struct notify_step *step = *from;
        *from = step->next;
        s->notify.steps_bytes -= step->bytes;
        free(step);
    }
    s->notify.steps_end = from;
}

enum status notify_savepoint(struct ctx *c, struct session *s, enum stmt_kind kind,
                             const char *name)
{
    if (kind == S_SAVEPOINT) return add_step(c, s, kind, text_of(name), text_of(""));
    struct notify_step **last = NULL;
    for (struct notify_step **at = &s->notify.steps; *at; at = &(*at)->next)
        if ((*at)->kind == S_SAVEPOINT && !strcmp((*at)->text, name)) last = at;
    if (!last) return OK;
    if (kind == S_ROLLBACK_TO) {
        drop_steps(s, &(*last)->next);
        return OK;
    }
    /* Released: what it marked belongs to the savepoint before. */
    for (struct notify_step **at = last; *at;) {
        struct notify_step *step = *at;
        if (step->kind != S_SAVEPOINT) {
            at = &step->next;
            continue;
        }
        *at = step->next;
        free(step);
    }
    s->notify.steps_end = end_of_steps(s);
    return OK;
}

static enum status send_texts(struct ctx *c, struct session *s, struct text channel,
                              struct text payload)
{
    if (!channel.len) return fail(c, ERR_INVALID_PARAMETER, "channel name cannot be empty");
    if (channel.len >= NAME_BYTES) return fail(c, ERR_INVALID_PARAMETER, "channel name too long");
    if (payload.len >= PAYLOAD_BYTES)
        return fail(c, ERR_INVALID_PARAMETER, "payload string too long");
    return add_step(c, s, S_NOTIFY, channel, payload);
}

enum status notify_send(struct ctx *c, struct session *s, const char *channel, const char *payload)
{
    return send_texts(c, s, text_of(channel), text_of(payload));
}

enum status notify_from_query(struct ctx *c, void *self, const struct text *channel,
                              const struct text *payload)
{
    struct session *s = self;
    pthread_mutex_lock(&s->engine->lock); /* workers come side by side */
    enum status st = send_texts(c, s, *channel, *payload);
    pthread_mutex_unlock(&s->engine->lock);
    return st;
}

/* A cell may be computed more than once: equal notifications of a transaction are one. */
enum status notify_cell(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        struct text parts[2] = {{"", 0}, {"", 0}};
        for (int j = 0; j < 2; j++)
            if (!arg_null(k, j, i)) parts[j] = ARG(k, j, struct text, i);
        ((struct text *)k->out)[i] = (struct text){"", 0}; /* void */
        if (c->notify) TRY(c->notify(c, c->notify_self, &parts[0], &parts[1]));
    }
    return OK;
}

enum status run_notify(struct ctx *c, struct run *r)
{
    const struct ast_stmt *stmt = r->stmt;
    const char *channel = stmt->all ? "" : last_part(&stmt->name);
    if (stmt->kind == S_NOTIFY) {
        const char *payload = stmt->to_name ? stmt->to_name : "";
        TRY(at(c, notify_send(c, r->s, channel, payload), stmt->pos));
        return tag(r, "NOTIFY");
    }
    TRY(add_step(c, r->s, stmt->kind, text_of(channel), text_of("")));
    return tag(r, "%s", stmt->kind == S_LISTEN ? "LISTEN" : "UNLISTEN");
}

enum status unlisten_all(struct ctx *c, struct session *s)
{
    return add_step(c, s, S_UNLISTEN, text_of(""), text_of(""));
}

/* ---- under the engine's lock ---- */

static struct channel **find_channel(struct session *s, const char *name)
{
    struct channel **at = &s->notify.channels;
    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

static void listen_to(struct session *s, const char *name)
{
    struct channel **at = find_channel(s, name);
    if (!*at) *at = with_texts(sizeof **at, text_of(name), text_of(""));
}

static void stop_listening(struct session *s, const char *name)
{
    struct channel **at = *name ? find_channel(s, name) : &s->notify.channels;
    while (*at) {
        struct channel *gone = *at;
        *at = gone->next;
        free(gone);
        if (*name) return;
    }
}

static void deliver(struct engine *e, int pid, const char *channel, const char *payload)
{
    size_t bytes = sizeof(struct notification) + strlen(channel) + strlen(payload) + 2;
    for (struct session *s = e->sessions; s; s = s->next) {
        struct notify *n = &s->notify;
        if (!*find_channel(s, channel)) continue;
        if (n->queue_bytes + bytes > QUEUE_BYTES) {
            n->n_lost++;
            continue;
        }
        struct notification *m = with_texts(sizeof *m, text_of(channel), text_of(payload));
        m->pid = pid;
        m->payload = m->text + strlen(channel) + 1;
        if (!n->queue) n->queue_end = &n->queue;
        *n->queue_end = m;
        n->queue_end = &m->next;
        n->queue_bytes += bytes;
        atomic_store(&n->waiting, true);
        if (n->wake) n->wake(n->wake_self);
    }
}

void engine_notify(struct engine *e, const char *channel, const char *payload)
{
    assert(*channel && strlen(channel) < NAME_BYTES && strlen(payload) < PAYLOAD_BYTES);
    pthread_mutex_lock(&e->lock);
    deliver(e, 0, channel, payload);
    pthread_mutex_unlock(&e->lock);
}

/* ---- the end of a transaction ---- */

static uint64_t hash_text(uint64_t h, const char *s)
{
    for (; *s; s++) /* FNV-1a */
        h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    return (h ^ 0xff) * UINT64_C(0x100000001b3);
}

/* Puts a notification into a table of n_slots (a power of two, not full); false: an equal one is
 * there. */
static bool add_new(const struct notify_step **table, size_t n_slots, const struct notify_step *m)
{
    uint64_t h = hash_text(hash_text(UINT64_C(0xcbf29ce484222325), m->text), m->payload);
    for (size_t i = (h ^ h >> 32) & (n_slots - 1);; i = (i + 1) & (n_slots - 1)) {
        if (!table[i]) {
            table[i] = m;
            return true;
        }
        if (!strcmp(table[i]->text, m->text) && !strcmp(table[i]->payload, m->payload))
            return false;
    }
}

static void commit_steps(struct session *s)
{
    struct engine *e = s->engine;
    size_t n = 0, n_slots = 2;
    for (const struct notify_step *m = s->notify.steps; m; m = m->next)
        n++;
    while (n_slots < 2 * n)
        n_slots *= 2;
    const struct notify_step **seen = calloc(n_slots, sizeof *seen);
    if (!seen) abort();
    pthread_mutex_lock(&e->lock);
    for (const struct notify_step *m = s->notify.steps; m; m = m->next) {
        if (m->kind == S_LISTEN) listen_to(s, m->text);
        if (m->kind == S_UNLISTEN) stop_listening(s, m->text);
    }
    for (const struct notify_step *m = s->notify.steps; m; m = m->next)
        if (m->kind == S_NOTIFY && add_new(seen, n_slots, m))
            deliver(e, s->pid, m->text, m->payload);
    pthread_mutex_unlock(&e->lock);
    free(seen);
}

void notify_end(struct session *s, bool commit)
{
    if (!s->notify.steps) return;
    if (commit) commit_steps(s);
    drop_steps(s, &s->notify.steps);
}

/* ---- the session's client ---- */

void session_on_notify(struct session *s, void (*wake)(void *self), void *self)
{
    pthread_mutex_lock(&s->engine->lock);
    s->notify.wake = wake;
    s->notify.wake_self = self;
    pthread_mutex_unlock(&s->engine->lock);
}

bool session_listens(const struct session *s)
{
    return s->notify.channels != NULL; /* the own thread alone changes it */
}

int64_t session_notifications(struct session *s, notification_fn *fn, void *self)
{
    struct notify *n = &s->notify;
    if (s->in_block || !atomic_load(&n->waiting)) return 0;
    pthread_mutex_lock(&s->engine->lock);
    struct notification *m = n->queue;
    int64_t n_lost = n->n_lost;
    n->queue = NULL;
    n->queue_bytes = 0;
    n->n_lost = 0;
    atomic_store(&n->waiting, false);
    pthread_mutex_unlock(&s->engine->lock);
    while (m) {
        struct notification *next = m->next;
        if (*find_channel(s, m->text)) fn(self, m->pid, m->text, m->payload);
        free(m);
        m = next;
    }
    return n_lost;
}

static void drop(void *self, int pid, const char *channel, const char *payload)
{
    (void)self, (void)pid, (void)channel, (void)payload;
}

void notify_release(struct session *s)
{
    s->in_block = false;
    drop_steps(s, &s->notify.steps);
    session_notifications(s, drop, NULL);
    stop_listening(s, "");
}
