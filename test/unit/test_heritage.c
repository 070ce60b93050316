#include "master/heritage.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/bequest.h"
#include "common/mem.h"
#include "common/memfd.h"
#include "test/unit/capture.h"
#include "test/unit/unit.h"

#define ROOM 4096

/* Where things stand in a table of two sockets and two zones. */
#define AT_MAGIC 0
#define AT_LAYOUT 8
#define AT_PARENT 12
#define AT_OTHERS 16
#define AT_SOCKET_COUNT 28
#define AT_SOCKETS 32
#define AT_BODY 48
#define AT_HALF AT_BODY
#define AT_HAS_TICKETS (AT_BODY + 16 + 160)
#define AT_ZONE_COUNT (AT_HAS_TICKETS + 4)
#define AT_PID_PATH (AT_ZONE_COUNT + 4)
#define AT_ZONES (AT_PID_PATH + HERITAGE_PATH)
#define ZONE 352
#define END (AT_ZONES + 2 * ZONE)

static const struct zone_spec spec = {
	.kind = "limit_conn", .name = "addr", .bytes = 1 << 20, .entry_bytes = 8, .key_bytes = 16, .parameters = 77,
};

static struct heritage *
make(void)
{
	static const struct bequest_zone zones[] = {
		{ .fd = 30, .bytes = 1 << 20, .parameters = 77, .entry_bytes = 8, .key_bytes = 16, .secret_len = 32,
		    .kind = "limit_conn", .name = "addr", .secret = "this is a secret of 32 bytes it " },
		{ .fd = 31, .bytes = 1 << 16, .entry_bytes = 256, .key_bytes = 40, .kind = "tls_session",
		    .name = "TLS" },
	};
	struct heritage *h = heritage_new();

	h->parent = 4711;
	h->others = 20;
	h->ours[0] = 21;
	h->ours[1] = 22;
	heritage_add_socket(h, 10, false);
	heritage_add_socket(h, 11, true);
	h->half = 1;
	h->has_tickets = true;
	memset(&h->tickets, 't', sizeof(h->tickets));
	h->tickets_due_ms = 123456789;
	strcpy(h->pid_path, "/run/postern.pid");
	bequest_add(h->zones, &zones[0]);
	bequest_add(h->zones, &zones[1]);
	return h;
}

static size_t
write_table(unsigned char *bytes)
{
	struct heritage *h = make();
	size_t len = heritage_write(h, bytes, ROOM);

	ck_assert_uint_eq(len, heritage_size(h));
	heritage_free(&h);
	return len;
}

START_TEST(what_was_written_is_read)
{
	unsigned char bytes[ROOM];
	size_t len = write_table(bytes);
	struct heritage *h = heritage_read(bytes, len);

	ck_assert_uint_eq(len, END);
	ck_assert_ptr_nonnull(h);
	ck_assert(h->whole && h->parent == 4711 && h->others == 20 && h->ours[0] == 21 && h->ours[1] == 22);
	ck_assert_uint_eq(h->socket_count, 2);
	ck_assert(h->sockets[0].fd == 10 && !h->sockets[0].lent && h->sockets[1].fd == 11 && h->sockets[1].lent);
	ck_assert(h->half == 1 && h->has_tickets && h->tickets_due_ms == 123456789);
	ck_assert(h->tickets.keys[1][79] == 't');
	ck_assert_str_eq(h->pid_path, "/run/postern.pid");
	ck_assert_uint_eq(h->zones->count, 2);
	ck_assert_int_eq(h->zones->zones[0].fd, 30);
	ck_assert_str_eq(h->zones->zones[0].kind, spec.kind);
	ck_assert_mem_eq(h->zones->zones[0].secret, "this is a secret of 32 bytes it ", 32);
	ck_assert_str_eq(h->zones->zones[1].name, "TLS");
	heritage_free(&h);
}
END_TEST

