/* What is in the database? \d and its relatives, asked of the sys views. */
#include "client/sheet.h"
#include <stdlib.h>
#include <string.h>

/* ---- one array ---- */
/* "12 × 90 × 180" of the dimensions' lengths; growing ones with a +. */
static void add_shape(struct strbuf *b, const PGresult *dims)
{
    for (int i = 0; i < PQntuples(dims); i++) {
        const char *grows = value(dims, i, 5);
        strbuf_addf(b, "%s%s%s", i ? " × " : "", PQgetvalue(dims, i, 3),
                    grows && grows[0] == 't' ? "+" : "");
    }
}

static void show_dimensions(struct shell *sh, const PGresult *r, const char *title)
{
    static const char *const names[] = {"Dimension", "Type", "Axis",   "Length",
                                        "Tile",      "Unit", "Comment"};
    struct sheet s;
    sheet_init(&s, title, names, "lllrrll");
    for (int i = 0; i < PQntuples(r); i++) {
        char **row = sheet_row(&s);
        const char *grows = value(r, i, 5);
        row[0] = text_of(r, i, 0);
        row[1] = text_of(r, i, 1);
        row[2] = text_of(r, i, 2);
        struct strbuf length = STRBUF_INIT;
        strbuf_addf(&length, "%s%s", PQgetvalue(r, i, 3), grows && grows[0] == 't' ? "+" : "");
        row[3] = length.s;
        row[4] = text_of(r, i, 4);
        row[5] = text_of(r, i, 6);
        row[6] = text_of(r, i, 7);
    }
    sheet_show(sh, &s);
}

static void show_attributes(struct shell *sh, const PGresult *r, const char *footer)
{
    static const char *const names[] = {"Attribute", "Type", "Nullable", "Default",
                                        "Codec",     "Unit", "Comment"};
    struct sheet s;
    sheet_init(&s, NULL, names, "lllllll");
    s.table.footer = footer;
    for (int i = 0; i < PQntuples(r); i++) {
        char **row = sheet_row(&s);
        row[0] = text_of(r, i, 0);
        row[1] = text_of(r, i, 1);
        row[2] = PQgetvalue(r, i, 2)[0] == 't' ? copy("not null") : NULL;
        for (int k = 3; k < 7; k++)
            row[k] = text_of(r, i, k);
    }
    sheet_show(sh, &s);
}

static bool show_array(struct shell *sh, const PGresult *arrays, int row)
{
    struct strbuf dims_sql = STRBUF_INIT, attrs_sql = STRBUF_INIT;
    strbuf_adds(&dims_sql, "SELECT name, type, axis, length, tile, grows, unit, comment "
                           "FROM sys.dimensions WHERE array_name = ");
    strbuf_adds(&attrs_sql, "SELECT name, type, not_null, \"default\", codec, unit, comment "
                            "FROM sys.attributes WHERE array_name = ");
    quote_literal(&dims_sql, PQgetvalue(arrays, row, 0));
    quote_literal(&attrs_sql, PQgetvalue(arrays, row, 0));
    strbuf_adds(&dims_sql, " ORDER BY position");
    strbuf_adds(&attrs_sql, " ORDER BY position");
    PGresult *dims = run_quietly(sh, dims_sql.s);
    PGresult *attrs = dims ? run_quietly(sh, attrs_sql.s) : NULL;
    if (attrs) {
        struct strbuf title = STRBUF_INIT, footer = STRBUF_INIT;
        strbuf_addf(&title, "Array \"%s\": ", PQgetvalue(arrays, row, 0));
        add_shape(&title, dims);
        char *cells = count_text(PQgetvalue(arrays, row, 4));
        char *tiles = count_text(PQgetvalue(arrays, row, 5));
        char *size = size_text(atof(PQgetvalue(arrays, row, 6)));
        strbuf_addf(&footer, "%s cells in %s tiles, %s, version %s", cells, tiles, size,
                    PQgetvalue(arrays, row, 1));
        if (value(arrays, row, 7)) strbuf_addf(&footer, "\n%s", value(arrays, row, 7));
        if (value(arrays, row, 8))
            strbuf_addf(&footer, "\nmaterialized: %s", value(arrays, row, 8));
        show_dimensions(sh, dims, title.s);
        show_attributes(sh, attrs, footer.s);
        free(cells);
        free(tiles);
        free(size);
        strbuf_release(&title);
        strbuf_release(&footer);
    }
    bool ok = attrs != NULL;
    PQclear(dims);
    PQclear(attrs);
    strbuf_release(&dims_sql);
    strbuf_release(&attrs_sql);
    return ok;
}

