/* COPY … FROM 'folder/…': which files are taken up, in which groups, and what becomes of one that
 * fails?
 *
 * A group of files is read side by side as one source, under a savepoint. When it fails it is
 * undone and its halves are tried, one after the other: so what comes in is what would have come
 * from one file after another, each whole or not at all, whatever the groups. A file that fails
 * alone is skipped, or ends the statement. What is known of each file then is recorded with the
 * cells, in the transaction that publishes them. */
#include "query/copy.h"
#include "query/schedule.h"
#include "storage/files/file_mark.h"
#include "storage/files/source_parts.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_TOGETHER 128       /* each may hold a file open */
#define GROUP_NAME "copy files" /* of the savepoint */

enum fate { TAKEN, LEFT };
struct item {
    const char *name; /* as the pattern gives it */
    const char *full;
    struct file_mark mark; /* before it is read */
    int64_t n_cells;
    bool changed; /* it was loaded before, and was another then */
    enum fate fate;
};

struct intake {
    struct run *r;
    const struct copy_options *o;
    const char *target;
    struct item *items;
    int n;
    bool together; /* where a file's cells lie depends on those before it */
    int64_t n_cells;
    bool opened; /* the last group, as one source */
};

/* ---- which files ---- */

/* An inbox may be empty, but it must be there. */
static enum status check_folder(struct ctx *c, const char *pattern)
{
    const char *wild = strpbrk(pattern, "*?["), *slash = wild;
    while (slash > pattern && *slash != '/')
        slash--;
    const char *folder = slash > pattern
                             ? arena_strndup(c->arena, pattern, (size_t)(slash - pattern))
                         : *slash == '/' ? "/"
                                         : ".";
    if (access(folder, R_OK | X_OK) == 0) return OK;
    return file_cannot_open(c, folder, errno);
}

static enum status list_files(struct ctx *c, struct intake *k)
{
    const char *pattern = source_full_pattern(c, k->r->stmt->file, k->r->s->settings.file_root.s);
    struct paths paths;
    if (strpbrk(pattern, "*?[")) TRY(check_folder(c, pattern));
    enum status st = source_paths(c, pattern, NULL, &paths);
    if (st == ERR_FILE_MISSING && k->o->new_only) {
        ctx_clear(c);
        return OK;
    }
    if (st < 0) return st;
    k->items = arena_array(c->arena, struct item, paths.n);
    k->n = paths.n;
    for (int i = 0; i < paths.n; i++)
        k->items[i] = (struct item){.name = paths.v[i], .full = file_full_name(c, paths.v[i])};
    return OK;
}

/* Was the file taken up before as it is now? One that was skipped for its rights may have got them:
 * that changes its inode. */
static enum status is_known(struct ctx *c, struct array *a, struct item *f, bool *out)
{
    struct loaded_file was;
    bool found;
    *out = false;
    TRY(array_file(c, a, f->full, &was, &found));
    if (!found) return OK;
    bool same = was.n_bytes == f->mark.n_bytes && was.modified_ns == f->mark.modified_ns;
    f->changed = !same && !was.reason;
    *out = same && (!was.reason || was.changed_ns == f->mark.changed_ns);
    return OK;
}

static enum status leave(struct ctx *c, struct item *f)
{
    f->fate = LEFT;
    notice(c, "00000", "file \"%s\" is being written: it is left for the next time", f->name);
    return OK;
}

/* NEW ONLY: known files go from the list. */
static enum status leave_known(struct ctx *c, struct intake *k)
{
    struct array_ref ref = {.name = k->target, .position = k->r->stmt->name.pos};
    struct array *a;
    int n = 0;
    TRY(array_lock(c, k->r->s->txn, k->target)); /* others that load the same files wait here */
    TRY(array_open(c, k->r->s->txn, &ref, &a));
    for (int i = 0; i < k->n; i++) {
        struct item f = k->items[i];
        bool known = false;
        TRY(check_cancel(c));
        TRY(is_known(c, a, &f, &known));
        if (known) continue;
        if (file_is_written(f.name))
            TRY(leave(c, &f));
        else
            k->items[n++] = f;
    }
    k->n = n;
    return OK;
}

