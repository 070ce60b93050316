# worker/: one archive a layer, lowest first; a layer may use those before it.
include worker/proto/local.mk
include worker/net/local.mk
include worker/auth/local.mk
include worker/upstream/local.mk
include worker/helper/local.mk

noinst_LIBRARIES += libworker.a
libworker_a_SOURCES = \
	worker/worker.h worker/worker.c
