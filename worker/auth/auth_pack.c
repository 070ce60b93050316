#include "worker/auth/auth_pack.h"

#include <stdint.h>
#include <string.h>

#include "common/mem.h"
#include "worker/auth/auth_source.h"

#define TEXTS 9

/* Behind it the texts that are there, each ended by a NUL. */
struct head {
	uint64_t wait_ms;
	uint16_t port;
	uint16_t texts;                 /* bit i: text i is there */
	uint8_t outcome, ssl;
	uint8_t flags, zero;
};

enum { FLAG_UNIX = 1, FLAG_CLOSE = 2 };

static void
list_texts(struct auth_answer *answer, char **texts[TEXTS])
{
	char **all[TEXTS] = {
		&answer->user, &answer->pass, &answer->host, &answer->ssl_name,
		&answer->text, &answer->code, &answer->challenge, &answer->reason,
		&answer->headers,
	};

	memcpy(texts, all, sizeof(all));
}

bool
auth_pack(void *out, size_t size, const struct auth_answer *answer)
{
	struct auth_answer shown = *answer;
	struct head head = {
		.wait_ms = answer->wait_ms, .port = (uint16_t)answer->port, .outcome = (uint8_t)answer->outcome,
		.ssl = (uint8_t)answer->ssl,
		.flags = (uint8_t)((answer->is_unix ? FLAG_UNIX : 0) | (answer->close ? FLAG_CLOSE : 0)),
	};
	char **texts[TEXTS], *at = out;
	size_t left = size - sizeof(head);

	memset(out, 0, size);
	list_texts(&shown, texts);
	at += sizeof(head);
	for (unsigned i = 0; i < TEXTS; i++) {
		size_t len = *texts[i] != NULL ? strlen(*texts[i]) + 1 : 0;

		if (len > left)
			return false;
		if (len > 0) {
			memcpy(at, *texts[i], len);
			head.texts |= (uint16_t)(1u << i);
		}
		at += len;
		left -= len;
	}
	memcpy(out, &head, sizeof(head));
	return true;
}

/* Takes the texts one after the other. */
static bool
unpack_texts(struct auth_answer *answer, unsigned there, const char *at, size_t left)
{
	char **texts[TEXTS];

	list_texts(answer, texts);
	for (unsigned i = 0; i < TEXTS; i++) {
		const char *end;

		if ((there & 1u << i) == 0)
			continue;
		if ((end = memchr(at, '\0', left)) == NULL)
			return false;
		*texts[i] = mem_strdup(at);
		left -= (size_t)(end + 1 - at);
		at = end + 1;
	}
	return true;
}

bool
auth_unpack(struct auth_answer *answer, const void *bytes, size_t size)
{
	struct head head;

	*answer = (struct auth_answer){ .outcome = AUTH_UNAVAILABLE };
	memcpy(&head, bytes, sizeof(head));
	if (head.outcome > AUTH_UNKNOWN || head.ssl > AUTH_SSL_STARTTLS)
		return false;
	if (!unpack_texts(answer, head.texts, (const char *)bytes + sizeof(head), size - sizeof(head))) {
		auth_answer_reset(answer);
		return false;
	}
	answer->outcome = (enum auth_outcome)head.outcome;
	answer->ssl = (enum auth_ssl)head.ssl;
	answer->port = head.port;
	answer->wait_ms = head.wait_ms;
	answer->is_unix = (head.flags & FLAG_UNIX) != 0;
	answer->close = (head.flags & FLAG_CLOSE) != 0;
	return true;
}
