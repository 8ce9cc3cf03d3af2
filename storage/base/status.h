/* What can go wrong: one code for each kind of failure, with the SQLSTATE that clients see.
 *
 * A function that can fail returns `enum status`: 0 is success, negative an error that fail() has
 * recorded in the context, once, where it happened. Callers pass the code on and add nothing. */
#ifndef TESSERA_STATUS_H
#define TESSERA_STATUS_H

/*      code                  SQLSTATE  meaning */
#define STATUS_LIST(X)                                                                             \
    X(ERR_INTERNAL, "XX000", "a broken promise inside Tessera")                                    \
    X(ERR_CORRUPT, "XX001", "stored data does not match its checksum or its key")                  \
    X(ERR_SYNTAX, "42601", "the statement does not follow the grammar")                            \
    X(ERR_UNDEFINED_TABLE, "42P01", "no array, view or source of this name")                       \
    X(ERR_UNDEFINED_COLUMN, "42703", "no dimension or attribute of this name")                     \
    X(ERR_UNDEFINED_FUNCTION, "42883", "no function or operator for these types")                  \
    X(ERR_UNDEFINED_OBJECT, "42704", "no setting, type or other object of this name")              \
    X(ERR_UNDEFINED_PARAM, "42P02", "no parameter of this number")                                 \
    X(ERR_AMBIGUOUS_COLUMN, "42702", "more than one column of this name")                          \
    X(ERR_AMBIGUOUS_FUNCTION, "42725", "more than one function fits")                              \
    X(ERR_DUPLICATE_TABLE, "42P07", "the array exists already")                                    \
    X(ERR_DUPLICATE_COLUMN, "42701", "the column exists already")                                  \
    X(ERR_DUPLICATE_ALIAS, "42712", "the FROM item's name stands twice")                           \
    X(ERR_DUPLICATE_OBJECT, "42710", "the function or other object exists already")                \
    X(ERR_DUPLICATE_PREPARED, "42P05", "the prepared statement exists already")                    \
    X(ERR_UNDEFINED_PREPARED, "26000", "no prepared statement of this name")                       \
    X(ERR_UNDEFINED_CURSOR, "34000", "no cursor or portal of this name")                           \
    X(ERR_DUPLICATE_CURSOR, "42P03", "the cursor or portal exists already")                        \
    X(ERR_DATATYPE_MISMATCH, "42804", "the types do not go together")                              \
    X(ERR_INDETERMINATE_TYPE, "42P18", "the type cannot be told")                                  \
    X(ERR_CANNOT_COERCE, "42846", "no cast between these types")                                   \
    X(ERR_WINDOWING, "42P20", "a window function where none can be, or a window that cannot be")   \
    X(ERR_GROUPING, "42803", "a column neither grouped nor aggregated")                            \
    X(ERR_WRONG_OBJECT, "42809", "the object is of another kind")                                  \
    X(ERR_INVALID_DEFINITION, "42P16", "the array's definition does not hold")                     \
    X(ERR_INVALID_REFERENCE, "42P10", "the column cannot be used here")                            \
    X(ERR_DEPENDENT_OBJECTS, "2BP01", "other objects depend on it")                                \
    X(ERR_UNSUPPORTED, "0A000", "not available yet, or not by design")                             \
    X(ERR_OVERFLOW, "22003", "a number out of its type's range")                                   \
    X(ERR_DIVISION_BY_ZERO, "22012", "integer division by zero")                                   \
    X(ERR_INVALID_TEXT, "22P02", "text that is no value of its type")                              \
    X(ERR_INVALID_BINARY, "22P03", "bytes that are no value of their type")                        \
    X(ERR_DATETIME_FORMAT, "22007", "text that is no date or time")                                \
    X(ERR_DATETIME_OVERFLOW, "22008", "a date or time out of range")                               \
    X(ERR_INTERVAL_OVERFLOW, "22015", "an interval out of range")                                  \
    X(ERR_INVALID_PARAMETER, "22023", "an argument out of its domain")                             \
    X(ERR_NULL_VALUE, "22004", "NULL where a value is wanted")                                     \
    X(ERR_INVALID_WIDTH, "2201G", "bounds or a number of buckets that make none")                  \
    X(ERR_FRAME_SIZE, "22013", "a frame's offset that is negative or NaN")                         \
    X(ERR_NTILE, "22014", "ntile of fewer than one bucket")                                        \
    X(ERR_NTH_VALUE, "22016", "nth_value of a row before the first")                               \
    X(ERR_INVALID_REGEX, "2201B", "a regular expression that does not parse")                      \
    X(ERR_INVALID_ESCAPE, "22025", "an escape that stands for no character")                       \
    X(ERR_INVALID_LIMIT, "2201W", "a negative LIMIT")                                              \
    X(ERR_INVALID_OFFSET, "2201X", "a negative OFFSET")                                            \
    X(ERR_INVALID_ENCODING, "22021", "bytes that are not UTF-8")                                   \
    X(ERR_BAD_COPY_FORMAT, "22P04", "COPY data that does not follow its format")                   \
    X(ERR_SUBSTRING, "22011", "a part of a text of negative length")                               \
    X(ERR_OUT_OF_BOUNDS, "2202E", "a coordinate that is not on its axis")                          \
    X(ERR_AXIS_MISMATCH, "22000", "axes that do not line up")                                      \
    X(ERR_MATRIX, "22000", "a matrix that the function cannot take")                               \
    X(ERR_NOT_NULL, "23502", "NULL where the attribute allows none")                               \
    X(ERR_DUPLICATE_CELL, "23505", "two cells at one coordinate")                                  \
    X(ERR_CHECK, "23514", "a cell that a CHECK constraint does not allow")                         \
    X(ERR_CARDINALITY, "21000", "more than one row where one is wanted")                           \
    X(ERR_INVALID_NAME, "42602", "a name that is not allowed")                                     \
    X(ERR_NAME_TOO_LONG, "42622", "a name longer than 63 bytes")                                   \
    X(ERR_TOO_COMPLEX, "54001", "nested too deep")                                                 \
    X(ERR_LIMIT_EXCEEDED, "54000", "past a limit of the program")                                  \
    X(ERR_TOO_MANY_COLUMNS, "54011", "too many dimensions or attributes")                          \
    X(ERR_SERIALIZATION, "40001", "the array changed after the snapshot")                          \
    X(ERR_DEADLOCK, "40P01", "two transactions wait for each other")                               \
    X(ERR_LOCK_TIMEOUT, "55P03", "the wait for a writer took too long")                            \
    X(ERR_NOT_IN_STATE, "55000", "the object is not in the state for that")                        \
    X(ERR_CANT_CHANGE_NOW, "55P02", "a setting that only a start changes")                         \
    X(ERR_NO_TRANSACTION, "25P01", "no transaction is open")                                       \
    X(ERR_ACTIVE_TRANSACTION, "25001", "not inside a transaction")                                 \
    X(ERR_FAILED_TRANSACTION, "25P02", "the transaction has failed; only ROLLBACK is left")        \
    X(ERR_IDLE_TIMEOUT, "25P03", "an open transaction idled too long")                             \
    X(ERR_READ_ONLY, "25006", "a write in a read-only transaction")                                \
    X(ERR_UNDEFINED_SAVEPOINT, "3B001", "no savepoint of this name")                               \
    X(ERR_CANCELLED, "57014", "cancelled by the user or by statement_timeout")                     \
    X(ERR_SHUTDOWN, "57P01", "the server is stopping")                                             \
    X(ERR_MEMORY, "53200", "the memory limit is reached")                                          \
    X(ERR_DISK_FULL, "53100", "the disk, or the quota on it, is full")                             \
    X(ERR_TOO_MANY_CLIENTS, "53300", "no more connections are allowed")                            \
    X(ERR_IO, "58030", "the operating system could not read or write")                             \
    X(ERR_FILE_EXISTS, "58P02", "there is such a file already")                                    \
    X(ERR_FILE_MISSING, "58P01", "no such file")                                                   \
    X(ERR_FORMAT_VERSION, "F0000", "a data directory of another format version")                   \
    X(ERR_DIR_IN_USE, "F0001", "another server holds the data directory")                          \
    X(ERR_PRIVILEGE, "42501", "not allowed")                                                       \
    X(ERR_PROTOCOL, "08P01", "a message that the protocol does not allow here")                    \
    X(ERR_CONNECTION, "08006", "the client went away")

enum status {
    OK = 0,
    STATUS_BEFORE_FIRST = -1000,
#define X(code, sqlstate, meaning) code,
    STATUS_LIST(X)
#undef X
        STATUS_END
};
/* Codes run upward from -999: all negative, and more than 900 may join. */

/* SQLSTATE of a code: five characters, static. */
const char *status_sqlstate(enum status s);

#define TRY(call)                                                                                  \
    do {                                                                                           \
        enum status try_status_ = (call);                                                          \
        if (try_status_ < 0) return try_status_;                                                   \
    } while (0)

#endif
