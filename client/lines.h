/* Where statements end in what is typed or read: at a semicolon outside quotes, brackets and
 * comments. Fed line by line; knows PostgreSQL's quoting, and puts variables in. */
#ifndef TESSERA_CLIENT_LINES_H
#define TESSERA_CLIENT_LINES_H
#include "client/vars.h"
#include "storage/base/strbuf.h"

struct scanner {
    char quote; /* 0, or what is open: ' E " $ or * (comment) */
    char tag[64];
    int comments; /* nested */
    int brackets; /* ( and [ open */
};

enum scan_end {
    SCAN_LINE,      /* the line is used up, the statement goes on */
    SCAN_SEMICOLON, /* a statement has ended, *at is behind it */
    SCAN_BACKSLASH  /* *at is at the backslash of a command */
};
/* Reads *line from *at on and appends to the statement. Replaces :name, :'name', :"name" and
 * :{?name} in the line as it goes (vars NULL: not). White space and -- comments before a statement
 * are left out. */
enum scan_end scan_line(struct scanner *s, struct strbuf *line, size_t *at, const struct vars *vars,
                        struct strbuf *statement);
void scan_reset(struct scanner *s);
/* What a prompt shows while a statement goes on: - ' " $ * ( */
char scan_prompt(const struct scanner *s);
/* The value as an SQL literal or name. */
void quote_literal(struct strbuf *out, const char *value);
void quote_name(struct strbuf *out, const char *value);
/* What ":…" at s[at] stands for, appended to out; its length in s, 0 when it is no variable. */
size_t scan_variable(const char *s, const struct vars *vars, struct strbuf *out);

#endif
