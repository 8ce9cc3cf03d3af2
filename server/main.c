/* tesserad: options, configuration, and the server's life from start to stop. */
#include "query/blas.h"
#include "server/loop.h"
#include "server/scheduler.h"
#include "storage/base/log.h"
#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char usage[] =
    "tesserad, the Tessera array database server\n\n"
    "Usage: tesserad -D DIR [-p PORT] [-c FILE] [--set NAME=VALUE]...\n\n"
    "  -D, --dir DIR          data directory; made when it does not exist\n"
    "  -p, --port PORT        listen on 127.0.0.1:PORT too (default: the Unix socket in DIR only)\n"
    "  -c, --config FILE      read settings from FILE (default: DIR/tessera.conf, if there)\n"
    "      --set NAME=VALUE   a setting; wins over the file\n"
    "      --embedded         stop when the last client has left\n"
    "      --ready-fd FD      write a byte to FD when clients can connect\n"
    "      --print-config     print every setting with its default, as a configuration file\n"
    "  -V, --version          print the version\n"
    "  -h, --help             print this\n";

struct args {
    const char *dir, *config, *port;
    const char *sets[64];
    int n_sets, ready_fd;
    bool embedded;
};

/* conf/tessera.conf is this output. */
static int print_config(void)
{
    int n;
    const struct setting_info *list = settings_list(&n);
    puts("# Every setting of Tessera at its default. Server settings are read at start only; the "
         "others are where");
    puts("# each session begins, and SET changes them there. Units: B kB MB GB TB, ms s min h d.");
    for (int i = 0; i < n; i++) {
        printf("\n# %s%s\n", list[i].doc, list[i].scope == SCOPE_SERVER ? " (server)" : "");
        const char *quote = list[i].kind == SET_TEXT ? "'" : "";
        printf("#%s = %s%s%s\n", list[i].name, quote, list[i].deflt, quote);
    }
    return 0;
}

static bool parse_fd(const char *text, int *fd)
{
    char *end;
    long n = strtol(text, &end, 10);
    *fd = (int)n;
    return end != text && !*end && n >= 0 && n <= INT_MAX;
}

/* -1: go on; else the exit status. */
static int parse_args(int argc, char **argv, struct args *a)
{
    enum { OPT_SET = 256, OPT_EMBEDDED, OPT_READY, OPT_PRINT_CONFIG };
    static const struct option options[] = {{"dir", required_argument, NULL, 'D'},
                                            {"port", required_argument, NULL, 'p'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"set", required_argument, NULL, OPT_SET},
                                            {"embedded", no_argument, NULL, OPT_EMBEDDED},
                                            {"ready-fd", required_argument, NULL, OPT_READY},
                                            {"print-config", no_argument, NULL, OPT_PRINT_CONFIG},
                                            {"version", no_argument, NULL, 'V'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int o;
    while ((o = getopt_long(argc, argv, "D:p:c:Vh", options, NULL)) != -1) {
        switch (o) {
        case 'D':
            a->dir = optarg;
            break;
        case 'p':
            a->port = optarg;
            break;
        case 'c':
            a->config = optarg;
            break;
        case OPT_SET:
            if (a->n_sets == (int)(sizeof a->sets / sizeof *a->sets))
                return fprintf(stderr, "tesserad: too many --set\n"), 1;
            a->sets[a->n_sets++] = optarg;
            break;
        case OPT_EMBEDDED:
            a->embedded = true;
            break;
        case OPT_READY:
            if (!parse_fd(optarg, &a->ready_fd))
                return fprintf(stderr, "tesserad: invalid --ready-fd \"%s\"\n", optarg), 1;
            break;
        case OPT_PRINT_CONFIG:
            return print_config();
        case 'V':
            return puts("tesserad (Tessera) 0.1"), 0;
        case 'h':
            return fputs(usage, stdout), 0;
        default:
            return fputs("Try \"tesserad --help\" for more information.\n", stderr), 1;
        }
    }
    if (a->dir && optind == argc) return -1;
    fputs(a->dir ? "tesserad: too many arguments\n"
                 : "tesserad: no data directory: give one with -D\n",
          stderr);
    return 1;
}

static enum status read_settings(struct ctx *c, const struct args *a, struct settings *s)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/tessera.conf", a->dir);
    FILE *there = a->config ? NULL : fopen(path, "r");
    if (there) fclose(there);
    if (a->config || there) TRY(settings_read_file(c, s, a->config ? a->config : path));
    for (int i = 0; i < a->n_sets; i++) {
        char name[128];
        const char *eq = strchr(a->sets[i], '=');
        if (!eq || eq - a->sets[i] >= (ptrdiff_t)sizeof name)
            return fail(c, ERR_SYNTAX, "--set wants name=value, not \"%s\"", a->sets[i]);
        memcpy(name, a->sets[i], (size_t)(eq - a->sets[i]));
        name[eq - a->sets[i]] = 0;
        TRY(settings_set(c, s, name, eq + 1, true));
    }
    if (a->port) TRY(settings_set(c, s, "port", a->port, true));
    return OK;
}

static void set_log_level(const char *name)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    for (int i = 0; i < 4; i++)
        if (!strcasecmp(name, names[i])) log_set_level((enum log_level)i);
}

