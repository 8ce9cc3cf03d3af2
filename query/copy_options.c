/* What do the options of a COPY say? */
#include "query/copy.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static enum status want_char(struct ctx *c, const struct ast_option *o, char *out)
{
    if (!o->value || strlen(o->value) != 1)
        return fail_at(c, ERR_UNSUPPORTED, o->pos, "COPY %s must be a single one-byte character",
                       o->name);
    *out = o->value[0];
    return OK;
}

static enum status want_flag(struct ctx *c, const struct ast_option *o, bool *out)
{
    static const char *const yes[] = {"true", "on", "1"}, *const no[] = {"false", "off", "0"};
    *out = true;
    if (!o->value) return OK;
    for (int i = 0; i < 3; i++) {
        if (!strcasecmp(o->value, yes[i])) return OK;
        if (!strcasecmp(o->value, no[i])) return *out = false, OK;
    }
    return fail_at(c, ERR_SYNTAX, o->pos, "%s requires a Boolean value", o->name);
}

static enum status want_conflict(struct ctx *c, const struct ast_option *o, enum conflict *out)
{
    if (o->value && !strcasecmp(o->value, "error"))
        *out = CONFLICT_ERROR;
    else if (o->value && !strcasecmp(o->value, "ignore"))
        *out = CONFLICT_IGNORE;
    else if (o->value && !strcasecmp(o->value, "replace"))
        *out = CONFLICT_REPLACE;
    else
        return fail_at(c, ERR_SYNTAX, o->pos, "ON CONFLICT takes ERROR, IGNORE or REPLACE");
    return OK;
}

static enum status want_new_only(struct ctx *c, const struct ast_option *o, bool *out)
{
    if (!strcmp(o->name, "new_only")) return want_flag(c, o, out);
    *out = o->value && !strcasecmp(o->value, "only");
    return *out ? OK : fail_at(c, ERR_SYNTAX, o->pos, "the option is NEW ONLY");
}

/* PostgreSQL's ON_ERROR ignore leaves out rows; here a file is whole or not there. */
static enum status want_on_error(struct ctx *c, const struct ast_option *o, bool *skip)
{
    *skip = o->value && !strcasecmp(o->value, "skip");
    if (*skip || (o->value && !strcasecmp(o->value, "stop"))) return OK;
    fail_at(c, ERR_SYNTAX, o->pos, "ON ERROR takes STOP or SKIP");
    return hint(c, "SKIP leaves out a file that fails, whole; single rows are not left out.");
}

static enum status want_version(struct ctx *c, const struct ast_option *o, int *out)
{
    if (!o->value || (strcmp(o->value, "2") != 0 && strcmp(o->value, "3") != 0))
        return fail_at(c, ERR_INVALID_PARAMETER, o->pos,
                       "the version of a Zarr directory is 2 or 3");
    *out = o->value[0] - '0';
    return OK;
}

static bool ends_in(const char *file, const char *ending)
{
    size_t n = strlen(file), m = strlen(ending);
    return n >= m && !strcasecmp(file + n - m, ending);
}

/* As read_…() guess it, but for plain text, which is COPY's own. */
static const char *format_of_name(const char *file)
{
    return ends_in(file, ".txt") ? "text" : source_format_of_name(file);
}

static enum status check_format(struct ctx *c, const struct ast_stmt *stmt, const char *format)
{
    static const char *const known[] = {"csv", "text", "binary", "npy", "npz",
                                        "raw", "tile", "netcdf", "zarr"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(format, known[i])) return OK;
    fail_at(c, ERR_INVALID_PARAMETER, stmt->pos, "COPY format \"%s\" not recognized", format);
    return hint(c, "There are csv, text, binary, npy, npz, raw, tile, netcdf and zarr.");
}

