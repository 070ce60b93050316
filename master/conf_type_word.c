#include <string.h>
#include <strings.h>

#include "common/conf.h"
#include "master/conf_build.h"
#include "master/conf_print.h"
#include "master/conf_say.h"
#include "master/conf_table.h"
#include "master/conf_type.h"

#define SET_MAX 16

const struct conf_word words_methods[] = {
	{ "plain", METHOD_PLAIN }, { "login", METHOD_LOGIN }, { "apop", METHOD_APOP },
	{ "cram-md5", METHOD_CRAM_MD5 }, { "external", METHOD_EXTERNAL }, { "none", METHOD_NONE },
	{ "xoauth2", METHOD_XOAUTH2 }, { "oauthbearer", METHOD_OAUTHBEARER },
	{ .text = NULL }
};

const struct conf_word words_ssl_protocols[] = {
	{ "SSLv2", SSL_PROTOCOL_SSLV2 }, { "SSLv3", SSL_PROTOCOL_SSLV3 }, { "TLSv1", SSL_PROTOCOL_TLSV1 },
	{ "TLSv1.1", SSL_PROTOCOL_TLSV1_1 }, { "TLSv1.2", SSL_PROTOCOL_TLSV1_2 }, { "TLSv1.3", SSL_PROTOCOL_TLSV1_3 },
	{ .text = NULL }
};

const struct conf_word words_starttls[] = {
	{ "off", STARTTLS_OFF }, { "on", STARTTLS_ON }, { "only", STARTTLS_ONLY }, { .text = NULL }
};

const struct conf_word words_proxy_ssl[] = {
	{ "off", PROXY_SSL_OFF }, { "on", PROXY_SSL_ON }, { "starttls", PROXY_SSL_STARTTLS }, { .text = NULL }
};

const struct conf_word words_proxy_protocol[] = {
	{ "off", PROXY_PROTOCOL_OFF }, { "on", PROXY_PROTOCOL_V1 }, { "v2", PROXY_PROTOCOL_V2 }, { .text = NULL }
};

const struct conf_word words_deny_action[] = {
	{ "refuse", DENY_REFUSE }, { "drop", DENY_DROP }, { .text = NULL }
};

const struct conf_word words_limit_level[] = {
	{ "info", LOG_INFO }, { "notice", LOG_NOTICE }, { "warn", LOG_WARN }, { "error", LOG_ERROR }, { .text = NULL }
};

const struct conf_word words_verify_client[] = {
	{ "off", SSL_VERIFY_OFF }, { "on", SSL_VERIFY_ON }, { "optional", SSL_VERIFY_OPTIONAL },
	{ "optional_no_ca", SSL_VERIFY_OPTIONAL_NO_CA }, { .text = NULL }
};

const struct conf_word words_proxy_auth[] = {
	{ "auto", PROXY_AUTH_AUTO }, { "plain", PROXY_AUTH_PLAIN }, { "login", PROXY_AUTH_LOGIN },
	{ "xoauth2", PROXY_AUTH_XOAUTH2 }, { "oauthbearer", PROXY_AUTH_OAUTHBEARER },
	{ "external", PROXY_AUTH_EXTERNAL }, { "none", PROXY_AUTH_NONE }, { .text = NULL }
};

/* As in nginx, upper and lower case are the same. */
static const struct conf_word *
word_called(const struct conf_build *b, const struct directive *d, const char *text)
{
	for (const struct conf_word *word = d->words; word->text != NULL; word++)
		if ((d->max == 0 || (word->value & d->max) != 0) && strcasecmp(text, word->text) == 0)
			return word;
	conf_say(LOG_EMERG, &b->place, "invalid value \"%s\"", text);
	return NULL;
}

static const char *
set_set(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	unsigned *set = field;

	for (size_t i = 0; i < argc; i++) {
		const struct conf_word *word = word_called(b, d, argv[i]);

		if (word == NULL)
			return CONF_SAID;
		if ((*set & word->value) != 0)
			conf_say(LOG_WARN, &b->place, "duplicate value \"%s\"", argv[i]);
		*set |= word->value;
	}
	return NULL;
}

static void
print_set(const struct conf_printer *p, const struct directive *d, const void *field)
{
	const char *texts[SET_MAX + 1];
	size_t count = 0;

	for (const struct conf_word *word = d->words; word->text != NULL && count < SET_MAX; word++)
		if ((word->value & *(const unsigned *)field) != 0)
			texts[count++] = word->text;
	texts[count] = NULL;
	conf_print_list(p, d->name, texts);
}

const struct conf_type type_set = { set_set, print_set, sizeof(unsigned), true };

static const char *
set_choice(struct conf_build *b, const struct directive *d, void *field, size_t argc, const char *const *argv)
{
	const struct conf_word *word = word_called(b, d, argv[0]);

	(void)argc;
	if (word == NULL)
		return CONF_SAID;
	*(unsigned *)field = word->value;
	return NULL;
}

static void
print_choice(const struct conf_printer *p, const struct directive *d, const void *field)
{
	for (const struct conf_word *word = d->words; word->text != NULL; word++)
		if (word->value == *(const unsigned *)field)
			conf_print(p, d->name, word->text, NULL);
}

const struct conf_type type_choice = { set_choice, print_choice, sizeof(unsigned), false };
