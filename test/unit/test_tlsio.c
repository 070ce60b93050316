#include "worker/net/tlsfacts.h"
#include "worker/net/tlsio.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/mem.h"
#include "test/unit/tlsbox.h"
#include "test/unit/unit.h"
#include "worker/net/tlspeer.h"
#include "worker/proto/proto.h"

#define HOST "mail.example.org"
#define MUCH ((size_t)1 << 20)

/* One side of a dialogue: shakes hands, says its piece, hears the other's, and may end after either. */
struct side {
	struct conn conn;
	const char *name;
	enum conn_handshake hands;
	const char *piece;
	size_t len, said;
	bool finishes, answers;         /* when its piece is said; only once the other has finished */
	struct buf heard;
	size_t room;                    /* of a read */
	int sends;
};

static struct loop *loop;
static struct side here, there;         /* the server's and the client's */
static struct conf_tls server_tls, client_tls;
static int wires[2];                    /* what a middleman has in his hands; -1: there is none */
static size_t cut;                      /* how many bytes he moves in a turn */

/* In the place of libc's: each side's are counted. */
ssize_t
send(int fd, const void *bytes, size_t len, int flags)
{
	if (fd == here.conn.io.fd)
		here.sends++;
	if (fd == there.conn.io.fd)
		there.sends++;
	return syscall(SYS_sendto, fd, bytes, len, flags, NULL, 0);
}

static void
speak(struct side *side)
{
	if (side->answers && !side->conn.eof)
		return;
	while (side->said < side->len && side->conn.writable) {
		ssize_t len = conn_send(&side->conn, side->piece + side->said, side->len - side->said);

		if (len == -1) {
			ck_assert_int_eq(errno, EAGAIN);
			break;
		}
		side->said += (size_t)len;
	}
	if (side->said == side->len && side->finishes)
		conn_finish(&side->conn);
}

static void
hear(struct side *side)
{
	while (side->conn.readable && !side->conn.eof) {
		ssize_t len = conn_recv(&side->conn, buf_room(&side->heard, side->room), side->room);

		if (len <= 0)
			break;
		buf_added(&side->heard, (size_t)len);
	}
}

static void
go_on(struct side *side)
{
	if (side->conn.tls == NULL)
		return;
	if (side->hands == HANDSHAKE_MORE)
		side->hands = conn_handshake(&side->conn);
	ck_assert_uint_eq(ERR_peek_error(), 0);
	if (side->hands != HANDSHAKE_DONE)
		return;
	speak(side);
	ck_assert_int_ne(conn_flush(&side->conn), -1);
	hear(side);
	speak(side);
	ck_assert_uint_eq(ERR_peek_error(), 0);
}

static void
on_events(struct loop_io *io, uint32_t events)
{
	struct conn *conn = LIST_ENTRY(io, struct conn, io);

	conn_events(conn, events);
	go_on(LIST_ENTRY(conn, struct side, conn));
}

/* Moves at most `cut` bytes each way, and the ends of file. */
static bool
carry(void)
{
	static char bytes[65536];
	bool moved = false;

	for (int from = 0; from < 2 && wires[0] != -1; from++) {
		ssize_t len = recv(wires[from], bytes, cut, MSG_DONTWAIT);

		if (len > 0)
			ck_assert_int_eq(syscall(SYS_sendto, wires[!from], bytes, len, MSG_NOSIGNAL, NULL, 0), len);
		else if (len == 0)
			shutdown(wires[!from], SHUT_WR);
		moved |= len > 0;
	}
	return moved;
}

static void
settle(void)
{
	for (int quiet = 0; quiet < 20; quiet++) {
		if (carry())
			quiet = 0;
		loop_turn(loop, 0);
	}
}

static void
open_side(struct side *side, int fd, int socket_buffer)
{
	*side = (struct side){ .hands = HANDSHAKE_MORE, .room = 4096, .piece = "" };
	if (socket_buffer > 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &socket_buffer, sizeof(socket_buffer));
	buf_init(&side->heard, 4 * MUCH);
	ck_assert_int_eq(conn_open(&side->conn, loop, fd, false, on_events), 0);
}

