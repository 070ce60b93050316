#include "worker/proto/smtp_gate.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "test/unit/smtp_scene.h"
#include "test/unit/unit.h"
#include "worker/proto/smtp_words.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define PLENTY 65536

static const char *capabilities[] = { "PIPELINING", "CHUNKING", NULL };

/* A backend as it should be. It reads what the gate passes and answers as `quirks` has it, else with yes. */
enum { COMMANDS, TEXT, CHUNK };

struct backend {
	const char *const *quirks;      /* pairs: how a command begins, and what is answered; NULL-ended, or NULL */
	struct buf seen, answers;
	struct buf line;                /* of a command; of text what may be its end */
	unsigned mode;
	unsigned long left;
};

static const char *
answer_to(const struct backend *b, const char *command)
{
	static const char *const usual[] = { "MAIL", "250 mail", "RCPT", "250 rcpt", "DATA", "354 go",
		"BDAT", "250 chunk", "RSET", "250 rset", "NOOP", "250-noop\r\n250 still", "QUIT", "221 bye", ".", "250 queued", NULL };

	for (const char *const *q = b->quirks; q != NULL && *q != NULL; q += 2)
		if (strncasecmp(command, q[0], strlen(q[0])) == 0)
			return q[1];
	for (const char *const *q = usual; *q != NULL; q += 2)
		if (strncasecmp(command, q[0], strlen(q[0])) == 0)
			return q[1];
	return "500 backend knows no such command";
}

static void
backend_command(struct backend *b)
{
	char *command = mem_strndup(buf_head(&b->line), b->line.len);
	const char *answer = answer_to(b, command);
	bool chunk = sscanf(command, "%*1[Bb]%*1[Dd]%*1[Aa]%*1[Tt] %lu", &b->left) == 1 && *answer != '5';

	if (chunk && b->left > 0)
		b->mode = CHUNK;
	else if (*answer != '\0')
		buf_printf(&b->answers, "%s\r\n", answer);
	if (strncmp(answer, "354", 3) == 0)
		b->mode = TEXT;
	buf_reset(&b->line);
	if (b->mode == TEXT)
		buf_add_text(&b->line, "\r\n");
	mem_free(command);
}

static bool
ends_with(const struct buf *b, const char *end)
{
	size_t len = strlen(end);

	return b->len >= len && memcmp(buf_head(b) + b->len - len, end, len) == 0;
}

static void
backend_byte(struct backend *b, char byte)
{
	buf_add(&b->seen, &byte, 1);
	if (b->mode == CHUNK) {
		if (--b->left == 0) {
			b->mode = COMMANDS;
			buf_printf(&b->answers, "%s\r\n", answer_to(b, "BDAT"));
		}
		return;
	}
	buf_add(&b->line, &byte, 1);
	if (b->mode == COMMANDS && byte == '\n') {
		backend_command(b);
	} else if (b->mode == TEXT && ends_with(&b->line, "\r\n.\r\n")) {
		b->mode = COMMANDS;
		buf_reset(&b->line);
		buf_printf(&b->answers, "%s\r\n", answer_to(b, "."));
	}
}

/* Client, gate and backend, with pipes between them that pass `sip` bytes at a time. */
struct world {
	struct scene scene;
	struct smtp_gate *gate;
	struct backend backend;
	struct buf from_client, from_server, to_client, to_server;
	struct buf heard, asked;
	size_t sip;
	bool closed;
};

static void
world_init(struct world *w, bool chunking, const char *const *quirks, size_t sip, size_t room)
{
	memset(w, 0, sizeof(*w));
	scene_init(&w->scene, PROTOCOL_SMTP, METHOD_NONE | METHOD_PLAIN, capabilities);
	w->gate = smtp_scene_gate(&w->scene, chunking, "250 r");
	w->backend.quirks = quirks;
	w->sip = sip;
	buf_init(&w->from_client, PLENTY);
	buf_init(&w->from_server, PLENTY);
	buf_init(&w->to_client, room);
	buf_init(&w->to_server, room);
	buf_init(&w->heard, PLENTY);
	buf_init(&w->asked, PLENTY);
	buf_init(&w->backend.seen, PLENTY);
	buf_init(&w->backend.answers, PLENTY);
	buf_init(&w->backend.line, PLENTY);
}

