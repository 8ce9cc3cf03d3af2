/* tessera-netcdf [-w] FILE: reads a NetCDF or HDF5 file for the server, or writes one, with no
 * rights but to that file and to answer on its standard output.
 *
 * Such files can come from anywhere, and the libraries that parse them are large: so they run in a
 * process of their own. Before the file's first byte is looked at, the process has opened the file,
 * given up everything else by resource limits and a system call filter, and from then on `open`
 * means one of the descriptors it holds already, whatever name the library says. */
#include "storage/files/netcdf_protocol.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netcdf.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define N_SPARE 8
#define MEMORY_BYTES (UINT64_C(4) << 30)
#define LIBRARY_BYTES (UINT64_C(512) << 20)
#define ATTR_BYTES 65536 /* longer attributes are left out */
#define BUFFER_BYTES (1 << 20)

/* ---- the one file ---- */

static int spare[N_SPARE];
static int n_spare;
static bool confined;

static int take_spare(void)
{
    if (n_spare > 0) return spare[--n_spare];
    errno = EMFILE;
    return -1;
}

/* These stand in for the C library's, in the libraries too. */
int open(const char *name, int flags, ...);
int open64(const char *name, int flags, ...);
FILE *fopen(const char *name, const char *mode);
FILE *fopen64(const char *name, const char *mode);

int open(const char *name, int flags, ...)
{
    if (confined) return take_spare();
    va_list ap;
    va_start(ap, flags);
    int mode = flags & O_CREAT ? va_arg(ap, int) : 0;
    va_end(ap);
    return (int)syscall(SYS_openat, AT_FDCWD, name, flags, mode);
}

int open64(const char *name, int flags, ...)
{
    return open(name, flags & ~O_CREAT);
}

FILE *fopen(const char *name, const char *mode)
{
    if (strpbrk(mode, "wa+")) {
        errno = EPERM;
        return NULL;
    }
    int fd = open(name, O_RDONLY);
    return fd < 0 ? NULL : fdopen(fd, "r");
}

FILE *fopen64(const char *name, const char *mode)
{
    return fopen(name, mode);
}

/* ---- giving up rights ---- */

static void limit(int resource, uint64_t most)
{
    struct rlimit l = {most, most};
    setrlimit((__rlimit_resource_t)resource, &l);
}

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "the system call filter must know the architecture"
#endif

#define ALLOW(name)                                                                                \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 1),                                        \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define ARG_LOW(n) (offsetof(struct seccomp_data, args) + 8 * (n))
/* Allowed unless a bit of argument n is set. */
#define ALLOW_WITHOUT(name, n, bit)                                                                \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 4),                                        \
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARG_LOW(n)),                                            \
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (bit), 0, 1),                                         \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),                                      \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static bool filter_calls(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(read),
        ALLOW(pread64),
        ALLOW(write),
        ALLOW(lseek),
        ALLOW(close),
        ALLOW(fstat),
        ALLOW(newfstatat),
        ALLOW(fcntl),
        ALLOW(flock),
        ALLOW(getcwd),
        ALLOW(munmap),
        ALLOW(mremap),
        ALLOW(madvise),
        ALLOW(brk),
        ALLOW(futex),
        ALLOW(getpid),
        ALLOW(getrandom),
        ALLOW(clock_gettime),
        ALLOW(gettimeofday),
        ALLOW(rt_sigreturn),
        ALLOW(exit),
        ALLOW(exit_group),
        ALLOW(pwrite64), /* the descriptors tell whether */
        ALLOW(ftruncate),
        ALLOW(fsync),
        ALLOW_WITHOUT(mmap, 2, PROT_EXEC),
        ALLOW_WITHOUT(mprotect, 2, PROT_EXEC),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* As much as a statement of the server may use, beside the libraries. */
static uint64_t memory_bytes(void)
{
    const char *given = getenv("TESSERA_MEMORY");
    uint64_t n = given ? strtoull(given, NULL, 10) : 0;
    return n > 0 && n < MEMORY_BYTES - LIBRARY_BYTES ? n + LIBRARY_BYTES : MEMORY_BYTES;
}

static void confine(bool writes)
{
    limit(RLIMIT_AS, memory_bytes());
    limit(RLIMIT_CORE, 0);
    if (!writes) limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_NPROC, 0);
    confined = true;
    if (!filter_calls())
        fprintf(stderr, "tessera-netcdf: no system call filter on this kernel: %s\n",
                strerror(errno));
}