static void
say(struct side *side, const char *piece)
{
	side->piece = piece;
	side->len = strlen(piece);
	side->said = 0;
}

/* Joins both by a socket pair, or two with a middleman between them who moves `piece` bytes at a time. */
static void
connect_sides(size_t piece, int socket_buffer)
{
	int ends[2], other[2];

	wires[0] = wires[1] = -1;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	if ((cut = piece) > 0) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, other), 0);
		wires[0] = ends[1];
		wires[1] = other[1];
		ends[1] = other[0];
	}
	open_side(&here, ends[0], socket_buffer);
	open_side(&there, ends[1], socket_buffer);
}

static void
secure(void)
{
	conn_secure_server(&here.conn, &server_tls, NULL, NULL, NULL, 0);
	conn_secure_client(&there.conn, &client_tls, HOST, NULL);
}

static void
part(void)
{
	conn_close(&here.conn, loop);
	conn_close(&there.conn, loop);
	buf_reset(&here.heard);
	buf_reset(&there.heard);
	for (int i = 0; i < 2; i++) {
		if (wires[i] != -1)
			close(wires[i]);
		wires[i] = -1;
	}
	loop_turn(loop, 0);
}

static void
setup_version(int version)
{
	loop = loop_new(16);
	here.conn.io.fd = there.conn.io.fd = wires[0] = wires[1] = -1;
	tlsbox_make(version);
	server_tls = tlsbox_server(SSL_VERIFY_OFF);
	client_tls = tlsbox_client(true, false);
}

static void
setup_12(void)
{
	setup_version(TLS1_2_VERSION);
}

static void
setup_13(void)
{
	setup_version(TLS1_3_VERSION);
}

static void
teardown(void)
{
	part();
	tlspeer_clear();
	tlsbox_free();
	loop_free(&loop);
}

static void
assert_heard(const struct side *side, const char *text)
{
	ck_assert_uint_eq(side->heard.len, strlen(text));
	ck_assert_int_eq(memcmp(buf_head(&side->heard), text, side->heard.len), 0);
}

/* Nothing is kept for a connection that is idle. */
static void
assert_idle(const struct side *side)
{
	ck_assert_ptr_null(side->conn.tls->wire.in);
	ck_assert_ptr_null(side->conn.tls->wire.out);
	ck_assert(!side->conn.readable && side->conn.writable);
}

static const size_t cuts[] = { 0, 1, 2, 7, 100 };

START_TEST(a_dialogue_goes_both_ways_however_it_is_cut)
{
	connect_sides(cuts[_i], 0);
	say(&here, "* OK ready\r\n");
	say(&there, "a NOOP\r\n");
	secure();
	go_on(&there);
	settle();
	ck_assert(conn_is_secure(&here.conn) && conn_is_secure(&there.conn));
	assert_heard(&here, "a NOOP\r\n");
	assert_heard(&there, "* OK ready\r\n");
	assert_idle(&here);
	assert_idle(&there);
}
END_TEST

START_TEST(ticket_and_greeting_leave_in_one_write)
{
	connect_sides(0, 0);
	say(&here, "* OK ready\r\n");
	secure();
	go_on(&there);
	settle();
	assert_heard(&there, "* OK ready\r\n");
	ck_assert_int_eq(here.sends, 2);        /* the flight; ticket and greeting */
	ck_assert_int_eq(there.sends, 2);       /* the hello; what finishes the handshake */
}
END_TEST

START_TEST(a_server_that_has_nothing_to_say_flushes)
{
	connect_sides(0, 0);
	say(&there, "a NOOP\r\n");
	secure();
	go_on(&there);
	settle();
	assert_heard(&here, "a NOOP\r\n");
	assert_idle(&here);
	ck_assert_int_eq(conn_flush(&here.conn), 1);
}
END_TEST

