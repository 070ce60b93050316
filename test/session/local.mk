# Session tests: the real binary against scripted and real peers.
TEST_EXTENSIONS = .py
PY_LOG_COMPILER = $(PYTHON)
TESTS += test/session/run.py
EXTRA_DIST += \
	test/session/run.py \
	test/session/harness.py \
	test/session/peers.py \
	test/session/real.py \
	test/session/stage.py test/session/certs.py test/session/test_tls.py test/session/test_tls_backend.py test/session/test_tls_real.py test/session/test_tls_relay.py \
	test/session/test_faults.py \
	test/session/test_imap.py \
	test/session/test_limits.py \
	test/session/test_relay.py \
	test/session/test_pop3.py \
	test/session/test_smoke.py \
	test/session/test_master.py \
	test/session/test_share.py \
	test/session/test_turns.py \
	test/session/test_worker.py \
	test/session/test_gate.py

EXTRA_DIST += test/session/test_cli.py test/session/test_config.py test/session/test_listen.py
EXTRA_DIST += test/session/test_process.py test/session/test_log.py

EXTRA_DIST += test/session/guide.py test/session/test_auth_file.py
EXTRA_DIST += test/session/test_auth_pam.py test/session/test_passwd.py test/session/test_guides.py
EXTRA_DIST += test/session/test_guides_chain.py test/session/test_mistakes.py
EXTRA_DIST += test/session/issuer.py test/session/test_auth_jwt.py test/session/test_auth_oauth.py
EXTRA_DIST += test/session/test_auth_mysql.py test/session/test_auth_mysql_link.py
EXTRA_DIST += test/session/test_helpers.py test/session/test_chain.py
EXTRA_DIST += test/session/test_smtp.py test/session/test_smtp_gate.py test/session/test_auth_http.py
EXTRA_DIST += test/session/test_auth_servers.py test/session/test_auth_introspection.py
EXTRA_DIST += test/session/test_real.py
EXTRA_DIST += test/session/test_tls_words.py test/session/test_tls_agree.py test/session/test_tls_sessions.py test/session/test_tls_starttls.py test/session/test_tls_reload.py test/session/test_tls_checks.py test/session/test_tls_strangers.py

EXTRA_DIST += test/session/test_oauth.py test/session/test_sasl.py
EXTRA_DIST += test/session/test_auth_cache.py test/session/test_auth_chain.py
EXTRA_DIST += test/session/authd.py test/session/logins.py test/session/test_auth_table.py test/session/test_auth_outage.py