/* ---- talking ---- */

static bool read_all(void *to, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = read(0, (char *)to + done, n - done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        done += (size_t)got;
    }
    return true;
}

static void write_all(const void *from, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t put = write(1, (const char *)from + done, n - done);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) _exit(1); /* the server has gone */
        done += (size_t)put;
    }
}

static void reply(int error, const void *payload, size_t n)
{
    struct nc_reply r = {.error = error, .n_bytes = n};
    write_all(&r, sizeof r);
    write_all(payload, n);
}

static void reply_error(int error)
{
    const char *text = nc_strerror(error);
    reply(error, text, strlen(text));
}

/* A payload that grows. */
struct out {
    char *s;
    size_t len, cap;
};

static void put(struct out *o, const void *bytes, size_t n)
{
    if (n > o->cap - o->len) {
        o->cap = 2 * o->cap + n + 4096;
        o->s = realloc(o->s, o->cap);
        if (!o->s) _exit(1);
    }
    if (n > 0) memcpy(o->s + o->len, bytes, n);
    o->len += n;
}

static void put_u32(struct out *o, uint32_t x)
{
    put(o, &x, sizeof x);
}

static void put_u64(struct out *o, uint64_t x)
{
    put(o, &x, sizeof x);
}

static void put_str(struct out *o, const char *s, size_t n)
{
    put_u32(o, (uint32_t)n);
    put(o, s, n);
}

/* ---- describing ---- */

static uint32_t kind_of(nc_type t)
{
    return t >= NC_BYTE && t <= NC_STRING ? (uint32_t)t : (uint32_t)DS_KIND_NONE;
}

static size_t kind_bytes(uint32_t kind)
{
    static const size_t bytes[] = {0, 1, 1, 2, 4, 4, 8, 1, 2, 4, 8, 8, 0};
    return bytes[kind];
}

static void put_attr(struct out *o, int id, int var, int i)
{
    char name[NC_MAX_NAME + 1] = "";
    nc_type type = NC_NAT;
    size_t n = 0;
    bool fine = nc_inq_attname(id, var, i, name) == NC_NOERR &&
                nc_inq_att(id, var, name, &type, &n) == NC_NOERR;
    uint32_t kind = fine ? kind_of(type) : (uint32_t)DS_KIND_NONE;
    put_str(o, name, strlen(name));
    if (kind == DS_KIND_STRING && n > 0 && n < 1000) {
        char **strings = calloc(n, sizeof *strings);
        fine = strings && nc_get_att_string(id, var, name, strings) == NC_NOERR && strings[0];
        put_u32(o, DS_KIND_STRING);
        put_u32(o, 1);
        put_str(o, fine ? strings[0] : "", fine ? strlen(strings[0]) : 0);
        if (fine) nc_free_string(n, strings);
        free(strings);
        return;
    }
    size_t bytes = kind_bytes(kind) * n;
    char *values = bytes > 0 && bytes <= ATTR_BYTES ? malloc(bytes) : NULL;
    if (!values || nc_get_att(id, var, name, values) != NC_NOERR) bytes = n = 0;
    put_u32(o, kind == DS_KIND_STRING ? (uint32_t)DS_KIND_NONE : kind);
    put_u32(o, (uint32_t)n);
    put(o, values, bytes);
    free(values);
}