START_TEST(nothing_is_made_for_a_client_that_is_silent)
{
	connect_sides(0, 0);
	conn_secure_server(&here.conn, &server_tls, NULL, NULL, NULL, 0);
	go_on(&here);
	settle();
	ck_assert_int_eq(here.hands, HANDSHAKE_MORE);
	ck_assert_ptr_null(here.conn.tls->ssl);
	conn_close(&there.conn, loop);
	settle();
	ck_assert_int_eq(here.hands, HANDSHAKE_FAILED);
	ck_assert_ptr_nonnull(strstr(conn_tls_error(&here.conn), "peer closed connection"));
}
END_TEST

START_TEST(a_hello_that_came_early_is_read_first)
{
	char hello[4096];
	ssize_t len;

	connect_sides(0, 0);
	say(&here, "* OK ready\r\n");
	conn_secure_client(&there.conn, &client_tls, HOST, NULL);
	go_on(&there);
	loop_turn(loop, 0);
	here.hands = HANDSHAKE_FAILED;          /* hands off until the hello is where it belongs */
	len = conn_recv(&here.conn, hello, _i == 0 ? sizeof(hello) : (size_t)_i);
	ck_assert_int_gt(len, 0);
	conn_secure_server(&here.conn, &server_tls, NULL, NULL, hello, (size_t)len);
	ck_assert(here.conn.readable);
	here.hands = HANDSHAKE_MORE;
	go_on(&here);
	settle();
	assert_heard(&there, "* OK ready\r\n");
}
END_TEST

static char *
much(void)
{
	char *bytes = mem_alloc(MUCH + 1);

	for (size_t i = 0; i < MUCH; i++)
		bytes[i] = (char)('a' + i * 7 % 26 + i / 4096 % 5);
	return bytes;
}

static const struct {
	int socket_buffer;
	size_t room;
} sizes[] = { { 0, 65536 }, { 1, 65536 }, { 1, 1000 }, { 20000, 5 }, { 0, 16384 } };

START_TEST(much_arrives_whole_through_small_sockets)
{
	char *bytes = much();

	connect_sides(0, sizes[_i].socket_buffer);
	here.room = there.room = sizes[_i].room;
	say(&here, bytes);
	say(&there, bytes);
	here.finishes = there.finishes = true;
	secure();
	go_on(&there);
	while (!here.conn.eof || !there.conn.eof)
		loop_turn(loop, -1);
	assert_heard(&here, bytes);
	assert_heard(&there, bytes);
	ck_assert(!conn_truncated(&here.conn) && !conn_truncated(&there.conn));
	mem_free(bytes);
}
END_TEST

START_TEST(four_records_leave_in_one_write)
{
	char *bytes = much();
	int before;

	connect_sides(0, 1 << 20);
	secure();
	go_on(&there);
	settle();
	before = here.sends;
	ck_assert_int_eq(conn_send(&here.conn, bytes, 65536), 65536);
	ck_assert_int_eq(here.sends, before + 1);
	settle();
	ck_assert_uint_eq(there.heard.len, 65536);
	mem_free(bytes);
}
END_TEST

/* What was refused is encrypted once: the same bytes come again, and more behind them. */
START_TEST(what_the_socket_does_not_take_is_not_sent_yet)
{
	char *bytes = much();
	ssize_t len;

	connect_sides(0, 1);
	secure();
	go_on(&there);
	settle();
	there.hands = HANDSHAKE_FAILED;         /* reads no more */
	while ((len = conn_send(&here.conn, bytes + here.said, 40000)) > 0)
		here.said += (size_t)len;
	ck_assert(len == -1 && errno == EAGAIN && !here.conn.writable);
	ck_assert_int_eq(conn_send(&here.conn, bytes + here.said, 40000), -1);
	there.hands = HANDSHAKE_DONE;
	here.piece = bytes;
	here.len = MUCH;
	there.room = 65536;
	go_on(&there);
	while (there.heard.len < MUCH)
		loop_turn(loop, -1);
	assert_heard(&there, bytes);
	assert_idle(&here);
	mem_free(bytes);
}
END_TEST

