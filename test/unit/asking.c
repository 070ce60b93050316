#include "test/unit/asking.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/ipc.h"
#include "test/unit/unit.h"

#define PATIENCE 600    /* turns of 100 ms at most: nobody waits so long */

void
asking_init(struct asking *a, unsigned helpers, uint64_t timeout_ms)
{
	FILE *file = tmpfile();

	ck_assert_ptr_nonnull(file);
	*a = (struct asking){
		.loop = loop_new(64),
		.target = { .kind = LOG_TO_FILE, .level = LOG_INFO, .fd = dup(fileno(file)) },
		.client = { .ip = { 198, 51, 100, 7 }, .port = 4711, .family = AF_INET },
		.server = { .protocol = PROTOCOL_POP3, .name = "mx", .log = &a->log, .auth = a->chain,
		    .auth_timeout = timeout_ms },
		.facts = { .server = &a->server, .client = &a->client, .salt = "<1896.697170952@dbc.mtview.ca.us>" },
		.source = { .kind = SOURCE_FILE, .label = "/etc/users", .methods = ~0u, .helpers = helpers },
		.sources = { &a->source },
		.link = { .source = &a->source },
		.chain = { &a->link },
		.conf = { .sources = a->sources, .source_count = 1 },
	};
	fclose(file);
	log_add(&a->log, &a->target);
	ck_assert_int_eq(ipc_pair(a->mailbox), 0);
}

void
asking_open(struct asking *a)
{
	a->source.mailbox = a->mailbox[1];
	a->auth = auth_new(&a->conf, a->loop, NULL, 1);
}

void
asking_reset(struct asking *a)
{
	loop_turn(a->loop, 0);
	auth_free(&a->auth);
	loop_free(&a->loop);
	close(a->mailbox[0]);
	close(a->mailbox[1]);
	close(a->target.fd);
}

static void
copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from != NULL ? from : "");
}

static void
on_answer(void *ctx, const struct auth_answer *answer)
{
	struct asked *asked = ctx;

	asked->answers++;
	asked->request = NULL;
	asked->outcome = answer->outcome;
	asked->port = answer->port;
	asked->epoch = answer->epoch;
	asked->ssl = answer->ssl;
	ck_assert_str_eq(answer->source->label, "/etc/users");
	copy(asked->user, sizeof(asked->user), answer->user);
	copy(asked->pass, sizeof(asked->pass), answer->pass);
	copy(asked->host, sizeof(asked->host), answer->host);
	copy(asked->text, sizeof(asked->text), answer->text);
	copy(asked->reason, sizeof(asked->reason), answer->reason);
}

void
asking_prepare(struct asking *a, struct asked *asked, const char *user, const char *pass)
{
	*asked = (struct asked){
		.credentials = { .method = METHOD_PLAIN, .user = (char *)(uintptr_t)user, .pass = (char *)(uintptr_t)pass },
	};
	asked->question = (struct auth_question){
		.server = &a->server, .facts = &a->facts, .credentials = &asked->credentials, .attempt = 1, .connection = 17,
	};
}

void
asking_ask(struct asking *a, struct asked *asked)
{
	asked->request = auth_ask(a->auth, &asked->question, on_answer, asked);
	ck_assert_uint_eq(asked->answers, 0);
}

void
asking_wait(struct asking *a, const struct asked *asked)
{
	for (int i = 0; i < PATIENCE && asked->answers == 0; i++)
		loop_turn(a->loop, 100);
	ck_assert_uint_eq(asked->answers, 1);
}

const char *
asking_logged(const struct asking *a)
{
	static char lines[8192];
	ssize_t len = pread(a->target.fd, lines, sizeof(lines) - 1, 0);

	ck_assert_int_ge(len, 0);
	lines[len] = '\0';
	return lines;
}
