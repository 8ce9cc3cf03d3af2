# Programs that tests/oracle drives to compare with NumPy.
ORACLE_BIN := $(B)/oracle/expr_oracle
.PHONY: oracle
oracle: $(ORACLE_BIN)
	/usr/bin/python3 tests/oracle/test_expr.py $(B)/oracle/expr_oracle
$(B)/oracle/%: tests/oracle/%.c $(B)/libtessera.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(B)/libtessera.a $(LIBS)