START_TEST(readable_stays_true_while_decrypted_bytes_wait)
{
	char room[8];

	connect_sides(0, 0);
	secure();
	go_on(&there);
	settle();
	here.hands = HANDSHAKE_FAILED;
	ck_assert_int_eq(conn_send(&there.conn, "hello, world", 12), 12);
	loop_turn(loop, 0);
	for (int i = 0; i < 3; i++) {
		ck_assert(here.conn.readable);
		ck_assert_int_eq(conn_recv(&here.conn, room, 4), 4);
	}
	ck_assert(!here.conn.readable);
	ck_assert_int_eq(conn_recv(&here.conn, room, 4), -1);
	ck_assert_int_eq(errno, EAGAIN);
}
END_TEST

/* Whoever finishes first still gets its answer. */
START_TEST(a_half_close_leaves_the_other_way_open)
{
	struct side *first = _i % 2 == 0 ? &here : &there, *second = _i % 2 == 0 ? &there : &here;

	connect_sides(_i < 2 ? 0 : 1, 0);
	say(first, "the question");
	say(second, "the answer");
	first->finishes = second->finishes = second->answers = true;
	secure();
	go_on(&there);
	settle();
	assert_heard(first, "the answer");
	assert_heard(second, "the question");
	ck_assert(first->conn.eof && second->conn.eof);
	ck_assert(!conn_truncated(&first->conn) && !conn_truncated(&second->conn));
}
END_TEST

START_TEST(an_end_without_close_notify_is_an_end_and_is_noted)
{
	struct side *first = _i % 2 == 0 ? &here : &there, *second = _i % 2 == 0 ? &there : &here;

	connect_sides(0, 0);
	say(first, "the question");
	say(second, "the answer");
	second->answers = true;
	secure();
	go_on(&there);
	settle();
	ck_assert_int_eq(shutdown(first->conn.io.fd, SHUT_WR), 0);
	settle();
	assert_heard(first, "the answer");
	assert_heard(second, "the question");
	ck_assert(second->conn.eof && conn_truncated(&second->conn));
	ck_assert(!first->conn.eof && !conn_truncated(&first->conn));
}
END_TEST

/* Both are met in one turn, and no event follows. */
START_TEST(an_end_right_behind_the_last_words_is_not_missed)
{
	struct side *first = _i % 2 == 0 ? &here : &there, *second = _i % 2 == 0 ? &there : &here;

	connect_sides(0, 0);
	second->room = 65536;
	secure();
	go_on(&there);
	settle();
	ck_assert_int_eq(conn_send(&first->conn, "bye", 3), 3);
	ck_assert_int_eq(shutdown(first->conn.io.fd, SHUT_WR), 0);
	settle();
	assert_heard(second, "bye");
	ck_assert(second->conn.eof && conn_truncated(&second->conn));
}
END_TEST

START_TEST(closing_says_close_notify)
{
	connect_sides(0, 0);
	secure();
	go_on(&there);
	settle();
	conn_close(&here.conn, loop);
	settle();
	ck_assert(there.conn.eof && !conn_truncated(&there.conn));
}
END_TEST

START_TEST(a_peer_that_is_gone_is_an_error)
{
	char room[16];

	connect_sides(0, 0);
	secure();
	go_on(&there);
	settle();
	here.hands = HANDSHAKE_FAILED;
	close(there.conn.io.fd);
	there.conn.io.fd = dup(0);
	ck_assert_int_eq(conn_send(&here.conn, "x", 1), -1);
	ck_assert_int_eq(errno, EPIPE);
	ck_assert_int_eq(conn_recv(&here.conn, room, sizeof(room)), -1);
	ck_assert_int_eq(conn_send(&here.conn, "x", 1), -1);
}
END_TEST

static void
meet(void)
{
	connect_sides(0, 0);
	say(&here, "* OK ready\r\n");
	secure();
	go_on(&there);
	settle();
}