/* Without its head it is nothing; without all of the rest it is the head and the sockets. */
START_TEST(a_table_that_is_cut_off_is_sockets_or_nothing)
{
	unsigned char bytes[ROOM];
	size_t len = write_table(bytes);

	for (size_t cut = 0; cut < len; cut++) {
		unsigned char *copy = mem_dup(bytes, cut);
		struct heritage *h = heritage_read(copy, cut);

		if (cut < AT_BODY) {
			ck_assert_ptr_null(h);
		} else {
			ck_assert_ptr_nonnull(h);
			ck_assert(!h->whole && !h->has_tickets && h->zones->count == 0 && h->half == 0);
			ck_assert_uint_eq(h->socket_count, 2);
		}
		heritage_free(&h);
		mem_free(copy);
	}
}
END_TEST

enum outcome { NOTHING, SOCKETS, WHOLE };

/* One 32-bit word of the table becomes another. */
static const struct {
	const char *what;
	size_t at;
	uint32_t value;
	enum outcome outcome;
} cases[] = {
	{ "another magic",                      AT_MAGIC,               1,          NOTHING },
	{ "another layout",                     AT_LAYOUT,              1,          SOCKETS },
	{ "layout 0",                           AT_LAYOUT,              0,          SOCKETS },
	{ "no parent",                          AT_PARENT,              0,          NOTHING },
	{ "a negative parent",                  AT_PARENT,              UINT32_MAX, NOTHING },
	{ "stdin as a pipe",                    AT_OTHERS,              0,          NOTHING },
	{ "stderr as a pipe",                   AT_OTHERS + 4,          2,          NOTHING },
	{ "no pipe",                            AT_OTHERS + 8,          UINT32_MAX, NOTHING },
	{ "a pipe twice",                       AT_OTHERS,              21,         NOTHING },
	{ "a pipe that is a socket",            AT_OTHERS,              10,         NOTHING },
	{ "a pipe that is a zone",              AT_OTHERS,              31,         SOCKETS },
	{ "too many sockets",                   AT_SOCKET_COUNT,        65537,      NOTHING },
	{ "more sockets than there are",        AT_SOCKET_COUNT,        65536,      NOTHING },
	{ "no sockets",                         AT_SOCKET_COUNT,        0,          SOCKETS },
	{ "stdout as a socket",                 AT_SOCKETS,             1,          NOTHING },
	{ "a socket twice",                     AT_SOCKETS,             11,         NOTHING },
	{ "neither lent nor not",               AT_SOCKETS + 4,         2,          NOTHING },
	{ "a third half",                       AT_HALF,                2,          SOCKETS },
	{ "a half beyond 32 bits",              AT_HALF + 4,            1,          SOCKETS },
	{ "the lower half",                     AT_HALF,                0,          WHOLE },
	{ "neither tickets nor none",           AT_HAS_TICKETS,         2,          SOCKETS },
	{ "no tickets",                         AT_HAS_TICKETS,         0,          WHOLE },
	{ "fewer zones than there are",         AT_ZONE_COUNT,          1,          SOCKETS },
	{ "more zones than there are",          AT_ZONE_COUNT,          3,          SOCKETS },
	{ "zones whose size wraps",             AT_ZONE_COUNT,          0x10000000, SOCKETS },
	{ "a zone on stderr",                   AT_ZONES + 16,          2,          SOCKETS },
	{ "a zone that is a socket",            AT_ZONES + 16,          10,         SOCKETS },
	{ "a zone twice",                       AT_ZONES + 16,          31,         SOCKETS },
	{ "a secret that is too long",          AT_ZONES + 28,          33,         SOCKETS },
	{ "a shorter secret",                   AT_ZONES + 28,          31,         WHOLE },
	{ "a zone without a kind",              AT_ZONES + 32,          0,          SOCKETS },
	{ "a zone without a name",              AT_ZONES + 64,          0,          SOCKETS },
};

START_TEST(a_table_with_nonsense_in_it_is_sockets_or_nothing)
{
	unsigned char bytes[ROOM];
	size_t len = write_table(bytes);
	struct heritage *h;
	enum outcome outcome;

	memcpy(bytes + cases[_i].at, &cases[_i].value, sizeof(uint32_t));
	h = heritage_read(bytes, len);
	outcome = h == NULL ? NOTHING : h->whole ? WHOLE : SOCKETS;
	ck_assert_msg(outcome == cases[_i].outcome, "%s: %d", cases[_i].what, outcome);
	heritage_free(&h);
}
END_TEST

