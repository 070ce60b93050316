# Fuzz targets: one a parser, test/fuzz/fuzz_MODULE.c with its corpus, text files where it
# can be, in test/fuzz/corpus/MODULE/. With --enable-fuzzing (needs CC=clang) they are
# libFuzzer's and `make fuzz FUZZ_SECONDS=30` runs each for that time; what it finds goes to
# test/fuzz/found/ in the build tree. Else they are checks that run over their corpora.
# A new target is three lines and a folder.
FUZZ_TARGETS =
FUZZ_SECONDS = 30
FUZZ_DIALOGUE = test/unit/dialogue.h test/unit/dialogue.c
FUZZ_SMTP = test/unit/smtp_scene.h test/unit/smtp_scene.c

FUZZ_TARGETS += test/fuzz/fuzz_num
test_fuzz_fuzz_num_SOURCES = test/fuzz/fuzz_num.c $(FUZZ_MAIN)
test_fuzz_fuzz_num_LDADD = libcommon.a $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_base64
test_fuzz_fuzz_base64_SOURCES = test/fuzz/fuzz_base64.c $(FUZZ_MAIN)
test_fuzz_fuzz_base64_LDADD = libcommon.a $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_addr
test_fuzz_fuzz_addr_SOURCES = test/fuzz/fuzz_addr.c $(FUZZ_MAIN)
test_fuzz_fuzz_addr_LDADD = libcommon.a $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_addrset
test_fuzz_fuzz_addrset_SOURCES = test/fuzz/fuzz_addrset.c $(FUZZ_MAIN)
test_fuzz_fuzz_addrset_LDADD = libcommon.a $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_quote
test_fuzz_fuzz_quote_SOURCES = test/fuzz/fuzz_quote.c $(FUZZ_MAIN)
test_fuzz_fuzz_quote_LDADD = libproto.a libcommon.a $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_log
test_fuzz_fuzz_log_SOURCES = test/fuzz/fuzz_log.c $(FUZZ_MAIN)
test_fuzz_fuzz_log_LDADD = libcommon.a $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_conf_translate
test_fuzz_fuzz_conf_translate_SOURCES = test/fuzz/fuzz_conf_translate.c $(FUZZ_MAIN)
test_fuzz_fuzz_conf_translate_LDADD = libmaster.a libcommon.a $(CONFUSE_LIBS) $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_http_parse
test_fuzz_fuzz_http_parse_SOURCES = test/fuzz/fuzz_http_parse.c $(FUZZ_MAIN)
test_fuzz_fuzz_http_parse_LDADD = libproto.a libcommon.a $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_http_answer
test_fuzz_fuzz_http_answer_SOURCES = test/fuzz/fuzz_http_answer.c $(FUZZ_MAIN)
test_fuzz_fuzz_http_answer_LDADD = libauth.a libhelper.a libnet.a libproto.a libcommon.a \
	$(CARES_LIBS) $(JANSSON_LIBS) $(OPENSSL_LIBS) $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_introspection
test_fuzz_fuzz_introspection_SOURCES = test/fuzz/fuzz_introspection.c $(FUZZ_MAIN)
test_fuzz_fuzz_introspection_LDADD = libauth.a libhelper.a libnet.a libproto.a libcommon.a \
	$(CARES_LIBS) $(JANSSON_LIBS) $(OPENSSL_LIBS) $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_auth_pack
test_fuzz_fuzz_auth_pack_SOURCES = test/fuzz/fuzz_auth_pack.c $(FUZZ_MAIN)
test_fuzz_fuzz_auth_pack_LDADD = libauth.a libhelper.a libnet.a libproto.a libcommon.a \
	$(CARES_LIBS) $(JANSSON_LIBS) $(OPENSSL_LIBS) $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_dns_answer