START_TEST(a_session_with_a_peer_is_resumed)
{
	struct conf_tls other = client_tls;

	for (int i = 0; i < 3; i++) {
		meet();
		ck_assert_int_eq(there.hands, HANDSHAKE_DONE);
		ck_assert_int_eq(SSL_session_reused(there.conn.tls->ssl), i > 0);
		ck_assert_int_eq(SSL_session_reused(here.conn.tls->ssl), i > 0);
		part();
	}
	/* Other settings, other sessions. */
	connect_sides(0, 0);
	conn_secure_server(&here.conn, &server_tls, NULL, NULL, NULL, 0);
	conn_secure_client(&there.conn, &other, HOST, NULL);
	go_on(&there);
	settle();
	ck_assert(!SSL_session_reused(there.conn.tls->ssl));
	part();
	client_tls.session_reuse = false;
	meet();
	ck_assert(!SSL_session_reused(there.conn.tls->ssl));
}
END_TEST

static const struct {
	bool trusting;
	const char *host, *why;
} faults[] = {
	{ false, HOST, "self-signed certificate in certificate chain" },
	{ true, "other.example.org", "hostname mismatch" },
	{ true, "example.org", "hostname mismatch" },
};

START_TEST(a_certificate_that_does_not_hold_ends_the_handshake)
{
	struct conf_tls tls = tlsbox_client(faults[_i].trusting, false);

	connect_sides(0, 0);
	conn_secure_server(&here.conn, &server_tls, NULL, NULL, NULL, 0);
	conn_secure_client(&there.conn, &tls, faults[_i].host, NULL);
	go_on(&there);
	settle();
	ck_assert_int_eq(there.hands, HANDSHAKE_FAILED);
	ck_assert_ptr_nonnull(strstr(conn_tls_error(&there.conn), "certificate verify failed"));
	ck_assert_msg(strstr(conn_tls_error(&there.conn), faults[_i].why) != NULL, "%s", conn_tls_error(&there.conn));
	ck_assert(here.hands == HANDSHAKE_FAILED || !here.conn.readable);
	ck_assert_ptr_nonnull(strstr(conn_tls_error(&here.conn), "alert"));
	ck_assert_int_eq(conn_send(&there.conn, "secret", 6), -1);
}
END_TEST

static const char *const rubbish[] = { "a LOGIN joe secret\r\n", "GET / HTTP/1.0\r\n\r\n", "\x16\x03\x01\xff\xff\x01", "\n\n\n\n\n\n" };

START_TEST(rubbish_is_no_handshake)
{
	connect_sides(0, 0);
	conn_secure_server(&here.conn, &server_tls, NULL, NULL, NULL, 0);
	there.hands = HANDSHAKE_FAILED;
	ck_assert_int_gt(conn_send(&there.conn, rubbish[_i], strlen(rubbish[_i])), 0);
	conn_finish(&there.conn);
	settle();
	ck_assert_int_eq(here.hands, HANDSHAKE_FAILED);
	ck_assert_int_eq(conn_tls_error(&here.conn)[0], '(');
}
END_TEST

