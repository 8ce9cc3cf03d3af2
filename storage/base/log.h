/* The server's log: one line an event on standard error (or a file), with time and severity. */
#ifndef TESSERA_LOG_H
#define TESSERA_LOG_H
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
void log_set_level(enum log_level least);
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#endif
