/* How far is a long statement? A bar on standard error, with the time that is left. */
#include "client/shell.h"
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { BAR_MAX = 40, QUIET_MS = 500 /* shorter statements show none */ };

static struct {
    bool on, shown;
    struct timespec start;
} bar;

static double elapsed(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - bar.start.tv_sec) +
           (double)(now.tv_nsec - bar.start.tv_nsec) / 1e9;
}

void progress_begin(struct shell *sh)
{
    bar.on = sh->progress;
    bar.shown = false;
    clock_gettime(CLOCK_MONOTONIC, &bar.start);
}

void progress_end(void)
{
    if (bar.shown) fputs("\r\x1b[K", stderr);
    bar.shown = false;
}

static void put_time(FILE *out, double seconds)
{
    long s = (long)(seconds + 0.5);
    if (s < 60)
        fprintf(out, "%lds", s);
    else if (s < 3600)
        fprintf(out, "%ldm %02lds", s / 60, s % 60);
    else
        fprintf(out, "%ldh %02ldm", s / 3600, s / 60 % 60);
}

static void draw(double part)
{
    static const char *const eighths[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    struct winsize size;
    int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
    int width = columns - 40 < BAR_MAX ? columns - 40 : BAR_MAX;
    double passed = elapsed();
    fputs("\r\x1b[K", stderr);
    if (width > 4) {
        int full = (int)(part * width * 8);
        putc('[', stderr);
        for (int i = 0; i < width; i++, full -= 8)
            fputs(full >= 8 ? "█" : full > 0 ? eighths[full] : " ", stderr);
        fputs("] ", stderr);
    }
    fprintf(stderr, "%3d %%  ", (int)(part * 100));
    put_time(stderr, passed);
    if (part > 0 && part < 1) {
        fputs(", about ", stderr);
        put_time(stderr, passed / part * (1 - part));
        fputs(" left", stderr);
    }
    fflush(stderr);
    bar.shown = true;
}

bool progress_report(const char *text)
{
    char *end;
    if (!text) return false;
    long long done = strtoll(text, &end, 10);
    if (*end != '/') return false;
    long long total = strtoll(end + 1, &end, 10);
    if (*end) return false;
    if (bar.on && total > 0 && elapsed() * 1000 >= QUIET_MS) {
        double part = (double)done / (double)total;
        draw(part < 0 ? 0 : part > 1 ? 1 : part);
    }
    return true;
}
