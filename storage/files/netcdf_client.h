/* A NetCDF helper process. It crashes, hangs or talks nonsense: then it is killed, and the call
 * fails with ERR_BAD_COPY_FORMAT. One thread at a time uses a client. */
#ifndef TESSERA_NETCDF_CLIENT_H
#define TESSERA_NETCDF_CLIENT_H
#include "storage/files/dataset.h"
#include "storage/files/netcdf_protocol.h"

struct nc_client;

/* For reading a file, or writing one, which is made or emptied. ERR_FILE_MISSING when the helper is
 * not installed. */
enum status nc_client_start(struct ctx *c, const char *path, bool writes, struct nc_client **out);
void nc_client_stop(struct nc_client *k); /* NULL allowed */
/* Sends a request with its payload and awaits the reply, which has none. ERR_IO when it fails. */
enum status nc_client_tell(struct ctx *c, struct nc_client *k, const struct nc_request *q,
                           const void *payload);

#endif