static int put_var(struct out *o, int id, int var)
{
    char name[NC_MAX_NAME + 1] = "";
    nc_type type;
    int rank, n_attrs, dims[NC_MAX_VAR_DIMS], storage = NC_CONTIGUOUS;
    size_t chunks[NC_MAX_VAR_DIMS];
    int r = nc_inq_var(id, var, name, &type, &rank, dims, &n_attrs);
    if (r != NC_NOERR) return r;
    put_str(o, name, strlen(name));
    put_u32(o, kind_of(type));
    put_u32(o, (uint32_t)rank);
    for (int d = 0; d < rank; d++)
        put_u32(o, (uint32_t)dims[d]);
    bool chunked =
        nc_inq_var_chunking(id, var, &storage, chunks) == NC_NOERR && storage == NC_CHUNKED;
    for (int d = 0; d < rank; d++)
        put_u64(o, chunked ? chunks[d] : 0);
    int no_fill = 0;
    if (nc_inq_var_fill(id, var, &no_fill, NULL) != NC_NOERR) no_fill = 0;
    put_u32(o, no_fill != 0);
    put_u32(o, (uint32_t)n_attrs);
    for (int i = 0; i < n_attrs; i++)
        put_attr(o, id, var, i);
    return NC_NOERR;
}

static int describe(struct out *o, int id)
{
    int n_dims, n_vars, n_attrs, unlimited = -1, n_unlimited = 0, ids[NC_MAX_DIMS];
    int r = nc_inq(id, &n_dims, &n_vars, &n_attrs, &unlimited);
    if (r != NC_NOERR) return r;
    if (nc_inq_unlimdims(id, &n_unlimited, NULL) != NC_NOERR || n_unlimited > NC_MAX_DIMS ||
        nc_inq_unlimdims(id, &n_unlimited, ids) != NC_NOERR) {
        n_unlimited = unlimited >= 0;
        ids[0] = unlimited;
    }
    put_u32(o, (uint32_t)n_dims);
    for (int d = 0; d < n_dims; d++) {
        char name[NC_MAX_NAME + 1] = "";
        size_t len;
        bool open_ended = false;
        if ((r = nc_inq_dim(id, d, name, &len)) != NC_NOERR) return r;
        for (int i = 0; i < n_unlimited; i++)
            open_ended = open_ended || ids[i] == d;
        put_str(o, name, strlen(name));
        put_u64(o, len);
        put_u32(o, open_ended);
    }
    put_u32(o, (uint32_t)n_vars);
    for (int v = 0; v < n_vars; v++) {
        if ((r = put_var(o, id, v)) != NC_NOERR) return r;
    }
    return NC_NOERR;
}

/* ---- the whole file ---- */

static double padded(double n)
{
    return 4 * (double)(int64_t)((n + 3) / 4);
}

/* Bytes of the attributes of a variable in a classic header whose counts have w bytes. */
static double attrs_bytes(int id, int var, int n_attrs, double w)
{
    double sum = 4 + w;
    for (int i = 0; i < n_attrs; i++) {
        char name[NC_MAX_NAME + 1] = "";
        nc_type type;
        size_t n;
        if (nc_inq_attname(id, var, i, name) != NC_NOERR ||
            nc_inq_att(id, var, name, &type, &n) != NC_NOERR)
            continue;
        sum += w + padded((double)strlen(name)) + 4 + w;
        sum += padded((double)n * (double)kind_bytes(kind_of(type)));
    }
    return sum;
}

struct extent {
    double header, fixed, record, record_unpadded; /* bytes */
    int n_record_vars;
};

