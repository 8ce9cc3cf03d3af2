/* What can be typed? Texts of --help, \? and \h. */
#include "client/shell.h"
#include <string.h>
#include <strings.h>

void help_options(FILE *out)
{
    fputs("tessera is the shell of Tessera, the array database.\n\n"
          "Usage:\n"
          "  tessera [OPTION]... DIR              the database in a directory; its server is "
          "started\n"
          "                                       when none runs, and leaves with the last client\n"
          "  tessera [OPTION]... -h HOST [DBNAME [USERNAME]]\n\n"
          "General options:\n"
          "  -c, --command=COMMAND    run only single command (SQL or internal) and exit\n"
          "  -d, --dbname=DBNAME      database name to connect to\n"
          "  -f, --file=FILENAME      execute commands from file, then exit\n"
          "  -l, --list               list databases, then exit\n"
          "  -v, --set, --variable=NAME=VALUE\n"
          "                           set variable NAME to VALUE\n"
          "                           (e.g., -v ON_ERROR_STOP=1)\n"
          "  -V, --version            output version information, then exit\n"
          "  -X, --no-psqlrc          do not read startup file (~/.tesserarc)\n"
          "  -1 (\"one\"), --single-transaction\n"
          "                           execute as a single transaction (if non-interactive)\n"
          "  -?, --help               show this help, then exit\n\n"
          "Input and output options:\n"
          "  -a, --echo-all           echo all input from script\n"
          "  -b, --echo-errors        echo failed commands\n"
          "  -e, --echo-queries       echo commands sent to server\n"
          "  -n, --no-readline        disable enhanced command line editing (readline)\n"
          "  -o, --output=FILENAME    send query results to file (or |pipe)\n"
          "  -q, --quiet              run quietly (no messages, only query output)\n\n"
          "Output format options:\n"
          "  -A, --no-align           unaligned table output mode\n"
          "      --csv                CSV (Comma-Separated Values) table output mode\n"
          "  -F, --field-separator=STRING\n"
          "                           field separator for unaligned output (default: \"|\")\n"
          "  -P, --pset=VAR[=ARG]     set printing option VAR to ARG (see \\pset command)\n"
          "  -R, --record-separator=STRING\n"
          "                           record separator for unaligned output (default: newline)\n"
          "  -t, --tuples-only        print rows only\n"
          "  -x, --expanded           turn on expanded table output\n\n"
          "Connection options:\n"
          "  -h, --host=HOSTNAME      database server host or socket directory\n"
          "  -p, --port=PORT          database server port\n"
          "  -U, --username=USERNAME  database user name\n"
          "  -w, --no-password        never prompt for password\n"
          "  -W, --password           force password prompt (should happen automatically)\n",
          out);
}

void help_commands(FILE *out)
{
    fputs(
        "General\n"
        "  \\g [FILE] or |COMMAND   execute query (and send result to file or |pipe)\n"
        "  \\gset [PREFIX]          execute query and store result in variables\n"
        "  \\gx [FILE]              as \\g, but forces expanded output mode\n"
        "  \\q                      quit\n"
        "  \\watch [SEC]            execute query every SEC seconds\n\n"
        "Help\n"
        "  \\? [options]            these commands, or the command line's options\n"
        "  \\h [NAME]               help on syntax of statements, * for all\n\n"
        "Query buffer\n"
        "  \\e [FILE]               edit the statement (or file) with $VISUAL or $EDITOR\n"
        "  \\p                      show the statement being entered\n"
        "  \\r                      reset (clear) it\n"
        "  \\s                      display history\n"
        "  \\w FILE                 write the statement to file\n\n"
        "Input/output\n"
        "  \\copy ...               COPY with the shell's files: \\copy a from 'f.csv' (format "
        "csv)\n"
        "  \\echo [-n] [STRING]     write string to standard output\n"
        "  \\qecho [-n] [STRING]    write string to \\o output stream\n"
        "  \\warn [-n] [STRING]     write string to standard error\n"
        "  \\i FILE, \\ir FILE       execute commands from file; \\ir: beside the current script\n"
        "  \\o [FILE] or |COMMAND   send all query results to file or |pipe\n\n"
        "Informational\n"
        "  \\d NAME                 an array's dimensions and attributes, or a view's text\n"
        "  \\d, \\dt [PATTERN]       list arrays\n"
        "  \\di [PATTERN]           list dimensions\n"
        "  \\dv [PATTERN]           list views\n"
        "  \\df [PATTERN]           list functions\n"
        "  \\l                      list databases\n"
        "  \\runs [PATTERN]         list the newest runs of schedules: what came of them, when\n"
        "  \\schedules [PATTERN]    list schedules: when they run next, how the last run ended\n"
        "  \\conninfo               where this session is connected to\n\n"
        "Formatting\n"
        "  \\a                      toggle between unaligned and aligned output mode\n"
        "  \\f [STRING]             show or set field separator for unaligned output\n"
        "  \\pset [NAME [VALUE]]    set table output option: border csv_fieldsep expanded\n"
        "                          fieldsep footer format linestyle null recordsep tuples_only\n"
        "  \\t [on|off]             show only rows\n"
        "  \\x [on|off|auto]        toggle expanded output\n\n"
        "Variables and system\n"
        "  \\set [NAME [VALUE]]     set variable, or list all; :NAME, :'NAME', :\"NAME\" use it\n"
        "  \\unset NAME             unset (delete) variable\n"
        "  \\timing [on|off]        toggle timing of commands\n"
        "  \\cd [DIR]               change the current working directory\n"
        "  \\! [COMMAND]            execute command in shell or start interactive shell\n",
        out);
}

