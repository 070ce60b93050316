/*
 * The input is what a client says, a line "====", and what a backend answers, a line (or
 * more that belong together) for each time that it is asked. The backend believes what it
 * reads: should anything but the commands that may pass ever stand where it looks for a
 * command, then that was smuggled.
 */
#include <string.h>

#include "common/must.h"
#include "test/fuzz/fuzz.h"
#include "test/unit/smtp_scene.h"
#include "worker/proto/smtp_words.h"

#define LIMIT 65536

enum mode { COMMANDS, TEXT, CHUNK };

struct backend {
	struct buf got, answers;        /* not read, or not given yet */
	enum mode mode;
	uint64_t chunk;
	bool may_chunk;
	char tail[5];                   /* of the text: the bytes before the next one */
};

/* Gives its next answer and returns the code, or 0 for none that could be understood. */
static unsigned
answer(struct backend *b, struct buf *from_server)
{
	struct smtp_reply reply = { 0 };
	struct line line;

	do {
		enum line_state found = line_next(&b->answers, LIMIT, &line);

		MUST(buf_add(from_server, line.text, line.taken) == 0);
		if (found != LINE_DONE || !smtp_read_reply(&reply, &line))
			reply = (struct smtp_reply){ 0 };
		buf_take(&b->answers, line.taken);
	} while (reply.open);
	return reply.code;
}

static void
begin_text(struct backend *b)
{
	b->mode = TEXT;
	memcpy(b->tail, "   \r\n", sizeof(b->tail));
}

static void
begin_chunk(struct backend *b, const struct line *args, struct buf *from_server)
{
	bool last;

	MUST(smtp_read_bdat(args, &b->chunk, &last));
	MUST(b->may_chunk || b->chunk == 0);
	if (b->chunk > 0)
		b->mode = CHUNK;
	else
		b->may_chunk |= answer(b, from_server) / 100 == 2;
}

/* False when there is no whole one. */
static bool
read_command(struct backend *b, struct buf *from_server)
{
	struct line line, args;
	enum line_state found = line_next(&b->got, LIMIT, &line);

	if (found == LINE_MORE)
		return false;
	MUST(found == LINE_DONE && smtp_is_clean(&line));
	switch (smtp_command(&line, &args)) {
	case SMTP_BDAT:
		begin_chunk(b, &args, from_server);
		break;
	case SMTP_DATA:
		if (answer(b, from_server) == 354)
			begin_text(b);
		break;
	case SMTP_MAIL:
	case SMTP_RCPT:
	case SMTP_RSET:
	case SMTP_NOOP:
	case SMTP_QUIT:
		answer(b, from_server);
		break;
	default:
		must_die("a command passed that may not");
	}
	buf_take(&b->got, line.taken);
	return true;
}

static bool
is_end(char byte)
{
	return byte == '\r' || byte == '\n';
}

/* No server may see a line with a dot alone but the one that ends the text for all of them. */
static void
read_text(struct backend *b, struct buf *from_server)
{
	char *tail = b->tail, byte = *buf_head(&b->got);

	if (is_end(byte) && tail[4] == '.' && is_end(tail[3]))
		MUST(byte == '\r' && memcmp(tail + 2, "\r\n.", 3) == 0);
	if (memcmp(tail + 1, "\r\n.\r", 4) == 0) {
		MUST(byte == '\n');
		b->mode = COMMANDS;
	}
	memmove(tail, tail + 1, 4);
	tail[4] = byte;
	buf_take(&b->got, 1);
	if (b->mode == COMMANDS)
		answer(b, from_server);
}

static void
read_chunk(struct backend *b, struct buf *from_server)
{
	size_t len = b->chunk < b->got.len ? (size_t)b->chunk : b->got.len;

	buf_take(&b->got, len);
	b->chunk -= len;
	if (b->chunk > 0)
		return;
	b->mode = COMMANDS;
	answer(b, from_server);
}

static void
serve(struct backend *b, struct buf *to_server, struct buf *from_server)
{
	bool more = true;

	MUST(buf_add(&b->got, buf_head(to_server), to_server->len) == 0);
	buf_take(to_server, to_server->len);
	while (more && b->got.len > 0) {
		if (b->mode == COMMANDS)
			more = read_command(b, from_server);
		else if (b->mode == TEXT)
			read_text(b, from_server);
		else
			read_chunk(b, from_server);
	}
}

/* A session: what the client has yet to say goes in pieces of `room` bytes. */
struct session {
	struct backend backend;
	struct buf said, from_client, from_server, to_client, to_server;
	size_t room;
};

/* Everybody reads and writes. False when there is nothing to read or write. */
static bool
exchange(struct session *s)
{
	size_t len = s->said.len < s->room ? s->said.len : s->room;
	bool moved = len + s->to_client.len + s->to_server.len > 0;

	buf_take(&s->to_client, s->to_client.len);
	serve(&s->backend, &s->to_server, &s->from_server);
	MUST(buf_add(&s->from_client, buf_head(&s->said), len) == 0);
	buf_take(&s->said, len);
	return moved;
}

static void
run(struct session *s, struct smtp_gate *gate)
{
	static const struct refusal wrong = { .kind = REFUSAL_WRONG };

	for (;;) {
		switch (smtp_gate_step(gate, &s->from_client, &s->from_server, &s->to_client, &s->to_server)) {
		case GATE_AGAIN:
			break;
		case GATE_ASK:
			smtp_gate_answer(gate, strstr(smtp_gate_credentials(gate)->rcpt, "no") ? &wrong : NULL,
			    &s->to_client);
			break;
		case GATE_MORE:
			if (exchange(s))
				break;
			return;
		case GATE_CLOSE:
			exchange(s);
			return;
		}
	}
}

static void
try_gate(const char *said, size_t said_len, const char *answers, size_t answers_len, size_t room, bool may_chunk)
{
	static const char *capabilities[] = { "CHUNKING", NULL };
	struct session s = { .backend.may_chunk = may_chunk, .room = room };
	struct buf *const queues[] = { &s.said, &s.from_client, &s.from_server, &s.to_client, &s.to_server,
		&s.backend.got, &s.backend.answers };
	struct smtp_gate *gate;
	struct scene scene;

	for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++)
		buf_init(queues[i], LIMIT);
	s.to_client.limit = s.to_server.limit = room;
	MUST(buf_add(&s.said, said, said_len) == 0 && buf_add(&s.backend.answers, answers, answers_len) == 0);
	scene_init(&scene, PROTOCOL_SMTP, METHOD_NONE, capabilities);
	gate = smtp_scene_gate(&scene, may_chunk, "250 r");
	run(&s, gate);
	smtp_gate_free(&gate);
	for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++)
		buf_reset(queues[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char mark[] = "====\n";
	const char *said = (const char *)data, *end = size == 0 ? NULL : memmem(said, size, mark, strlen(mark));
	size_t said_len = end == NULL ? size : (size_t)(end - said);
	const char *answers = end == NULL ? said + size : end + strlen(mark);
	size_t answers_len = (size_t)(said + size - answers);

	if (size > LIMIT / 2)
		return 0;
	try_gate(said, said_len, answers, answers_len, 4096, true);
	try_gate(said, said_len, answers, answers_len, 5, true);
	try_gate(said, said_len, answers, answers_len, 64, false);
	return 0;
}
