TESTS += test/arrows
EXTRA_DIST += test/arrows

# The manuals, compared with what the program knows.
TESTS += test/manual.py
EXTRA_DIST += test/manual.py
check_PROGRAMS += test/manual_table
test_manual_table_SOURCES = test/manual_table.c
test_manual_table_LDADD = libmaster.a libhelper.a libcommon.a $(CONFUSE_LIBS) $(CRYPT_LIBS) $(OPENSSL_LIBS)

include test/unit/local.mk
include test/fuzz/local.mk
include test/session/local.mk
include test/bench/local.mk
