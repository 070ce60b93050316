# Unit tests: one binary a layer, linked with that layer and those below it, so that an
# arrow that points upwards does not link. `make unit` runs them alone.
UNIT_TESTS = test/unit/common test/unit/helper test/unit/proto test/unit/master test/unit/net test/unit/worker test/unit/auth
UNIT_MAIN = test/unit/unit.h test/unit/suites.h test/unit/unit.c
UNIT_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)

if HAVE_CHECK
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)
endif

test_unit_common_CPPFLAGS = $(UNIT_CPPFLAGS) -DUNIT_SUITES=UNIT_COMMON
test_unit_common_SOURCES = $(UNIT_MAIN) \
	test/unit/test_mem.c test/unit/test_arena.c test/unit/test_buf.c test/unit/test_num.c \
	test/unit/test_base64.c test/unit/test_addr.c test/unit/test_addrset.c test/unit/test_log.c
test_unit_common_SOURCES += test/unit/test_conf.c test/unit/test_token.c test/unit/test_sqlquery.c test/unit/test_utf8.c
test_unit_common_SOURCES += \
	test/unit/child.h test/unit/child.c test/unit/test_sandbox.c test/unit/test_proc.c test/unit/test_capability.c \
	test/unit/test_memfd.c test/unit/test_board.c test/unit/test_wheel.c \
	test/unit/test_loop.c test/unit/test_ipc.c test/unit/test_sock.c test/unit/test_siphash.c test/unit/test_zone.c
test_unit_common_SOURCES += test/unit/test_authcache.c test/unit/test_limitzone.c \
	test/unit/test_bequest.c
test_unit_common_SOURCES += test/unit/certbox.h test/unit/certbox.c test/unit/tlsscene.h test/unit/tlsscene.c \
	test/unit/test_tlskey.c test/unit/test_tlscert.c test/unit/test_tlsticket.c test/unit/test_tlscache.c \
	test/unit/test_tlsctx.c test/unit/test_tlsctx_choice.c test/unit/test_tlspool.c
test_unit_common_LDADD = libcommon.a $(CHECK_LIBS) $(JANSSON_LIBS) $(OPENSSL_LIBS)

test_unit_helper_CPPFLAGS = $(UNIT_CPPFLAGS) -DUNIT_SUITES=UNIT_HELPER
test_unit_helper_SOURCES = $(UNIT_MAIN) \
	test/unit/test_codec.c test/unit/test_secret.c test/unit/test_passwdfile.c test/unit/test_filetext.c test/unit/test_helper_log.c \
	test/unit/child.h test/unit/child.c test/unit/test_watchdog.c
test_unit_helper_SOURCES += test/unit/test_mysql_row.c
test_unit_helper_SOURCES += test/unit/jwtbox.h test/unit/jwtbox.c test/unit/test_jwks.c test/unit/test_jwt.c
test_unit_helper_SOURCES += \
	test/unit/test_passwdargs.c test/unit/test_passwdedit.c test/unit/test_passwdlist.c test/unit/test_secretmake.c
test_unit_helper_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=passwdline_parse
test_unit_helper_LDADD = libhelper.a libcommon.a $(CHECK_LIBS) $(CRYPT_LIBS) $(JANSSON_LIBS) $(OPENSSL_LIBS)

if HAVE_PAM
UNIT_TESTS += test/unit/pam
endif
test_unit_pam_CPPFLAGS = $(UNIT_CPPFLAGS) -DUNIT_SUITES=UNIT_PAM
test_unit_pam_SOURCES = $(UNIT_MAIN) test/unit/test_pamtalk.c test/unit/test_pamverdict.c
test_unit_pam_LDADD = libhelper.a libcommon.a $(CHECK_LIBS)

test_unit_proto_CPPFLAGS = $(UNIT_CPPFLAGS) -DUNIT_SUITES=UNIT_PROTO
test_unit_proto_SOURCES = $(UNIT_MAIN) test/unit/dialogue.h test/unit/dialogue.c \
	test/unit/test_proto.c test/unit/test_line.c test/unit/test_quote.c test/unit/test_proxyhdr.c \
	test/unit/test_bearer.c test/unit/test_sasl.c test/unit/test_sasl_client.c \
	test/unit/test_imap_parse.c test/unit/test_imap_id.c test/unit/test_imap.c test/unit/test_imap_login.c \
	test/unit/test_pop3.c
test_unit_proto_SOURCES += test/unit/smtp_scene.h test/unit/smtp_scene.c \
	test/unit/test_smtp.c test/unit/test_smtp_body.c test/unit/test_smtp_gate.c test/unit/test_starttls.c test/unit/test_oauth.c
test_unit_proto_SOURCES += test/unit/test_http_parse.c
test_unit_proto_LDADD = libproto.a libcommon.a $(CHECK_LIBS) $(OPENSSL_LIBS)

