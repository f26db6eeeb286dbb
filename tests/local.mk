# The fast tests (make check): one cmocka program a subject. Rooms add theirs in tests/unit/NAME.mk.
UNIT_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
include tests/unit/base.mk
include tests/unit/queue.mk
include tests/bench/queue.mk

# libFuzzer targets (configure --enable-fuzzers CC=clang), seeds in tests/fuzz/corpus/NAME.
LIBFUZZER_LINK = $(AM_LDFLAGS) -fsanitize=fuzzer
if FUZZERS
include tests/fuzz/base.mk
endif
