/*
 * dialogue - plays a whole dialogue through one half of a protocol
 *
 * The bytes come in two pieces, cut where the test says; the answers come back as one
 * text, so a case is a row of a table and a promise is that no cut changes it.
 */
#ifndef POSTERN_TEST_UNIT_DIALOGUE_H
#define POSTERN_TEST_UNIT_DIALOGUE_H

#include "worker/proto/proto.h"

/* What a test sets of a server, and facts that go with it. */
struct scene {
	struct server server;
	struct addr client;
	struct facts facts;
	/* a client's STARTTLS: what is known then, by whom it is served and what it says inside */
	struct tls_facts tls;
	const struct server *sni;       /* NULL: the same server */
	const char *inside;             /* NULL: nothing; what it said before and was not read is lost */
};

/* Capabilities: NULL-ended. Buffers of 4,096 bytes, limits that no case meets by chance. */
void scene_init(struct scene *scene, enum protocol protocol, unsigned methods, const char **capabilities);

/*
 * Everything that the client half answers, greeting first. Credentials appear as
 * "{METHOD USER PASS HELO MAIL RCPT}", those that there are; then `why` refuses them, or
 * when it is NULL `reply` lets them in and the dialogue ends, as it does at "{close}".
 * At "{starttls}" the scene tells how it goes on, once. Freed by the caller with mem_free().
 */
char *dialogue_client(const struct proto *proto, const struct scene *scene, const char *said, size_t len, size_t cut,
    const struct refusal *why, const char *reply);

/* A task whose means are the client's own credentials, as they are. */
struct login_task dialogue_task(struct scene *scene, const struct client *client,
    const struct credentials *credentials);

/*
 * What the login half sends, then "{done REPLY}", "{refused REPLY}", "{unavailable REPLY}"
 * (the note where there is none), "{broken NOTE}" or "{more}", then what it left in the input.
 *
 * With task->starttls the first byte 1 stands for the handshake, shown as "{starttls}". What
 * is left before it is where the handshake would have to be: the login is broken.
 */
char *dialogue_login(const struct login_task *task, const struct proto *proto, const char *answers, size_t len,
    size_t cut);

#endif
