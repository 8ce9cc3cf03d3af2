// What can this machine do at best? One line a limit, "name value unit": memory read by one thread
// and by all, zstd of shuffled tiles in and out, the bare kernel of sqrt(sin² + cos²), a file's
// write with fsync and read past the cache, GEMM. Compiled for the machine it runs on
// (tests/bench/bench.py does).
#include <cblas.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sleef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

enum { RUNS = 5, MAX_THREADS = 256, TILE = 32768, N_TILES = 256 };
typedef double vec __attribute__((vector_size(64)));

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct share {
    void (*work)(struct share *);
    double *x; // this thread's part
    size_t n;
    double out;
};

// The least time of RUNS, all threads on parts of `n` doubles.
static double run(void (*work)(struct share *), double *x, size_t n, int n_threads)
{
    double best = 1e9;
    for (int r = 0; r < RUNS; r++) {
        struct share s[MAX_THREADS];
        pthread_t t[MAX_THREADS];
        double start = now();
        for (int i = 0; i < n_threads; i++) {
            size_t lo = n * (size_t)i / (size_t)n_threads / TILE * TILE,
                   hi = n * (size_t)(i + 1) / (size_t)n_threads / TILE * TILE;
            s[i] = (struct share){work, x + lo, hi - lo, 0};
            pthread_create(&t[i], NULL, (void *(*)(void *))(void (*)(void))work, &s[i]);
        }
        for (int i = 0; i < n_threads; i++)
            pthread_join(t[i], NULL);
        double took = now() - start;
        best = took < best ? took : best;
    }
    return best;
}

static void read_memory(struct share *s)
{
    vec sum[8] = {0};
    const vec *x = (const vec *)s->x;
    for (size_t i = 0; i + 8 <= s->n / 8; i += 8)
        for (int k = 0; k < 8; k++)
            sum[k] += x[i + (size_t)k];
    for (int k = 0; k < 8; k++)
        s->out += sum[k][0];
}

#if defined __AVX512F__
#define SINE(x) Sleef_sind8_u10avx512f(x)
#define COSINE(x) Sleef_cosd8_u10avx512f(x)
#define ROOT(x) _mm512_sqrt_pd(x)
typedef __m512d part;
#elif defined __AVX2__
#define SINE(x) Sleef_sind4_u10avx2(x)
#define COSINE(x) Sleef_cosd4_u10avx2(x)
#define ROOT(x) _mm256_sqrt_pd(x)
typedef __m256d part;
#else
#define SINE(x) Sleef_sind2_u10sse2(x)
#define COSINE(x) Sleef_cosd2_u10sse2(x)
#define ROOT(x) _mm_sqrt_pd(x)
typedef __m128d part;
#endif

// sqrt(sin² + cos²) by SLEEF's 1 ulp versions, with nothing round it.
static void sincos_kernel(struct share *s)
{
    part sum = {0};
    for (size_t i = 0; i < s->n; i += sizeof sum / sizeof *s->x) {
        part x, p, q;
        memcpy(&x, s->x + i, sizeof x);
        p = SINE(x);
        q = COSINE(x);
        sum += ROOT(p * p + q * q);
    }
    s->out = sum[0];
}

// Tiles as the store has them: the bytes of each significance together, then zstd(1).
static uint8_t *packed[N_TILES];
static size_t packed_bytes[N_TILES];
static const double *first_tile;

static void shuffle(const double *in, uint8_t *out)
{
    for (size_t i = 0; i < TILE; i++)
        for (size_t b = 0; b < 8; b++)
            out[b * TILE + i] = ((const uint8_t *)(in + i))[b];
}

static void compress_tiles(struct share *s)
{
    uint8_t *planes = malloc(TILE * 8);
    for (size_t k = 0; k < s->n / TILE; k++) {
        shuffle(s->x + k * TILE, planes);
        size_t room = ZSTD_compressBound(TILE * 8);
        uint8_t *out = malloc(room);
        s->out += (double)ZSTD_compress(out, room, planes, TILE * 8, 1);
        free(out);
    }
    free(planes);
}

static void decode_tiles(struct share *s)
{
    uint8_t *planes = malloc(TILE * 8);
    size_t first = (size_t)(s->x - first_tile) / TILE;
    for (size_t k = first; k < first + s->n / TILE; k++)
        s->out += (double)ZSTD_decompress(planes, TILE * 8, packed[k], packed_bytes[k]);
    free(planes);
}

