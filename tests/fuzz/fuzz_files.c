/* Files of arrays from hostile bytes: whatever they are, opening and reading them stays in bounds
 * and says what is wrong. The first byte chooses the format. */
#include "storage/files/source.h"
#include "tests/unit/storage_ctx.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_CELLS 10000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    const char *format, *file; /* file: in the folder that is opened; NULL: itself */
} kinds[] = {
    {"zarr", "/.zarray"}, {"zarr", "/zarr.json"}, {"npz", NULL}, {"npy", NULL}, {"tile", NULL}};

static void put(const char *path, const void *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n) abort();
    close(fd);
}

static void read_some(struct ctx *c, struct source *s)
{
    const struct schema *schema = source_schema(s);
    struct box box;
    int attr = 0;
    struct column col;
    uint64_t *present;
    int64_t n;
    schema_box(schema, &box);
    for (int d = 0; d < box.n_dims; d++)
        if (box.hi[d] - box.lo[d] > 3) box.hi[d] = box.lo[d] + 3;
    if (box_empty(&box) || box_cells(&box) > MOST_CELLS) return;
    if (source_read(c, s, &box, &attr, 1, &col, &present, &n) == ERR_CORRUPT) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct test_ctx *ctx;
    static char dir[] = "/dev/shm/tessera-fuzz-XXXXXX";
    char path[128], chunk[128];
    if (!ctx) {
        test_ctx_open(ctx = malloc(sizeof *ctx), NULL);
        ctx->budget.limit_bytes = 256 << 20;
        if (!mkdtemp(dir)) abort();
    }
    if (size < 2) return 0;
    size_t kind = data[0] % (sizeof kinds / sizeof *kinds);
    snprintf(path, sizeof path, "%s/%zu", dir, kind);
    const char *opened = path;
    char file[160];
    if (kinds[kind].file) mkdir(path, 0700);
    snprintf(file, sizeof file, "%s%s", path, kinds[kind].file ? kinds[kind].file : "");
    put(file, data + 1, size - 1);
    if (kinds[kind].file) {
        snprintf(chunk, sizeof chunk, "%s/0.0", path);
        put(chunk, data + 1, size - 1);
    }
    struct ctx *c = &ctx->c;
    struct source_options o = {.format = kinds[kind].format, .tmp_dir = "/dev/shm"};
    struct source *s;
    if (source_open(c, opened, &o, &s) == OK) {
        read_some(c, s);
        source_close(s);
    } else if (c->err.code == ERR_INTERNAL || c->err.code == ERR_CORRUPT) {
        abort();
    }
    ctx_clear(c);
    scratch_reset(c->scratch);
    arena_reset(c->arena);
    return 0;
}
