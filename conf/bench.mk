# make bench: Tessera beside its peers (tests/bench/README.md). The peers have a Python environment of their own.
# bench-readme: and the README's table; bench-profile: what the server's time goes to, by perf.
.PHONY: bench bench-readme bench-profile bench-tools
bench bench-readme bench-profile: packages bench-tools
	@TESSERA_BUILD=$(B) build/bench-venv/bin/python -u tests/bench/bench.py $(patsubst bench%,-%,$(filter-out bench,$@))

bench-tools:
	@$(MAKE) build/bench-venv/ready
	@$(MAKE) -j$(JOBS) all $(B)/bench-limits

build/bench-venv/ready: conf/python-packages-bench
	/usr/bin/python3 -m venv --system-site-packages build/bench-venv
	build/bench-venv/bin/pip install --quiet --disable-pip-version-check -r conf/python-packages-bench
	touch $@

# Code for the machine that it measures.
$(B)/bench-limits: tests/bench/limits.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -march=native -mprefer-vector-width=512 -o $@ $< $(LDFLAGS) -lzstd -lsleef -lopenblas -lm
