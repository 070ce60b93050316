/*
 * asking - a worker's surroundings, just large enough to ask a source behind a mailbox
 */
#ifndef POSTERN_TEST_UNIT_ASKING_H
#define POSTERN_TEST_UNIT_ASKING_H

#include "common/addr.h"
#include "common/conf.h"
#include "common/loop.h"
#include "worker/auth/auth.h"

/* One question and what became of it. Texts are "" where the answer has none. */
struct asked {
	struct auth_question question;
	struct credentials credentials;
	struct auth_request *request;   /* NULL once it is answered or cancelled */
	unsigned answers;
	enum auth_outcome outcome;
	char user[64], pass[64], host[64], text[64], reason[128];
	unsigned port;
	uint64_t epoch;
	enum auth_ssl ssl;
};

struct asking {
	struct loop *loop;
	struct auth *auth;
	int mailbox[2];                 /* [0] is the helpers' end */
	struct conf conf;
	struct conf_source source, *sources[1];
	struct conf_auth link, *chain[2];       /* the server asks that source alone */
	struct server server;
	struct facts facts;
	struct addr client;
	struct log log;
	struct log_target target;       /* a file without a name */
};

void asking_init(struct asking *a, unsigned helpers, uint64_t timeout_ms);
void asking_reset(struct asking *a);

/* Opens the source; before it, the settings in `a` may be changed. */
void asking_open(struct asking *a);

/* Asks with PLAIN unless the credentials are changed between the two calls. Texts are borrowed. */
void asking_prepare(struct asking *a, struct asked *asked, const char *user, const char *pass);
void asking_ask(struct asking *a, struct asked *asked);

/* Turns the loop until `asked` has its answer. */
void asking_wait(struct asking *a, const struct asked *asked);

/* Everything logged so far. */
const char *asking_logged(const struct asking *a);

#endif