static enum status read_option(struct ctx *c, const struct ast_option *o, struct copy_options *out)
{
    if (!strcmp(o->name, "format")) return out->format = o->value ? o->value : "", OK;
    if (!strcmp(o->name, "header")) {
        out->header_given = true;
        return want_flag(c, o, &out->header);
    }
    if (!strcmp(o->name, "delimiter")) return want_char(c, o, &out->delimiter);
    if (!strcmp(o->name, "quote")) return want_char(c, o, &out->quote);
    if (!strcmp(o->name, "escape")) return want_char(c, o, &out->escape);
    if (!strcmp(o->name, "null")) return out->null_text = o->value ? o->value : "", OK;
    if (!strcmp(o->name, "on conflict") || !strcmp(o->name, "on_conflict"))
        return want_conflict(c, o, &out->conflict);
    if (!strcmp(o->name, "new") || !strcmp(o->name, "new_only"))
        return want_new_only(c, o, &out->new_only);
    if (!strcmp(o->name, "on_error")) return want_on_error(c, o, &out->skip_errors);
    if (!strcmp(o->name, "version")) return want_version(c, o, &out->version);
    if (!strcmp(o->name, "freeze")) return OK;
    if (!strcmp(o->name, "encoding")) {
        if (o->value && (!strcasecmp(o->value, "utf8") || !strcasecmp(o->value, "utf-8")))
            return OK;
        return fail_at(c, ERR_UNSUPPORTED, o->pos, "COPY reads and writes UTF8 only");
    }
    fail_at(c, ERR_SYNTAX, o->pos, "option \"%s\" not recognized", o->name);
    return hint(c, "There are format, header, delimiter, quote, escape, null, encoding, version, "
                   "ON CONFLICT, ON ERROR and NEW ONLY.");
}

static enum status check_for_files(struct ctx *c, const struct ast_stmt *stmt)
{
    for (int i = 0; i < stmt->options.n; i++) {
        const struct ast_option *a = &stmt->options.v[i];
        bool fresh = !strncmp(a->name, "new", 3);
        if ((fresh || !strcmp(a->name, "on_error")) &&
            (!stmt->copy_from || stmt->end_kind != COPY_FILE))
            return fail_at(c, ERR_SYNTAX, a->pos, "%s is for COPY FROM files",
                           fresh ? "NEW ONLY" : "ON ERROR");
    }
    return OK;
}

/* Options of text formats say nothing about others. */
static enum status check_options(struct ctx *c, const struct ast_stmt *stmt,
                                 const struct copy_options *o)
{
    static const char *const of_text[] = {"delimiter", "null", "header", "quote", "escape"};
    bool csv = !strcmp(o->format, "csv"), text = !strcmp(o->format, "text");
    for (int i = 0; i < stmt->options.n; i++) {
        const struct ast_option *a = &stmt->options.v[i];
        bool said = !a->value || strcasecmp(a->value, "false") != 0;
        for (int k = 0; k < 5 && said; k++) {
            if (strcmp(a->name, of_text[k]) != 0 || csv || (text && k < 3)) continue;
            fail_at(c, ERR_SYNTAX, a->pos, "%s is not an option of format \"%s\"", a->name,
                    o->format);
            return hint(c, "%s", k < 3 ? "csv and text have it." : "csv has it: FORMAT csv.");
        }
        if (!strcmp(a->name, "version") && strcmp(o->format, "zarr") != 0) {
            fail_at(c, ERR_SYNTAX, a->pos, "version is not an option of format \"%s\"", o->format);
            return hint(c, "zarr has it.");
        }
    }
    return OK;
}

enum status copy_options_read(struct ctx *c, const struct ast_stmt *stmt, struct copy_options *out)
{
    *out = (struct copy_options){.conflict = CONFLICT_ERROR};
    for (int i = 0; i < stmt->options.n; i++)
        TRY(read_option(c, &stmt->options.v[i], out));
    bool file = stmt->end_kind == COPY_FILE;
    if (!out->format && file) {
        out->format = format_of_name(stmt->file);
        if (!out->header_given && out->format && !strcmp(out->format, "csv"))
            out->header_given = out->header = true;
        if (!out->delimiter && ends_in(stmt->file, ".tsv")) out->delimiter = '\t';
    }
    if (!out->format) out->format = "text";
    TRY(check_format(c, stmt, out->format));
    TRY(check_options(c, stmt, out));
    TRY(check_for_files(c, stmt));
    if (!strcmp(out->format, "text")) {
        if (!out->delimiter) out->delimiter = '\t';
        if (!out->null_text) out->null_text = "\\N";
    }
    if (!out->delimiter) out->delimiter = ',';
    if (!out->quote) out->quote = '"';
    if (!out->escape) out->escape = out->quote;
    if (!out->null_text) out->null_text = "";
    return OK;
}
