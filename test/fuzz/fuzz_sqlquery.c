#include <string.h>

#include "common/mem.h"
#include "common/must.h"
#include "common/sqlquery.h"
#include "test/fuzz/fuzz.h"

/* There are as many "?" as values, and a statement's end is not there. */
static void
check_text(const struct sqlquery *query)
{
	size_t marks = 0;

	MUST(query->count > 0 && query->count <= SQLQUERY_PARAMETERS_MAX);
	for (const char *at = query->text; *at != '\0'; at++) {
		MUST((unsigned char)*at >= 0x20 && *at != 0x7f);
		marks += *at == '?';
	}
	MUST(marks >= query->count);    /* more of them may stand in quotes */
}

static void
check_same(const struct sqlquery *a, const struct sqlquery *b)
{
	MUST(strcmp(a->text, b->text) == 0 && a->count == b->count);
	for (size_t i = 0; i < a->count; i++)
		MUST(a->parameters[i] == b->parameters[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_strndup((const char *)data, size), *line = sqlquery_one_line(text);
	struct sqlquery query, again;

	if (sqlquery_parse(&query, text) != NULL) {
		MUST(query.text == NULL && query.count == 0 && line == NULL);
	} else {
		MUST(line != NULL && sqlquery_parse(&again, line) == NULL);
		check_text(&query);
		check_same(&query, &again);
		sqlquery_reset(&again);
	}
	sqlquery_reset(&query);
	mem_free(line);
	mem_free(text);
	return 0;
}