test_fuzz_fuzz_dns_answer_SOURCES = test/fuzz/fuzz_dns_answer.c $(FUZZ_MAIN)
test_fuzz_fuzz_dns_answer_LDADD = libnet.a libcommon.a $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_sasl
test_fuzz_fuzz_sasl_SOURCES = test/fuzz/fuzz_sasl.c $(FUZZ_MAIN)
test_fuzz_fuzz_sasl_LDADD = libproto.a libcommon.a $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_imap
test_fuzz_fuzz_imap_SOURCES = test/fuzz/fuzz_imap.c $(FUZZ_DIALOGUE) $(FUZZ_MAIN)
test_fuzz_fuzz_imap_LDADD = libproto.a libcommon.a $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_imap_login
test_fuzz_fuzz_imap_login_SOURCES = test/fuzz/fuzz_imap_login.c $(FUZZ_DIALOGUE) $(FUZZ_MAIN)
test_fuzz_fuzz_imap_login_LDADD = libproto.a libcommon.a $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_sasl_client
test_fuzz_fuzz_sasl_client_SOURCES = test/fuzz/fuzz_sasl_client.c $(FUZZ_DIALOGUE) $(FUZZ_MAIN)
test_fuzz_fuzz_sasl_client_LDADD = libproto.a libcommon.a $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_proxyhdr
test_fuzz_fuzz_proxyhdr_SOURCES = test/fuzz/fuzz_proxyhdr.c $(FUZZ_MAIN)
test_fuzz_fuzz_proxyhdr_LDADD = libproto.a libcommon.a $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_pop3
test_fuzz_fuzz_pop3_SOURCES = test/fuzz/fuzz_pop3.c $(FUZZ_DIALOGUE) $(FUZZ_MAIN)
test_fuzz_fuzz_pop3_LDADD = libproto.a libcommon.a $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_smtp
test_fuzz_fuzz_smtp_SOURCES = test/fuzz/fuzz_smtp.c $(FUZZ_DIALOGUE) $(FUZZ_SMTP) $(FUZZ_MAIN)
test_fuzz_fuzz_smtp_LDADD = libproto.a libcommon.a $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_smtp_gate
test_fuzz_fuzz_smtp_gate_SOURCES = test/fuzz/fuzz_smtp_gate.c $(FUZZ_DIALOGUE) $(FUZZ_SMTP) $(FUZZ_MAIN)
test_fuzz_fuzz_smtp_gate_LDADD = libproto.a libcommon.a $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_codec
test_fuzz_fuzz_codec_SOURCES = test/fuzz/fuzz_codec.c $(FUZZ_MAIN)
test_fuzz_fuzz_codec_LDADD = libhelper.a libcommon.a $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_passwdfile
test_fuzz_fuzz_passwdfile_SOURCES = test/fuzz/fuzz_passwdfile.c $(FUZZ_MAIN)
test_fuzz_fuzz_passwdfile_LDADD = libhelper.a libcommon.a $(CRYPT_LIBS) $(OPENSSL_LIBS) $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_sqlquery
test_fuzz_fuzz_sqlquery_SOURCES = test/fuzz/fuzz_sqlquery.c $(FUZZ_MAIN)
test_fuzz_fuzz_sqlquery_LDADD = libcommon.a $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_jwks
test_fuzz_fuzz_jwks_SOURCES = test/fuzz/fuzz_jwks.c $(FUZZ_MAIN)
test_fuzz_fuzz_jwks_LDADD = libhelper.a libcommon.a $(JANSSON_LIBS) $(OPENSSL_LIBS) $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_jwt
test_fuzz_fuzz_jwt_SOURCES = test/fuzz/fuzz_jwt.c $(FUZZ_MAIN)
test_fuzz_fuzz_jwt_LDADD = libhelper.a libcommon.a $(JANSSON_LIBS) $(OPENSSL_LIBS) $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_token
test_fuzz_fuzz_token_SOURCES = test/fuzz/fuzz_token.c $(FUZZ_MAIN)
test_fuzz_fuzz_token_LDADD = libcommon.a $(JANSSON_LIBS) $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_passwdedit
test_fuzz_fuzz_passwdedit_SOURCES = test/fuzz/fuzz_passwdedit.c $(FUZZ_MAIN)
test_fuzz_fuzz_passwdedit_LDADD = libhelper.a libcommon.a $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_mysql_row
test_fuzz_fuzz_mysql_row_SOURCES = test/fuzz/fuzz_mysql_row.c $(FUZZ_MAIN)
test_fuzz_fuzz_mysql_row_LDADD = libhelper.a libcommon.a $(CRYPT_LIBS) $(OPENSSL_LIBS) $(FUZZ_LIBS)

FUZZ_TARGETS += test/fuzz/fuzz_heritage
test_fuzz_fuzz_heritage_SOURCES = test/fuzz/fuzz_heritage.c $(FUZZ_MAIN)
test_fuzz_fuzz_heritage_LDADD = libmaster.a libcommon.a $(OPENSSL_LIBS) $(FUZZ_LIBS)

check_PROGRAMS += $(FUZZ_TARGETS)
EXTRA_DIST += test/fuzz/corpus

.PHONY: fuzz
if FUZZING
FUZZ_MAIN = test/fuzz/fuzz.h
fuzz: $(FUZZ_TARGETS)
	@for target in $(FUZZ_TARGETS); do \
		module=$${target##*/fuzz_}; \
		found=test/fuzz/found/$$module; \
		echo "  FUZZ     $$module"; \
		$(MKDIR_P) $$found && \
		./$$target -verbosity=0 -timeout=10 -max_total_time=$(FUZZ_SECONDS) \
			-artifact_prefix=test/fuzz/found/$$module- \
			$$found $(srcdir)/test/fuzz/corpus/$$module || exit 1; \
	done
else
FUZZ_MAIN = test/fuzz/fuzz.h test/fuzz/replay.c
TESTS += $(FUZZ_TARGETS)
fuzz:
	@echo "make fuzz: configure with --enable-fuzzing CC=clang first" >&2; exit 1
endif

clean-local: clean-fuzz
clean-fuzz:
	rm -rf test/fuzz/found
.PHONY: clean-fuzz
