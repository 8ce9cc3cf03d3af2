/* The settings: reading, checking and showing their values. */
#include "storage/base/settings.h"
#include "storage/base/names.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct setting_info list[] = {
#define X(field, kind, scope, deflt, least, most, doc)                                             \
    {#field, kind, scope, deflt, least, most, doc},
    SETTING_LIST(X)
#undef X
};
enum { N_SETTINGS = sizeof list / sizeof *list };

union slot {
    int64_t n;
    char *s;
};
_Static_assert(sizeof(struct settings) == N_SETTINGS * sizeof(union slot),
               "struct settings is one slot a setting, in the list's order");

const struct setting_info *settings_list(int *n)
{
    *n = N_SETTINGS;
    return list;
}

static union slot get(const struct settings *s, int i)
{
    union slot v;
    memcpy(&v, (const char *)s + (size_t)i * sizeof v, sizeof v);
    return v;
}

static void put(struct settings *s, int i, union slot v)
{
    memcpy((char *)s + (size_t)i * sizeof v, &v, sizeof v);
}

struct unit {
    const char *name;
    int64_t factor;
};
static const struct unit byte_units[] = {
    {"B", 1},         {"kB", 1 << 10},           {"KB", 1 << 10},  {"MB", 1 << 20},
    {"GB", 1 << 30},  {"TB", INT64_C(1) << 40},  {"KiB", 1 << 10}, {"MiB", 1 << 20},
    {"GiB", 1 << 30}, {"TiB", INT64_C(1) << 40}, {NULL, 0}};
static const struct unit time_units[] = {{"ms", 1},      {"s", 1000},     {"min", 60000},
                                         {"h", 3600000}, {"d", 86400000}, {NULL, 0}};

static bool parse_number(const char *text, const struct unit *units, int64_t *out)
{
    char *end;
    errno = 0;
    double d = strtod(text, &end);
    if (end == text || errno) return false;
    while (isspace((unsigned char)*end))
        end++;
    int64_t factor = 1;
    if (*end) {
        const struct unit *u = units;
        if (!u) return false;
        while (u->name && strcasecmp(u->name, end) != 0)
            u++;
        if (!u->name) return false;
        factor = u->factor;
    }
    d *= (double)factor;
    if (!(d > -9.2e18 && d < 9.2e18)) return false;
    *out = (int64_t)d;
    return factor != 1 || d == (double)*out;
}

static bool parse_bool(const char *text, int64_t *out)
{
    static const char *const yes[] = {"on", "true", "yes", "1", "t", "y"};
    static const char *const no[] = {"off", "false", "no", "0", "f", "n"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (!strcasecmp(text, yes[i])) return *out = 1, true;
        if (!strcasecmp(text, no[i])) return *out = 0, true;
    }
    return false;
}

static enum status parse_value(struct ctx *c, const struct setting_info *info, const char *text,
                               union slot *out)
{
    bool good = true;
    switch (info->kind) {
    case SET_TEXT:
        out->s = strdup(text);
        return OK;
    case SET_BOOL:
        if (!parse_bool(text, &out->n)) {
            fail(c, ERR_INVALID_PARAMETER, "parameter \"%s\" requires a Boolean value", info->name);
            return c->err.code;
        }
        break;
    case SET_INT:
        good = parse_number(text, NULL, &out->n);
        break;
    case SET_BYTES:
        good = parse_number(text, byte_units, &out->n);
        break;
    case SET_MS:
        good = parse_number(text, time_units, &out->n);
        break;
    }
    if (!good) {
        fail(c, ERR_INVALID_PARAMETER, "invalid value for parameter \"%s\": \"%s\"", info->name,
             text);
        if (info->kind == SET_BYTES)
            return hint(
                c, "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".");
        if (info->kind == SET_MS)
            return hint(
                c, "Valid units for this parameter are \"ms\", \"s\", \"min\", \"h\", and \"d\".");
        return c->err.code;
    }
    if (out->n < info->least || out->n > info->most)
        return fail(c, ERR_INVALID_PARAMETER,
                    "%lld is outside the valid range for parameter \"%s\" (%lld .. %lld)",
                    (long long)out->n, info->name, (long long)info->least, (long long)info->most);
    return OK;
}

void settings_defaults(struct settings *s)
{
    struct ctx c = {0};
    ctx_clear(&c);
    for (int i = 0; i < N_SETTINGS; i++) {
        union slot v = {0};
        enum status st = parse_value(&c, &list[i], list[i].deflt, &v);
        (void)st; /* the list's own defaults are valid; a unit test reads each */
        put(s, i, v);
    }
}

void settings_release(struct settings *s)
{
    for (int i = 0; i < N_SETTINGS; i++)
        if (list[i].kind == SET_TEXT) free(get(s, i).s);
    memset(s, 0, sizeof *s);
}

void settings_copy(struct settings *to, const struct settings *from)
{
    for (int i = 0; i < N_SETTINGS; i++) {
        union slot v = get(from, i);
        if (list[i].kind == SET_TEXT) v.s = strdup(v.s ? v.s : "");
        put(to, i, v);
    }
}

static const char *plain_name(const char *name)
{
    return !strcasecmp(name, "transaction_isolation")   ? "default_transaction_isolation"
           : !strcasecmp(name, "transaction_read_only") ? "default_transaction_read_only"
                                                        : name;
}

static enum status find(struct ctx *c, const char *name, int *out)
{
    const char *names[N_SETTINGS];
    name = plain_name(name);
    for (int i = 0; i < N_SETTINGS; i++) {
        if (!strcasecmp(name, list[i].name)) return *out = i, OK;
        names[i] = list[i].name;
    }
    fail(c, ERR_UNDEFINED_OBJECT, "unrecognized configuration parameter \"%s\"", name);
    const char *near = nearest_name(name, names, N_SETTINGS);
    return near ? hint(c, "Perhaps you meant \"%s\".", near) : c->err.code;
}

/* Texts of which only some mean something; another would be ignored silently. */
struct choice {
    const char *name, *allowed; /* separated by | */
    bool is_fixed;              /* all of them mean the same: the default */
};
static const struct choice choices[] = {
    {"client_encoding", "UTF8|UTF-8|UNICODE", true},
    {"timezone", "UTC|Etc/UTC|GMT|Z|Universal", true},
    {"datestyle", "ISO, MDY|ISO,MDY|ISO|ISO, DMY|ISO, YMD|DEFAULT", true},
    {"intervalstyle", "postgres", true},
    {"log_level", "debug|info|warning|error", false},
    {"instruction_set", "auto|avx512|avx2|baseline", false},
    {"client_min_messages",
     "debug5|debug4|debug3|debug2|debug1|debug|log|info|notice|warning|error", false},
    {"default_transaction_isolation",
     "serializable|repeatable read|read committed|read uncommitted", false},
};

static bool is_among(const char *value, const char *allowed)
{
    size_t n = strlen(value);
    for (const char *at = allowed;; at++) {
        size_t len = strcspn(at, "|");
        if (len == n && strncasecmp(at, value, n) == 0) return true;
        at += len;
        if (!*at) return false;
    }
}

static enum status check_choice(struct ctx *c, const struct setting_info *info, const char *value)
{
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        const struct choice *k = &choices[i];
        if (strcmp(info->name, k->name) != 0 || is_among(value, k->allowed)) continue;
        if (k->is_fixed) {
            fail(c, ERR_UNSUPPORTED, "parameter \"%s\" cannot be \"%s\"", info->name, value);
            return hint(c, "The only value is \"%s\".", info->deflt);
        }
        fail(c, ERR_INVALID_PARAMETER, "invalid value for parameter \"%s\": \"%s\"", info->name,
             value);
        struct strbuf names = STRBUF_INIT;
        for (const char *at = k->allowed; *at; at++)
            strbuf_add(&names, *at == '|' ? ", " : at, *at == '|' ? 2 : 1);
        hint(c, "Available values: %s.", names.s);
        strbuf_release(&names);
        return c->err.code;
    }
    return OK;
}