/* OpenBLAS reads which kernels to take as it is loaded: to have others the program starts anew. */
static enum status choose_blas_kernel(struct ctx *c, char **argv, struct settings *s)
{
    const char *wanted = s->blas_kernel.s, *is = getenv("OPENBLAS_CORETYPE");
    if (strcasecmp(wanted, "auto") != 0 && (!is || strcasecmp(is, wanted) != 0)) {
        setenv("OPENBLAS_CORETYPE", wanted, 1);
        execv("/proc/self/exe", argv);
        log_line(LOG_WARNING, "cannot start anew for blas_kernel = %s", wanted);
    }
    log_line(LOG_INFO, "matrices: OpenBLAS's kernels for %s", blas_kernel());
    if (blas_kernel_is_slow())
        log_line(
            LOG_WARNING,
            "matrices run at half the speed: OpenBLAS takes its kernels for Haswell on a processor "
            "with AVX-512%s",
            is ? ", as OPENBLAS_CORETYPE says; unset it, or set blas_kernel = SkylakeX" : "");
    return settings_set(c, s, "blas_kernel", blas_kernel(), true);
}

static enum status serve(struct ctx *c, const struct args *a, char **argv, struct settings *s)
{
    struct engine *e;
    char dir[PATH_MAX];
    TRY(read_settings(c, a, s));
    set_log_level(s->log_level.s);
    TRY(choose_blas_kernel(c, argv, s));
    TRY(engine_open(c, a->dir, s, &e));
    if (!realpath(a->dir, dir)) snprintf(dir, sizeof dir, "%s", a->dir);
    struct loop_options o = {.dir = dir,
                             .port = (int)s->port.n,
                             .embedded = a->embedded,
                             .ready_fd = a->ready_fd,
                             .max_connections = (int)s->max_connections.n};
    struct scheduler *scheduler = NULL;
    enum status st = scheduler_start(c, e, &scheduler);
    if (st == OK) st = loop_run(c, e, &o);
    scheduler_stop(scheduler);
    engine_close(e);
    return st;
}

int main(int argc, char **argv)
{
    struct args a = {.ready_fd = -1};
    int done = parse_args(argc, argv, &a);
    if (done >= 0) return done;
    /* Few arenas and early returns to the system keep the process near what the budget accounts
     * for. */
    mallopt(M_ARENA_MAX, 4);
    mallopt(M_MMAP_THRESHOLD, 256 << 10); /* fixed: else it grows with what is freed */
    mallopt(M_TRIM_THRESHOLD, 1 << 20);   /* less: small statements fault their memory in again */
    struct settings s;
    settings_defaults(&s);
    struct arena *arena = arena_new();
    struct ctx c = {.arena = arena};
    ctx_clear(&c);
    enum status st = serve(&c, &a, argv, &s);
    if (st < 0) {
        fprintf(stderr, "tesserad: %s\n", c.err.message);
        if (c.err.detail[0]) fprintf(stderr, "DETAIL:  %s\n", c.err.detail);
        if (c.err.hint[0]) fprintf(stderr, "HINT:  %s\n", c.err.hint);
    }
    settings_release(&s);
    arena_free(arena);
    return st < 0;
}