static void zstd_limits(const char *name, double *x, int n_threads)
{
    size_t n = (size_t)TILE * N_TILES;
    uint8_t *planes = malloc(TILE * 8);
    size_t all = 0;
    for (size_t k = 0; k < N_TILES; k++) {
        shuffle(x + k * TILE, planes);
        packed[k] = malloc(ZSTD_compressBound(TILE * 8));
        packed_bytes[k] =
            ZSTD_compress(packed[k], ZSTD_compressBound(TILE * 8), planes, TILE * 8, 1);
        all += packed_bytes[k];
    }
    first_tile = x;
    printf("zstd_out_%s %.4g GB/s of values\n", name,
           (double)n * 8e-9 / run(decode_tiles, x, n, n_threads));
    printf("zstd_in_%s %.4g GB/s of values\n", name,
           (double)n * 8e-9 / run(compress_tiles, x, n, n_threads));
    printf("zstd_ratio_%s %.4g\n", name, (double)n * 8 / (double)all);
    for (size_t k = 0; k < N_TILES; k++)
        free(packed[k]);
    free(planes);
}

static double write_file(const char *path, const void *x, size_t bytes)
{
    double start = now();
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (size_t lo = 0; lo < bytes; lo += 4 << 20)
        if (write(fd, (const char *)x + lo, 4 << 20) != 4 << 20) return 1e9;
    fsync(fd);
    close(fd);
    return now() - start;
}

static double read_file(const char *path, void *x, size_t bytes)
{
    int fd = open(path, O_RDONLY | O_DIRECT);
    double start = now();
    for (size_t lo = 0; fd >= 0 && lo < bytes; lo += 4 << 20)
        if (read(fd, (char *)x + lo, 4 << 20) != 4 << 20) break;
    double took = now() - start;
    close(fd);
    return fd >= 0 ? took : 1e9;
}

static void disk_limits(const char *path, double *x, size_t bytes)
{
    double write_s = 1e9, read_s = 1e9;
    for (int r = 0; r < 3; r++) {
        double w = write_file(path, x, bytes), g = read_file(path, x, bytes);
        write_s = w < write_s ? w : write_s;
        read_s = g < read_s ? g : read_s;
    }
    unlink(path);
    printf("disk_write %.4g GB/s with fsync\ndisk_read %.4g GB/s past the cache\n",
           (double)bytes * 1e-9 / write_s, (double)bytes * 1e-9 / read_s);
}

static void gemm_limit(double *x)
{
    enum { N = 2048 };
    double best = 1e9;
    for (int r = 0; r < RUNS; r++) {
        double start = now();
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N, N, N, 1, x, N, x + N * N, N, 0,
                    x + 2 * N * N, N);
        double took = now() - start;
        best = took < best ? took : best;
    }
    printf("gemm %.4g GFLOP/s\n", 2e-9 * N * N * N / best);
}

// bench-limits FILE: a file to write where the data will be.
int main(int argc, char **argv)
{
    int cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
    cores = cores > MAX_THREADS ? MAX_THREADS : cores;
    size_t n = (size_t)TILE * 2048; // 512 MiB
    double *x = aligned_alloc(1 << 21, n * sizeof *x);
    uint64_t seed = 1;
    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        x[i] = 280 + 30 * sin((double)(i % 10000) / 900) + 5 * sin((double)i / 1e5) +
               1e-3 * (double)(seed >> 40) / (1 << 24);
    }
    printf("memory_1 %.4g GB/s\n", (double)n * 8e-9 / run(read_memory, x, n, 1));
    printf("memory %.4g GB/s\n", (double)n * 8e-9 / run(read_memory, x, n, cores));
    printf("sincos %.4g G values/s\n", (double)n * 1e-9 / run(sincos_kernel, x, n, cores));
    if (argc > 1) disk_limits(argv[1], x, n * 8);
    zstd_limits("smooth", x, cores);
    for (size_t i = 0; i < (size_t)TILE * N_TILES; i++)
        x[i] = rint(x[i] * 100 + 50 * sin(1e5 * x[i])) / 100;
    zstd_limits("decimal", x, cores);
    for (size_t i = 0; i < (size_t)TILE * N_TILES; i++)
        x[i] = sin(1e7 * x[i]);
    zstd_limits("noise", x, cores);
    gemm_limit(x);
    return 0;
}
