# The fast tests (make check): one cmocka program a subject. Rooms add theirs in tests/unit/NAME.mk.
UNIT_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
include tests/unit/base.mk
