/*
 * webscene - a worker's surroundings, just large enough to ask a source of several HTTP servers
 *
 * There are WEB_SERVERS servers in the test's loop at most, each with a script of its own.
 */
#ifndef POSTERN_TEST_UNIT_WEBSCENE_H
#define POSTERN_TEST_UNIT_WEBSCENE_H

#include "test/unit/scripted.h"
#include "worker/auth/auth.h"

#define WEB_SERVERS 3
#define WEB_TIMEOUT_MS 1200             /* auth_http_timeout */
#define WEB_FAIL_TIMEOUT_MS 10000

struct webscene {
	struct loop *loop;
	struct auth *auth;
	struct scripted *servers[WEB_SERVERS];  /* NULL: nobody is there */
	struct conf conf;
	struct conf_name names[WEB_SERVERS];
	struct endpoint places[WEB_SERVERS];
	struct conf_web webs[WEB_SERVERS], *web_list[WEB_SERVERS + 1];
	struct conf_source source, *sources[1];
	struct conf_auth link, *chain[2];
	struct conf_token token;
	struct server server;
	struct facts facts;
	struct addr client;
	struct log log;
	struct log_target target;       /* a file without a name; the process log goes there, too */
	struct credentials credentials;
	struct auth_question question;  /* PLAIN, joe, pw; may be changed before each question */
	/* what was answered */
	unsigned answers;
	enum auth_outcome outcome;
	char user[64], host[64], reason[256];
	uint64_t good_ms;
};

/* A source of `kind` with no server yet. */
void webscene_init(struct webscene *scene, enum source_kind kind);
void webscene_reset(struct webscene *scene);

/*
 * Adds a server, with the URI "/0", "/1" ... and the Host "host0" ...; its struct conf_web may be changed
 * until the source is opened. No steps: nobody is there.
 */
void webscene_add(struct webscene *scene, const struct scripted_step *steps, int count);
void webscene_open(struct webscene *scene);

/* Asks; and waits for the answer. */
struct auth_request *webscene_ask(struct webscene *scene);
void webscene_answer(struct webscene *scene);

/* Lets everything happen that can happen by itself. */
void webscene_settle(struct webscene *scene);

/* Everything logged so far, and how often `words` stand there. */
const char *webscene_logged(const struct webscene *scene);
unsigned webscene_count(const struct webscene *scene, const char *words);

#endif
