#include "test/unit/webscene.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "test/unit/unit.h"

static const char *const uris[WEB_SERVERS] = { "/0", "/1", "/2" };
static const char *const hosts[WEB_SERVERS] = { "host0", "host1", "host2" };

void
webscene_init(struct webscene *scene, enum source_kind kind)
{
	FILE *file = tmpfile();

	ck_assert_ptr_nonnull(file);
	*scene = (struct webscene){
		.loop = loop_new(64),
		.source = {
			.kind = kind, .label = "the source", .servers = scene->web_list, .token = &scene->token,
			.keepalive = 32, .keepalive_requests = 1000, .keepalive_timeout = 60000,
		},
		.sources = { &scene->source },
		.link = { .source = &scene->source },
		.chain = { &scene->link },
		.conf = { .sources = scene->sources, .source_count = 1 },
		.client = { .ip = { 198, 51, 100, 7 }, .port = 4711, .family = AF_INET },
		.server = {
			.protocol = PROTOCOL_IMAP, .log = &scene->log, .auth = scene->chain,
			.auth_http_timeout = WEB_TIMEOUT_MS, .auth_http_buffer = 1024,
		},
		.facts = { .server = &scene->server, .client = &scene->client },
		.credentials = {
			.method = METHOD_PLAIN, .user = (char *)(uintptr_t)"joe", .pass = (char *)(uintptr_t)"pw",
		},
		.question = {
			.server = &scene->server, .facts = &scene->facts, .credentials = &scene->credentials, .attempt = 1,
		},
		.target = { .kind = LOG_TO_FILE, .level = LOG_INFO, .fd = dup(fileno(file)) },
	};
	scene->source.methods = ~0u;
	fclose(file);
	log_add(&scene->log, &scene->target);
	log_use(&scene->log);
}

void
webscene_reset(struct webscene *scene)
{
	auth_free(&scene->auth);
	for (int i = 0; i < WEB_SERVERS; i++)
		if (scene->servers[i] != NULL)
			scripted_free(&scene->servers[i]);
	loop_turn(scene->loop, 0);
	loop_free(&scene->loop);
	log_use(NULL);
	close(scene->target.fd);
}

void
webscene_add(struct webscene *scene, const struct scripted_step *steps, int count)
{
	size_t i = 0;

	while (scene->web_list[i] != NULL)
		i++;
	scene->places[i] = (struct endpoint){ .addr.family = AF_UNIX, .path = (char *)(uintptr_t)"/nonexistent/auth" };
	if (count > 0) {
		scene->servers[i] = scripted_new(scene->loop, steps, (size_t)count);
		scene->places[i] = *scripted_at(scene->servers[i]);
	}
	scene->names[i] = (struct conf_name){ .text = hosts[i], .found = &scene->places[i], .found_count = 1 };
	scene->webs[i] = (struct conf_web){
		.name = &scene->names[i], .host = hosts[i], .uri = uris[i], .label = hosts[i],
		.weight = 1, .max_fails = 1, .fail_timeout = WEB_FAIL_TIMEOUT_MS,
	};
	scene->web_list[i] = &scene->webs[i];
}

void
webscene_open(struct webscene *scene)
{
	scene->auth = auth_new(&scene->conf, scene->loop, NULL, 1);
}

static void
copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from != NULL ? from : "");
}

static void
on_answer(void *ctx, const struct auth_answer *answer)
{
	struct webscene *scene = ctx;

	scene->answers++;
	scene->outcome = answer->outcome;
	scene->good_ms = answer->good_ms;
	copy(scene->user, sizeof(scene->user), answer->user);
	copy(scene->host, sizeof(scene->host), answer->host);
	copy(scene->reason, sizeof(scene->reason), answer->reason);
}

struct auth_request *
webscene_ask(struct webscene *scene)
{
	unsigned before = scene->answers;
	struct auth_request *request = auth_ask(scene->auth, &scene->question, on_answer, scene);

	ck_assert_uint_eq(scene->answers, before);
	return request;
}

void
webscene_answer(struct webscene *scene)
{
	unsigned before = scene->answers;

	webscene_ask(scene);
	while (scene->answers == before)
		loop_turn(scene->loop, -1);
	webscene_settle(scene);
	ck_assert_uint_eq(scene->answers, before + 1);
}

void
webscene_settle(struct webscene *scene)
{
	for (int i = 0; i < 10; i++)
		loop_turn(scene->loop, 0);
}

const char *
webscene_logged(const struct webscene *scene)
{
	static char lines[16384];
	ssize_t len = pread(scene->target.fd, lines, sizeof(lines) - 1, 0);

	ck_assert_int_ge(len, 0);
	lines[len] = '\0';
	return lines;
}

unsigned
webscene_count(const struct webscene *scene, const char *words)
{
	unsigned count = 0;

	for (const char *at = webscene_logged(scene); (at = strstr(at, words)) != NULL; at += strlen(words))
		count++;
	return count;
}
