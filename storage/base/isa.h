/* Which instruction set do kernels run on? The best that the processor has, or a lesser one that
 * was asked for: results are the same to the bit, but for the functions of vecmath.c. */
#ifndef TESSERA_ISA_H
#define TESSERA_ISA_H

enum isa { ISA_BASELINE, ISA_AVX2, ISA_AVX512 };

enum isa isa_get(void);
const char *isa_name(enum isa i);
/* At most this one from now on; for the whole process, before it runs statements. */
void isa_limit(enum isa most);
/* By a name of isa_name(), or "auto": any. */
void isa_limit_named(const char *name);

#endif
