/* How are answers laid out on the wire? */
#include "server/message.h"
#include "storage/base/value.h"
#include <endian.h>
#include <stdint.h>
#include <string.h>

size_t message_begin(struct strbuf *b, char type)
{
    strbuf_addc(b, type);
    strbuf_add(b, "\0\0\0\0", 4);
    return b->len - 4;
}

void message_end(struct strbuf *b, size_t mark)
{
    uint32_t n = htobe32((uint32_t)(b->len - mark));
    memcpy(b->s + mark, &n, 4);
}

void message_int16(struct strbuf *b, int v)
{
    uint16_t n = htobe16((uint16_t)v);
    strbuf_add(b, &n, 2);
}

void message_int32(struct strbuf *b, int32_t v)
{
    uint32_t n = htobe32((uint32_t)v);
    strbuf_add(b, &n, 4);
}

void message_string(struct strbuf *b, const char *s)
{
    strbuf_add(b, s, strlen(s) + 1);
}

static void field(struct strbuf *b, char code, const char *s)
{
    strbuf_addc(b, code);
    message_string(b, s);
}

void message_notice(struct strbuf *b, const char *severity, const char *sqlstate, const char *text)
{
    size_t mark = message_begin(b, 'N');
    field(b, 'S', severity);
    field(b, 'V', severity);
    field(b, 'C', sqlstate);
    field(b, 'M', text);
    strbuf_addc(b, 0);
    message_end(b, mark);
}

/* Byte offset to character number, from 1. */
static int character_of(const char *text, int position)
{
    int n = 1;
    for (int i = 0; i < position && text[i]; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    if (position > 0 && ((unsigned char)text[position] & 0xc0) == 0x80) n--;
    return n;
}

void message_error(struct strbuf *b, const char *severity, const struct error *e, const char *text)
{
    size_t mark = message_begin(b, 'E');
    field(b, 'S', severity);
    field(b, 'V', severity);
    field(b, 'C', status_sqlstate(e->code));
    field(b, 'M', e->message);
    if (e->detail[0]) field(b, 'D', e->detail);
    if (e->hint[0]) field(b, 'H', e->hint);
    if (e->position >= 0 && text) {
        strbuf_addc(b, 'P');
        strbuf_addf(b, "%d", character_of(text, e->position));
        strbuf_addc(b, 0);
    }
    strbuf_addc(b, 0);
    message_end(b, mark);
}

void message_notification(struct strbuf *b, int pid, const char *channel, const char *payload)
{
    size_t mark = message_begin(b, 'A');
    message_int32(b, pid);
    message_string(b, channel);
    message_string(b, payload);
    message_end(b, mark);
}

void message_parameter(struct strbuf *b, const char *name, const char *value)
{
    size_t mark = message_begin(b, 'S');
    message_string(b, name);
    message_string(b, value);
    message_end(b, mark);
}

void message_ready(struct strbuf *b, char state)
{
    size_t mark = message_begin(b, 'Z');
    strbuf_addc(b, state);
    message_end(b, mark);
}

int column_format(const int16_t *formats, int n_formats, int i)
{
    return n_formats == 0 ? 0 : n_formats == 1 ? formats[0] : i < n_formats ? formats[i] : 0;
}

void message_columns(struct strbuf *b, const struct column_desc *cols, int n,
                     const int16_t *formats, int n_formats)
{
    size_t mark = message_begin(b, 'T');
    message_int16(b, n);
    for (int i = 0; i < n; i++) {
        message_string(b, cols[i].name);
        message_int32(b, 0);
        message_int16(b, 0);
        message_int32(b, (int32_t)type_oid(cols[i].type));
        message_int16(b, type_wire_bytes(cols[i].type));
        message_int32(b, -1);
        message_int16(b, column_format(formats, n_formats, i));
    }
    message_end(b, mark);
}

enum status message_row(struct ctx *c, struct strbuf *b, const struct column *cols, int n_cols,
                        int64_t i, const int16_t *formats, int n_formats)
{
    size_t mark = message_begin(b, 'D');
    message_int16(b, n_cols);
    for (int k = 0; k < n_cols; k++) {
        if (column_is_null(&cols[k], i)) {
            message_int32(b, -1);
            continue;
        }
        size_t at = b->len;
        message_int32(b, 0);
        if (!column_format(formats, n_formats, k))
            value_format_at(cols[k].type, cols[k].values, i, b);
        else if (wire_put(c, cols[k].type, cols[k].values, i, b) < 0)
            return b->len = mark - 1, c->err.code; /* no half a message */
        uint32_t n = htobe32((uint32_t)(b->len - at - 4));
        memcpy(b->s + at, &n, 4);
    }
    message_end(b, mark);
    return OK;
}
