# worker/: one archive a layer, lowest first; a layer may use those before it.
include worker/proto/local.mk
include worker/net/local.mk
include worker/auth/local.mk
include worker/upstream/local.mk
include worker/helper/local.mk

noinst_LIBRARIES += libworker.a
libworker_a_SOURCES = \
	worker/worker.h worker/worker.c \
	worker/accept.h worker/accept.c \
	worker/arrival.h worker/arrival.c \
	worker/limit.h worker/limit.c \
	worker/bucket.h worker/bucket.c worker/guard.h worker/guard.c \
	worker/seat.h worker/seat.c \
	worker/shift.h \
	worker/session.h worker/session.c \
	worker/entry.h worker/entry.c \
	worker/epitaph.h worker/epitaph.c \
	worker/dialogue.h worker/dialogue.c \
	worker/inquiry.h worker/inquiry.c \
	worker/handover.h worker/handover.c worker/approach.h worker/approach.c \
	worker/aim.h worker/aim.c \
	worker/means.h worker/means.c \
	worker/preface.h worker/preface.c \
	worker/dial.h worker/dial.c \
	worker/relay.h worker/relay.c \
	worker/farewell.h worker/farewell.c \
	worker/naming.h worker/naming.c \
	worker/handshake.h worker/handshake.c \
	worker/sni.h worker/sni.c \
	worker/gate.h worker/gate.c
