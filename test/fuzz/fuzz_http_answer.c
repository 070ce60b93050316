#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/must.h"
#include "test/fuzz/fuzz.h"
#include "worker/auth/auth_source.h"
#include "worker/auth/http_answer.h"
#include "worker/proto/http_parse.h"

/* What the server said, counted apart from the code that is tried. */
struct said {
	struct http_answer answer;
	unsigned statuses, oks;
};

static void
on_header(void *ctx, const char *name, const char *value)
{
	struct said *said = ctx;

	if (strcasecmp(name, "Auth-Status") == 0) {
		said->statuses++;
		said->oks += strcmp(value, "OK") == 0;
	}
	http_answer_header(&said->answer, name, value);
}

/* May go to a backend, or to a client, as it is. */
static bool
is_clean(const char *text)
{
	for (; text != NULL && *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

static void
check(const struct said *said, unsigned status, const struct server *server, const struct auth_answer *out)
{
	MUST(status >= 200 && status < 300 && said->statuses == 1);
	MUST(is_clean(out->user) && is_clean(out->pass) && is_clean(out->host) && is_clean(out->text));
	MUST(is_clean(out->ssl_name) && (out->ssl_name == NULL || strpbrk(out->ssl_name, " *\"\\") == NULL));
	MUST(out->wait_ms <= 600000);
	if (out->outcome == AUTH_ACCEPTED) {
		MUST(said->oks == 1);
		MUST(out->host != NULL ? *out->host != '\0' : server->proxy_pass != NULL);
		MUST(out->host == NULL || out->is_unix || (out->port > 0 && out->port < 65536));
	} else {
		MUST(out->outcome == AUTH_REFUSED || out->outcome == AUTH_UNKNOWN);
		MUST(said->oks == 0 && *out->text != '\0');
		MUST(is_clean(out->challenge) && (out->challenge == NULL || strpbrk(out->challenge, " {\"") == NULL));
	}
}

/* Whatever a server sends, only a clean yes is one. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct conf_name proxy_pass;
	struct server server = { .protocol = PROTOCOL_IMAP, .proxy_pass = size % 2 == 0 ? &proxy_pass : NULL };
	struct credentials credentials = { .method = size % 3 == 0 ? METHOD_APOP : METHOD_PLAIN };
	struct auth_question question = { .server = &server, .credentials = &credentials };
	struct said said = { .statuses = 0 };
	struct auth_answer out = { .user = NULL };
	char why[HTTP_ANSWER_WHY];
	struct http_head head;
	struct buf in;

	buf_init(&in, size + 1);
	MUST(buf_add(&in, data, size) == 0);
	if (http_parse_head(&in, &head, on_header, &said) == HTTP_DONE) {
		enum http_answer_verdict verdict = http_answer_judge(&said.answer, head.status, &question, &out, why);

		MUST(strlen(why) < sizeof(why) && is_clean(why));
		if (verdict == ANSWER_FINAL)
			check(&said, head.status, &server, &out);
		else
			MUST(verdict == ANSWER_AGAIN || *why != '\0');
	}
	auth_answer_reset(&out);
	http_answer_reset(&said.answer);
	buf_reset(&in);
	return 0;
}