#define ARRAYS                                                                                     \
    "SELECT name, version, dimensions, attributes, cells, tiles, bytes, comment, materialized "    \
    "FROM sys.arrays"
#define OBJECTS "SELECT kind, name, text FROM sys.objects"

bool describe_array(struct shell *sh, const char *name)
{
    PGresult *arrays = ask(sh, ARRAYS, "name", name, "name");
    PGresult *objects = arrays ? ask(sh, OBJECTS, "name", name, "name") : NULL;
    bool ok = objects != NULL;
    for (int i = 0; ok && i < PQntuples(arrays); i++)
        ok = show_array(sh, arrays, i);
    for (int i = 0; ok && i < PQntuples(objects); i++)
        fprintf(sh->out, "%s \"%s\":\n%s\n\n",
                strcmp(PQgetvalue(objects, i, 0), "view") == 0 ? "View" : "Function",
                PQgetvalue(objects, i, 1), PQgetvalue(objects, i, 2));
    if (ok && PQntuples(arrays) + PQntuples(objects) == 0) ok = !none_found(sh, "array", name);
    PQclear(arrays);
    PQclear(objects);
    return ok;
}

/* ---- lists ---- */
bool list_arrays(struct shell *sh, const char *pattern)
{
    static const char *const names[] = {"Name", "Dimensions", "Attributes", "Cells",
                                        "Size", "Version",    "Comment"};
    PGresult *r = ask(sh, ARRAYS, "name", pattern, "name");
    if (!r) return false;
    if (PQntuples(r) == 0) {
        PQclear(r);
        return none_found(sh, "array", pattern);
    }
    struct sheet s;
    sheet_init(&s, "Arrays", names, "lrrrrrl");
    for (int i = 0; i < PQntuples(r); i++) {
        char **row = sheet_row(&s);
        row[0] = text_of(r, i, 0);
        row[1] = text_of(r, i, 2);
        row[2] = text_of(r, i, 3);
        row[3] = count_text(PQgetvalue(r, i, 4));
        row[4] = size_text(atof(PQgetvalue(r, i, 6)));
        row[5] = text_of(r, i, 1);
        row[6] = text_of(r, i, 7);
    }
    s.table.footer = NULL;
    sheet_show(sh, &s);
    PQclear(r);
    return true;
}

bool list_dimensions(struct shell *sh, const char *pattern)
{
    PGresult *r = ask(sh,
                      "SELECT array_name AS \"Array\", name AS \"Dimension\", type AS \"Type\", "
                      "axis AS \"Axis\", length AS \"Length\", tile AS \"Tile\" "
                      "FROM sys.dimensions",
                      "array_name", pattern, "array_name, position");
    if (!r) return false;
    bool any = PQntuples(r) > 0;
    if (any) show_result(sh, r, "Dimensions");
    PQclear(r);
    return any || none_found(sh, "dimension", pattern);
}

bool list_objects(struct shell *sh, const char *kind, const char *pattern)
{
    struct strbuf sql = STRBUF_INIT;
    bool view = strcmp(kind, "view") == 0;
    strbuf_addf(&sql,
                "SELECT name AS \"Name\", text AS \"Definition\" "
                "FROM (SELECT name, text FROM sys.objects WHERE kind = '%s') AS o",
                kind);
    PGresult *r = ask(sh, sql.s, "name", pattern, "name");
    strbuf_release(&sql);
    if (!r) return false;
    bool any = PQntuples(r) > 0;
    if (any) show_result(sh, r, view ? "Views" : "Functions");
    PQclear(r);
    return any || none_found(sh, kind, pattern);
}

bool list_databases(struct shell *sh)
{
    static const char *const names[] = {"Name", "Arrays", "Size", "Where"};
    PGresult *r = run_quietly(sh, "SELECT count(*), coalesce(sum(bytes), 0) FROM sys.arrays");
    if (!r) return false;
    struct sheet s;
    sheet_init(&s, "Databases", names, "lrrl");
    s.table.footer = NULL;
    char **row = sheet_row(&s);
    row[0] = copy(PQdb(sh->conn));
    row[1] = text_of(r, 0, 0);
    row[2] = size_text(atof(PQgetvalue(r, 0, 1)));
    row[3] = copy(sh->target.dir ? sh->target.dir : PQhost(sh->conn));
    sheet_show(sh, &s);
    PQclear(r);
    return true;
}
