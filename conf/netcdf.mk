# The NetCDF helper: the only program that links libnetcdf. Never built with sanitizers, whose own
# system calls its filter would refuse.
LIB_OBJ := $(filter-out $(B)/storage/files/netcdf_helper_main.o,$(LIB_OBJ))

all: $(B)/tessera-netcdf
$(B)/tessera-netcdf: storage/files/netcdf_helper_main.c storage/files/netcdf_protocol.h
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -I. $(filter-out -Wpedantic,$(WARN)) -O2 -g -rdynamic -o $@ $< -lnetcdf
$(B)/unit/test_netcdf: | $(B)/tessera-netcdf
