/* Protocol frames: whatever bytes a client sends, the conversation ends in order. The loop is
 * replaced by the bytes. */
#include "server/loop.h"
#include "storage/base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct conn {
    const uint8_t *at, *end;
    struct engine *engine;
};

struct engine *conn_engine(struct conn *conn)
{
    return conn->engine;
}
bool conn_refused(const struct conn *conn)
{
    return conn == NULL;
}
bool conn_stopping(const struct conn *conn)
{
    return conn == NULL;
}
void conn_set_session(struct conn *conn, struct session *s)
{
    (void)conn, (void)s;
}

bool conn_take(struct conn *conn, void *bytes, size_t n, int64_t timeout_ms, bool *timed_out)
{
    (void)timeout_ms;
    if (timed_out) *timed_out = false;
    if ((size_t)(conn->end - conn->at) < n) return false;
    memcpy(bytes, conn->at, n);
    conn->at += n;
    return true;
}

bool conn_wait(struct conn *conn)
{
    (void)conn;
    return true;
}

void conn_wake(void *conn)
{
    (void)conn;
}

bool conn_send(struct conn *conn, struct ctx *c, const void *bytes, size_t n)
{
    (void)c;
    (void)conn, (void)bytes, (void)n;
    return true;
}

static struct engine *engine;
static struct arena *arena;
static char dir[] = "/tmp/tessera-fuzz-XXXXXX";

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void clean(void)
{
    char command[64];
    engine_close(engine);
    arena_free(arena);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    if (system(command) != 0) abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    static struct settings s;
    arena = arena_new();
    struct ctx c = {.arena = arena};
    ctx_clear(&c);
    log_set_level(LOG_ERROR);
    settings_defaults(&s);
    s.memory_limit.n = 256 << 20;
    s.workers.n = 1;
    s.statement_timeout.n = 500;
    if (!mkdtemp(dir) || engine_open(&c, dir, &s, &engine) < 0) abort();
    atexit(clean);
    return 0;
}

/* The start-up packet is given, so that the fuzzer's bytes are messages. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t startup[] = {0, 0, 0, 16, 0, 3, 0, 0, 'u', 's', 'e', 'r', 0, 'f', 0, 0};
    bool greeted = size > 0 && data[0] % 4 != 0;
    size_t n = greeted ? sizeof startup : 0;
    uint8_t *all = malloc(n + size + 1);
    if (!all) return 0;
    memcpy(all, startup, n);
    if (size) memcpy(all + n, data + (size > 0), size - (size > 0));
    struct conn conn = {.at = all, .end = all + n + (size ? size - 1 : 0), .engine = engine};
    protocol_serve(&conn);
    free(all);
    return 0;
}
