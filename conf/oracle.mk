# The program that tests/oracle/expr_test.py drives to compare expressions with NumPy.
.PHONY: oracle
oracle: $(B)/oracle/expr_oracle
$(B)/oracle/%: tests/oracle/%.c $(B)/libtessera.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(B)/libtessera.a $(LIBS)
