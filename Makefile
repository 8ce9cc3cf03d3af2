# Tessera: make (release), make demo, make check, make bench, make install PREFIX=…, make clean.
# MODE=release|debug|asan|tsan|fuzz; objects go to build/$(MODE)/.

MODE    ?= release
PREFIX  ?= /usr/local
CC       = gcc
B       := build/$(MODE)

# make V=1 shows the commands.
ifndef V
MAKEFLAGS += -s --no-print-directory
endif

# These two halve matrix speed where an environment sets them.
unexport OPENBLAS_CORETYPE OPENBLAS_L2_SIZE

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wvla -Wconversion -Wno-sign-conversion -Wcast-qual \
        -Wwrite-strings -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wundef -Wformat=2 -Werror
# GCC cannot know that fail() returns an error, so it takes what TRY leaves unset for read.
CFLAGS_release := -O3 -g -DNDEBUG -Wno-maybe-uninitialized
CFLAGS_debug   := -O0 -g
CFLAGS_asan    := -O1 -g -Wno-maybe-uninitialized -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_tsan    := -O1 -g -Wno-maybe-uninitialized -fsanitize=thread
CFLAGS_fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize=alignment -fno-omit-frame-pointer
ifeq ($(MODE),fuzz)
CC := clang
WARN := -w # the warnings are GCC's
endif
CFLAGS  := -std=c11 -D_GNU_SOURCE -I. -I$(B) $(WARN) $(CFLAGS_$(MODE)) -MMD -MP -pthread -fno-math-errno
LDFLAGS := $(CFLAGS_$(MODE)) -pthread
LIBS    := -llmdb -lsqlite3 -lzstd -lxxhash -lz -ljansson -lzip -lsleef -lfftw3 -llapacke -lopenblas -lcrypto -lm

