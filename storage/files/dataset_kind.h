/* The kinds of values that datasets (NetCDF, HDF5, Zarr) hold, numbered as netcdf.h does. */
#ifndef TESSERA_DATASET_KIND_H
#define TESSERA_DATASET_KIND_H

#define DS_RANK_MAX 17 /* a text variable has one more dimension: the characters */

enum ds_kind {
    DS_KIND_NONE = 0, /* one that is not supported */
    DS_KIND_BYTE = 1,
    DS_KIND_CHAR,
    DS_KIND_SHORT,
    DS_KIND_INT,
    DS_KIND_FLOAT,
    DS_KIND_DOUBLE,
    DS_KIND_UBYTE,
    DS_KIND_USHORT,
    DS_KIND_UINT,
    DS_KIND_INT64,
    DS_KIND_UINT64,
    DS_KIND_STRING,
    DS_KIND_BOOL /* a byte, 0 or 1; Zarr alone */
};

#endif