static void
world_reset(struct world *w)
{
	smtp_gate_free(&w->gate);
	buf_reset(&w->from_client);
	buf_reset(&w->from_server);
	buf_reset(&w->to_client);
	buf_reset(&w->to_server);
	buf_reset(&w->heard);
	buf_reset(&w->asked);
	buf_reset(&w->backend.seen);
	buf_reset(&w->backend.answers);
	buf_reset(&w->backend.line);
}

/* Recipients called "elsewhere", "wrong", "later" are what they say. */
static void
judge(struct world *w)
{
	static const struct refusal elsewhere = { .kind = REFUSAL_ELSEWHERE }, wrong = { .kind = REFUSAL_WRONG },
	    later = { .kind = REFUSAL_UNAVAILABLE, .close = true };
	const struct credentials *c = smtp_gate_credentials(w->gate);
	const struct refusal *why = strstr(c->rcpt, "elsewhere") ? &elsewhere : strstr(c->rcpt, "wrong") ? &wrong :
	    strstr(c->rcpt, "later") ? &later : NULL;

	ck_assert_int_eq(c->method, METHOD_NONE);
	ck_assert(!smtp_gate_client_turn(w->gate));
	buf_printf(&w->asked, "{%s %s %s}", c->helo, c->mail, c->rcpt);
	smtp_gate_answer(w->gate, why, &w->to_client);
}

/* Moves up to a sip; true when there was one. */
static bool
sip(struct world *w, struct buf *from, struct buf *to)
{
	size_t len = from->len < w->sip ? from->len : w->sip;

	if (to != NULL)
		ck_assert_int_eq(buf_add(to, buf_head(from), len), 0);
	else
		for (size_t i = 0; i < len; i++)
			backend_byte(&w->backend, buf_head(from)[i]);
	buf_take(from, len);
	return len > 0;
}

static bool
move(struct world *w)
{
	bool moved = sip(w, &w->to_client, &w->heard);

	moved |= sip(w, &w->to_server, NULL);
	moved |= sip(w, &w->backend.answers, &w->from_server);
	return moved;
}

/* Lets everybody do what they can do. */
static void
run(struct world *w)
{
	while (!w->closed) {
		switch (smtp_gate_step(w->gate, &w->from_client, &w->from_server, &w->to_client, &w->to_server)) {
		case GATE_AGAIN:
			break;
		case GATE_MORE:
			if (!move(w))
				return;
			break;
		case GATE_ASK:
			judge(w);
			break;
		case GATE_CLOSE:
			w->closed = true;
			break;
		}
	}
	while (sip(w, &w->to_client, &w->heard))
		;
	while (sip(w, &w->to_server, NULL))
		;
}

static void
say(struct world *w, const char *bytes, size_t len)
{
	if (!w->closed)
		ck_assert_int_eq(buf_add(&w->from_client, bytes, len), 0);
	run(w);
}

static void
check_text(const struct buf *b, const char *expected, size_t len)
{
	char *text = mem_strndup(buf_head(b), b->len);

	ck_assert_str_eq(text, expected);
	ck_assert_uint_eq(b->len, len);
	mem_free(text);
}

static const char *const refuses_mail[] = { "MAIL FROM:<bad>", "550 no", NULL };
static const char *const refuses_data[] = { "DATA", "554-no valid\r\n554 recipients", NULL };
static const char *const refuses_rcpt[] = { "RCPT TO:<full>", "452 full", NULL };
static const char *const refuses_text[] = { ".", "451 no disk", NULL };
static const char *const refuses_chunk[] = { "BDAT", "552 too much", NULL };
static const char *const refuses_rset[] = { "RSET", "502 what", NULL };
static const char *const hangs_up[] = { "NOOP", "421-I am\r\n421 off", NULL };
static const char *const hangs_up_on_rset[] = { "RSET", "421 off", NULL };
static const char *const talks_rubbish[] = { "NOOP", "hello", NULL };
static const char *const contradicts[] = { "NOOP", "250-a\r\n251 b", NULL };
static const char *const says_too_much[] = { "NOOP", "250 a\r\n250 b", NULL };
static const char *const says_goodbye[] = { "NOOP", "250 a\r\n421 b", NULL };