static const struct {
	size_t at, size;
} strings[] = {
	{ AT_PID_PATH,   HERITAGE_PATH },
	{ AT_ZONES + 32, BEQUEST_KIND },
	{ AT_ZONES + 64, BEQUEST_NAME },
};

/* The lengths of strings are theirs, not the table's word. */
START_TEST(a_string_without_an_end_is_none)
{
	unsigned char bytes[ROOM];
	size_t len = write_table(bytes), at = strings[_i].at, size = strings[_i].size;
	struct heritage *h;

	memset(bytes + at, 'x', size);
	h = heritage_read(bytes, len);
	ck_assert(h != NULL && !h->whole);
	heritage_free(&h);
	bytes[at + size - 1] = '\0';
	h = heritage_read(bytes, len);
	ck_assert(h != NULL && h->whole);
	heritage_free(&h);
}
END_TEST

/* --- over exec --- */

/* Real descriptors, as an old master has them. */
static struct heritage *
make_real(void)
{
	struct heritage *h = heritage_new();
	int others[2], ours[2];
	struct zone *zone = zone_new(&spec);

	ck_assert(pipe2(others, O_CLOEXEC) == 0 && pipe2(ours, O_CLOEXEC) == 0 && zone != NULL);
	h->parent = getppid();
	h->others = others[0];
	h->ours[0] = ours[0];
	h->ours[1] = ours[1];
	h->half = 1;
	ck_assert(bequest_add_zone(h->zones, zone, "this is a secret of 32 bytes it ", 32));
	/* The process that took it over has the descriptor alone, as behind a real exec. */
	h->zones->zones[0].fd = fcntl(zone_fd(zone), F_DUPFD_CLOEXEC, 0);
	zone_free(&zone);
	return h;
}

static bool
passes_exec(int fd)
{
	int flags = fcntl(fd, F_GETFD);

	return flags != -1 && (flags & FD_CLOEXEC) == 0;
}

START_TEST(a_heritage_is_taken_once_and_wiped)
{
	struct heritage *given = make_real(), *taken;
	unsigned char secret[32];
	int table = heritage_pack(given), copy = dup(table);
	char found[ROOM];
	struct zone *zone;
	ssize_t len;

	ck_assert_int_ne(table, -1);
	ck_assert(!passes_exec(table) && !passes_exec(given->others));
	ck_assert_int_eq(heritage_release(given, table), 0);
	ck_assert(passes_exec(table) && passes_exec(given->others) && passes_exec(given->ours[1]));
	taken = heritage_take();
	ck_assert_ptr_nonnull(taken);
	ck_assert(taken->whole && taken->others == given->others && !passes_exec(taken->others));
	ck_assert_ptr_null(getenv("POSTERN_HERITAGE"));
	ck_assert_int_eq(fcntl(table, F_GETFD), -1);
	/* Who had kept the table finds zeros. */
	len = pread(copy, found, sizeof(found), 0);
	ck_assert_int_gt(len, 0);
	for (ssize_t i = 0; i < len; i++)
		ck_assert_int_eq(found[i], 0);
	zone = bequest_claim(taken->zones, &spec, secret, sizeof(secret));
	ck_assert_ptr_nonnull(zone);
	ck_assert_mem_eq(secret, "this is a secret of 32 bytes it ", 32);
	ck_assert_ptr_null(bequest_claim(taken->zones, &spec, secret, sizeof(secret)));
	ck_assert_ptr_null(heritage_take());
	zone_free(&zone);
	heritage_free(&taken);
	heritage_free(&given);
	ck_assert_str_eq(capture_text(), "");
}
END_TEST

START_TEST(what_nobody_claims_is_closed)
{
	struct heritage *given = make_real(), *taken;
	int fd = given->zones->zones[0].fd;

	ck_assert_int_eq(heritage_release(given, heritage_pack(given)), 0);
	taken = heritage_take();
	ck_assert_int_ne(fcntl(fd, F_GETFD), -1);
	heritage_free(&taken);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	heritage_free(&given);
}
END_TEST

static void
close_pipe(struct heritage *h)
{
	close(h->ours[0]);
}

