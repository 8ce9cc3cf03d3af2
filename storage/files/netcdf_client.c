/* How does the server start a NetCDF helper, ask it, and survive it? */
#include "storage/files/netcdf_client.h"
#include "storage/base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SILENCE_MS 120000 /* a helper that says nothing for so long hangs */
#define POLL_MS 50        /* how soon a cancelled statement notices */
#define DESCRIPTION_BYTES (16 << 20)
#define STRINGS_BYTES (256 << 20)

struct nc_client {
    struct ds_reader base;
    const char *path;
    int socket;
    pid_t pid;
    bool writes, broken;
};

/* ---- the process ---- */

/* Beside the running program, one folder up (tests), or where `make install` puts it. */
static bool find_helper(char *path, size_t cap)
{
    static const char *const places[] = {"%s/tessera-netcdf", "%s/../tessera-netcdf",
                                         "%s/../libexec/tessera/tessera-netcdf"};
    const char *given = getenv("TESSERA_NETCDF_HELPER");
    char self[2048];
    if (given && given[0]) {
        snprintf(path, cap, "%s", given);
        return access(path, X_OK) == 0;
    }
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0) return false;
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    if (!slash) return false;
    *slash = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(path, cap, places[i], self);
#pragma GCC diagnostic pop
        if (access(path, X_OK) == 0) return true;
    }
    return false;
}

/* Memory that the statement may use, by the narrowest limit above it; 0: any. */
static int64_t memory_limit(const struct ctx *c)
{
    int64_t least = 0;
    for (const struct budget *b = c->budget; b; b = b->parent)
        if (b->limit_bytes && (!least || b->limit_bytes < least)) least = b->limit_bytes;
    return least;
}

