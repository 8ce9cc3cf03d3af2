# The kernels are built three times in release mode, each for another instruction set, and chosen at
# start (query/kernels_choose.c). Other modes have the baseline alone: sanitizers see every path.
KERNEL_FLAGS := -O3 -ffp-contract=off -fno-trapping-math
ifeq ($(MODE),release)
KERNEL_OBJ := $(foreach isa,avx2 avx512,$(B)/query/kernels_$(isa).o $(B)/query/vecmath_$(isa).o)
LIB_OBJ    += $(KERNEL_OBJ)
$(B)/query/kernels_choose.o: CFLAGS += -DKERNELS_ALL
$(B)/query/kernels.o $(B)/query/vecmath.o: CFLAGS += $(KERNEL_FLAGS)
$(B)/query/%_avx2.o: query/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(KERNEL_FLAGS) -mavx2 -mfma -DKERNELS_AVX2 -c -o $@ $<
$(B)/query/%_avx512.o: query/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(KERNEL_FLAGS) -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma \
	    -mprefer-vector-width=512 -DKERNELS_AVX512 -c -o $@ $<
endif
