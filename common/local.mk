# common/: bricks that know nothing of mail. May use libc and libraries only.
noinst_LIBRARIES += libcommon.a
libcommon_a_SOURCES = \
	common/must.h common/must.c \
	common/mem.h common/mem.c \
	common/list.h common/protocols.h common/protocols.c
