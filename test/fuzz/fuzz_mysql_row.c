#include <string.h>

#include "common/mem.h"
#include "common/must.h"
#include "test/fuzz/fuzz.h"
#include "worker/helper/mysql_row.h"

/* Lines "column=value", or "column" for NULL, as a row over `text`, which is cut up. */
static struct mysql_row
row_of(char *text)
{
	struct mysql_row row = { .values[0].is_column = false };

	for (char *line = text, *end; line != NULL; line = end) {
		char *value = strchr(line, '=');
		enum mysql_row_column column;

		if ((end = strchr(line, '\n')) != NULL)
			*end++ = '\0';
		if (value != NULL && (end == NULL || value < end))
			*value++ = '\0';
		else
			value = NULL;
		if ((column = mysql_row_column(line)) == MYSQL_ROW_COLUMNS)
			continue;
		row.values[column] = (struct mysql_row_value){ true, value, value != NULL ? strlen(value) : 0 };
		if (value != NULL && strlen(value) > MYSQL_ROW_VALUE_MAX)
			value[MYSQL_ROW_VALUE_MAX] = '\0';
	}
	return row;
}

static bool
is_clean(const char *text)
{
	for (; text != NULL && *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

/* A challenge, because it never costs a slow hash; nobody can answer this one. */
static void
ask(const struct mysql_row *row, bool checked)
{
	const struct helper_request request = {
		.method = METHOD_CRAM_MD5, .protocol = PROTOCOL_IMAP, .client = { .family = AF_INET },
		.user = "joe", .secret = "00000000000000000000000000000000", .salt = "<1@mx>",
	};
	struct helper_reply reply = { .outcome = HELPER_UNAVAILABLE };
	struct mysql_row_past past = { .text = NULL };
	const struct mysql_row_value *password = &row->values[MYSQL_ROW_PASSWORD];

	mysql_row_answer(row, checked, &past, &request, &reply);
	if (reply.outcome == HELPER_ACCEPTED)
		MUST(checked && password->is_column && password->text == NULL);
	else
		MUST(reply.reason != NULL && reply.host == NULL && reply.user == NULL && reply.pass == NULL);
	MUST(is_clean(reply.host) && is_clean(reply.user) && is_clean(reply.pass) && is_clean(reply.text));
	MUST(reply.port <= 65535 && (reply.host != NULL || reply.port == 0));
	helper_reply_reset(&reply);
	mysql_row_past_reset(&past);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_strndup((const char *)data, size);
	struct mysql_row row = row_of(text);

	ask(&row, true);
	ask(&row, false);
	mem_free(text);
	return 0;
}
