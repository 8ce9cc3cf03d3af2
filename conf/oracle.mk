# The programs that tests/oracle/*_test.py drive to compare expressions with NumPy, and slots of schedules with zoneinfo and croniter.
.PHONY: oracle
oracle: $(B)/oracle/expr_oracle $(B)/oracle/slots_oracle
$(B)/oracle/%: tests/oracle/%.c $(B)/libtessera.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(B)/libtessera.a $(LIBS)