enum status settings_set(struct ctx *c, struct settings *s, const char *name, const char *value,
                         bool at_start)
{
    int i;
    TRY(find(c, name, &i));
    if (list[i].scope == SCOPE_SERVER && !at_start) {
        fail(c, ERR_CANT_CHANGE_NOW,
             "parameter \"%s\" cannot be changed without restarting the server", list[i].name);
        return hint(c, "Set it in the configuration file, or with tesserad --set %s=….",
                    list[i].name);
    }
    if (value) TRY(check_choice(c, &list[i], value));
    union slot v = {0};
    TRY(parse_value(c, &list[i], value ? value : list[i].deflt, &v));
    if (list[i].kind == SET_TEXT) free(get(s, i).s);
    put(s, i, v);
    return OK;
}

static void format_units(int64_t n, const struct unit *units, struct strbuf *out)
{
    const struct unit *best = units;
    for (const struct unit *u = units; u->name; u++)
        if (n && n % u->factor == 0 && u->factor > best->factor) best = u;
    strbuf_addf(out, "%lld%s", (long long)(n / best->factor), n ? best->name : "");
}

enum status settings_show(struct ctx *c, const struct settings *s, const char *name,
                          struct strbuf *out)
{
    int i;
    TRY(find(c, name, &i));
    union slot v = get(s, i);
    switch (list[i].kind) {
    case SET_TEXT:
        strbuf_adds(out, v.s ? v.s : "");
        break;
    case SET_BOOL:
        strbuf_adds(out, v.n ? "on" : "off");
        break;
    case SET_INT:
        strbuf_addf(out, "%lld", (long long)v.n);
        break;
    case SET_BYTES:
        format_units(v.n, byte_units, out);
        break;
    case SET_MS:
        format_units(v.n, time_units, out);
        break;
    }
    return OK;
}

static char *trim(char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    char *end = s + strlen(s);
    while (end > s && isspace((unsigned char)end[-1]))
        *--end = 0;
    return s;
}

/* One line `name = value  # comment`; the value may be 'quoted'. */
static enum status read_line(struct ctx *c, struct settings *s, char *line)
{
    char *at = trim(line);
    if (!*at || *at == '#') return OK;
    char *eq = strchr(at, '=');
    if (!eq) return fail(c, ERR_SYNTAX, "a line is not of the form name = value");
    *eq = 0;
    char *value = trim(eq + 1);
    if (*value == '\'') {
        char *end = strchr(++value, '\'');
        if (!end) return fail(c, ERR_SYNTAX, "a quoted value does not end");
        *end = 0;
    } else {
        char *comment = strchr(value, '#');
        if (comment) *comment = 0;
        value = trim(value);
    }
    return settings_set(c, s, trim(at), value, true);
}

enum status settings_read_file(struct ctx *c, struct settings *s, const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f)
        return fail(c, ERR_FILE_MISSING, "could not open configuration file \"%s\": %s", path,
                    strerror(errno));
    char *line = NULL;
    size_t cap = 0;
    enum status st = OK;
    for (int n = 1; st == OK && getline(&line, &cap, f) >= 0; n++) {
        st = read_line(c, s, line);
        if (st < 0) detail(c, "In \"%s\", line %d.", path, n);
    }
    free(line);
    fclose(f);
    return st;
}
