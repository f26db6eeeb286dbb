# The fast tests (make check): one cmocka program a subject. Rooms add theirs in tests/unit/NAME.mk.
UNIT_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
include tests/unit/base.mk
include tests/unit/table.mk
include tests/unit/process.mk
include tests/unit/config.mk
include tests/unit/delivery.mk
include tests/unit/smtpd.mk
include tests/unit/queue.mk
include tests/unit/resolver.mk
include tests/unit/sasl.mk
include tests/unit/policy.mk
include tests/unit/session.mk
include tests/unit/state.mk
include tests/unit/submission.mk
include tests/unit/tls.mk
include tests/unit/content.mk
include tests/bench/queue.mk
include tests/bench/tls.mk

# libFuzzer targets (configure --enable-fuzzers CC=clang), seeds in tests/fuzz/corpus/NAME.
LIBFUZZER_LINK = $(AM_LDFLAGS) -fsanitize=fuzzer
if FUZZERS
include tests/fuzz/base.mk
include tests/fuzz/queue.mk
include tests/fuzz/table.mk
include tests/fuzz/process.mk
include tests/fuzz/config.mk
include tests/fuzz/smtpd.mk
include tests/fuzz/delivery.mk
include tests/fuzz/resolver.mk
include tests/fuzz/sasl.mk
include tests/fuzz/policy.mk
include tests/fuzz/state.mk
include tests/fuzz/submission.mk
include tests/fuzz/session.mk
include tests/fuzz/tls.mk
include tests/fuzz/content.mk
endif

# What a tarball needs to run ./demo and ./check. dist-hook takes out what builds and test runs left there:
# automake also copies the folder of that name from the build tree.
EXTRA_DIST += tests/e2e tests/bench tests/fuzz/run tests/fuzz/corpus tests/unit/valgrind tests/valgrind-skip.txt tests/valgrind.supp tools
# Our ./check is not EXTRA_DIST: as a prerequisite its name would mean the target.
dist-hook:
	cp -p $(srcdir)/check $(distdir)/check
	find $(distdir) -name __pycache__ -o -name .pytest_cache -o -name .deps | xargs rm -rf
	find $(distdir)/tests -type f \( -name '*.o' -o -name .dirstamp -o -perm -100 -name 'bench_*' \) -delete