/* What cannot even be looked at has a mark of zeros, and fails when it is opened. */
static void look_at(struct ctx *c, const char *name, struct file_mark *out)
{
    if (file_mark(c, name, out) < 0) *out = (struct file_mark){0};
    ctx_clear(c);
}

static enum status mark_files(struct ctx *c, struct intake *k)
{
    for (int i = 0; i < k->n; i++) {
        TRY(check_cancel(c));
        look_at(c, k->items[i].name, &k->items[i].mark);
    }
    return OK;
}

/* ---- one group ---- */

static enum status record(struct ctx *c, struct intake *k, const struct item *f, const char *reason)
{
    const struct schedule_job *job = k->r->s->job;
    struct loaded_file file = {.name = f->full,
                               .n_bytes = f->mark.n_bytes,
                               .modified_ns = f->mark.modified_ns,
                               .changed_ns = f->mark.changed_ns,
                               .n_cells = reason ? 0 : f->n_cells,
                               .reason = reason,
                               .schedule = job ? job->row.name : NULL,
                               .slot_us = job ? job->row.slot_us : 0};
    return array_put_file(c, k->r->s->txn, k->target, &file);
}

/* The error at hand becomes the reason why the file was skipped. */
static enum status skip(struct ctx *c, struct intake *k, struct item *f)
{
    const struct error *e = &c->err;
    const char *reason = e->detail[0] ? arena_printf(c->arena, "%s (%s)", e->message, e->detail)
                                      : arena_strdup(c->arena, e->message);
    char sqlstate[6];
    memcpy(sqlstate, status_sqlstate(e->code), sizeof sqlstate);
    ctx_clear(c);
    const char *told = arena_printf(c->arena, "file \"%s\" was skipped: %s", f->name, reason);
    warning(c, sqlstate, "%s", told);
    TRY(schedule_note(c, k->r, sqlstate, told));
    return record(c, k, f, reason);
}

/* Those of a group that are not left, and what is found out of them. */
static enum status read_group(struct ctx *c, struct intake *k, int lo, int hi, int64_t *n)
{
    struct array_ref ref = {.name = k->target, .position = k->r->stmt->name.pos};
    struct copy_files files = {.opened = &k->opened};
    struct array *a;
    const char **names = arena_array(c->arena, const char *, hi - lo);
    files.cells = arena_array(c->arena, int64_t, hi - lo);
    files.names = names;
    for (int i = lo; i < hi; i++) {
        if (k->items[i].fate == LEFT) continue;
        if (k->items[i].changed) files.changed = k->items[i].name;
        names[files.n++] = k->items[i].name;
    }
    *n = 0;
    k->opened = false;
    if (files.n == 0) return OK;
    TRY(array_open(c, k->r->s->txn, &ref, &a));
    TRY(copy_from_source(c, k->r, k->o, a, &files, n));
    for (int i = lo, at = 0; i < hi; i++) {
        if (k->items[i].fate == LEFT) continue;
        k->items[i].n_cells = files.cells[at] < 0 ? *n : files.cells[at];
        at++;
    }
    return OK;
}

/* NEW ONLY: those that somebody changed while they were read are not taken up. */
static enum status leave_changed(struct ctx *c, struct intake *k, int lo, int hi, bool *any)
{
    *any = false;
    for (int i = lo; i < hi && k->o->new_only; i++) {
        struct item *f = &k->items[i];
        struct file_mark now;
        struct ctx quiet = {.arena = c->arena, .cancel = c->cancel};
        if (f->fate == LEFT) continue;
        look_at(&quiet, f->name, &now);
        if (file_mark_equal(&now, &f->mark)) continue;
        *any = true;
        TRY(leave(c, f));
    }
    return OK;
}

