/* Messages of the PostgreSQL protocol, built into a buffer. */
#ifndef TESSERA_MESSAGE_H
#define TESSERA_MESSAGE_H
#include "query/session.h"
#include "storage/base/strbuf.h"

/* Begins a message; the length is filled by message_end() with the mark that this returned. */
size_t message_begin(struct strbuf *b, char type);
void message_end(struct strbuf *b, size_t mark);
void message_int16(struct strbuf *b, int v);
void message_int32(struct strbuf *b, int32_t v);
void message_string(struct strbuf *b, const char *s);

void message_notice(struct strbuf *b, const char *severity, const char *sqlstate, const char *text);
/* text: the statement, for the position in characters; NULL: none. */
void message_error(struct strbuf *b, const char *severity, const struct error *e, const char *text);
void message_notification(struct strbuf *b, int pid, const char *channel, const char *payload);
void message_parameter(struct strbuf *b, const char *name, const char *value);
void message_ready(struct strbuf *b, char state);
/* formats: as Bind gave them (n_formats 0: all text, 1: for all). */
void message_columns(struct strbuf *b, const struct column_desc *cols, int n,
                     const int16_t *formats, int n_formats);
int column_format(const int16_t *formats, int n_formats, int i);
/* One DataRow: cell i of the columns. */
enum status message_row(struct ctx *c, struct strbuf *b, const struct column *cols, int n_cols,
                        int64_t i, const int16_t *formats, int n_formats);

#endif
