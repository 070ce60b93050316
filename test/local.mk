TESTS += test/arrows
EXTRA_DIST += test/arrows

include test/unit/local.mk
include test/fuzz/local.mk
include test/session/local.mk
include test/bench/local.mk
