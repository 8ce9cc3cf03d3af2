/* Where do the records and fields of CSV text end?
 *
 * Text is looked at 64 bytes at a time: a bit mask of the bytes that matter (newlines, delimiters,
 * quotes), whose bits are then walked. A row end is a newline outside quotes; with quotes escaped
 * by doubling, "outside" is a prefix-xor of the quotes' mask. */
#include "storage/files/csv_parse.h"
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

void csv_dialect_init(struct csv_dialect *d, const struct source_options *o)
{
    *d = (struct csv_dialect){.text_format = o->text_format, .null_text = o->null_text};
    d->delimiter = o->delimiter ? o->delimiter : (o->text_format ? '\t' : ',');
    d->quote = o->quote ? o->quote : '"';
    d->escape = o->escape ? o->escape : d->quote;
    if (o->text_format) d->quote = d->escape = '\\';
    if (!d->null_text) d->null_text = o->text_format ? "\\N" : "";
    d->null_len = strlen(d->null_text);
}

/* Bit i: p[i] is ch. */
static uint64_t matches(const char *p, char ch)
{
    uint64_t mask = 0;
#ifdef __SSE2__
    __m128i want = _mm_set1_epi8(ch);
    for (int i = 0; i < 4; i++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
        mask |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, want)) << (16 * i);
    }
#else
    for (int i = 0; i < 64; i++)
        mask |= (uint64_t)(p[i] == ch) << i;
#endif
    return mask;
}

/* ---- rows ---- */

void csv_scan_init(struct csv_scan *s, const struct csv_dialect *d)
{
    *s = (struct csv_scan){.quote = d->quote, .escape = d->escape, .text_format = d->text_format};
}

static size_t scan_slowly(struct csv_scan *s, const char *p, size_t n, int64_t stop)
{
    for (size_t i = 0; i < n; i++) {
        char ch = p[i];
        if (s->after_escape) {
            s->after_escape = false;
        } else if (s->text_format) {
            s->after_escape = ch == s->escape;
            if (ch == '\n') s->n_rows++;
        } else if (s->in_quote && ch == s->escape && s->escape != s->quote) {
            s->after_escape = true;
        } else if (ch == s->quote) {
            s->in_quote = !s->in_quote;
        } else if (ch == '\n' && !s->in_quote) {
            s->n_rows++;
        }
        if (ch == '\n' && s->n_rows == stop) return i + 1;
    }
    return n;
}

static uint64_t prefix_xor(uint64_t x)
{
    for (int shift = 1; shift < 64; shift *= 2)
        x ^= x << shift;
    return x;
}

size_t csv_scan_rows(struct csv_scan *s, const char *p, size_t n, int64_t stop)
{
    if (s->n_rows >= stop) return 0;
    if (s->text_format || s->escape != s->quote) return scan_slowly(s, p, n, stop);
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        uint64_t quotes = matches(p + i, s->quote);
        uint64_t ends = matches(p + i, '\n');
        uint64_t inside = s->in_quote ? ~UINT64_C(0) : 0;
        if (quotes) inside ^= prefix_xor(quotes);
        ends &= ~inside;
        int64_t count = __builtin_popcountll(ends);
        if (s->n_rows + count >= stop) return i + scan_slowly(s, p + i, n - i, stop);
        s->n_rows += count;
        s->in_quote = inside >> 63;
    }
    return i + scan_slowly(s, p + i, n - i, stop);
}

/* ---- fields ---- */

/* The bytes that matter, one after the other. */
struct marks {
    const char *text;
    size_t n, block; /* block: where the 64 bytes of the mask start */
    uint64_t mask;
    char a, b, c, d;
};

static uint64_t marks_of(const struct marks *m, size_t block)
{
    char last[64];
    const char *p = m->text + block;
    size_t left = m->n - block;
    if (left < 64) {
        memset(last, 0, sizeof last);
        memcpy(last, p, left);
        p = last;
    }
    uint64_t mask = matches(p, m->a) | matches(p, m->b) | matches(p, m->c);
    if (m->d != m->c) mask |= matches(p, m->d);
    return left < 64 ? mask & ((UINT64_C(1) << left) - 1) : mask;
}

static void marks_start(struct marks *m, const struct csv_dialect *d, const char *text, size_t n,
                        size_t at)
{
    *m = (struct marks){text, n, at, 0, '\n', d->delimiter, d->quote, d->escape};
    if (at < n) m->mask = marks_of(m, at);
}

/* Position of the next mark, n at the end. */
static size_t marks_next(struct marks *m)
{
    while (m->mask == 0) {
        if (m->n - m->block <= 64) {
            m->block = m->n;
            return m->n;
        }
        m->block += 64;
        m->mask = marks_of(m, m->block);
    }
    size_t at = m->block + (size_t)__builtin_ctzll(m->mask);
    m->mask &= m->mask - 1;
    return at;
}