static void
close_zone(struct heritage *h)
{
	close(h->zones->zones[0].fd);
}

static void
swap_ends(struct heritage *h)
{
	int end = h->ours[0];

	h->ours[0] = h->ours[1];
	h->ours[1] = end;
}

static void
name_file(struct heritage *h)
{
	h->others = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static const struct {
	void (*spoil)(struct heritage *h);
	bool taken;
	const char *said;
} spoilt[] = {
	{ close_pipe, false, "names what is not there" },
	{ swap_ends,  false, "names what is not there" },
	{ name_file,  false, "names what is not there" },
	{ close_zone, true,  "nothing but its sockets is taken over" },
};

START_TEST(a_heritage_that_is_not_what_it_says_is_refused)
{
	struct heritage *given = make_real(), *taken;
	int table;

	spoilt[_i].spoil(given);
	table = heritage_pack(given);
	heritage_release(given, table);
	if (getenv("POSTERN_HERITAGE") == NULL) {
		char number[16];

		snprintf(number, sizeof(number), "%d", table);
		setenv("POSTERN_HERITAGE", number, 1);
	}
	taken = heritage_take();
	ck_assert((taken != NULL) == spoilt[_i].taken);
	ck_assert(taken == NULL || !taken->whole);
	ck_assert_msg(strstr(capture_text(), spoilt[_i].said) != NULL, "%s", capture_text());
	heritage_free(&taken);
	heritage_free(&given);
}
END_TEST

static const struct {
	const char *value, *said;
} values[] = {
	{ "",                     "is not a descriptor" },
	{ "x",                    "is not a descriptor" },
	{ "2",                    "is not a descriptor" },
	{ "-1",                   "is not a descriptor" },
	{ "4294967299",           "is not a descriptor" },
	{ "1000",                 "is no table" },
	{ "/dev/null",            "is not a descriptor" },
	{ "file",                 "is no table" },
	{ "unsealed",             "is no sealed table" },
	{ "zeros",                "makes no sense" },
};

/* A descriptor of what the word says. */
static int
open_word(const char *word)
{
	if (strcmp(word, "file") == 0)
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	if (strcmp(word, "zeros") == 0)
		return memfd_new("zeros", 4096);
	int fd = memfd_create("unsealed", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	return fd;
}

START_TEST(a_variable_that_leads_nowhere_is_said)
{
	const char *value = values[_i].value;
	char number[16];

	if (strcmp(value, "file") == 0 || strcmp(value, "unsealed") == 0 || strcmp(value, "zeros") == 0) {
		snprintf(number, sizeof(number), "%d", open_word(value));
		value = number;
	}
	setenv("POSTERN_HERITAGE", value, 1);
	ck_assert_ptr_null(heritage_take());
	ck_assert_ptr_null(getenv("POSTERN_HERITAGE"));
	ck_assert_msg(strstr(capture_text(), values[_i].said) != NULL, "%s", capture_text());
}
END_TEST

static void
set_up(void)
{
	unsetenv("POSTERN_HERITAGE");
	capture_begin();
}

Suite *
heritage_suite(void)
{
	Suite *suite = suite_create("heritage");
	TCase *tcase = tcase_create("heritage");

	tcase_add_checked_fixture(tcase, set_up, capture_end);
	tcase_add_test(tcase, what_was_written_is_read);
	tcase_add_test(tcase, a_table_that_is_cut_off_is_sockets_or_nothing);
	tcase_add_loop_test(tcase, a_table_with_nonsense_in_it_is_sockets_or_nothing, 0, UNIT_COUNT(cases));
	tcase_add_loop_test(tcase, a_string_without_an_end_is_none, 0, UNIT_COUNT(strings));
	tcase_add_test(tcase, a_heritage_is_taken_once_and_wiped);
	tcase_add_test(tcase, what_nobody_claims_is_closed);
	tcase_add_loop_test(tcase, a_heritage_that_is_not_what_it_says_is_refused, 0, UNIT_COUNT(spoilt));
	tcase_add_loop_test(tcase, a_variable_that_leads_nowhere_is_said, 0, UNIT_COUNT(values));
	suite_add_tcase(suite, tcase);
	return suite;
}
