# master/: everything that runs as root. libmaster.a leaves main.c out, so that tests can link it.
noinst_LIBRARIES += libmaster.a
libmaster_a_SOURCES =
libmaster_a_SOURCES += master/snapshot.h master/snapshot.c master/feed.h master/feed.c
libmaster_a_SOURCES += master/options.h master/options.c master/signals.h master/signals.c
libmaster_a_SOURCES += master/pidfile.h master/pidfile.c master/daemon.h master/daemon.c
libmaster_a_SOURCES += master/names.h master/names.c
libmaster_a_SOURCES += master/tls_build.h master/tls_build.c
libmaster_a_SOURCES += master/logfile.h master/logfile.c master/listener.h master/listener.c
libmaster_a_SOURCES += master/inherited.h master/inherited.c master/activation.h master/activation.c
libmaster_a_SOURCES += master/notify.h master/notify.c
libmaster_a_SOURCES += master/leftover.h master/leftover.c
libmaster_a_SOURCES += master/heritage.h master/heritage.c master/upgrade.h master/upgrade.c
libmaster_a_SOURCES += master/spawn.h master/spawn.c master/helper.h master/helper.c master/source.h master/source.c
libmaster_a_SOURCES += master/programs.h master/programs.c
libmaster_a_SOURCES += master/zones.h master/zones.c master/settle.h master/settle.c
libmaster_a_SOURCES += master/rehearsal.h master/rehearsal.c
libmaster_a_SOURCES += master/generation.h master/generation.c master/reload.h master/reload.c master/master.h master/master.c
libmaster_a_SOURCES += master/master_parts.h master/master_upgrade.c
libmaster_a_SOURCES += \
	master/conf_lex.h master/conf_lex.c \
	master/conf_translate.h master/conf_translate.c \
	master/conf_table.h master/conf_table.c \
	master/conf_type.h master/conf_type.c master/conf_type_main.c master/conf_type_log.c \
	master/conf_type_word.c master/conf_type_mail.c master/conf_type_listen.c master/conf_type_tls.c \
	master/conf_type_auth.c master/conf_type_upstream.c master/conf_type_bind.c \
	master/conf_parameter.h master/conf_parameter.c \
	master/conf_secret.h master/conf_secret.c \
	master/conf_sources.h master/conf_sources.c \
	master/conf_chain.h master/conf_chain.c \
	master/conf_binds.h master/conf_binds.c \
	master/conf_print.h master/conf_print.c \
	master/conf_build.h master/conf_build.c \
	master/conf_say.h master/conf_say.c \
	master/conf_tls.h master/conf_tls.c \
	master/conf_merge.h master/conf_merge.c \
	master/conf_load.h master/conf_load.c \
	master/conf_listens.h master/conf_listens.c \
	master/conf_limits.h master/conf_limits.c master/conf_type_limit.c \
	master/conf_networks.h master/conf_networks.c master/conf_type_access.c master/conf_type_resolver.c \
	master/conf_check.h master/conf_check.c \
	master/conf_dump.h master/conf_dump.c

sbin_PROGRAMS += postern
postern_SOURCES = master/main.c
postern_LDADD = libmaster.a libworker.a libupstream.a libauth.a libhelper.a libnet.a libproto.a libcommon.a \
	$(CONFUSE_LIBS) $(CARES_LIBS) $(JANSSON_LIBS) $(OPENSSL_LIBS)
