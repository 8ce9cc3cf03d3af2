/* What can this processor do? */
#include "storage/base/isa.h"
#include <stdatomic.h>
#include <strings.h>

static atomic_int limit = ISA_AVX512;

static enum isa best(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return ISA_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return ISA_AVX2;
#endif
    return ISA_BASELINE;
}

enum isa isa_get(void)
{
    int most = atomic_load_explicit(&limit, memory_order_relaxed);
    enum isa have = best();
    return (int)have < most ? have : (enum isa)most;
}

const char *isa_name(enum isa i)
{
    static const char *const names[] = {"baseline", "avx2", "avx512"};
    return names[i];
}

void isa_limit(enum isa most)
{
    atomic_store(&limit, (int)most);
}

void isa_limit_named(const char *name)
{
    enum isa i = ISA_BASELINE;
    while (i < ISA_AVX512 && strcasecmp(name, isa_name(i)) != 0)
        i++;
    isa_limit(i);
}