#define FAILED "421 4.3.0 mx.example Internal server error\r\n"
#define ELSEWHERE "451 4.3.0 Recipient is served elsewhere, send to it alone\r\n"

static const struct {
	const char *const *quirks;
	bool without_chunking, closes;
	const char *said, *heard, *seen, *asked;
} cases[] = {
	/* one transaction, then QUIT */
	{ NULL, false, true, "DATA\r\nhi\r\n..\r\n.x\r\n.\r\nQUIT\r\n", "354 go\r\n250 queued\r\n221 bye\r\n",
	    "DATA\r\nhi\r\n..\r\n.x\r\n.\r\nQUIT\r\n", "" },
	/* two of them, pipelined, each recipient asked about */
	{ NULL, false, false,
	    "rcpt to:<b>\nDATA\r\n\r\n.\r\nMAIL FROM:<c> SIZE=3\r\nRCPT TO:<d>\r\nRCPT TO:<e>\r\nDATA\r\n.\r\n",
	    "250 rcpt\r\n354 go\r\n250 queued\r\n250 mail\r\n250 rcpt\r\n250 rcpt\r\n354 go\r\n250 queued\r\n",
	    "rcpt to:<b>\r\nDATA\r\n\r\n.\r\nMAIL FROM:<c> SIZE=3\r\nRCPT TO:<d>\r\nRCPT TO:<e>\r\nDATA\r\n.\r\n",
	    "{c MAIL FROM:<a> rcpt to:<b>}{c MAIL FROM:<c> SIZE=3 RCPT TO:<d>}{c MAIL FROM:<c> SIZE=3 RCPT TO:<e>}" },
	/* refused recipients are answered in order and do not end the session */
	{ refuses_rcpt, false, false, "RCPT TO:<elsewhere>\r\nRCPT TO:<b>\r\nRCPT TO:<wrong>\r\nRCPT TO:<full>\r\n"
	    "RCPT TO:<later>\r\nNOOP\r\n",
	    ELSEWHERE "250 rcpt\r\n550 5.7.1 Refused\r\n452 full\r\n" SMTP_INTERNAL "250-noop\r\n250 still\r\n",
	    "RCPT TO:<b>\r\nRCPT TO:<full>\r\nNOOP\r\n",
	    "{c MAIL FROM:<a> RCPT TO:<elsewhere>}{c MAIL FROM:<a> RCPT TO:<b>}{c MAIL FROM:<a> RCPT TO:<wrong>}"
	    "{c MAIL FROM:<a> RCPT TO:<full>}{c MAIL FROM:<a> RCPT TO:<later>}" },
	/* RSET and refused MAIL leave no transaction */
	{ NULL, false, false, "RSET\r\nRCPT TO:<b>\r\nMAIL FROM:<b>\r\nMAIL FROM:<b>\r\n",
	    "250 rset\r\n" SMTP_SEQUENCE "250 mail\r\n" SMTP_SEQUENCE, "RSET\r\nMAIL FROM:<b>\r\n", "" },
	{ refuses_mail, false, false, "RSET\r\nMAIL FROM:<bad>\r\nRCPT TO:<b>\r\n",
	    "250 rset\r\n550 no\r\n" SMTP_SEQUENCE, "RSET\r\nMAIL FROM:<bad>\r\n", "" },
	{ refuses_rset, false, false, "RSET\r\nRCPT TO:<b>\r\n", "502 what\r\n250 rcpt\r\n", "RSET\r\nRCPT TO:<b>\r\n",
	    "{c MAIL FROM:<a> RCPT TO:<b>}" },
	/* what DATA's answers mean */
	{ refuses_data, false, false, "DATA\r\nRSET\r\n", "554-no valid\r\n554 recipients\r\n250 rset\r\n",
	    "DATA\r\nRSET\r\n", "" },
	{ refuses_text, false, false, "DATA\r\n.\r\nRCPT TO:<b>\r\n", "354 go\r\n451 no disk\r\n" SMTP_SEQUENCE,
	    "DATA\r\n.\r\n", "" },
	/* chunks */
	{ NULL, false, false, "BDAT 8\r\nQUIT\r\n.\rbdat 6 last\r\n\r\n.\r\nxNOOP\r\n",
	    "250 chunk\r\n250 chunk\r\n250-noop\r\n250 still\r\n",
	    "BDAT 8\r\nQUIT\r\n.\rbdat 6 last\r\n\r\n.\r\nxNOOP\r\n", "" },
	{ NULL, false, false, "BDAT 0\r\nBDAT 0 LAST\r\nRCPT TO:<b>\r\n", "250 chunk\r\n250 chunk\r\n" SMTP_SEQUENCE,
	    "BDAT 0\r\nBDAT 0 LAST\r\n", "" },
	{ NULL, true, false, "BDAT 6\r\nQUIT\r\nBDAT 2 LAST\r\n..", "250 chunk\r\n250 chunk\r\n",
	    "BDAT 0\r\nBDAT 6\r\nQUIT\r\nBDAT 2 LAST\r\n..", "" },
	{ refuses_chunk, true, false, "BDAT 14\r\nXCLIENT ADDR=1RSET\r\n", "552 too much\r\n250 rset\r\n",
	    "BDAT 0\r\nRSET\r\n", "" },
	{ NULL, false, false, "RSET\r\nBDAT 9 LAST\r\nXCLIENT\r\nNOOP\r\n",
	    "250 rset\r\n" SMTP_SEQUENCE "250-noop\r\n250 still\r\n",
	    "RSET\r\nNOOP\r\n", "" },
	{ NULL, false, false, "BDAT\r\nBDAT x\r\nBDAT 1 2\r\n", SMTP_ARGUMENT SMTP_ARGUMENT SMTP_ARGUMENT, "", "" },
	/* EHLO and HELO are ours */
	{ NULL, false, false, "EHLO d\r\nRCPT TO:<b>\r\nMAIL FROM:<b>\r\nRCPT TO:<b>\r\n",
	    "250-mx.example\r\n250-PIPELINING\r\n250 CHUNKING\r\n" SMTP_SEQUENCE "250 mail\r\n250 rcpt\r\n",
	    "RSET\r\nMAIL FROM:<b>\r\nRCPT TO:<b>\r\n", "{d MAIL FROM:<b> RCPT TO:<b>}" },
	{ NULL, false, false, "HELO d\r\nEHLO\r\nEHLO a b\r\n", "250 mx.example\r\n" SMTP_ARGUMENT SMTP_ARGUMENT,
	    "RSET\r\n", "" },
	{ refuses_rset, false, false, "EHLO d\r\n", SMTP_INTERNAL, "RSET\r\n", "" },
	{ hangs_up_on_rset, false, true, "EHLO d\r\nNOOP\r\n", "421 off\r\n", "RSET\r\n", "" },
	/* what does not pass */
	{ NULL, false, false, "AUTH PLAIN x\r\nSTARTTLS\r\nVRFY a\r\nXCLIENT ADDR=1.1.1.1\r\nNOOP\r\n",
	    SMTP_SEQUENCE SMTP_SEQUENCE SMTP_INVALID SMTP_INVALID "250-noop\r\n250 still\r\n", "NOOP\r\n", "" },
	{ NULL, false, false, "MAIL\r\nRCPT\r\nRCPT TO:<\x01>\r\nNOOP \x7f\r\nNOOP\rRSET\r\nRCPT TO:<\r>\r\n",
	    SMTP_ARGUMENT SMTP_ARGUMENT SMTP_ARGUMENT SMTP_ARGUMENT SMTP_INVALID SMTP_ARGUMENT, "", "" },
	{ NULL, false, true, "1\n2\n3\n4\n5\n6\n7\n",
	    SMTP_INVALID SMTP_INVALID SMTP_INVALID SMTP_INVALID SMTP_INVALID, "", "" },
	/* dots */
	{ NULL, false, true, "DATA\r\nx\n.\nMAIL FROM:<evil>\r\n",
	    "354 go\r\n554 5.6.0 Dot between bare line ends\r\n", NULL, "" },
	{ NULL, false, true, "DATA\r\nx\r\n.\rMAIL FROM:<evil>\r\n",
	    "354 go\r\n554 5.6.0 Dot between bare line ends\r\n", NULL, "" },
	/* odd backends */
	{ hangs_up, false, true, "NOOP\r\nRSET\r\n", "421-I am\r\n421 off\r\n", "NOOP\r\n", "" },
	{ talks_rubbish, false, true, "NOOP\r\nRSET\r\n", FAILED, "NOOP\r\n", "" },
	{ contradicts, false, true, "NOOP\r\nRSET\r\n", "250-a\r\n", "NOOP\r\n", "" },
	{ says_too_much, false, true, "NOOP\r\n", "250 a\r\n" FAILED, "NOOP\r\n", "" },
	{ says_goodbye, false, true, "NOOP\r\n", "250 a\r\n421 b\r\n", "NOOP\r\n", "" },
};