/* Drops the mark at a position that has been passed, if it is the next one. */
static void marks_skip(struct marks *m, size_t at)
{
    while (m->mask == 0 && m->n - m->block > 64 && at >= m->block + 64) {
        m->block += 64;
        m->mask = marks_of(m, m->block);
    }
    if (m->mask && m->block + (size_t)__builtin_ctzll(m->mask) == at) m->mask &= m->mask - 1;
}

/* Ends a field at `end`. first_quote and last_quote are where quoting began and ended last. */
static void put_field(const struct csv_dialect *d, const char *text, size_t start, size_t end,
                      size_t last_quote, bool marked, struct csv_field *f)
{
    bool whole = marked && !d->text_format && text[start] == d->quote && last_quote + 1 == end;
    *f = (struct csv_field){.start = (uint32_t)start, .len = (uint32_t)(end - start)};
    f->escaped = marked;
    if (!whole) return;
    /* One pair of quotes around a value that holds none. */
    const char *inner = text + start + 1;
    size_t len = end - start - 2;
    f->escaped = len > 0 && (memchr(inner, d->quote, len) || memchr(inner, d->escape, len));
    if (f->escaped) return;
    f->quoted = true;
    f->start++;
    f->len = (uint32_t)len;
}

/* From an opening quote to behind the closing one: its position. */
static size_t pass_quotes(struct marks *m, const struct csv_dialect *d)
{
    for (;;) {
        size_t at = marks_next(m);
        if (at == m->n) return m->n;
        char ch = m->text[at];
        bool more = at + 1 < m->n;
        char next = more ? m->text[at + 1] : 0;
        if (more && ch == d->escape && (next == d->quote || next == d->escape))
            marks_skip(m, at + 1);
        else if (ch == d->quote)
            return at;
    }
}

bool csv_split(const struct csv_dialect *d, const char *text, size_t n_bytes, size_t *at,
               struct csv_field *fields, int max, int *n)
{
    if (*at >= n_bytes) return false;
    struct marks m;
    size_t start = *at, last_quote = 0, end;
    bool marked = false;
    int count = 0;
    marks_start(&m, d, text, n_bytes, start);
    for (;;) {
        end = marks_next(&m);
        char ch = end < n_bytes ? text[end] : '\n';
        if (ch == d->delimiter) {
            if (count < max) put_field(d, text, start, end, last_quote, marked, &fields[count]);
            count += count <= max;
            start = end + 1;
            marked = false;
        } else if (ch == '\n') {
            break;
        } else if (d->text_format) {
            marked = true;
            marks_skip(&m, end + 1);
        } else if (ch == d->quote) {
            marked = true;
            last_quote = pass_quotes(&m, d);
        }
    }
    *at = end < n_bytes ? end + 1 : n_bytes;
    if (end > start && text[end - 1] == '\r') end--;
    if (count < max) put_field(d, text, start, end, last_quote, marked, &fields[count]);
    *n = count + (count <= max);
    return true;
}

bool csv_is_null(const struct csv_dialect *d, const char *text, const struct csv_field *f)
{
    if (f->len != d->null_len || f->quoted) return false;
    if (f->escaped && !d->text_format) return false;
    return memcmp(text + f->start, d->null_text, d->null_len) == 0;
}

static int digit_of(char ch, int base)
{
    int digit = ch >= '0' && ch <= '9'   ? ch - '0'
                : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
                : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10
                                         : 99;
    return digit < base ? digit : -1;
}

/* The byte after a backslash of COPY's text format: \n, \t, \101, \x41 … */
static char backslashed(const char **p, const char *end)
{
    static const char letters[] = "bfnrtv", means[] = "\b\f\n\r\t\v";
    char ch = *(*p)++;
    const char *found = strchr(letters, ch);
    if (found && ch) return means[found - letters];
    int base = ch == 'x' ? 16 : 8, value = ch == 'x' ? -1 : digit_of(ch, 8);
    int most = 2, digit;
    if (ch != 'x' && value < 0) return ch;
    for (; most > 0 && *p < end && (digit = digit_of(**p, base)) >= 0; most--, (*p)++)
        value = (value < 0 ? 0 : value) * base + digit;
    return value < 0 ? ch : (char)value;
}

struct text csv_value(const struct csv_dialect *d, const char *text, const struct csv_field *f,
                      char *room)
{
    const char *p = text + f->start, *end = p + f->len;
    if (!f->escaped) return (struct text){p, f->len};
    char *to = room;
    bool in_quote = false;
    while (p < end) {
        char ch = *p++;
        if (d->text_format && ch == '\\' && p < end)
            *to++ = backslashed(&p, end);
        else if (!d->text_format && in_quote && ch == d->escape && p < end &&
                 (*p == d->quote || *p == d->escape))
            *to++ = *p++;
        else if (!d->text_format && ch == d->quote)
            in_quote = !in_quote;
        else
            *to++ = ch;
    }
    return (struct text){room, to - room};
}
