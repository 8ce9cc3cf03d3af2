/* The format "tile": an array as compressed tiles, for clients that decompress them themselves, and
 * back. Nothing is lost: EMPTY, NULL, every type, coordinates, units and comments.
 *
 * All numbers are little-endian; str is a u32 length and UTF-8 bytes.
 *
 *   header   8 bytes "TSTREAM\1" (the last is the format's version)
 *            u32 dimensions, u32 attributes, str comment
 *            a dimension: str name, str type, str unit, str comment, u64 length, u64 tile extent,
 *                         u8 1 when a block of its coordinates follows (else they are 0, 1 …)
 *            an attribute: str name, str type, str unit, str comment
 *   record   u32 attribute, u64 tile: its number in C order of the grid of tiles that starts at the
 *            first cell; u8 flags; blocks: presence (flag 1: bits, else all cells exist), validity
 *            (flag 2: bits, else no cell is NULL), values. In any order. A tile that has no record
 *            of an attribute is EMPTY.
 *   end      u32 0xffffffff
 *   block    u8 codec, u64 plain bytes, u64 payload bytes, the payload. Codec 1: one value, for
 * all; 2: the plain bytes; 3: a zstd frame of the byte planes of the values (plain bytes when a
 * value has one byte)
 *
 * A tile's cells lie in C order, those of the last tiles cut at the array's end. Types are SQL
 * names. A boolean is a byte, a date int32 days, a timestamp int64 microseconds since 1970. Texts
 * are a u32 length and the bytes each, and their block's values are bytes. Bit i of byte i / 8 is
 * cell i; bits are padded to 8 bytes. The value of a cell that is EMPTY or NULL is 0. */
#ifndef TESSERA_TILE_STREAM_H
#define TESSERA_TILE_STREAM_H
#include "storage/files/dataset_write.h"

/* def->emit takes the bytes. No fill values: they are not needed. */
extern const struct dsw_format tile_write_format;

#endif