static void
check_case(size_t i, size_t cut, size_t sip_size, size_t room)
{
	size_t len = strlen(cases[i].said);
	struct world w;

	world_init(&w, !cases[i].without_chunking, cases[i].quirks, sip_size, room);
	say(&w, cases[i].said, cut);
	say(&w, cases[i].said + cut, len - cut);
	check_text(&w.heard, cases[i].heard, strlen(cases[i].heard));
	if (cases[i].seen != NULL)
		check_text(&w.backend.seen, cases[i].seen, strlen(cases[i].seen));
	check_text(&w.asked, cases[i].asked, strlen(cases[i].asked));
	ck_assert(w.closed == cases[i].closes);
	ck_assert(w.closed || (smtp_gate_idle(w.gate) && smtp_gate_client_turn(w.gate)));
	world_reset(&w);
}

START_TEST(a_session_is_the_same_however_it_is_cut_and_sipped)
{
	static const struct {
		size_t sip, room;
	} pipes[] = { { PLENTY, PLENTY }, { 1, 1 }, { 3, 7 } };

	for (int p = 0; p < COUNT(pipes); p++)
		for (size_t cut = 0; cut <= strlen(cases[_i].said); cut++)
			check_case((size_t)_i, cut, pipes[p].sip, pipes[p].room);
}
END_TEST