static int spawn(const char *helper, const char *path, bool writes, int64_t memory, int socket,
                 pid_t *pid)
{
    char limit[64];
    snprintf(limit, sizeof limit, "TESSERA_MEMORY=%lld", (long long)memory);
    char arg0[] = "tessera-netcdf", *arg1 = strdup(path);
    char locking[] = "HDF5_USE_FILE_LOCKING=FALSE", plugins[] = "HDF5_PLUGIN_PATH=/nonexistent";
    char write_flag[] = "-w",
         *argv[] = {arg0, writes ? write_flag : arg1, writes ? arg1 : NULL, NULL},
         *env[] = {locking, plugins, limit, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;
    if (!arg1) return ENOMEM;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_adddup2(&actions, socket, 0);
    posix_spawn_file_actions_adddup2(&actions, socket, 1);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                        POSIX_SPAWN_SETPGROUP);
    int error = posix_spawn(pid, helper, &actions, &attr, argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    free(arg1);
    return error;
}

enum status nc_client_start(struct ctx *c, const char *path, bool writes, struct nc_client **out)
{
    char helper[4096];
    int pair[2];
    pid_t pid;
    if (!find_helper(helper, sizeof helper)) {
        fail(c, ERR_FILE_MISSING, "the program tessera-netcdf, which reads NetCDF, is not there");
        return hint(c, "It belongs beside tesserad; TESSERA_NETCDF_HELPER may name it.");
    }
    int made = writes ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;
    if (writes && made < 0)
        return fail(c, ERR_IO, "could not open file \"%s\" for writing: %s", path, strerror(errno));
    if (writes) close(made);
    char *real = realpath(path, NULL); /* HDF5 cannot follow links without rights */
    if (!real)
        return fail(c, errno == ENOENT ? ERR_FILE_MISSING : ERR_IO,
                    "could not open file \"%s\": %s", path, strerror(errno));
    struct nc_client *k = calloc(1, sizeof *k);
    if (!k || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        free(k);
        free(real);
        return fail(c, ERR_IO, "could not start the NetCDF reader: %s", strerror(errno));
    }
    int error = spawn(helper, real, writes, memory_limit(c), pair[1], &pid);
    free(real);
    close(pair[1]);
    if (error) {
        close(pair[0]);
        free(k);
        return fail(c, ERR_IO, "could not start %s: %s", helper, strerror(error));
    }
    *k = (struct nc_client){
        {&netcdf_format}, .path = path, .writes = writes, .socket = pair[0], .pid = pid};
    *out = k;
    return OK;
}

/* Its end of the socket closed, an idle helper leaves by itself; one at work is killed. */
void nc_client_stop(struct nc_client *k)
{
    if (!k) return;
    close(k->socket);
    kill(-k->pid, SIGKILL); /* its process group, of which it is the leader */
    while (waitpid(k->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    free(k);
}

static enum status netcdf_start(struct ctx *c, const char *path, const void *shared,
                                struct ds_reader **out)
{
    struct nc_client *k;
    (void)shared;
    TRY(nc_client_start(c, path, false, &k));
    *out = &k->base;
    return OK;
}

static void netcdf_stop(struct ds_reader *base)
{
    nc_client_stop((struct nc_client *)base);
}

static bool netcdf_broken(const struct ds_reader *base)
{
    return ((const struct nc_client *)base)->broken;
}

/* ---- bytes ---- */

static enum status helper_gone(struct ctx *c, struct nc_client *k)
{
    k->broken = true;
    log_line(LOG_WARNING, "the NetCDF helper of \"%s\" ended unexpectedly", k->path);
    if (k->writes)
        return fail(c, ERR_IO, "file \"%s\" could not be written: its writer crashed", k->path);
    fail(c, ERR_BAD_COPY_FORMAT, "file \"%s\" could not be read: its reader crashed", k->path);
    return hint(c, "The file is damaged, or needs more memory than the reader may use.");
}

static enum status nonsense(struct ctx *c, struct nc_client *k)
{
    k->broken = true;
    return fail(c, ERR_BAD_COPY_FORMAT,
                "file \"%s\" could not be read: its reader's answer makes "
                "no sense",
                k->path);
}

/* Waits until the socket can be read or written; looks at cancellation meanwhile. */
static enum status await(struct ctx *c, struct nc_client *k, short event)
{
    for (int waited_ms = 0; waited_ms < SILENCE_MS; waited_ms += POLL_MS) {
        struct pollfd p = {.fd = k->socket, .events = event};
        int n = poll(&p, 1, POLL_MS);
        if (n > 0) return OK;
        if (n < 0 && errno != EINTR) return helper_gone(c, k);
        enum status st = check_cancel(c);
        if (st < 0) {
            k->broken = true; /* in the middle of an answer */
            return st;
        }
    }
    k->broken = true;
    return fail(c, ERR_BAD_COPY_FORMAT, "file \"%s\" could not be read: its reader hangs", k->path);
}

static enum status send_all(struct ctx *c, struct nc_client *k, const void *from, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t put =
            send(k->socket, (const char *)from + done, n - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (put > 0)
            done += (size_t)put;
        else if (put < 0 && errno == EAGAIN)
            TRY(await(c, k, POLLOUT));
        else if (put == 0 || errno != EINTR)
            return helper_gone(c, k);
    }
    return OK;
}

static enum status receive_all(struct ctx *c, struct nc_client *k, void *to, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = recv(k->socket, (char *)to + done, n - done, MSG_DONTWAIT);
        if (got > 0)
            done += (size_t)got;
        else if (got < 0 && errno == EAGAIN)
            TRY(await(c, k, POLLIN));
        else if (got == 0 || errno != EINTR)
            return helper_gone(c, k);
    }
    return OK;
}

/* Sends a request and reads the reply's head; *n_bytes of payload follow. */
static enum status ask(struct ctx *c, struct nc_client *k, const struct nc_request *q,
                       uint64_t *n_bytes)
{
    struct nc_reply r;
    TRY(send_all(c, k, q, sizeof *q));
    TRY(receive_all(c, k, &r, sizeof r));
    if (r.error == 0) {
        *n_bytes = r.n_bytes;
        return OK;
    }
    char text[256];
    size_t n = r.n_bytes < sizeof text ? (size_t)r.n_bytes : 0;
    TRY(receive_all(c, k, text, n));
    if (n != r.n_bytes) return nonsense(c, k);
    return fail(c, ERR_BAD_COPY_FORMAT, "could not read \"%s\": %.*s", k->path, (int)n, text);
}

enum status nc_client_tell(struct ctx *c, struct nc_client *k, const struct nc_request *q,
                           const void *payload)
{
    struct nc_reply r;
    char text[256];
    TRY(send_all(c, k, q, sizeof *q));
    TRY(send_all(c, k, payload, q->n_bytes));
    TRY(receive_all(c, k, &r, sizeof r));
    if (r.error == 0 && r.n_bytes == 0) return OK;
    size_t n = r.n_bytes < sizeof text ? (size_t)r.n_bytes : 0;
    TRY(receive_all(c, k, text, n));
    return fail(c, ERR_IO, "could not write \"%s\": %.*s", k->path, (int)n, text);
}

/* ---- descriptions ---- */

struct parser {
    struct ctx *c;
    const char *p, *end;
    bool bad;
};

static const void *get(struct parser *r, size_t n)
{
    if ((size_t)(r->end - r->p) < n) {
        r->bad = true;
        return NULL;
    }
    const void *at = r->p;
    r->p += n;
    return at;
}

static uint32_t get_u32(struct parser *r)
{
    uint32_t x = 0;
    const void *at = get(r, sizeof x);
    if (at) memcpy(&x, at, sizeof x);
    return x;
}

static int64_t get_length(struct parser *r)
{
    int64_t x = 0;
    const void *at = get(r, sizeof x);
    if (at) memcpy(&x, at, sizeof x);
    if (x < 0) r->bad = true;
    return x;
}

/* A count of things that take at least `least` bytes each. */
static uint32_t get_count(struct parser *r, size_t least)
{
    uint32_t n = get_u32(r);
    if ((size_t)(r->end - r->p) / least < n) {
        r->bad = true;
        return 0;
    }
    return n;
}

static struct text get_str(struct parser *r)
{
    uint32_t n = get_u32(r);
    const char *s = get(r, n);
    return s ? (struct text){s, n} : (struct text){"", 0};
}

static const char *get_name(struct parser *r)
{
    struct text s = get_str(r);
    return arena_strndup(r->c->arena, s.s, (size_t)s.len);
}

static enum ds_kind get_kind(struct parser *r)
{
    uint32_t kind = get_u32(r);
    if (kind > DS_KIND_STRING) r->bad = true;
    return r->bad ? DS_KIND_NONE : (enum ds_kind)kind;
}

static void get_attr(struct parser *r, struct ds_attr *a)
{
    a->name = get_name(r);
    a->kind = get_kind(r);
    a->n = get_u32(r);
    if (a->kind == DS_KIND_STRING) {
        a->text = get_str(r);
        return;
    }
    a->values = get(r, ds_kind_bytes(a->kind) * (size_t)a->n);
    if (a->kind == DS_KIND_CHAR && a->values) a->text = (struct text){a->values, a->n};
    while (a->text.len > 0 && a->text.s[a->text.len - 1] == 0)
        a->text.len--;
}

static void get_var(struct parser *r, int id, int n_dims, struct ds_var *v)
{
    v->id = id;
    v->name = get_name(r);
    v->kind = get_kind(r);
    uint32_t rank = get_count(r, 12);
    int *dims = arena_array(r->c->arena, int, rank + 1);
    int64_t *chunk = arena_array(r->c->arena, int64_t, rank + 1);
    for (uint32_t d = 0; d < rank && !r->bad; d++) {
        uint32_t dim = get_u32(r);
        if (dim >= (uint32_t)n_dims) r->bad = true;
        dims[d] = (int)dim;
    }
    for (uint32_t d = 0; d < rank && !r->bad; d++)
        chunk[d] = get_length(r);
    v->all_written = get_u32(r) != 0;
    uint32_t n_attrs = get_count(r, 12);
    struct ds_attr *attrs = arena_array(r->c->arena, struct ds_attr, n_attrs + 1);
    for (uint32_t i = 0; i < n_attrs && !r->bad; i++)
        get_attr(r, &attrs[i]);
    v->rank = (int)rank;
    v->dims = dims;
    v->chunk = chunk;
    v->n_attrs = (int)n_attrs;
    v->attrs = attrs;
}

static bool parse_description(struct parser *r, struct ds_description *out)
{
    uint32_t n_dims = get_count(r, 16);
    struct ds_dim *dims = arena_array(r->c->arena, struct ds_dim, n_dims + 1);
    for (uint32_t d = 0; d < n_dims && !r->bad; d++) {
        dims[d].name = get_name(r);
        dims[d].len = get_length(r);
        dims[d].unlimited = get_u32(r) != 0;
    }
    uint32_t n_vars = get_count(r, 16);
    struct ds_var *vars = arena_array(r->c->arena, struct ds_var, n_vars + 1);
    for (uint32_t v = 0; v < n_vars && !r->bad; v++)
        get_var(r, (int)v, (int)n_dims, &vars[v]);
    *out = (struct ds_description){(int)n_dims, (int)n_vars, dims, vars, NULL};
    return !r->bad && r->p == r->end;
}

static enum status netcdf_describe(struct ctx *c, struct ds_reader *base,
                                   struct ds_description *out)
{
    struct nc_client *k = (struct nc_client *)base;
    struct nc_request q = {.op = NC_OP_DESCRIBE};
    uint64_t n;
    TRY(ask(c, k, &q, &n));
    if (n > DESCRIPTION_BYTES) return nonsense(c, k);
    char *bytes = arena_alloc(c->arena, (size_t)n + 1);
    TRY(receive_all(c, k, bytes, (size_t)n));
    struct parser r = {c, bytes, bytes + n, false};
    return parse_description(&r, out) ? OK : nonsense(c, k);
}

/* ---- values ---- */

static struct nc_request slab(int var, int rank, const int64_t *start, const int64_t *count)
{
    struct nc_request q = {.op = NC_OP_READ, .var = var};
    for (int d = 0; d < rank; d++) {
        q.start[d] = (uint64_t)start[d];
        q.count[d] = (uint64_t)count[d];
    }
    return q;
}

static enum status netcdf_read(struct ctx *c, struct ds_reader *base, int var, int rank,
                               const int64_t *start, const int64_t *count, void *out,
                               size_t n_bytes)
{
    struct nc_client *k = (struct nc_client *)base;
    struct nc_request q = slab(var, rank, start, count);
    uint64_t n;
    TRY(ask(c, k, &q, &n));
    if (n != n_bytes) return nonsense(c, k);
    return receive_all(c, k, out, n_bytes);
}

static enum status netcdf_strings(struct ctx *c, struct ds_reader *base, int var, int rank,
                                  const int64_t *start, const int64_t *count, int64_t n,
                                  struct text *out)
{
    struct nc_client *k = (struct nc_client *)base;
    struct nc_request q = slab(var, rank, start, count);
    uint64_t n_bytes;
    void *bytes;
    TRY(ask(c, k, &q, &n_bytes));
    if (n_bytes > STRINGS_BYTES) return nonsense(c, k);
    TRY(scratch_alloc(c, (size_t)n_bytes + 1, &bytes));
    TRY(receive_all(c, k, bytes, (size_t)n_bytes));
    struct parser r = {c, bytes, (char *)bytes + n_bytes, false};
    for (int64_t i = 0; i < n; i++)
        out[i] = get_str(&r);
    return r.bad || r.p != r.end ? nonsense(c, k) : OK;
}

const struct ds_format netcdf_format = {
    netcdf_start, netcdf_stop, netcdf_describe, netcdf_read, netcdf_strings, netcdf_broken, false};