static int add_var(int id, int var, int unlimited, bool large, double w, struct extent *e)
{
    char name[NC_MAX_NAME + 1] = "";
    nc_type type;
    int rank, n_attrs, dims[NC_MAX_VAR_DIMS];
    int r = nc_inq_var(id, var, name, &type, &rank, dims, &n_attrs);
    if (r != NC_NOERR) return r;
    e->header += w + padded((double)strlen(name)) + w + rank * w + 4 + w + (large ? 8 : 4);
    e->header += attrs_bytes(id, var, n_attrs, w);
    bool is_record = rank > 0 && dims[0] == unlimited;
    double bytes = (double)kind_bytes(kind_of(type));
    for (int d = is_record; d < rank; d++) {
        size_t len;
        if ((r = nc_inq_dimlen(id, dims[d], &len)) != NC_NOERR) return r;
        bytes *= (double)len;
    }
    if (is_record) {
        e->n_record_vars++;
        e->record += padded(bytes);
        e->record_unpadded += bytes;
    } else {
        e->fixed += padded(bytes);
    }
    return NC_NOERR;
}

/* The library reads zeros past the end of a classic file: so NC_ETRUNC when it is shorter than its
 * header and its variables take. HDF5 looks after itself. */
static int check_length(int id)
{
    int format, n_dims, n_vars, n_attrs, unlimited, r;
    struct stat st;
    size_t records = 0;
    if ((r = nc_inq_format(id, &format)) != NC_NOERR) return r;
    if (format == NC_FORMAT_NETCDF4 || format == NC_FORMAT_NETCDF4_CLASSIC) return NC_NOERR;
    if (n_spare == 0 || fstat(spare[0], &st) != 0) return NC_NOERR;
    if ((r = nc_inq(id, &n_dims, &n_vars, &n_attrs, &unlimited)) != NC_NOERR) return r;
    if (unlimited >= 0 && (r = nc_inq_dimlen(id, unlimited, &records)) != NC_NOERR) return r;
    double w = format == NC_FORMAT_64BIT_DATA ? 8 : 4;
    struct extent e = {.header = 4 + w + 2 * (4 + w) + attrs_bytes(id, NC_GLOBAL, n_attrs, w)};
    for (int d = 0; d < n_dims; d++) {
        char name[NC_MAX_NAME + 1] = "";
        if ((r = nc_inq_dimname(id, d, name)) != NC_NOERR) return r;
        e.header += w + padded((double)strlen(name)) + w;
    }
    for (int v = 0; v < n_vars; v++) {
        if ((r = add_var(id, v, unlimited, format != NC_FORMAT_CLASSIC, w, &e)) != NC_NOERR)
            return r;
    }
    double record = e.n_record_vars == 1 ? e.record_unpadded : e.record;
    double least = e.header + e.fixed + (double)records * record - 3; /* the last one's padding */
    return (double)st.st_size < least ? NC_ETRUNC : NC_NOERR;
}

/* ---- reading ---- */

static void read_strings(int id, const struct nc_request *q, const size_t *start,
                         const size_t *count, size_t n)
{
    struct out o = {0};
    char **strings = calloc(n, sizeof *strings);
    int r = strings ? nc_get_vara_string(id, q->var, start, count, strings) : NC_ENOMEM;
    if (r != NC_NOERR) {
        reply_error(r);
    } else {
        for (size_t i = 0; i < n; i++)
            put_str(&o, strings[i] ? strings[i] : "", strings[i] ? strlen(strings[i]) : 0);
        nc_free_string(n, strings);
        reply(0, o.s, o.len);
    }
    free(strings);
    free(o.s);
}

static void read_values(int id, const struct nc_request *q)
{
    static char *buffer;
    static size_t room;
    nc_type type;
    int rank, r;
    size_t start[DS_RANK_MAX], count[DS_RANK_MAX], n = 1;
    if ((r = nc_inq_vartype(id, q->var, &type)) != NC_NOERR ||
        (r = nc_inq_varndims(id, q->var, &rank)) != NC_NOERR) {
        reply_error(r);
        return;
    }
    if (rank > DS_RANK_MAX) {
        reply_error(NC_EMAXDIMS);
        return;
    }
    for (int d = 0; d < rank; d++) {
        start[d] = q->start[d];
        count[d] = q->count[d];
        if (__builtin_mul_overflow(n, count[d], &n) || n > MEMORY_BYTES) {
            reply_error(NC_ENOMEM);
            return;
        }
    }
    if (type == NC_STRING) {
        read_strings(id, q, start, count, n);
        return;
    }
    size_t bytes = n * kind_bytes(kind_of(type));
    if (bytes > room) {
        free(buffer);
        buffer = malloc(bytes);
        room = buffer ? bytes : 0;
    }
    r = bytes == 0 || bytes > room ? NC_ENOMEM : nc_get_vara(id, q->var, start, count, buffer);
    if (r != NC_NOERR)
        reply_error(r);
    else
        reply(0, buffer, bytes);
}