START_TEST(chunks_pass_byte_for_byte)
{
	static const char said[] = "BDAT 6\r\n\0\r\n.\r\nBDAT 4 LAST\r\n\xff\0\n\rNOOP\r\n";
	static const char heard[] = "250 chunk\r\n250 chunk\r\n250-noop\r\n250 still\r\n";

	for (size_t cut = 0; cut < sizeof(said); cut++) {
		struct world w;

		world_init(&w, true, NULL, cut % 5 + 1, cut % 3 + 1);
		say(&w, said, cut);
		say(&w, said + cut, sizeof(said) - 1 - cut);
		ck_assert_uint_eq(w.backend.seen.len, sizeof(said) - 1);
		ck_assert_mem_eq(buf_head(&w.backend.seen), said, sizeof(said) - 1);
		check_text(&w.heard, heard, sizeof(heard) - 1);
		world_reset(&w);
	}
}
END_TEST

START_TEST(nul_in_a_command_is_refused)
{
	struct world w;

	world_init(&w, true, NULL, PLENTY, PLENTY);
	say(&w, "RCPT TO:<a\0>\r\nNO\0P\r\n", 21);
	check_text(&w.heard, SMTP_ARGUMENT SMTP_INVALID, strlen(SMTP_ARGUMENT SMTP_INVALID));
	ck_assert_uint_eq(w.backend.seen.len, 0);
	world_reset(&w);
}
END_TEST

START_TEST(a_gate_closes_at_once_where_the_first_recipient_got_421)
{
	struct scene scene;
	struct smtp_gate *gate;
	struct buf nothing;

	scene_init(&scene, PROTOCOL_SMTP, METHOD_NONE, capabilities);
	gate = smtp_scene_gate(&scene, true, "421 r");
	buf_init(&nothing, 0);
	ck_assert_int_eq(smtp_gate_step(gate, &nothing, &nothing, &nothing, &nothing), GATE_CLOSE);
	smtp_gate_free(&gate);
}
END_TEST

START_TEST(a_refused_first_recipient_is_no_recipient)
{
	struct world w;

	world_init(&w, true, NULL, PLENTY, PLENTY);
	smtp_gate_free(&w.gate);
	w.gate = smtp_scene_gate(&w.scene, true, "550 r");
	say(&w, "BDAT 6 LAST\r\nNOOP\r\n", 19);
	check_text(&w.heard, SMTP_SEQUENCE, strlen(SMTP_SEQUENCE));
	ck_assert_uint_eq(w.backend.seen.len, 0);
	world_reset(&w);
}
END_TEST