START_TEST(a_broken_record_breaks_the_connection)
{
	static const char record[] = "\x17\x03\x03\x00\x20" "0123456789abcdef0123456789abcdef";
	char room[16];

	meet();
	here.hands = HANDSHAKE_FAILED;
	ck_assert_int_eq(syscall(SYS_sendto, there.conn.io.fd, record, sizeof(record) - 1, 0, NULL, 0), 37);
	loop_turn(loop, 0);
	ck_assert_int_eq(conn_recv(&here.conn, room, sizeof(room)), -1);
	ck_assert_int_eq(errno, EPROTO);
	ck_assert_msg(strstr(conn_tls_error(&here.conn), "bad record mac") != NULL, "%s", conn_tls_error(&here.conn));
	ck_assert(!here.conn.readable && !conn_truncated(&here.conn));
	ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

static struct tls_facts
facts_of(enum ssl_verify verify, bool with_certificate)
{
	struct tls_facts facts;

	server_tls = tlsbox_server(verify);
	client_tls = tlsbox_client(true, with_certificate);
	meet();
	ck_assert_int_eq(here.hands, HANDSHAKE_DONE);
	conn_tls_facts(&here.conn, &facts, true);
	ck_assert_str_eq(facts.sni, HOST);
	ck_assert_int_eq(conn_has_certificate(&here.conn), verify != SSL_VERIFY_OFF && with_certificate);
	ck_assert_ptr_null(conn_verify_error(&here.conn));
	return facts;
}

START_TEST(facts_tell_of_the_clients_certificate)
{
	struct tls_facts facts = facts_of(SSL_VERIFY_OPTIONAL, true);

	ck_assert_str_eq(facts.verify, "SUCCESS");
	ck_assert_str_eq(facts.subject, "CN=Joe Doe\\, \\\"client\\\",O=Post");
	ck_assert_str_eq(facts.issuer, "CN=Authority,O=Post");
	ck_assert_str_eq(facts.serial, "AB04");
	ck_assert_str_eq(facts.common_name, "Joe Doe, \"client\"");
	ck_assert(!facts.resumed);
	ck_assert_uint_eq(strspn(facts.fingerprint, "0123456789abcdef"), 40);
	ck_assert_uint_eq(strspn(facts.fingerprint_sha256, "0123456789abcdef"), 64);
	ck_assert_int_eq(strncmp(facts.certificate, "-----BEGIN CERTIFICATE-----\n", 28), 0);
	ck_assert_int_eq(strncmp(facts.protocol, "TLSv1.", 6), 0);
}
END_TEST

static const struct {
	int type;
	const char *bytes;
	int len;
	const char *second;     /* another common name; NULL: none */
	const char *told;
} names[] = {
	{ V_ASN1_UTF8STRING,      "joe",              -1, NULL,  "joe"              },
	{ V_ASN1_PRINTABLESTRING, "Joe Doe",          -1, NULL,  "Joe Doe"          },
	{ V_ASN1_UTF8STRING,      "J\xc3\xb6rg",      -1, NULL,  "J\xc3\xb6rg"      },
	{ V_ASN1_T61STRING,       "J\xf6rg",          -1, NULL,  "J\xc3\xb6rg"      },
	{ V_ASN1_BMPSTRING,       "\0j\0\xf6",        4, NULL,  "j\xc3\xb6"        },
	{ V_ASN1_UTF8STRING,      "\xff\xfe",         -1, NULL,  NULL               },
	{ V_ASN1_UTF8STRING,      "joe\0root",         8, NULL,  NULL               },
	{ V_ASN1_UTF8STRING,      "joe\r\nX: y",      -1, NULL,  NULL               },
	{ V_ASN1_UTF8STRING,      "joe\x7f",          -1, NULL,  NULL               },
	{ V_ASN1_UTF8STRING,      "",                  0, NULL,  NULL               },
	{ V_ASN1_UTF8STRING,      "joe",              -1, "ann", NULL               },
	{ V_ASN1_UTF8STRING,      NULL,                0, NULL,  NULL               },
};

START_TEST(a_common_name_is_one_and_plain_text)
{
	X509_NAME *name = X509_NAME_new();
	char *told;

	X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *)"Post", -1, -1, 0);
	if (names[_i].bytes != NULL)
		ck_assert_int_eq(X509_NAME_add_entry_by_NID(name, NID_commonName, names[_i].type,
		    (const unsigned char *)names[_i].bytes, names[_i].len, -1, 0), 1);
	if (names[_i].second != NULL)
		X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)names[_i].second, -1, -1, 0);
	told = tlsfacts_common_name(name);
	if (names[_i].told == NULL)
		ck_assert_msg(told == NULL, "%s", told);
	else
		ck_assert_str_eq(told, names[_i].told);
	mem_free(told);
	X509_NAME_free(name);
}
END_TEST

START_TEST(a_common_name_has_an_end)
{
	unsigned char long_name[257];
	X509_NAME *name = X509_NAME_new();
	char *told;

	memset(long_name, 'a', sizeof(long_name));
	for (int len = 256; len <= 257; len++) {
		ck_assert_int_eq(
		    X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_UTF8STRING, long_name, len, -1, 0), 1);
		told = tlsfacts_common_name(name);
		ck_assert_int_eq(told != NULL, len == 256);
		mem_free(told);
		X509_NAME_ENTRY_free(X509_NAME_delete_entry(name, 0));
	}
	X509_NAME_free(name);
}
END_TEST

