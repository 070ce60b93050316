# common/: bricks that know nothing of mail. May use libc and libraries only.
noinst_LIBRARIES += libcommon.a
libcommon_a_SOURCES = \
	common/must.h common/must.c \
	common/mem.h common/mem.c \
	common/list.h common/protocols.h common/protocols.c \
	common/arena.h common/arena.c \
	common/buf.h common/buf.c \
	common/num.h common/num.c \
	common/utf8.h common/utf8.c \
	common/base64.h common/base64.c \
	common/addr.h common/addr.c \
	common/addrset.h common/addrset.c
libcommon_a_SOURCES += common/wheel.h common/wheel.c common/loop.h common/loop.c
libcommon_a_SOURCES += common/packet.h common/packet.c
libcommon_a_SOURCES += common/ipc.h common/ipc.c
libcommon_a_SOURCES += common/sock_options.h common/sock.h common/sock.c common/sockfile.h common/sockfile.c
libcommon_a_SOURCES += common/log.h common/log.c
libcommon_a_SOURCES += common/conf.h common/conf.c
libcommon_a_SOURCES += common/token.h common/token.c
libcommon_a_SOURCES += common/sqlquery.h common/sqlquery.c
libcommon_a_SOURCES += common/sandbox.h common/sandbox.c
libcommon_a_SOURCES += common/proc.h common/proc.c common/capability.h common/capability.c
libcommon_a_SOURCES += common/memfd.h common/memfd.c common/board.h common/board.c
libcommon_a_SOURCES += common/siphash.h common/siphash.c \
	common/zone.h common/zone_parts.h common/zone.c common/zone_lock.c common/zone_hold.c
libcommon_a_SOURCES += common/authcache.h common/authcache.c
libcommon_a_SOURCES += common/bequest.h common/bequest.c
libcommon_a_SOURCES += common/limitzone.h common/limitzone.c
libcommon_a_SOURCES += \
	common/tlserror.h common/tlserror.c \
	common/tlsfile.h common/tlsfile.c common/tlskept.h common/tlskept.c common/tlskey.h common/tlskey.c \
	common/tlscert.h common/tlscert.c common/tlstrust.h common/tlstrust.c \
	common/tlsticket.h common/tlsticket.c common/tlscache.h common/tlscache.c \
	common/tlsstaple.h common/tlsstaple.c \
	common/tlsctx.h common/tlsctx_parts.h common/tlsctx.c common/tlsctx_build.c common/tlsbase.c \
	common/tlspool.c
