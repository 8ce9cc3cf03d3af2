/* How does the shell come to a server: at an address, or the one of a data directory, which it
 * starts when none runs? */
#include "client/shell.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SOCKET_NAME ".s.PGSQL.5432"
enum { SOCKET_PATH_MAX = sizeof((struct sockaddr_un *)0)->sun_path - sizeof SOCKET_NAME - 1 };
enum { TRIES = 50, PAUSE_MS = 100 };

static void pause_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

/* ---- the directory's socket ---- */
/* The directory as libpq's host. A path too long for a socket's name goes through the directory's
 * descriptor, which stays open: cancelling connects again. */
static const char *socket_dir(const char *dir, char *buf, size_t n)
{
    static int kept = -1;
    char *real = realpath(dir, NULL);
    if (!real) return NULL;
    if (strlen(real) <= SOCKET_PATH_MAX) {
        snprintf(buf, n, "%s", real);
    } else {
        if (kept >= 0) close(kept);
        kept = open(real, O_PATH | O_DIRECTORY | O_CLOEXEC);
        snprintf(buf, n, "/proc/self/fd/%d", kept);
    }
    free(real);
    return buf;
}

/* Does somebody listen there? Only asked after a connection failed: a server that nobody else uses
 * may leave once this one closes. */
static bool is_listening(const char *dir)
{
    char buf[PATH_MAX];
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    const char *host = socket_dir(dir, buf, sizeof buf);
    if (!host) return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int len = snprintf(addr.sun_path, sizeof addr.sun_path, "%s/" SOCKET_NAME, host);
    bool yes = fd >= 0 && len < (int)sizeof addr.sun_path &&
               connect(fd, (const struct sockaddr *)&addr, sizeof addr) == 0;
    if (fd >= 0) close(fd);
    return yes;
}

/* ---- starting a server ---- */
/* tesserad beside this program, else the one of PATH. */
static const char *server_program(char *buf, size_t n)
{
    ssize_t len = readlink("/proc/self/exe", buf, n - 1);
    if (len > 0) {
        buf[len] = 0;
        char *slash = strrchr(buf, '/');
        if (slash && (size_t)(slash - buf) + sizeof "/tesserad" < n) {
            memcpy(slash, "/tesserad", sizeof "/tesserad");
            if (access(buf, X_OK) == 0) return buf;
        }
    }
    return "tesserad";
}

/* In the child: becomes the server, apart from the terminal. */
static void become_server(const char *dir, int ready, int errors)
{
    char path[PATH_MAX], fd[16];
    setsid();
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    snprintf(fd, sizeof fd, "%d", ready);
    const char *program = server_program(path, sizeof path);
    execlp(program, program, "-D", dir, "--embedded", "--ready-fd", fd, "--set",
           "log_level=warning", (char *)NULL);
    dprintf(STDERR_FILENO, "%s: %s\n", program, strerror(errno));
    _exit(127);
}

enum started { STARTED, NOT_STARTED, DIR_BUSY };

/* Starts a server and waits until it can be connected to. What it says until then goes to `said`.
 */
static enum started start_server(const char *dir, char *said, size_t n)
{
    char name[] = "/tmp/tessera-XXXXXX", byte;
    int ready[2], errors = mkstemp(name);
    if (errors < 0 || pipe(ready) < 0) {
        snprintf(said, n, "%s", strerror(errno));
        return NOT_STARTED;
    }
    unlink(name);
    fcntl(ready[0], F_SETFD, FD_CLOEXEC);
    pid_t pid = fork();
    if (pid == 0) {
        /* A second fork leaves the server to init, so that it is nobody's zombie. */
        if (fork() == 0) become_server(dir, ready[1], errors);
        _exit(0);
    }
    close(ready[1]);
    if (pid > 0) waitpid(pid, NULL, 0);
    ssize_t got;
    do
        got = read(ready[0], &byte, 1);
    while (got < 0 && errno == EINTR && !interrupted);
    close(ready[0]);
    ssize_t len = got == 1 ? 0 : pread(errors, said, n - 1, 0);
    said[len > 0 ? len : 0] = 0;
    close(errors);
    if (got == 1) return STARTED;
    return strstr(said, "is in use by") ? DIR_BUSY : NOT_STARTED;
}