test_unit_master_CPPFLAGS = $(UNIT_CPPFLAGS) -DUNIT_SUITES=UNIT_MASTER
test_unit_master_SOURCES = $(UNIT_MAIN) \
	test/unit/test_feed.c test/unit/test_snapshot.c
test_unit_master_SOURCES += test/unit/capture.h test/unit/capture.c \
	test/unit/test_options.c test/unit/test_pidfile.c test/unit/test_names.c \
	test/unit/test_logfile.c test/unit/test_listener.c test/unit/test_spawn.c test/unit/test_zones.c test/unit/test_settle.c
test_unit_master_SOURCES += test/unit/child.h test/unit/child.c test/unit/test_inherited.c test/unit/test_notify.c \
	test/unit/test_programs.c test/unit/test_leftover.c test/unit/test_heritage.c
test_unit_master_SOURCES += test/unit/confbox.h test/unit/confbox.c test/unit/test_conf_translate.c \
	test/unit/test_conf_complaints.c test/unit/test_conf_blocks.c test/unit/test_conf_load.c test/unit/test_conf_check.c \
	test/unit/test_conf_dump.c test/unit/test_conf_tls.c test/unit/test_conf_sources.c test/unit/test_conf_chain.c
test_unit_master_SOURCES += test/unit/certbox.h test/unit/certbox.c test/unit/tlsscene.h test/unit/tlsscene.c \
	test/unit/test_tls_build.c
test_unit_master_LDADD = libmaster.a libcommon.a $(CHECK_LIBS) $(CONFUSE_LIBS) $(OPENSSL_LIBS)

test_unit_net_CPPFLAGS = $(UNIT_CPPFLAGS) -DUNIT_SUITES=UNIT_NET
test_unit_net_SOURCES = $(UNIT_MAIN) \
	test/unit/clock.h test/unit/clock.c test/unit/scripted.h test/unit/scripted.c \
	test/unit/test_conn.c test/unit/test_hosts.c test/unit/test_resolver.c
test_unit_net_SOURCES += test/unit/httpscene.h test/unit/httpscene.c test/unit/test_http_client.c \
	test/unit/test_http_body.c test/unit/test_https.c
test_unit_net_SOURCES += test/unit/tlsbox.h test/unit/tlsbox.c test/unit/test_tlsio.c
test_unit_net_SOURCES += test/unit/test_balance.c test/unit/test_dns_answer.c test/unit/test_hostnames.c
test_unit_net_LDADD = libnet.a libproto.a libcommon.a $(CHECK_LIBS) $(CARES_LIBS) $(JANSSON_LIBS) $(OPENSSL_LIBS)

test_unit_auth_CPPFLAGS = $(UNIT_CPPFLAGS) -DUNIT_SUITES=UNIT_AUTH
test_unit_auth_SOURCES = $(UNIT_MAIN) \
	test/unit/clock.h test/unit/clock.c test/unit/scripted.h test/unit/scripted.c \
	test/unit/test_http_answer.c test/unit/test_auth_http.c
test_unit_auth_SOURCES += test/unit/webscene.h test/unit/webscene.c test/unit/test_web.c \
	test/unit/test_introspection.c
test_unit_auth_SOURCES += \
	test/unit/asking.h test/unit/asking.c test/unit/child.h test/unit/child.c \
	test/unit/test_auth_helper.c test/unit/test_auth_file.c
test_unit_auth_SOURCES += test/unit/test_auth.c test/unit/test_auth_cache.c
test_unit_auth_LDADD = libauth.a libhelper.a libnet.a libproto.a libcommon.a $(CHECK_LIBS) $(CARES_LIBS) $(JANSSON_LIBS) $(OPENSSL_LIBS)
EXTRA_test_unit_auth_DEPENDENCIES = postern-auth-file

test_unit_worker_CPPFLAGS = $(UNIT_CPPFLAGS) -DUNIT_SUITES=UNIT_WORKER
test_unit_worker_SOURCES = $(UNIT_MAIN) \
	test/unit/test_seat.c test/unit/test_bucket.c test/unit/test_epitaph.c test/unit/test_means.c test/unit/test_upstream.c test/unit/test_sni.c
test_unit_worker_SOURCES += test/unit/test_inquiry.c test/unit/test_guard.c
test_unit_worker_LDADD = libworker.a libupstream.a libauth.a libhelper.a libnet.a libproto.a libcommon.a \
	$(CHECK_LIBS) $(CARES_LIBS) $(JANSSON_LIBS) $(OPENSSL_LIBS)

# The same under valgrind; each test in its own process, as Check runs them.
.PHONY: unit-valgrind
unit-valgrind: $(check_PROGRAMS)
	@for test in $(UNIT_TESTS); do CK_TIMEOUT_MULTIPLIER=30 \
	    valgrind -q --trace-children=yes --error-exitcode=9 --leak-check=full ./$$test || exit 1; done

.PHONY: unit
unit: $(check_PROGRAMS)
	@for test in $(UNIT_TESTS); do ./$$test || exit 1; done
