/* What the server and its NetCDF helper say to each other over a socket.
 *
 * The server sends a request, the helper answers with a reply and n_bytes of payload: an error's
 * text, a description, or values. A helper that writes is told a definition, which is a
 * description, then values, then to close. Both run on one machine: integers and values are native.
 */
#ifndef TESSERA_NETCDF_PROTOCOL_H
#define TESSERA_NETCDF_PROTOCOL_H
#include "storage/files/dataset_kind.h"
#include <stdint.h>

enum nc_op { NC_OP_DESCRIBE = 1, NC_OP_READ, NC_OP_DEFINE, NC_OP_WRITE, NC_OP_CLOSE };

struct nc_request {
    uint32_t op;
    int32_t var;
    uint64_t n_bytes; /* of the payload that follows: DEFINE, WRITE */
    uint64_t start[DS_RANK_MAX], count[DS_RANK_MAX];
};

struct nc_reply {
    int32_t error; /* 0: fine */
    uint32_t zero;
    uint64_t n_bytes;
};

/* A description, in this order (str: u32 length and bytes; everything unaligned):
 *   u32 dimensions: str name, u64 length, u32 1 when unlimited
 *   u32 variables:  str name, u32 kind, u32 rank, u32 dimension per rank, u64 chunk length per rank
 *                   (0: not chunked), u32 1 when no value means that a cell was never written,
 *                   u32 attributes: str name, u32 kind, u32 count, values
 *                   (strings: the first one only, as a str, count 1)
 * A definition's _FillValue has its variable's kind; a variable of kind 0 without a name has the
 * attributes of the file; a length of 0 is unlimited.
 * Values of a read or a write: packed; strings: a str each. */

#endif
