/* How do listeners hear what became of a run? On channel "tessera_runs", as JSON:
 * {"schedule": "nightly", "slot": "2026-11-21T03:00:00Z", "attempt": 1, "status": "failed",
 *  "sqlstate": "22012", "message": "division by zero"} */
#include "query/schedule.h"
#include "query/session_internal.h"
#include "storage/base/datetime.h"

static const char CHANNEL[] = "tessera_runs";

/* As a JSON string, a NULL as null. Valid UTF-8 stays as it is. */
static void add_json(struct strbuf *out, const char *s)
{
    if (!s) {
        strbuf_adds(out, "null");
        return;
    }
    strbuf_addc(out, '"');
    for (; *s; s++) {
        unsigned char ch = (unsigned char)*s;
        if (ch == '"' || ch == '\\')
            strbuf_addf(out, "\\%c", ch);
        else if (ch < 0x20)
            strbuf_addf(out, "\\u%04x", ch);
        else
            strbuf_addc(out, (char)ch);
    }
    strbuf_addc(out, '"');
}

static void payload(const struct run_row *r, struct strbuf *out)
{
    strbuf_adds(out, "{\"schedule\": ");
    add_json(out, r->name);
    strbuf_adds(out, ", \"slot\": \"");
    size_t at = out->len;
    timestamp_format(r->slot_us, out);
    out->s[at + 10] = 'T'; /* slots are in the years 1 to 9999 */
    strbuf_addf(out,
                "Z\", \"attempt\": %lld, \"status\": \"%s\", \"sqlstate\": ", (long long)r->attempt,
                run_status_name(r->status));
    add_json(out, r->sqlstate);
    strbuf_adds(out, ", \"message\": ");
    add_json(out, r->message);
    strbuf_addc(out, '}');
}

enum status schedule_tell(struct ctx *c, struct session *s, const struct run_row *r)
{
    struct strbuf text = STRBUF_INIT;
    payload(r, &text);
    enum status st = notify_send(c, s, CHANNEL, text.s);
    strbuf_release(&text);
    return st;
}

void schedule_told(struct engine *e, const struct run_row *r)
{
    struct strbuf text = STRBUF_INIT;
    payload(r, &text);
    engine_notify(e, CHANNEL, text.s);
    strbuf_release(&text);
}