/* ---- libpq ---- */
static void on_notice(void *self, const PGresult *r)
{
    struct shell *sh = self;
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    if (state && strcmp(state, "01TSP") == 0 &&
        progress_report(PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY)))
        return;
    const char *text = PQresultErrorMessage(r);
    if (text[0]) say(sh, "%s", text);
}

static PGconn *open_connection(const struct target *t, const char *host, char *password)
{
    const char *const keys[] = {"host",
                                "port",
                                "user",
                                "dbname",
                                "password",
                                "fallback_application_name",
                                "client_encoding",
                                NULL};
    const char *const values[] = {
        host, t->dir ? "5432" : t->port, t->user, t->dbname, password, "tessera", "UTF8", NULL};
    return PQconnectdbParams(keys, values, 1);
}

static PGconn *connect_address(struct shell *sh)
{
    PGconn *conn = open_connection(&sh->target, sh->target.host, NULL);
    if (PQstatus(conn) == CONNECTION_BAD && PQconnectionNeedsPassword(conn) &&
        isatty(STDIN_FILENO)) {
        char *password = getpass("Password: ");
        PQfinish(conn);
        conn = open_connection(&sh->target, sh->target.host, password);
    }
    if (PQstatus(conn) == CONNECTION_OK) return conn;
    fprintf(stderr, "tessera: error: %s", PQerrorMessage(conn));
    PQfinish(conn);
    return NULL;
}

/* Connects to the directory's server; where there is none, or one that is just leaving, starts one.
 * Several shells may do so at once: one server wins, and the others' find its socket. */
static PGconn *connect_dir(struct shell *sh)
{
    char buf[PATH_MAX], said[2048] = "";
    for (int i = 0; i < TRIES && !interrupted; i++) {
        const char *host = socket_dir(sh->target.dir, buf, sizeof buf);
        PGconn *conn = host ? open_connection(&sh->target, host, NULL) : NULL;
        if (conn && PQstatus(conn) == CONNECTION_OK) return conn;
        if (conn && is_listening(sh->target.dir) && i > 3) {
            fprintf(stderr, "tessera: error: %s", PQerrorMessage(conn));
            PQfinish(conn);
            return NULL;
        }
        bool none = !conn || !is_listening(sh->target.dir);
        PQfinish(conn);
        enum started started = none ? start_server(sh->target.dir, said, sizeof said) : DIR_BUSY;
        if (started == NOT_STARTED) break;
        if (started == DIR_BUSY) pause_ms(PAUSE_MS);
    }
    fprintf(stderr, "tessera: error: could not start the server of \"%s\"\n%s", sh->target.dir,
            said);
    return NULL;
}

/* Settings of the session that only Tessera has: another server is left as it is. */
static void set_quietly(struct shell *sh, const char *name, const char *value)
{
    struct strbuf sql = STRBUF_INIT;
    strbuf_addf(&sql, "SET %s = ", name);
    quote_literal(&sql, value);
    PQclear(PQexec(sh->conn, sql.s));
    strbuf_release(&sql);
}

void shell_set_folder(struct shell *sh)
{
    char folder[PATH_MAX];
    if (sh->conn && sh->target.dir && getcwd(folder, sizeof folder))
        set_quietly(sh, "file_root", folder);
}

bool shell_connect(struct shell *sh)
{
    sh->conn = sh->target.dir ? connect_dir(sh) : connect_address(sh);
    if (!sh->conn) return false;
    PQsetNoticeReceiver(sh->conn, on_notice, sh);
    const char *version = PQparameterStatus(sh->conn, "server_version");
    bool tessera = sh->target.dir || (version && strstr(version, "Tessera"));
    if (tessera && sh->progress) set_quietly(sh, "progress_interval", "200ms");
    shell_set_folder(sh);
    vars_set(sh->vars, "DBNAME", PQdb(sh->conn));
    vars_set(sh->vars, "USER", PQuser(sh->conn));
    vars_set(sh->vars, "HOST", PQhost(sh->conn));
    vars_set(sh->vars, "PORT", PQport(sh->conn));
    complete_forget();
    return true;
}
