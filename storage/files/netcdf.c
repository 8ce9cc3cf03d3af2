/* NetCDF files: refused until the helper that parses them is there. */
#include "storage/files/source_parts.h"
enum status netcdf_open(struct ctx *c, const struct paths *paths, const struct source_options *o,
                        struct source **out)
{
    (void)paths;
    (void)o;
    (void)out;
    return fail(c, ERR_UNSUPPORTED, "NetCDF files cannot be read yet");
}