/* ---- writing ---- */

/* A payload taken apart; what is missing reads as 0. */
struct in {
    const char *s, *end;
};

static const void *take(struct in *p, size_t n)
{
    static const char zeros[8];
    if ((size_t)(p->end - p->s) < n) {
        p->s = p->end;
        return n <= sizeof zeros ? zeros : NULL;
    }
    const void *at = p->s;
    p->s += n;
    return at;
}

static uint32_t take_u32(struct in *p)
{
    uint32_t x;
    memcpy(&x, take(p, sizeof x), sizeof x);
    return x;
}

static uint64_t take_u64(struct in *p)
{
    uint64_t x;
    memcpy(&x, take(p, sizeof x), sizeof x);
    return x;
}

/* A string of its own memory. */
static char *take_str(struct in *p)
{
    size_t n = take_u32(p);
    const char *s = take(p, n);
    char *out = calloc(s ? n + 1 : 1, 1);
    if (!out) _exit(1);
    if (s) memcpy(out, s, n);
    return out;
}

static int define_attr(struct in *p, int id, int var)
{
    char *name = take_str(p);
    uint32_t kind = take_u32(p), n = take_u32(p);
    int r;
    if (kind == DS_KIND_STRING) {
        char *text = take_str(p);
        r = nc_put_att_text(id, var, name, strlen(text), text);
        free(text);
    } else {
        const void *values = take(p, kind_bytes(kind) * n);
        r = values ? nc_put_att(id, var, name, (nc_type)kind, n, values) : NC_EINVAL;
    }
    free(name);
    return r;
}

static int define_var(struct in *p, int id)
{
    int dims[NC_MAX_VAR_DIMS], var = NC_GLOBAL, r = NC_NOERR;
    size_t chunks[NC_MAX_VAR_DIMS];
    char *name = take_str(p);
    uint32_t kind = take_u32(p), rank = take_u32(p);
    bool chunked = rank > 0;
    if (rank > DS_RANK_MAX) return NC_EMAXDIMS;
    for (uint32_t d = 0; d < rank; d++)
        dims[d] = (int)take_u32(p);
    for (uint32_t d = 0; d < rank; d++) {
        chunks[d] = take_u64(p);
        chunked = chunked && chunks[d] > 0;
    }
    bool no_fill = take_u32(p) != 0;
    if (kind != DS_KIND_NONE) r = nc_def_var(id, name, (nc_type)kind, (int)rank, dims, &var);
    free(name);
    if (r == NC_NOERR && chunked) r = nc_def_var_chunking(id, var, NC_CHUNKED, chunks);
    if (r == NC_NOERR && chunked && kind != DS_KIND_STRING)
        r = nc_def_var_deflate(id, var, 1, 1, 1);
    if (r == NC_NOERR && no_fill && kind != DS_KIND_STRING)
        r = nc_def_var_fill(id, var, NC_NOFILL, NULL);
    uint32_t n = take_u32(p);
    for (uint32_t i = 0; i < n && r == NC_NOERR; i++)
        r = define_attr(p, id, var);
    return r;
}