START_TEST(the_turn_is_whose_silence_it_is)
{
	static const char *const mute[] = { "NOOP", "", NULL };
	struct world w;

	world_init(&w, true, mute, PLENTY, 8);
	ck_assert(smtp_gate_client_turn(w.gate) && smtp_gate_idle(w.gate));
	say(&w, "DATA\r\nx", 7);
	ck_assert(smtp_gate_client_turn(w.gate));               /* text is to come */
	w.sip = 0;
	say(&w, "a long line that does not fit\r\n.\r\n", 34);
	ck_assert(!smtp_gate_client_turn(w.gate));              /* the backend does not read it */
	w.sip = PLENTY;
	run(&w);
	say(&w, "NOOP\r\n", 6);
	ck_assert(!smtp_gate_client_turn(w.gate) && smtp_gate_idle(w.gate));
	buf_add_text(&w.from_server, "250-half\r\n");
	run(&w);
	ck_assert(!smtp_gate_client_turn(w.gate) && !smtp_gate_idle(w.gate));
	buf_add_text(&w.from_server, "250 whole\r\n");
	w.sip = 0;
	run(&w);
	ck_assert(smtp_gate_client_turn(w.gate) && !smtp_gate_idle(w.gate));    /* the client does not read it */
	world_reset(&w);
}
END_TEST

START_TEST(a_note_says_what_closed_the_session)
{
	static const struct {
		const char *const *quirks;
		const char *said, *note;
	} notes[] = {
		{ NULL, "QUIT\r\n", "" },
		{ NULL, "1\n2\n3\n4\n5\n6\n", "client sent too many invalid commands" },
		{ NULL, "DATA\r\n\n.\n", "client sent a dot between bare line ends in its message" },
		{ talks_rubbish, "NOOP\r\n", "upstream sent invalid response: \"hello\"" },
	};

	for (int i = 0; i < COUNT(notes); i++) {
		struct world w;

		world_init(&w, true, notes[i].quirks, PLENTY, PLENTY);
		say(&w, notes[i].said, strlen(notes[i].said));
		ck_assert(w.closed);
		ck_assert_str_eq(smtp_gate_note(w.gate), notes[i].note);
		world_reset(&w);
	}
}
END_TEST

START_TEST(lines_are_bounded_on_both_sides)
{
	char line[5000];
	struct world w;

	memset(line, 'x', sizeof(line));
	memcpy(line, "NOOP ", 5);
	world_init(&w, true, NULL, PLENTY, PLENTY);
	say(&w, line, sizeof(line));
	ck_assert(w.closed);
	check_text(&w.heard, SMTP_INVALID, strlen(SMTP_INVALID));
	ck_assert_str_eq(smtp_gate_note(w.gate), "client sent too long command \"NOOP...\"");
	world_reset(&w);
	memcpy(line, "250 ", 4);
	world_init(&w, true, (const char *const[]){ "NOOP", "", NULL }, PLENTY, PLENTY);
	say(&w, "NOOP\r\n", 6);
	buf_add(&w.from_server, line, sizeof(line));
	run(&w);
	ck_assert(w.closed);
	check_text(&w.heard, FAILED, strlen(FAILED));
	world_reset(&w);
}
END_TEST

Suite *
smtp_gate_suite(void)
{
	Suite *suite = suite_create("smtp_gate");
	TCase *tcase = tcase_create("smtp_gate");

	tcase_add_loop_test(tcase, a_session_is_the_same_however_it_is_cut_and_sipped, 0, COUNT(cases));
	tcase_add_test(tcase, chunks_pass_byte_for_byte);
	tcase_add_test(tcase, nul_in_a_command_is_refused);
	tcase_add_test(tcase, a_gate_closes_at_once_where_the_first_recipient_got_421);
	tcase_add_test(tcase, a_refused_first_recipient_is_no_recipient);
	tcase_add_test(tcase, the_turn_is_whose_silence_it_is);
	tcase_add_test(tcase, a_note_says_what_closed_the_session);
	tcase_add_test(tcase, lines_are_bounded_on_both_sides);
	suite_add_tcase(suite, tcase);
	return suite;
}