LIB_SRC    := $(wildcard storage/base/*.c storage/*.c storage/files/*.c query/*.c)
SERVER_SRC := $(wildcard server/*.c)
CLIENT_SRC := $(wildcard client/*.c)
UNIT_SRC   := $(wildcard tests/unit/test_*.c)

LIB_OBJ    := $(patsubst %.c,$(B)/%.o,$(LIB_SRC)) $(if $(wildcard query/parse.y),$(B)/query/parse_gen.o)
BASE_OBJ   := $(patsubst %.c,$(B)/%.o,$(wildcard storage/base/*.c))
SERVER_OBJ := $(patsubst %.c,$(B)/%.o,$(SERVER_SRC))
CLIENT_OBJ := $(patsubst %.c,$(B)/%.o,$(CLIENT_SRC))
UNIT_BIN   := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_SRC))

include $(wildcard conf/*.mk)

.PHONY: risk churn all packages venv demo check install clean lib unit sql-runner fuzzers crash memory fuzz random
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
all: $(B)/tesserad $(B)/tessera

lib: $(B)/libtessera.a
$(B)/libtessera.a: $(LIB_OBJ)
	@rm -f $@
	ar rcs $@ $^

$(B)/tesserad: $(SERVER_OBJ) $(B)/libtessera.a
	$(CC) $(LDFLAGS) -o $@ $(SERVER_OBJ) $(B)/libtessera.a $(LIBS) -luv
$(B)/tessera: $(CLIENT_OBJ) $(BASE_OBJ)
	$(CC) $(LDFLAGS) -o $@ $^ -lpq -lreadline -lm

$(B)/client/%.o: CFLAGS += -isystem /usr/include/postgresql
$(B)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  $@"
	$(CC) $(CFLAGS) -c -o $@ $<

# No yacc: make would take query/parse.c for what it makes of query/parse.y.
%.c: %.y

# The parser: lemon writes parse_gen.c and parse_gen.h beside the objects, and fails on a conflict.
# The grammar lies in several files; storage/base/keywords.h says which keywords may be names.
PARSE_Y  := query/parse.y $(sort $(wildcard query/parse_*.y))
$(B)/query/parse_gen.c $(B)/query/parse_gen.h &: $(PARSE_Y) storage/base/keywords.h
	@mkdir -p $(@D)
	awk '$$1 ~ /^X\(/ { gsub(/[(),"]/, " "); label = label "|" $$2; if ($$4 == "NAME") name = name " " $$2 } \
	    END { print "%fallback ID" name "."; print "%token_class collabel ID" label "." }' \
	    storage/base/keywords.h | cat - $(PARSE_Y) > $(B)/query/parse_gen.y
	cd $(B)/query && lemon -c -q parse_gen.y && touch parse_gen.h
$(B)/query/parse_gen.o: $(B)/query/parse_gen.c
	$(CC) $(filter-out -Wconversion -Wpedantic -Wundef -Wmissing-prototypes -Wcast-qual,$(CFLAGS)) -Wno-unused-parameter -Wno-unused-variable -c -o $@ $<
$(patsubst %,$(B)/query/%.o,lex parse parse_tree parse_stmt): $(B)/query/parse_gen.h

unit: $(UNIT_BIN)
$(B)/unit/%: tests/unit/%.c $(B)/libtessera.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(B)/libtessera.a $(LIBS) -lcmocka

# The runner of tests/sql/*.test.
sql-runner: $(B)/sql-runner
$(B)/sql-runner: tests/sql/runner.c $(B)/libtessera.a
	$(CC) $(CFLAGS) -I/usr/include/postgresql $(LDFLAGS) -o $@ $< $(B)/libtessera.a $(LIBS) -lpq

# MODE=fuzz: one fuzzer a file.
FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/%,$(wildcard tests/fuzz/fuzz_*.c))
fuzzers: $(FUZZERS)
$(B)/fuzz_%: tests/fuzz/fuzz_%.c $(B)/libtessera.a
	$(CC) $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -o $@ $(filter %.c %.o,$^) $(B)/libtessera.a $(LIBS)
# The conversation without the event loop.
$(B)/fuzz_protocol: $(B)/server/protocol.o $(B)/server/message.o

packages:
	@conf/install-packages

# Test clients and peers that Debian lacks come from the Python registry.
venv: build/venv/ready
build/venv/ready: conf/python-packages
	/usr/bin/python3 -m venv --system-site-packages build/venv
	build/venv/bin/pip install --quiet --disable-pip-version-check -r conf/python-packages
	touch $@

JOBS := $(shell nproc)
demo: packages
	@$(MAKE) -j$(JOBS) all
	@client/demo/demo.sh build/release

check: packages
	@$(MAKE) venv
	@$(MAKE) -j$(JOBS) all sql-runner oracle
	@$(MAKE) -j$(JOBS) MODE=asan all unit sql-runner
	@$(MAKE) -j$(JOBS) MODE=tsan unit
	@$(MAKE) -j$(JOBS) MODE=fuzz fuzzers
	@tests/check.sh

# Longer forms of what make check does shortly.
crash: all
	build/venv/bin/python tests/crash/crash.py 5000
	build/venv/bin/python tests/crash/schedules.py 1000
	build/venv/bin/python tests/clients/ingest_test.py 500
# The worked example of the README, in full.
risk: all venv
	build/venv/bin/python tests/bench/risk.py
memory: all
	for mib in 64 256 1024; do build/venv/bin/python tests/memory.py $$mib long || exit 1; done
churn: $(B)/unit/test_churn
	TESSERA_CHURN_MB=4096 $(B)/unit/test_churn
random: all venv
	TESSERA_SEED=$${TESSERA_SEED:-random} build/venv/bin/python -u tests/oracle/numpy_test.py 1000000
fuzz:
	@$(MAKE) -j$(JOBS) MODE=fuzz fuzzers
	@for f in parse protocol tile files; do sh tests/fuzz/run.sh $$f 3600; done

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/tessera $(DESTDIR)$(PREFIX)/share/tessera
	install $(B)/tesserad $(B)/tessera $(DESTDIR)$(PREFIX)/bin
	install $(B)/tessera-netcdf $(DESTDIR)$(PREFIX)/libexec/tessera
	install -m 644 conf/tessera.conf conf/tesserad.service $(DESTDIR)$(PREFIX)/share/tessera

clean:
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
