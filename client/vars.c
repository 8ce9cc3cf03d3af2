/* Which values do the shell's variables have? */
#include "client/vars.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct var {
    struct var *next; /* by name */
    char *name, *value;
};
struct vars {
    struct var *first;
};

static void *checked(void *p)
{
    if (!p) abort();
    return p;
}

struct vars *vars_new(void)
{
    return checked(calloc(1, sizeof(struct vars)));
}

static void var_free(struct var *v)
{
    free(v->name);
    free(v->value);
    free(v);
}

void vars_free(struct vars *v)
{
    while (v && v->first) {
        struct var *gone = v->first;
        v->first = gone->next;
        var_free(gone);
    }
    free(v);
}

static bool is_name(const char *s)
{
    if (!*s) return false;
    for (; *s; s++) {
        unsigned char ch = (unsigned char)*s;
        if (!(ch >= 0x80 || ch == '_' || (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z') ||
              (ch >= 'a' && ch <= 'z')))
            return false;
    }
    return true;
}

bool vars_set(struct vars *v, const char *name, const char *value)
{
    if (!is_name(name)) return false;
    struct var **at = &v->first;
    while (*at && strcmp((*at)->name, name) < 0)
        at = &(*at)->next;
    bool found = *at && strcmp((*at)->name, name) == 0;
    if (!value) {
        if (found) {
            struct var *gone = *at;
            *at = gone->next;
            var_free(gone);
        }
        return true;
    }
    char *copy = checked(strdup(value));
    if (!found) {
        struct var *added = checked(calloc(1, sizeof *added));
        added->name = checked(strdup(name));
        added->next = *at;
        *at = added;
    }
    free((*at)->value);
    (*at)->value = copy;
    return true;
}

const char *vars_getn(const struct vars *v, const char *name, size_t n)
{
    for (const struct var *p = v->first; p; p = p->next)
        if (strncmp(p->name, name, n) == 0 && p->name[n] == 0) return p->value;
    return NULL;
}

const char *vars_get(const struct vars *v, const char *name)
{
    return vars_getn(v, name, strlen(name));
}

bool vars_on(const struct vars *v, const char *name)
{
    const char *value = vars_get(v, name);
    return value && strcasecmp(value, "off") != 0 && strcasecmp(value, "false") != 0 &&
           strcasecmp(value, "no") != 0 && strcmp(value, "0") != 0;
}

bool vars_are(const struct vars *v, const char *name, const char *value)
{
    const char *is = vars_get(v, name);
    return is && strcasecmp(is, value) == 0;
}

const char *vars_next(const struct vars *v, const char *name)
{
    const struct var *p = v->first;
    while (name && p && strcmp(p->name, name) <= 0)
        p = p->next;
    return p ? p->name : NULL;
}
