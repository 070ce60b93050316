/*
 * suites - which suites each unit test binary runs
 *
 * test_MODULE.c exports MODULE_suite(); a row here puts it into its layer's binary.
 */
#ifndef POSTERN_TEST_UNIT_SUITES_H
#define POSTERN_TEST_UNIT_SUITES_H

#define UNIT_COMMON(SUITE) \
	SUITE(mem) \
	SUITE(sandbox) \
	SUITE(proc) \
	SUITE(capability) \
	SUITE(memfd) \
	SUITE(board) \
	SUITE(siphash) \
	SUITE(zone) \
	SUITE(authcache) \
	SUITE(limitzone) \
	SUITE(bequest) \
	SUITE(wheel) \
	SUITE(loop) \
	SUITE(ipc) \
	SUITE(sock) \
	SUITE(arena) \
	SUITE(buf) \
	SUITE(num) \
	SUITE(base64) \
	SUITE(addr) \
	SUITE(addrset) \
	SUITE(log) \
	SUITE(conf) \
	SUITE(token) \
	SUITE(sqlquery) \
	SUITE(utf8) \
	SUITE(tlskey) \
	SUITE(tlscert) \
	SUITE(tlsticket) \
	SUITE(tlscache) \
	SUITE(tlsctx) \
	SUITE(tlsctx_choice) \
	SUITE(tlspool)

#define UNIT_HELPER(SUITE) \
	SUITE(codec) \
	SUITE(secret) \
	SUITE(passwdfile) \
	SUITE(mysql_row) \
	SUITE(jwks) \
	SUITE(jwt) \
	SUITE(filetext) \
	SUITE(secretmake) \
	SUITE(passwdedit) \
	SUITE(passwdlist) \
	SUITE(passwdargs) \
	SUITE(helper_log) \
	SUITE(watchdog)

#define UNIT_PAM(SUITE) \
	SUITE(pamtalk) \
	SUITE(pamverdict)

#define UNIT_PROTO(SUITE) \
	SUITE(proto) \
	SUITE(line) \
	SUITE(quote) \
	SUITE(bearer) \
	SUITE(sasl) \
	SUITE(sasl_client) \
	SUITE(proxyhdr) \
	SUITE(imap_id) \
	SUITE(imap_parse) \
	SUITE(imap) \
	SUITE(imap_login) \
	SUITE(pop3) \
	SUITE(smtp) \
	SUITE(smtp_body) \
	SUITE(smtp_gate) \
	SUITE(starttls) \
	SUITE(oauth) \
	SUITE(http_parse)

#define UNIT_NET(SUITE) \
	SUITE(conn) \
	SUITE(tlsio) \
	SUITE(hosts) \
	SUITE(resolver) \
	SUITE(dns_answer) \
	SUITE(hostnames) \
	SUITE(balance) \
	SUITE(http_client) \
	SUITE(http_body) \
	SUITE(https)

#define UNIT_AUTH(SUITE) \
	SUITE(auth) \
	SUITE(auth_cache) \
	SUITE(http_answer) \
	SUITE(auth_http) \
	SUITE(web) \
	SUITE(introspection) \
	SUITE(auth_helper) \
	SUITE(auth_file)

#define UNIT_MASTER(SUITE) \
	SUITE(conf_translate) \
	SUITE(conf_complaints) \
	SUITE(conf_blocks) \
	SUITE(conf_load) \
	SUITE(conf_check) \
	SUITE(conf_chain) \
	SUITE(conf_dump) \
	SUITE(conf_sources) \
	SUITE(conf_tls) \
	SUITE(snapshot) \
	SUITE(feed) \
	SUITE(options) \
	SUITE(pidfile) \
	SUITE(names) \
	SUITE(logfile) \
	SUITE(listener) \
	SUITE(inherited) \
	SUITE(leftover) \
	SUITE(heritage) \
	SUITE(notify) \
	SUITE(programs) \
	SUITE(spawn) \
	SUITE(settle) \
	SUITE(zones) \
	SUITE(tls_build)

#define UNIT_WORKER(SUITE) \
	SUITE(seat) \
	SUITE(bucket) \
	SUITE(guard) \
	SUITE(inquiry) \
	SUITE(epitaph) \
	SUITE(means) \
	SUITE(sni) \
	SUITE(upstream)

#endif
