/* auth_introspection - the source that asks an OAuth server about a token (RFC 7662) */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/base64.h"
#include "common/mem.h"
#include "worker/auth/introspection_answer.h"
#include "worker/auth/web.h"
#include "worker/proto/quote.h"

#define BODY_MAX 65536          /* bytes of an answer */
#define FORM_MAX ((size_t)1 << 18)
#define CLIENT_MAX 8192         /* bytes of our id and secret, in the form's encoding */

static void
introspection_open(struct auth_source *base)
{
	token_prepare();
	web_open(base);
}

/* Who we are: HTTP Basic over the form's encoding (RFC 6749 section 2.3.1). Returns 0, or -1. */
static int
add_client(struct buf *out, const struct conf_source *conf)
{
	int failed = 0;
	struct buf pair;
	char *text;

	if (conf->client_id == NULL)
		return 0;
	buf_init(&pair, CLIENT_MAX);
	failed |= quote_form(&pair, conf->client_id) | buf_add(&pair, ":", 1);
	failed |= quote_form(&pair, conf->client_secret != NULL ? conf->client_secret : "");
	failed |= buf_add_text(out, "Authorization: Basic ");
	if ((text = buf_room(out, BASE64_ENCODED(pair.len))) != NULL)
		buf_added(out, base64_encode(text, buf_head(&pair), pair.len));
	failed |= text == NULL ? -1 : 0;
	buf_reset(&pair);
	return failed | buf_add(out, "\r\n", 2);
}

static int
add_head(struct buf *out, const struct conf_source *conf, const struct conf_web *server, size_t body_len)
{
	int failed = buf_printf(out, "POST %s HTTP/1.1\r\nHost: %s\r\nConnection: %s\r\n", server->uri, server->host,
	    conf->keepalive > 0 ? "keep-alive" : "close");

	failed |= add_client(out, conf);
	return failed | buf_printf(out, "Accept: application/json\r\n"
	    "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n\r\n", body_len);
}

static int
introspection_compose(struct web_request *request, const struct conf_web *server)
{
	const char *token = request->base.question->credentials->pass;
	struct buf form;
	int failed = 0;

	buf_init(&form, FORM_MAX);
	failed |= buf_add_text(&form, "token=") | quote_form(&form, token);
	failed |= buf_add_text(&form, "&token_type_hint=access_token");
	failed |= add_head(&request->text, request->base.source->conf, server, form.len);
	failed |= buf_add(&request->text, buf_head(&form), form.len);
	buf_reset(&form);
	return failed;
}

/* All is in the body. */
static void
introspection_forget(struct web_request *request)
{
	(void)request;
}

static void
introspection_header(void *ctx, const char *name, const char *value)
{
	(void)ctx;
	(void)name;
	(void)value;
}

static uint64_t
wall_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool
introspection_judge(struct web_request *request, const struct http_result *result, char why[WEB_WHY])
{
	const struct token_question question = {
		.user = request->base.question->credentials->user, .now_ms = wall_clock_ms(),
	};
	struct auth_answer answer;
	const char *wrong;

	if (result->head->status != 200) {
		snprintf(why, WEB_WHY, "sent invalid response: status %u", result->head->status);
		return false;
	}
	wrong = introspection_answer_judge(buf_head(result->body), result->body->len, request->base.source->conf->token,
	    &question, &answer);
	if (wrong != NULL) {
		snprintf(why, WEB_WHY, "sent invalid response: %s", wrong);
		return false;
	}
	auth_settle(&request->base, &answer);
	return true;
}

static const struct web_kind kind = {
	.what = "introspection server",
	.compose = introspection_compose,
	.forget = introspection_forget,
	.on_header = introspection_header,
	.judge = introspection_judge,
};

static void
introspection_ask(struct auth_request *base)
{
	struct web_request *request = (struct web_request *)base;
	const char *token = base->question->credentials->pass;

	if (token == NULL || *token == '\0') {
		struct auth_answer refused = { .outcome = AUTH_REFUSED, .reason = mem_strdup("the token is empty") };

		auth_settle(base, &refused);
		return;
	}
	web_init(request, &kind, base->question->server->auth_http_buffer, BODY_MAX);
	web_ask(request);
}

static void
introspection_drop(struct auth_request *base)
{
	web_reset((struct web_request *)base);
}

const struct auth_source_kind auth_introspection = {
	.source_size = sizeof(struct web_source),
	.request_size = sizeof(struct web_request),
	.open = introspection_open,
	.close = web_close,
	.ask = introspection_ask,
	.drop = introspection_drop,
	.idle = web_idle,
	.shed = web_shed,
};
