#include "test/unit/httpscene.h"

#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "test/unit/unit.h"

struct httpscene scene;

static void
on_header(void *ctx, const char *field, const char *value)
{
	struct http_asked *asked = ctx;
	size_t len = strlen(asked->headers);

	snprintf(asked->headers + len, sizeof(asked->headers) - len, "%s=%s;", field, value);
}

static void
on_end(void *ctx, const struct http_result *result)
{
	struct http_asked *asked = ctx;

	asked->ended++;
	asked->outcome = result->outcome;
	asked->status = result->head->status;
	snprintf(asked->reason, sizeof(asked->reason), "%s", result->reason != NULL ? result->reason : "");
	if (result->outcome == HTTP_BODY_GARBLED)
		snprintf(asked->reason, sizeof(asked->reason), "%s", result->head->reason);
	if (result->body != NULL)
		snprintf(asked->body, sizeof(asked->body), "%.*s", (int)result->body->len, buf_head(result->body));
	ck_assert_ptr_null(asked->call.link);
	if (asked->then != NULL)
		http_client_start(scene.client, &asked->then->call);
}

void
httpscene_prepare(struct http_asked *asked)
{
	*asked = (struct http_asked){ .ended = 0 };
	buf_init(&asked->request, 65536);
	buf_add_text(&asked->request, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	asked->call = (struct http_call){
		.request = &asked->request, .head_max = 1024, .limit_ms = HTTPSCENE_LIMIT_MS, .tls = scene.tls,
		.on_header = on_header, .on_end = on_end, .ctx = asked,
	};
}

void
httpscene_start(struct http_asked *asked)
{
	httpscene_prepare(asked);
	http_client_start(scene.client, &asked->call);
}

void
httpscene_finish(struct http_asked *asked)
{
	while (asked->ended == 0)
		loop_turn(scene.loop, -1);
	buf_reset(&asked->request);
}

void
httpscene_settle(void)
{
	for (int i = 0; i < 10; i++)
		loop_turn(scene.loop, 0);
}

enum http_outcome
httpscene_ask(void)
{
	struct http_asked asked;

	httpscene_start(&asked);
	httpscene_finish(&asked);
	ck_assert_uint_eq(asked.ended, 1);
	return asked.outcome;
}

void
httpscene_serve(const struct scripted_step *steps, int count)
{
	scene.server = scripted_new(scene.loop, steps, (size_t)count);
	scene.name = (struct conf_name){ .text = "x", .found = mem_alloc(sizeof(struct endpoint)), .found_count = 1 };
	endpoint_copy(scene.name.found, scripted_at(scene.server));
	scene.client = http_client_new(&scene.name, &scene.keep, scene.loop, NULL);
}

void
httpscene_open(void)
{
	scene.loop = loop_new(64);
	scene.keep = (struct http_keep){ .connections = 32, .requests = 1000, .idle_ms = 60000 };
}

void
httpscene_close(void)
{
	http_client_free(&scene.client);
	if (scene.server != NULL)
		scripted_free(&scene.server);
	loop_turn(scene.loop, 0);
	mem_free(scene.name.found);
	scene.name.found = NULL;
	loop_free(&scene.loop);
}
