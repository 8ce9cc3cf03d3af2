/* Does a text match a pattern? LIKE is walked by hand; ~ and SIMILAR TO go to the C library's
 * extended regular expressions, compiled once a thread and pattern. */
#include "query/func_cells.h"
#include <pthread.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(k, j, i) ARG(k, j, struct text, i)

/* ---- LIKE ---- */

static unsigned char folded(char ch, bool fold)
{
    unsigned char b = (unsigned char)ch;
    return fold && b >= 'A' && b <= 'Z' ? (unsigned char)(b + 32) : b;
}

static int64_t character_bytes(struct text t, int64_t at)
{
    int64_t n = 1;
    while (at + n < t.len && ((unsigned char)t.s[at + n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* After a mismatch the match goes on one character behind where the last % began. escape 0:
 * none. */
static bool like(struct text t, struct text p, char escape, bool fold)
{
    int64_t i = 0, j = 0, star = -1, star_i = 0;
    while (i < t.len) {
        if (j < p.len && p.s[j] == '%' && escape != '%') {
            star = ++j;
            star_i = i;
            continue;
        }
        bool escaped = j < p.len && escape && p.s[j] == escape;
        int64_t at = escaped ? j + 1 : j;
        if (at < p.len && !escaped && p.s[at] == '_') {
            i += character_bytes(t, i);
            j = at + 1;
            continue;
        }
        if (at < p.len && folded(p.s[at], fold) == folded(t.s[i], fold)) {
            i++;
            j = at + 1;
            continue;
        }
        if (star < 0) return false;
        star_i += character_bytes(t, star_i);
        i = star_i;
        j = star;
    }
    while (j < p.len && p.s[j] == '%' && escape != '%')
        j++;
    return j == p.len;
}

static enum status escape_of(struct ctx *c, const struct call *k, int64_t i, char *out)
{
    struct text e = k->n_args > 2 ? TEXT(k, 2, i) : (struct text){"\\", 1};
    if (e.len > 1) {
        fail(c, ERR_INVALID_ESCAPE, "invalid escape string");
        return hint(c, "Escape string must be empty or one character.");
    }
    *out = e.len ? e.s[0] : 0;
    return OK;
}

static enum status all_like(struct ctx *c, struct call *k, bool fold, bool negated)
{
    EACH_CELL(k, i)
    {
        char escape = 0;
        struct text p = TEXT(k, 1, i);
        TRY(escape_of(c, k, i, &escape));
        int64_t n = 0;
        while (escape && n < p.len && p.s[p.len - 1 - n] == escape)
            n++;
        if (n % 2)
            return fail(c, ERR_INVALID_ESCAPE, "LIKE pattern must not end with escape character");
        ((uint8_t *)k->out)[i] = like(TEXT(k, 0, i), p, escape, fold) != negated;
    }
    return OK;
}

enum status text_like(struct ctx *c, struct call *k)
{
    return all_like(c, k, false, false);
}
enum status text_not_like(struct ctx *c, struct call *k)
{
    return all_like(c, k, false, true);
}
enum status text_ilike(struct ctx *c, struct call *k)
{
    return all_like(c, k, true, false);
}
enum status text_not_ilike(struct ctx *c, struct call *k)
{
    return all_like(c, k, true, true);
}

/* ---- regular expressions ---- */

struct pattern {
    char *source;
    int64_t len;
    bool fold, similar;
    regex_t regex;
    uint64_t used;
};

#define KEPT 16
struct cache {
    struct pattern *kept[KEPT];
    uint64_t clock;
};

static pthread_key_t cache_key;
static pthread_once_t cache_once = PTHREAD_ONCE_INIT;

static void pattern_free(struct pattern *p)
{
    if (!p) return;
    regfree(&p->regex);
    free(p->source);
    free(p);
}

static void cache_free(void *cache)
{
    struct cache *k = cache;
    for (int i = 0; i < KEPT; i++)
        pattern_free(k->kept[i]);
    free(k);
}

static void make_key(void)
{
    pthread_key_create(&cache_key, cache_free);
}

static struct cache *cache_of_thread(void)
{
    pthread_once(&cache_once, make_key);
    struct cache *k = pthread_getspecific(cache_key);
    if (!k) {
        k = calloc(1, sizeof *k);
        if (!k) abort();
        pthread_setspecific(cache_key, k);
    }
    return k;
}

/* PostgreSQL's \d, \D and (?:, which POSIX has not. */
static void add_advanced(struct strbuf *b, struct text s)
{
    for (int64_t i = 0; i < s.len; i++) {
        bool two = i + 1 < s.len;
        if (s.s[i] == '\\' && two && (s.s[i + 1] == 'd' || s.s[i + 1] == 'D')) {
            strbuf_adds(b, s.s[++i] == 'd' ? "[0-9]" : "[^0-9]");
        } else if (s.s[i] == '\\' && two) {
            strbuf_add(b, s.s + i++, 2);
        } else if (s.s[i] == '(' && i + 2 < s.len && s.s[i + 1] == '?' && s.s[i + 2] == ':') {
            strbuf_addc(b, '(');
            i += 2;
        } else {
            strbuf_addc(b, s.s[i]);
        }
    }
}

/* SIMILAR TO: % and _ are wild, the rest a regular expression that must match all of the text. */
static void add_similar(struct strbuf *b, struct text s)
{
    bool in_class = false;
    strbuf_adds(b, "^(");
    for (int64_t i = 0; i < s.len; i++) {
        char ch = s.s[i];
        if (ch == '\\' && i + 1 < s.len) {
            strbuf_add(b, s.s + i++, 2);
            continue;
        }
        in_class = ch == '[' ? true : ch == ']' ? false : in_class;
        if (in_class)
            strbuf_addc(b, ch);
        else if (ch == '%')
            strbuf_adds(b, ".*");
        else if (ch == '_')
            strbuf_addc(b, '.');
        else if (ch == '.' || ch == '^' || ch == '$')
            strbuf_addf(b, "\\%c", ch);
        else
            strbuf_addc(b, ch);
    }
    strbuf_adds(b, ")$");
}

static enum status compile_pattern(struct ctx *c, struct text source, bool fold, bool similar,
                                   struct pattern **out)
{
    struct strbuf b = STRBUF_INIT;
    if (source.len > 0 && memchr(source.s, 0, (size_t)source.len))
        return fail(c, ERR_INVALID_REGEX, "invalid regular expression: a zero byte");
    (similar ? add_similar : add_advanced)(&b, source);
    struct pattern *p = calloc(1, sizeof *p);
    if (!p) abort();
    int code = regcomp(&p->regex, b.s ? b.s : "", REG_EXTENDED | (fold ? REG_ICASE : 0));
    strbuf_release(&b);
    if (code) {
        char what[128];
        regerror(code, &p->regex, what, sizeof what);
        free(p);
        return fail(c, ERR_INVALID_REGEX, "invalid regular expression: %s", what);
    }
    p->source = malloc((size_t)source.len + 1);
    if (!p->source) abort();
    if (source.len > 0) memcpy(p->source, source.s, (size_t)source.len);
    p->len = source.len;
    p->fold = fold;
    p->similar = similar;
    *out = p;
    return OK;
}

enum status pattern_get(struct ctx *c, struct text source, bool fold, bool similar,
                        const struct pattern **out)
{
    struct cache *k = cache_of_thread();
    int oldest = 0;
    for (int i = 0; i < KEPT; i++) {
        struct pattern *p = k->kept[i];
        if (!p) {
            if (k->kept[oldest]) oldest = i;
            continue;
        }
        if (p->fold == fold && p->similar == similar && p->len == source.len &&
            (p->len == 0 || memcmp(p->source, source.s, (size_t)p->len) == 0)) {
            p->used = ++k->clock;
            *out = p;
            return OK;
        }
        if (k->kept[oldest] && p->used < k->kept[oldest]->used) oldest = i;
    }
    struct pattern *fresh = NULL;
    TRY(compile_pattern(c, source, fold, similar, &fresh));
    pattern_free(k->kept[oldest]);
    fresh->used = ++k->clock;
    k->kept[oldest] = fresh;
    *out = fresh;
    return OK;
}

bool pattern_matches(const struct pattern *p, struct text s)
{
    regmatch_t range = {.rm_so = 0, .rm_eo = (regoff_t)s.len};
    return regexec(&p->regex, s.s ? s.s : "", 1, &range, REG_STARTEND) == 0;
}

static enum status all_match(struct ctx *c, struct call *k, bool fold, bool similar, bool negated)
{
    const struct pattern *p = NULL;
    EACH_CELL(k, i)
    {
        if (!p || k->arg[1].step) TRY(pattern_get(c, TEXT(k, 1, i), fold, similar, &p));
        ((uint8_t *)k->out)[i] = pattern_matches(p, TEXT(k, 0, i)) != negated;
    }
    return OK;
}

enum status text_match(struct ctx *c, struct call *k)
{
    return all_match(c, k, false, false, false);
}
enum status text_match_fold(struct ctx *c, struct call *k)
{
    return all_match(c, k, true, false, false);
}
enum status text_no_match(struct ctx *c, struct call *k)
{
    return all_match(c, k, false, false, true);
}
enum status text_no_match_fold(struct ctx *c, struct call *k)
{
    return all_match(c, k, true, false, true);
}
enum status text_similar(struct ctx *c, struct call *k)
{
    return all_match(c, k, false, true, false);
}
enum status text_not_similar(struct ctx *c, struct call *k)
{
    return all_match(c, k, false, true, true);
}

/* ---- replacing ---- */

/* \1 … \9 are the groups, \& the match, \\ a backslash. */
static void add_replacement(struct strbuf *b, struct text by, const char *s, const regmatch_t *m)
{
    for (int64_t i = 0; i < by.len; i++) {
        if (by.s[i] != '\\' || i + 1 == by.len) {
            strbuf_addc(b, by.s[i]);
            continue;
        }
        char ch = by.s[++i];
        int group = ch == '&' ? 0 : ch >= '1' && ch <= '9' ? ch - '0' : -1;
        if (group < 0)
            strbuf_addc(b, ch);
        else if (m[group].rm_so >= 0)
            strbuf_add(b, s + m[group].rm_so, (size_t)(m[group].rm_eo - m[group].rm_so));
    }
}

static void replace(struct strbuf *b, const struct pattern *p, struct text t, struct text by,
                    bool all)
{
    const char *s = t.s ? t.s : "";
    int64_t at = 0;
    for (bool more = true; more && at <= t.len;) {
        regmatch_t m[10] = {{.rm_so = (regoff_t)at, .rm_eo = (regoff_t)t.len}};
        if (regexec(&p->regex, s, 10, m, REG_STARTEND | (at ? REG_NOTBOL : 0)) != 0) break;
        strbuf_add(b, s + at, (size_t)(m[0].rm_so - at));
        add_replacement(b, by, s, m);
        at = m[0].rm_eo;
        if (m[0].rm_so == m[0].rm_eo) { /* an empty match: one character on */
            if (at < t.len) strbuf_addc(b, s[at]);
            at++;
        }
        more = all;
    }
    if (at < t.len) strbuf_add(b, s + at, (size_t)(t.len - at));
}

enum status text_regexp_replace(struct ctx *c, struct call *k)
{
    struct strbuf b = STRBUF_INIT;
    enum status s = OK;
    for (int64_t i = bits_next(k->todo, 0, k->n); s == OK && i < k->n;
         i = bits_next(k->todo, i + 1, k->n)) {
        struct text flags = k->n_args > 3 ? TEXT(k, 3, i) : (struct text){"", 0};
        bool all = flags.len && memchr(flags.s, 'g', (size_t)flags.len);
        bool fold = flags.len && memchr(flags.s, 'i', (size_t)flags.len);
        const struct pattern *p;
        s = pattern_get(c, TEXT(k, 1, i), fold, false, &p);
        if (s < 0) break;
        strbuf_clear(&b);
        replace(&b, p, TEXT(k, 0, i), TEXT(k, 2, i), all);
        s = call_text_dup(c, k, b.s, b.len, &((struct text *)k->out)[i]);
    }
    strbuf_release(&b);
    return s;
}

/* ---- finding ---- */

/* A search: text and pattern are arguments 0 and 1, flags (i: either case) and the first character
 * to look at are where the function has them. */
struct search {
    const struct pattern *p;
    struct text t;
    int64_t at; /* in bytes: where to look on */
    regmatch_t m[10];
};

static enum status begin_search(struct ctx *c, struct call *k, int64_t i, int start, int flags,
                                struct search *s)
{
    struct text f = flags > 0 && k->n_args > flags ? TEXT(k, flags, i) : (struct text){"", 0};
    int64_t from = start > 0 && k->n_args > start ? ARG(k, start, int64_t, i) : 1;
    for (int64_t j = 0; j < f.len; j++)
        if (!strchr("icnsxt", f.s[j]))
            return fail(c, ERR_INVALID_PARAMETER, "invalid regular expression option: \"%c\"",
                        f.s[j]);
    if (from <= 0)
        return fail(c, ERR_INVALID_PARAMETER, "invalid value for parameter \"start\": %lld",
                    (long long)from);
    bool fold = f.len && memchr(f.s, 'i', (size_t)f.len);
    *s = (struct search){.t = TEXT(k, 0, i)};
    for (; from > 1 && s->at < s->t.len; from--)
        do
            s->at++;
        while (s->at < s->t.len && ((unsigned char)s->t.s[s->at] & 0xc0) == 0x80);
    if (from > 1) s->at = s->t.len + 1;
    return pattern_get(c, TEXT(k, 1, i), fold, false, &s->p);
}

static bool next_match(struct search *s)
{
    const char *text = s->t.s ? s->t.s : "";
    if (s->at > s->t.len) return false;
    regmatch_t m[10] = {{.rm_so = (regoff_t)s->at, .rm_eo = (regoff_t)s->t.len}};
    if (regexec(&s->p->regex, text, 10, m, REG_STARTEND | (s->at ? REG_NOTBOL : 0)) != 0)
        return false;
    memcpy(s->m, m, sizeof m);
    s->at = s->m[0].rm_eo + (s->m[0].rm_so == s->m[0].rm_eo);
    return true;
}

/* Match number n, and of it group `group`; NULL when there is none. */
static enum status nth_match(struct ctx *c, struct call *k, int64_t i, int n_arg, int group_arg,
                             struct search *s, const regmatch_t **out)
{
    int64_t n = n_arg > 0 && k->n_args > n_arg ? ARG(k, n_arg, int64_t, i) : 1;
    int64_t group = k->n_args > group_arg ? ARG(k, group_arg, int64_t, i) : 0;
    *out = NULL;
    if (n <= 0)
        return fail(c, ERR_INVALID_PARAMETER, "invalid value for parameter \"n\": %lld",
                    (long long)n);
    if (group < 0)
        return fail(c, ERR_INVALID_PARAMETER, "invalid value for parameter \"subexpr\": %lld",
                    (long long)group);
    bool found = true;
    for (; found && n > 0; n--)
        found = next_match(s);
    if (found && group < 10 && s->m[group].rm_so >= 0) *out = &s->m[group];
    return OK;
}

enum status text_regexp_count(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        struct search s;
        int32_t n = 0;
        TRY(begin_search(c, k, i, 2, 3, &s));
        while (next_match(&s))
            n++;
        ((int32_t *)k->out)[i] = n;
    }
    return OK;
}

enum status text_regexp_like(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        struct search s;
        TRY(begin_search(c, k, i, 0, 2, &s));
        ((uint8_t *)k->out)[i] = next_match(&s);
    }
    return OK;
}

/* What was matched, or NULL. */
static void put_match(struct call *k, int64_t i, const struct search *s, const regmatch_t *m)
{
    if (m && m->rm_so >= 0)
        ((struct text *)k->out)[i] = (struct text){s->t.s + m->rm_so, m->rm_eo - m->rm_so};
    else
        bit_clear(k->valid, i);
}

/* regexp_substr(text, pattern, start, n, flags, group) */
enum status text_regexp_substr(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        struct search s;
        const regmatch_t *m;
        TRY(begin_search(c, k, i, 2, 4, &s));
        TRY(nth_match(c, k, i, 3, 5, &s, &m));
        put_match(k, i, &s, m);
    }
    return OK;
}

/* substring(text from pattern): the first group, if the pattern has one. */
enum status text_substring_match(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        struct search s;
        TRY(begin_search(c, k, i, 0, 0, &s));
        const regmatch_t *m = next_match(&s) ? &s.m[s.p->regex.re_nsub ? 1 : 0] : NULL;
        put_match(k, i, &s, m);
    }
    return OK;
}

/* regexp_instr(text, pattern, start, n, end, flags, group): the character at which it starts, or
 * (end 1) the one after it; 0: no match. */
enum status text_regexp_instr(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        struct search s;
        const regmatch_t *m;
        int64_t end = k->n_args > 4 ? ARG(k, 4, int64_t, i) : 0;
        if (end != 0 && end != 1)
            return fail(c, ERR_INVALID_PARAMETER, "invalid value for parameter \"endoption\": %lld",
                        (long long)end);
        TRY(begin_search(c, k, i, 2, 5, &s));
        TRY(nth_match(c, k, i, 3, 6, &s, &m));
        int32_t at = 0;
        for (int64_t j = 0; m && j < (end ? m->rm_eo : m->rm_so); j++)
            at += ((unsigned char)s.t.s[j] & 0xc0) != 0x80;
        ((int32_t *)k->out)[i] = m ? at + 1 : 0;
    }
    return OK;
}
