/* How is a file of bare values read as an array? As an .npy file whose header comes from elsewhere:
 * the statement, or the array that it is loaded into. */
#include "storage/files/npy_format.h"
#include "storage/files/source_parts.h"
#include <stdio.h>

/* NumPy's names, then its codes; then those of the language that don't mean another type there. */
static enum status find_type(struct ctx *c, const char *path, const char *name,
                             struct npy_field *out)
{
    static const struct {
        const char *name, *dtype;
    } names[] = {{"bool", "|b1"},    {"int8", "|i1"},         {"int16", "<i2"},
                 {"int32", "<i4"},   {"int64", "<i8"},        {"uint8", "|u1"},
                 {"uint16", "<u2"},  {"uint32", "<u4"},       {"uint64", "<u8"},
                 {"float16", "<f2"}, {"float32", "<f4"},      {"float64", "<f8"},
                 {"date", "<M8[D]"}, {"timestamp", "<M8[us]"}};
    char dtype[64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i].name, name) == 0) return npy_dtype(c, path, names[i].dtype, out);
    if (strncmp(name, "datetime64[", 11) == 0) {
        snprintf(dtype, sizeof dtype, "<M8%.32s", name + 10);
        return npy_dtype(c, path, dtype, out);
    }
    enum type t = type_by_name(name);
    if (t != T_NONE && t != T_TEXT && type_numpy(t)[0])
        return npy_dtype(c, path, type_numpy(t), out);
    enum status st = npy_dtype(c, path, name, out);
    if (st < 0) {
        ctx_clear(c);
        fail(c, ERR_INVALID_PARAMETER, "\"%s\" is not a type of values in a file", name);
        return hint(c, "NumPy's names and codes are known: float64, int32, <f4, datetime64[us] …");
    }
    return st;
}

static enum status find_target(struct ctx *c, const struct source_options *o, const char *path,
                               const struct attr **attr)
{
    const struct schema *t = o->target;
    *attr = NULL;
    for (int k = 0; t && k < t->n_attrs; k++) {
        bool named = o->n_columns == 0 && t->n_attrs == 1;
        for (int i = 0; i < o->n_columns; i++)
            named = named || strcmp(o->columns[i], t->attrs[k].name) == 0;
        if (!named) continue;
        if (*attr) {
            *attr = NULL;
            break;
        }
        *attr = &t->attrs[k];
    }
    if (*attr) return OK;
    fail(c, ERR_INVALID_PARAMETER, "\"%s\" holds the values of one attribute", path);
    return hint(c, "Name it: COPY array (attribute) FROM …");
}

enum status raw_open(struct ctx *c, const struct paths *paths, const struct source_options *o,
                     struct source **out)
{
    const struct attr *attr = NULL;
    const char *dtype = o->dtype, *path = paths->v[0];
    const struct dim *dims = o->dims;
    int n_dims = o->n_dims;
    if (!dtype) {
        TRY(find_target(c, o, path, &attr));
        if (attr->type == T_TEXT)
            return fail(c, ERR_UNSUPPORTED, "texts have no size and cannot be read as raw values");
        dtype = type_numpy(attr->type);
        dims = o->target->dims;
        n_dims = o->target->n_dims;
    }
    struct npy_field *field = arena_new_of(c->arena, struct npy_field);
    TRY(find_type(c, path, dtype, field));
    field->name = attr ? attr->name : "v";
    struct npy_format format = {
        .n_fields = 1, .fields = field, .record_bytes = field->bytes, .n_dims = n_dims};
    for (int d = 0; d < n_dims; d++)
        format.shape[d] = axis_len(&dims[d].axis);
    struct npy_options options = {.target = o->target,
                                  .format = &format,
                                  .dims = dims,
                                  .start = n_dims > 0 ? dims[0].axis.lo : 0};
    return npy_open_as(c, paths, &options, out);
}
