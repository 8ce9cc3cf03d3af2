/* Which instruction set do kernels run on? The best that the processor has, or a lesser one that
 * was asked for: results are the same to the bit, but for the functions of vecmath.c. */
#ifndef TESSERA_ISA_H
#define TESSERA_ISA_H

enum isa { ISA_BASELINE, ISA_AVX2, ISA_AVX512 };

/* Attributes of functions for an instruction set. (clang ignores the whole of one that has a word
 * it doesn't know.) */
#define TARGET_AVX2 __attribute__((target("avx2,fma")))
#ifdef __clang__
#define TARGET_AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma")))
#else
#define TARGET_AVX512                                                                              \
    __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma,prefer-vector-width=512")))
#endif

enum isa isa_get(void);
const char *isa_name(enum isa i);
/* At most this one from now on; for the whole process, before it runs statements. */
void isa_limit(enum isa most);
/* By a name of isa_name(), or "auto": any. */
void isa_limit_named(const char *name);

#endif
