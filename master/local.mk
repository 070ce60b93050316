# master/: everything that runs as root. libmaster.a leaves main.c out, so that tests can link it.
noinst_LIBRARIES += libmaster.a
libmaster_a_SOURCES =
libmaster_a_SOURCES += master/feed.h master/feed.c

sbin_PROGRAMS += postern
postern_SOURCES = master/main.c
postern_LDADD = libmaster.a libworker.a libupstream.a libauth.a libhelper.a libnet.a libproto.a libcommon.a \
	$(CONFUSE_LIBS) $(CARES_LIBS) $(OPENSSL_LIBS)
