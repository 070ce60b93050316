/*
 * scripted - a server in the test's own loop that answers as it was told
 *
 * It takes each request, with its body if that has a length, and plays the next step of its script; the
 * last step is played again and again. Whatever its client does, it says what it heard.
 */
#ifndef POSTERN_TEST_UNIT_SCRIPTED_H
#define POSTERN_TEST_UNIT_SCRIPTED_H

#include <stdbool.h>
#include <stddef.h>

#include "common/addr.h"
#include "common/loop.h"

struct scripted;

struct scripted_step {
	const char *reply;      /* NULL: silence */
	size_t cut;             /* so many bytes of it in this turn, the others in a later one; 0: all at once */
	bool close;             /* after the reply */
};

/* Listens on a free port of 127.0.0.1; `steps` are borrowed. */
struct scripted *scripted_new(struct loop *loop, const struct scripted_step *steps, size_t count);
void scripted_free(struct scripted **serverp);

/* From now on it speaks TLS with whoever comes; `tls` is borrowed. */
struct conf_tls;
void scripted_secure(struct scripted *server, const struct conf_tls *tls);

/* Where it listens. */
const struct endpoint *scripted_at(const struct scripted *server);

/* What has come so far: connections, whole requests, and the last of them. */
unsigned scripted_connections(const struct scripted *server);
unsigned scripted_requests(const struct scripted *server);
const char *scripted_request(const struct scripted *server);

/* Connections that are open now. */
unsigned scripted_open(const struct scripted *server);

/* Says something unasked on every connection, or closes them all. */
void scripted_say(struct scripted *server, const char *text);
void scripted_hang_up(struct scripted *server);

#endif