static int define(struct in *p, const char *path, int *id)
{
    int r = nc_create(path, NC_NETCDF4 | NC_CLOBBER, id);
    uint32_t n = r == NC_NOERR ? take_u32(p) : 0;
    for (uint32_t d = 0; d < n && r == NC_NOERR; d++) {
        int dim;
        char *name = take_str(p);
        size_t len = take_u64(p);
        take_u32(p);
        r = nc_def_dim(*id, name, len, &dim);
        free(name);
    }
    n = r == NC_NOERR ? take_u32(p) : 0;
    for (uint32_t v = 0; v < n && r == NC_NOERR; v++)
        r = define_var(p, *id);
    return r == NC_NOERR ? nc_enddef(*id) : r;
}

static int write_values(struct in *p, int id, const struct nc_request *q)
{
    size_t start[DS_RANK_MAX], count[DS_RANK_MAX], n = 1;
    nc_type type;
    int rank, r = nc_inq_vartype(id, q->var, &type);
    if (r != NC_NOERR || (r = nc_inq_varndims(id, q->var, &rank)) != NC_NOERR) return r;
    if (rank > DS_RANK_MAX) return NC_EMAXDIMS;
    for (int d = 0; d < rank; d++) {
        start[d] = q->start[d];
        count[d] = q->count[d];
        n *= count[d];
    }
    if (type != NC_STRING) return nc_put_vara(id, q->var, start, count, p->s);
    const char **strings = calloc(n + 1, sizeof *strings);
    char **owned = calloc(n + 1, sizeof *owned);
    if (!strings || !owned) _exit(1);
    for (size_t i = 0; i < n; i++)
        strings[i] = owned[i] = take_str(p);
    r = nc_put_vara_string(id, q->var, start, count, strings);
    for (size_t i = 0; i < n; i++)
        free(owned[i]);
    free(owned);
    free(strings);
    return r;
}

/* Until the file is closed, or the server goes. */
static void serve_writing(const char *path)
{
    struct nc_request q;
    int id = -1;
    while (read_all(&q, sizeof q)) {
        char *payload = malloc(q.n_bytes + 1);
        if (!payload || !read_all(payload, q.n_bytes)) _exit(1);
        struct in p = {payload, payload + q.n_bytes};
        int r = q.op == NC_OP_DEFINE  ? define(&p, path, &id)
                : q.op == NC_OP_WRITE ? write_values(&p, id, &q)
                                      : nc_close(id);
        free(payload);
        if (r != NC_NOERR)
            reply_error(r);
        else
            reply(0, NULL, 0);
    }
}

static void serve_reading(const char *path)
{
    struct nc_request q;
    int id = -1, error = NC_NOERR;
    size_t buffer_hint = BUFFER_BYTES;
    while (read_all(&q, sizeof q)) {
        if (id < 0 && error == NC_NOERR) {
            error = nc__open(path, NC_NOWRITE, &buffer_hint, &id);
            if (error == NC_NOERR) error = check_length(id);
        }
        if (error != NC_NOERR) {
            reply_error(error);
        } else if (q.op == NC_OP_DESCRIBE) {
            struct out o = {0};
            int r = describe(&o, id);
            if (r == NC_NOERR)
                reply(0, o.s, o.len);
            else
                reply_error(r);
            free(o.s);
        } else {
            read_values(id, &q);
        }
    }
}

int main(int argc, char **argv)
{
    bool writes = argc == 3 && strcmp(argv[1], "-w") == 0;
    if ((argc != 2 && !writes) || chdir("/") != 0) {
        fprintf(stderr, "usage: tessera-netcdf [-w] FILE (started by tesserad)\n");
        return 2;
    }
    const char *path = argv[argc - 1];
    nc_initialize(); /* looks for configuration files: none are there for an empty environment */
    for (int i = 0; i < N_SPARE; i++) {
        int fd = open(path, (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC);
        if (fd >= 0) spare[n_spare++] = fd;
    }
    confine(writes);
    if (writes)
        serve_writing(path);
    else
        serve_reading(path);
    _exit(0);
}