static const struct topic {
    const char *name, *about, *syntax;
} topics[] = {
    {"ALTER ARRAY", "change an array's definition",
     "ALTER ARRAY name RENAME TO new_name\n"
     "ALTER ARRAY name RENAME column TO new_name\n"
     "ALTER ARRAY name ADD [COLUMN] column type [DEFAULT value] [NOT NULL]\n"
     "ALTER ARRAY name DROP [COLUMN] column\n"
     "ALTER ARRAY name DIMENSION dim RESIZE [lo : hi]\n"
     "ALTER ARRAY name ALTER [COLUMN] column SET (unit = 'K', ...)"},
    {"ALTER SCHEDULE", "stop a schedule, or let it go on",
     "ALTER SCHEDULE name {SUSPEND | RESUME}"},
    {"BACKUP", "copy the database to a directory", "BACKUP TO 'dir'"},
    {"BEGIN", "start a transaction", "BEGIN [ISOLATION LEVEL ...] [READ ONLY | READ WRITE]"},
    {"CANCEL", "stop another session's statement", "CANCEL pid"},
    {"CHECK ARRAY", "verify an array's tiles", "CHECK ARRAY name"},
    {"COMMENT", "describe an array, view, function, dimension or column",
     "COMMENT ON {ARRAY | VIEW | FUNCTION | DIMENSION | COLUMN} name IS {'text' | NULL}"},
    {"COMMIT", "end a transaction and keep its changes", "COMMIT"},
    {"COPY", "load from or write to a file",
     "COPY array [(columns)] FROM {'file' | STDIN} [(FORMAT csv | npy | netcdf | ..., HEADER,\n"
     "     DELIMITER ';', NULL '', ON CONFLICT {ERROR | IGNORE | REPLACE})]\n"
     "COPY {array | (query)} TO {'file' | STDOUT} [(FORMAT ...)]"},
    {"CREATE ARRAY", "define an array",
     "CREATE [OR REPLACE] ARRAY [IF NOT EXISTS] name (\n"
     "    dim type DIMENSION [lo : hi : step] [TILE n],     -- regular; hi * grows\n"
     "    dim type DIMENSION (label, ...),                  -- fixed labels\n"
     "    dim type DIMENSION,                               -- labels join as they come\n"
     "    attribute type [NOT NULL] [DEFAULT value] [CODEC 'shuffle,zstd(3)'], ...)\n"
     "CREATE [OR REPLACE] ARRAY name AS SELECT [dim], ... FROM ..."},
    {"CREATE FUNCTION", "define a macro", "CREATE [OR REPLACE] FUNCTION name(a, b) AS expression"},
    {"CREATE SCHEDULE", "let statements run when they are due",
     "CREATE SCHEDULE name {EVERY 'interval' [OFFSET 'interval'] | CRON 'text' | AFTER other}\n"
     "    [TIME ZONE 'Europe/Zurich'] [START time] [END time]\n"
     "    [ON OVERLAP SKIP | QUEUE | CANCEL] [ON MISSED SKIP | ONCE | ALL [MAX n]]\n"
     "    [RETRY n BACKOFF 'interval'] [TIMEOUT 'interval'] [SUSPEND AFTER n FAILURES]\n"
     "AS statement | AS $$ statement; ... $$\n\n"
     "CRON: minute, hour, day of the month, month, day of the week, as in '0 3 * * 1-5';\n"
     "L is the last day, 5L the last Friday; or @hourly, @daily, @weekly, @monthly, @yearly"},
    {"CREATE VIEW", "name a query", "CREATE [OR REPLACE] VIEW name [(columns)] AS SELECT ..."},
    {"DELETE", "make cells empty",
     "DELETE FROM array[slice] [USING ...] [WHERE condition] [RETURNING ...]"},
    {"DROP", "remove an array, view, function or schedule",
     "DROP {ARRAY | VIEW | FUNCTION | SCHEDULE} [IF EXISTS] name, ... [CASCADE]"},
    {"EXPLAIN", "show how a statement is carried out", "EXPLAIN [ANALYZE] statement"},
    {"INSERT", "add cells",
     "INSERT INTO array [(columns)] {VALUES (...), ... | SELECT ...}\n"
     "    [ON CONFLICT {ERROR | IGNORE | REPLACE}] [RETURNING ...]\n"
     "INSERT INTO array [x => 0 : 1, y => 0 : 2] VALUES ((1, 2, 3), (4, NULL, EMPTY))"},
    {"LISTEN", "hear of notifications", "LISTEN channel"},
    {"NOTIFY", "tell all that listen", "NOTIFY channel [, 'payload']"},
    {"ROLLBACK", "end a transaction and drop its changes", "ROLLBACK [TO savepoint]"},
    {"RUN SCHEDULE", "run a schedule now, or for past times",
     "RUN SCHEDULE name [FOR time TO time [IN PARALLEL]]"},
    {"SAVEPOINT", "a place to roll back to", "SAVEPOINT name\nRELEASE name"},
    {"SELECT", "ask for cells",
     "[WITH name AS (query), ...]\n"
     "SELECT [DISTINCT] {[dim] | [expression AS name] | expression [AS name] | [*] | *}, ...\n"
     "FROM array[slice] [VERSION n | AS OF time] [AS alias]\n"
     "    [[NATURAL | LEFT | CROSS | ASOF] JOIN other {USING (dims) | ON condition}\n"
     "     [ALIGN NEAREST TOLERANCE x]]\n"
     "WHERE condition\n"
     "GROUP BY {expression | BLOCK [dim => n, ...]}, ...  HAVING condition\n"
     "ORDER BY expression [DESC] [NULLS FIRST | LAST], ...  LIMIT n OFFSET n\n\n"
     "A slice: [40 : 60, *, 0.125]  [lat => * : * : 2]  [#time => -1]  [lat => NEAREST 47.4]"},
    {"SET", "change a setting of the session", "SET name = value\nRESET name\nSHOW {name | ALL}"},
    {"TRUNCATE", "make all cells empty", "TRUNCATE array, ..."},
    {"UNLISTEN", "hear of them no more", "UNLISTEN {channel | *}"},
    {"UPDATE", "change cells",
     "UPDATE array[slice] SET attribute = expression, ... [FROM ...] [WHERE condition]\n"
     "    [RETURNING ...]"},
    {"VACUUM", "drop old versions", "VACUUM [array [KEEP n VERSIONS]]"},
};
enum { N_TOPICS = sizeof topics / sizeof *topics };

void help_sql(FILE *out, const char *topic)
{
    bool found = false;
    if (!topic) {
        fputs("Available help:\n", out);
        for (int i = 0; i < N_TOPICS; i++)
            fprintf(out, "  %-18s%s", topics[i].name, i % 4 == 3 || i == N_TOPICS - 1 ? "\n" : "");
        return;
    }
    for (int i = 0; i < N_TOPICS; i++) {
        if (strcmp(topic, "*") != 0 && strncasecmp(topics[i].name, topic, strlen(topic)) != 0)
            continue;
        fprintf(out, "Command:     %s\nDescription: %s\nSyntax:\n%s\n\n", topics[i].name,
                topics[i].about, topics[i].syntax);
        found = true;
    }
    if (!found)
        fprintf(out,
                "No help available for \"%s\".\nTry \\h with no arguments to see available help.\n",
                topic);
}