/* One go at a group, undone when it fails. What it needs in the arena goes with it. */
static enum status try_group(struct ctx *c, struct intake *k, int lo, int hi, bool *again)
{
    struct txn *t = k->r->s->txn;
    struct arena *kept = c->arena;
    struct scratch_mark mark = scratch_mark(c->scratch);
    int64_t n = 0;
    TRY(txn_savepoint(c, t, GROUP_NAME));
    c->arena = arena_new();
    enum status st = read_group(c, k, lo, hi, &n);
    struct error why = c->err;
    enum status left = st < 0 && copy_ends_statement(c) ? OK : leave_changed(c, k, lo, hi, again);
    arena_free(c->arena);
    c->arena = kept;
    scratch_release(c->scratch, mark);
    if (left < 0) return left;
    if (st == OK && !*again) {
        k->n_cells += n;
        for (int i = lo; st == OK && i < hi; i++)
            if (k->items[i].fate != LEFT) st = record(c, k, &k->items[i], NULL);
        return st < 0 ? st : txn_release(c, t, GROUP_NAME);
    }
    ctx_clear(c);
    TRY(txn_rollback_to(c, t, GROUP_NAME));
    TRY(txn_release(c, t, GROUP_NAME));
    c->err = why;
    return st;
}

/* Does the error say which file it is about? */
static bool names_file(const struct ctx *c, const struct intake *k, int lo, int hi)
{
    for (int i = lo; i < hi; i++)
        if (strstr(c->err.message, k->items[i].name) || strstr(c->err.detail, k->items[i].name))
            return true;
    return false;
}

static enum status name_file(struct ctx *c, const char *name)
{
    char said[sizeof c->err.detail];
    memcpy(said, c->err.detail, sizeof said);
    return detail(c, said[0] ? "%s: %s" : "%s%s", name, said);
}

/* A group that could not be opened as one may be sound file by file. */
static enum status take(struct ctx *c, struct intake *k, int lo, int hi)
{
    bool again = false;
    enum status st = try_group(c, k, lo, hi, &again);
    if (again) {
        ctx_clear(c);
        return take(c, k, lo, hi);
    }
    if (st == OK) return OK;
    bool ends = copy_ends_statement(c) && !(st == ERR_MEMORY && hi - lo > 1);
    bool alone = hi - lo == 1 || k->together;
    if (ends) return st;
    if (alone && !k->o->skip_errors)
        return names_file(c, k, lo, hi) || hi - lo > 1 ? st : name_file(c, k->items[lo].name);
    if (alone) return skip(c, k, &k->items[lo]);
    if (!k->o->skip_errors && k->opened && names_file(c, k, lo, hi)) return st;
    ctx_clear(c);
    int mid = lo + (hi - lo) / 2;
    TRY(take(c, k, lo, mid));
    return take(c, k, mid, hi);
}

/* ---- the statement ---- */

/* The files of some formats have no coordinates: they lie end to end, by their names. */
static enum status check_places(struct ctx *c, struct intake *k, const struct schema *target)
{
    const char *format = k->o->format;
    bool placeless = !strcmp(format, "npy") || !strcmp(format, "npz") || !strcmp(format, "raw");
    k->together = placeless && !target->is_table && !schema_numbers(target);
    if (!k->together || !(k->o->new_only || k->o->skip_errors)) return OK;
    fail_at(c, ERR_UNSUPPORTED, k->r->stmt->pos, "%s needs files that have coordinates",
            k->o->new_only ? "NEW ONLY" : "ON ERROR SKIP");
    return hint(c, "Where the cells of one file of format %s lie depends on the files before it.",
                format);
}

enum status copy_from_files(struct ctx *c, struct run *r, const struct copy_options *o,
                            struct array *array, int64_t *n)
{
    struct intake k = {.r = r, .o = o, .target = array_schema(array)->name};
    TRY(check_places(c, &k, array_schema(array)));
    TRY(list_files(c, &k));
    TRY(mark_files(c, &k));
    if (o->new_only) TRY(leave_known(c, &k));
    int at_once = k.together ? k.n : MOST_TOGETHER;
    for (int lo = 0; lo < k.n; lo += at_once)
        TRY(take(c, &k, lo, k.n - lo < at_once ? k.n : lo + at_once));
    *n = k.n_cells;
    return OK;
}
