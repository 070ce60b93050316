#include "test/unit/dialogue.h"

#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/must.h"

#define TRANSCRIPT_MAX 262144

void
scene_init(struct scene *scene, enum protocol protocol, unsigned methods, const char **capabilities)
{
	memset(scene, 0, sizeof(*scene));
	scene->server.protocol = protocol;
	scene->server.name = "mx.example";
	scene->server.max_errors = 5;
	scene->server.max_commands = 1000;
	scene->server.proxy_buffer = 4096;
	scene->server.protocols[protocol].methods = methods;
	scene->server.protocols[protocol].capabilities = capabilities;
	scene->server.protocols[protocol].client_buffer = 4096;
	addr_parse(&scene->client, "192.0.2.1", 9);
	scene->facts = (struct facts){
		.server = &scene->server,
		.client = &scene->client,
		.client_host = "[UNAVAILABLE]",
		.salt = "<1.2@mx.example>",
	};
}

static char *
finish(struct buf *transcript)
{
	char *text = mem_strndup(transcript->len > 0 ? buf_head(transcript) : "", transcript->len);

	buf_reset(transcript);
	return text;
}

static void
show_credentials(const struct credentials *c, struct buf *out)
{
	static const char *const names[] = { "plain", "login", "apop", "cram-md5", "external", "none",
		"xoauth2", "oauthbearer" };
	const char *const parts[] = { c->user, c->pass, c->authz, c->helo, c->mail, c->rcpt };
	unsigned method = 0;

	while (c->method >> method > 1)
		method++;
	buf_printf(out, "{%s", names[method]);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (parts[i] != NULL)
			buf_printf(out, " %s", parts[i]);
	buf_add_text(out, "}");
}

enum played { PLAYED_ON, PLAYED_STARTTLS, PLAYED_OUT };

static enum played
play(struct client *client, struct buf *in, struct buf *out, const struct refusal *why, const char *reply)
{
	struct buf answer;

	for (;;) {
		switch (client->proto->input(client, in, out)) {
		case PROTO_MORE:
			return PLAYED_ON;
		case PROTO_AGAIN:
			break;
		case PROTO_CREDENTIALS:
			show_credentials(&client->credentials, out);
			if (why != NULL) {
				credentials_reset(&client->credentials);
				if (client->proto->refused(client, why, out) != PROTO_CLOSE)
					break;
				buf_add_text(out, "{close}");
				return PLAYED_OUT;
			}
			buf_init(&answer, PROTO_ROOM);
			buf_add_text(&answer, reply);
			client->proto->accepted(client, &answer, out);
			buf_reset(&answer);
			return PLAYED_OUT;
		case PROTO_STARTTLS:
			buf_add_text(out, "{starttls}");
			return PLAYED_STARTTLS;
		case PROTO_CLOSE:
			buf_add_text(out, "{close}");
			return PLAYED_OUT;
		}
	}
}

/* The handshake of the client, after which it says what the scene has. */
static void
secure(struct client *client, struct facts *facts, const struct scene *scene, struct buf *in)
{
	buf_reset(in);
	facts->secure = true;
	facts->tls = scene->tls;
	if (scene->sni != NULL)
		facts->server = scene->sni;
	client->proto->secured(client);
	if (scene->inside != NULL)
		MUST(buf_add_text(in, scene->inside) == 0);
}

char *
dialogue_client(const struct proto *proto, const struct scene *scene, const char *said, size_t len, size_t cut,
    const struct refusal *why, const char *reply)
{
	struct facts facts = scene->facts;
	struct client *client = proto->client_new(&facts);
	enum played played;
	struct buf in, out;

	buf_init(&in, TRANSCRIPT_MAX + len);
	buf_init(&out, TRANSCRIPT_MAX);
	proto->greet(client, &out);
	MUST(buf_add(&in, said, cut) == 0);
	played = play(client, &in, &out, why, reply);
	if (played == PLAYED_ON) {
		MUST(buf_add(&in, said + cut, len - cut) == 0);
		played = play(client, &in, &out, why, reply);
	}
	if (played == PLAYED_STARTTLS) {
		secure(client, &facts, scene, &in);
		play(client, &in, &out, why, reply);
	}
	proto->client_free(&client);
	buf_reset(&in);
	return finish(&out);
}

static void
show_verdict(const struct login *login, enum login_verdict verdict, struct buf *out)
{
	static const char *const names[] = {
		[LOGIN_MORE] = "more",
		[LOGIN_DONE] = "done ",
		[LOGIN_REFUSED] = "refused ",
		[LOGIN_UNAVAILABLE] = "unavailable ",
		[LOGIN_BROKEN] = "broken ",
		[LOGIN_STARTTLS] = "starttls",
	};

	buf_printf(out, "{%s", names[verdict]);
	if (verdict == LOGIN_BROKEN || (verdict == LOGIN_UNAVAILABLE && login->reply.len == 0))
		buf_add_text(out, login->note);
	else if (verdict != LOGIN_MORE && login->reply.len > 0)
		buf_add(out, buf_head(&login->reply), login->reply.len);
	buf_add_text(out, "}");
}

/* Answers in two pieces; what came after the verdict stays in `in`. */
static enum login_verdict
answer(struct login *login, const char *answers, size_t len, size_t cut, struct buf *in, struct buf *out)
{
	enum login_verdict verdict;

	if (cut > len)
		cut = len;
	MUST(buf_add(in, answers, cut) == 0);
	verdict = login->proto->login_input(login, in, out);
	MUST(buf_add(in, answers + cut, len - cut) == 0);
	return verdict == LOGIN_MORE ? login->proto->login_input(login, in, out) : verdict;
}

static enum login_verdict
answer_inside(struct login *login, const char *answers, size_t len, size_t cut, struct buf *in, struct buf *out)
{
	enum login_verdict verdict;

	if (in->len > 0) {
		MUST(login_starttls(login, in) == LOGIN_BROKEN);
		return LOGIN_BROKEN;
	}
	buf_add_text(out, "{starttls}");
	verdict = login->proto->login_secured(login, out);
	return verdict == LOGIN_MORE ? answer(login, answers, len, cut, in, out) : verdict;
}

char *
dialogue_login(const struct login_task *task, const struct proto *proto, const char *answers, size_t len, size_t cut)
{
	const char *mark = task->starttls && len > 0 ? memchr(answers, 1, len) : NULL;
	size_t clear = mark != NULL ? (size_t)(mark - answers) : len, skip = clear + (mark != NULL);
	struct login *login = proto->login_new(task);
	enum login_verdict verdict;
	struct buf in, out;

	buf_init(&in, task->facts->server->proxy_buffer + len);
	buf_init(&out, TRANSCRIPT_MAX);
	verdict = answer(login, answers, clear, cut, &in, &out);
	if (verdict == LOGIN_STARTTLS)
		verdict = answer_inside(login, answers + skip, len - skip, cut > skip ? cut - skip : 0, &in, &out);
	show_verdict(login, verdict, &out);
	if (in.len > 0)
		buf_add(&out, buf_head(&in), in.len);
	proto->login_free(&login);
	buf_reset(&in);
	return finish(&out);
}

struct login_task
dialogue_task(struct scene *scene, const struct client *client, const struct credentials *credentials)
{
	return (struct login_task){
		.facts = &scene->facts, .client = client, .credentials = credentials,
		.means = {
			.method = credentials->method, .user = credentials->user, .pass = credentials->pass,
			.is_token = (credentials->method & METHODS_TOKEN) != 0,
		},
	};
}
