/* Which kernels does this processor run, and which one is it for an operation and a type? */
#include "query/kernels_isa.h"
#include "storage/base/isa.h"
#include <string.h>

struct choice {
    const struct kernels *plain;
    const struct math_kernels *math;
};

static struct choice choose(void)
{
#ifdef KERNELS_ALL
    enum isa isa = isa_get();
    if (isa == ISA_AVX512) return (struct choice){&kernels_avx512, &math_kernels_avx512};
    if (isa == ISA_AVX2) return (struct choice){&kernels_avx2, &math_kernels_avx2};
#endif
    return (struct choice){&kernels_baseline, &math_kernels_baseline};
}

const struct kernels *kernels_get(void)
{
    return choose().plain;
}

enum type kernel_type(enum type t)
{
    return t == T_BOOL ? T_UINT8 : t == T_DATE ? T_INT32 : t == T_TIMESTAMP ? T_INT64 : t;
}

binary_fn *kernel_binary(enum binary_kernel k, enum type t, enum kernel_form form, bool fast)
{
    struct choice ch = choose();
    enum type kt = kernel_type(t);
    binary_fn *fn = fast ? ch.math->binary_fast[k][kt][form] : NULL;
    if (!fn) fn = ch.plain->binary[k][kt][form];
    return fn ? fn : ch.math->binary[k][kt][form];
}

unary_fn *kernel_unary(enum unary_kernel k, enum type t, bool fast)
{
    struct choice ch = choose();
    enum type kt = kernel_type(t);
    unary_fn *fn = fast ? ch.math->unary_fast[k][kt] : NULL;
    if (!fn) fn = ch.plain->unary[k][kt];
    return fn ? fn : ch.math->unary[k][kt];
}

void kernel_fill(void *out, const void *a, int64_t n, size_t bytes)
{
    if (n <= 0) return;
    memcpy(out, a, bytes);
    for (size_t done = bytes, all = (size_t)n * bytes; done < all;) {
        size_t part = done < all - done ? done : all - done;
        memcpy((char *)out + done, out, part);
        done += part;
    }
}