START_TEST(facts_tell_that_there_is_none)
{
	struct tls_facts facts = facts_of(SSL_VERIFY_OPTIONAL, false);

	ck_assert_str_eq(facts.verify, "NONE");
	ck_assert(
	    facts.subject == NULL && facts.serial == NULL && facts.certificate == NULL && facts.common_name == NULL);
	part();
	facts = facts_of(SSL_VERIFY_OFF, true);
	ck_assert(facts.verify == NULL && facts.subject == NULL);
}
END_TEST

START_TEST(renegotiation_is_refused)
{
	meet();
	SSL_clear_options(there.conn.tls->ssl, SSL_OP_NO_RENEGOTIATION);
	ck_assert_int_eq(SSL_renegotiate(there.conn.tls->ssl), 1);
	say(&there, "a NOOP\r\n");
	there.conn.readable = true;
	wire_begin(&there.conn.tls->wire, 0);
	SSL_do_handshake(there.conn.tls->ssl);
	ERR_clear_error();
	wire_end(&there.conn.tls->wire);
	there.hands = HANDSHAKE_FAILED;
	settle();
	/* It is told no, and nothing of it is heard. */
	ck_assert_int_eq(here.hands, HANDSHAKE_DONE);
	assert_heard(&here, "");
}
END_TEST

static void
add_tests(TCase *tcase)
{
	tcase_add_loop_test(tcase, a_dialogue_goes_both_ways_however_it_is_cut, 0, UNIT_COUNT(cuts));
	tcase_add_test(tcase, ticket_and_greeting_leave_in_one_write);
	tcase_add_test(tcase, a_server_that_has_nothing_to_say_flushes);
	tcase_add_test(tcase, nothing_is_made_for_a_client_that_is_silent);
	tcase_add_loop_test(tcase, a_hello_that_came_early_is_read_first, 0, 8);
	tcase_add_loop_test(tcase, much_arrives_whole_through_small_sockets, 0, UNIT_COUNT(sizes));
	tcase_add_test(tcase, four_records_leave_in_one_write);
	tcase_add_test(tcase, what_the_socket_does_not_take_is_not_sent_yet);
	tcase_add_test(tcase, readable_stays_true_while_decrypted_bytes_wait);
	tcase_add_loop_test(tcase, a_half_close_leaves_the_other_way_open, 0, 4);
	tcase_add_loop_test(tcase, an_end_without_close_notify_is_an_end_and_is_noted, 0, 2);
	tcase_add_loop_test(tcase, an_end_right_behind_the_last_words_is_not_missed, 0, 2);
	tcase_add_test(tcase, closing_says_close_notify);
	tcase_add_test(tcase, a_peer_that_is_gone_is_an_error);
	tcase_add_test(tcase, a_session_with_a_peer_is_resumed);
	tcase_add_loop_test(tcase, a_certificate_that_does_not_hold_ends_the_handshake, 0, UNIT_COUNT(faults));
	tcase_add_loop_test(tcase, rubbish_is_no_handshake, 0, UNIT_COUNT(rubbish));
	tcase_add_test(tcase, a_broken_record_breaks_the_connection);
	tcase_add_test(tcase, facts_tell_of_the_clients_certificate);
	tcase_add_test(tcase, facts_tell_that_there_is_none);
	tcase_add_loop_test(tcase, a_common_name_is_one_and_plain_text, 0, UNIT_COUNT(names));
	tcase_add_test(tcase, a_common_name_has_an_end);
}

Suite *
tlsio_suite(void)
{
	Suite *suite = suite_create("tlsio");
	TCase *tls12 = tcase_create("TLS 1.2"), *tls13 = tcase_create("TLS 1.3");

	tcase_add_checked_fixture(tls12, setup_12, teardown);
	tcase_add_checked_fixture(tls13, setup_13, teardown);
	add_tests(tls12);
	add_tests(tls13);
	tcase_add_test(tls12, renegotiation_is_refused);
	suite_add_tcase(suite, tls12);
	suite_add_tcase(suite, tls13);
	return suite;
}
