/*
 * httpscene - a client of one scripted HTTP server, and its calls
 *
 * Open the scene, change `keep` or `tls` if that is what it is about, serve, ask.
 */
#ifndef POSTERN_TEST_UNIT_HTTPSCENE_H
#define POSTERN_TEST_UNIT_HTTPSCENE_H

#include "common/buf.h"
#include "common/conf.h"
#include "common/loop.h"
#include "test/unit/scripted.h"
#include "worker/net/http_client.h"

#define HTTPSCENE_LIMIT_MS 1000
#define HTTPSCENE_HEAD "HTTP/1.1 200 OK\r\n"
#define HTTPSCENE_EMPTY HTTPSCENE_HEAD "Auth-Status: OK\r\nContent-Length: 0\r\n\r\n"
#define HTTPSCENE_STEPS(steps) steps, UNIT_COUNT(steps)

/* An answer with everything in it, for those who cut it; the places where it can be cut are below HTTPSCENE_CUTS. */
#define HTTPSCENE_WHOLE HTTPSCENE_HEAD "A: b\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
#define HTTPSCENE_CUTS ((int)sizeof(HTTPSCENE_WHOLE) - 1)

extern struct httpscene {
	struct loop *loop;
	struct scripted *server;
	struct conf_name name;
	struct http_client *client;
	struct http_keep keep;
	const struct conf_tls *tls;     /* of the calls; NULL: http */
} scene;

/* One call and what became of it. */
struct http_asked {
	struct http_call call;
	struct buf request;
	unsigned ended;
	enum http_outcome outcome;
	unsigned status;
	char headers[256], reason[256], body[256];
	struct http_asked *then;        /* asked when this one has ended, from within */
};

void httpscene_open(void);
void httpscene_close(void);

/* Starts the server, in the scene's loop, and the client. */
void httpscene_serve(const struct scripted_step *steps, int count);

/* A call of GET /, which may be changed before it starts. */
void httpscene_prepare(struct http_asked *asked);

/* The same, started; and waits for its end. */
void httpscene_start(struct http_asked *asked);
void httpscene_finish(struct http_asked *asked);

/* Both, for those who want to know the outcome alone. */
enum http_outcome httpscene_ask(void);

/* Lets everything happen that can happen by itself. */
void httpscene_settle(void);

#endif
