/* Recording errors and notices, and asking whether to stop. */
#include "storage/base/ctx.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

/* vsnprintf that never leaves half a UTF-8 character at the end. */
static void format_cut(char *out, size_t cap, const char *fmt, va_list ap)
{
    int n = vsnprintf(out, cap, fmt, ap);
    if (n < 0) {
        out[0] = 0;
        return;
    }
    if ((size_t)n < cap) return;
    size_t end = cap - 1;
    while (end > 0 && ((unsigned char)out[end - 1] & 0xc0) == 0x80)
        end--;
    if (end > 0 && (unsigned char)out[end - 1] >= 0xc0) end--;
    out[end] = 0;
}

static enum status record(struct ctx *c, enum status code, int position, const char *fmt,
                          va_list ap)
{
    if (c->err.code < 0) return c->err.code;
    c->err.code = code;
    c->err.position = position;
    c->err.detail[0] = c->err.hint[0] = 0;
    format_cut(c->err.message, sizeof c->err.message, fmt, ap);
    return code;
}

enum status fail(struct ctx *c, enum status code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    enum status s = record(c, code, -1, fmt, ap);
    va_end(ap);
    return s;
}

enum status fail_at(struct ctx *c, enum status code, int position, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    enum status s = record(c, code, position, fmt, ap);
    va_end(ap);
    return s;
}

enum status hint(struct ctx *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    format_cut(c->err.hint, sizeof c->err.hint, fmt, ap);
    va_end(ap);
    return c->err.code;
}

enum status detail(struct ctx *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    format_cut(c->err.detail, sizeof c->err.detail, fmt, ap);
    va_end(ap);
    return c->err.code;
}

enum status at(struct ctx *c, enum status s, int position)
{
    if (s < 0 && c->err.position < 0) c->err.position = position;
    return s;
}

void ctx_clear(struct ctx *c)
{
    memset(&c->err, 0, sizeof c->err);
    c->err.position = -1;
}

static void say(struct ctx *c, const char *severity, const char *sqlstate, const char *fmt,
                va_list ap) __attribute__((format(printf, 4, 0)));
static void say(struct ctx *c, const char *severity, const char *sqlstate, const char *fmt,
                va_list ap)
{
    char text[1024];
    if (!c->notice) return;
    format_cut(text, sizeof text, fmt, ap);
    c->notice(c->notice_self, severity, sqlstate, text);
}

void notice(struct ctx *c, const char *sqlstate, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(c, "NOTICE", sqlstate, fmt, ap);
    va_end(ap);
}

void warning(struct ctx *c, const char *sqlstate, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(c, "WARNING", sqlstate, fmt, ap);
    va_end(ap);
}

int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* enum cancel_reason, after a look at the clock. */
static int reason_to_stop(const struct ctx *c)
{
    struct cancel *k = c->cancel;
    if (!k) return CANCEL_NONE;
    int reason = atomic_load_explicit(&k->reason, memory_order_relaxed);
    if (reason == CANCEL_NONE && k->deadline_ns && now_ns() >= k->deadline_ns) {
        reason = CANCEL_TIMEOUT;
        atomic_store_explicit(&k->reason, reason, memory_order_relaxed);
    }
    return reason;
}

bool must_stop(const struct ctx *c)
{
    return reason_to_stop(c) != CANCEL_NONE;
}

enum status check_cancel(struct ctx *c)
{
    switch (reason_to_stop(c)) {
    case CANCEL_NONE:
        return OK;
    case CANCEL_TIMEOUT:
        return fail(c, ERR_CANCELLED, "canceling statement due to statement timeout");
    case CANCEL_SHUTDOWN:
        return fail(c, ERR_SHUTDOWN, "terminating connection due to administrator command");
    default:
        return fail(c, ERR_CANCELLED, "canceling statement due to user request");
    }
}
