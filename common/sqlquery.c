#include "common/sqlquery.h"

#include <string.h>

#include "common/mem.h"

/* A password is no word: compared with a column's text, letters of either case would be the same without this. */
#define BYTES "CAST(? AS BINARY)"

static const char *const names[SQLQUERY_NAMES] = {
	[SQLQUERY_USER] = "user", [SQLQUERY_LOCAL] = "local", [SQLQUERY_DOMAIN] = "domain",
	[SQLQUERY_PROTOCOL] = "protocol", [SQLQUERY_CLIENT] = "client", [SQLQUERY_SERVER] = "server",
	[SQLQUERY_PASSWORD] = "password",
};

enum kind { KIND_END, KIND_TEXT, KIND_BLANK, KIND_COMMENT, KIND_PARAMETER };

/* What the query is made of: text that nothing in it interests us, one of the others, or the end. */
struct piece {
	enum kind kind;
	size_t len;
	enum sqlquery_parameter parameter;
};

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* A quote within quotes is doubled: that reads as two quoted texts, which comes to the same. */
static const char *
take_quoted(struct piece *piece, const char *at)
{
	size_t len = 1;

	while (at[len] != at[0]) {
		if (at[len] == '\\' && at[0] != '`')
			len++;
		if (at[len] == '\0')
			return "a quote is not closed";
		if (is_control(at[len]))
			return "control character in quotes";
		len++;
	}
	*piece = (struct piece){ KIND_TEXT, len + 1, SQLQUERY_NAMES };
	return NULL;
}

/* Hints to the optimizer stay; what a server would run may not look like a comment to us. */
static const char *
take_comment(struct piece *piece, const char *at)
{
	const char *end = strstr(at + 2, "*/");

	if (at[2] == '!' || strncmp(at + 2, "M!", 2) == 0)
		return "a comment that the server would execute";
	if (end == NULL)
		return "a comment is not closed";
	*piece = (struct piece){ at[2] == '+' ? KIND_TEXT : KIND_COMMENT, (size_t)(end - at) + 2, SQLQUERY_NAMES };
	return NULL;
}

static const char *
take_parameter(struct piece *piece, const char *at)
{
	size_t len = 1;

	while (is_letter(at[len]) || (at[len] >= '0' && at[len] <= '9'))
		len++;
	for (unsigned i = 0; i < SQLQUERY_NAMES; i++) {
		if (strlen(names[i]) != len - 1 || memcmp(names[i], at + 1, len - 1) != 0)
			continue;
		*piece = (struct piece){ KIND_PARAMETER, len, (enum sqlquery_parameter)i };
		return NULL;
	}
	return "unknown parameter; there are :user, :local, :domain, :protocol, :client, :server and :password";
}

/* MySQL wants a blank behind "--", others do not: without one, nobody can tell what is meant. */
static const char *
take_line_comment(struct piece *piece, const char *at)
{
	if (at[0] == '-' && at[2] != '\0' && !is_blank(at[2]))
		return "no blank behind \"--\"";
	*piece = (struct piece){ KIND_COMMENT, strcspn(at, "\n"), SQLQUERY_NAMES };
	return NULL;
}

static const char *
take(struct piece *piece, const char *at)
{
	if (at[0] == '\'' || at[0] == '"' || at[0] == '`')
		return take_quoted(piece, at);
	if (at[0] == '/' && at[1] == '*')
		return take_comment(piece, at);
	if (at[0] == ':' && is_letter(at[1]))
		return take_parameter(piece, at);
	if (at[0] == '?')
		return "\"?\" in the query; parameters have names";
	if (at[0] == '#' || (at[0] == '-' && at[1] == '-'))
		return take_line_comment(piece, at);
	if (is_blank(at[0])) {
		*piece = (struct piece){ KIND_BLANK, 1, SQLQUERY_NAMES };
	} else {
		if (is_control(at[0]) && at[0] != '\0')
			return "control character in the query";
		*piece = (struct piece){ at[0] == '\0' ? KIND_END : KIND_TEXT, 1, SQLQUERY_NAMES };
		if (at[0] == ':' && (at[1] == ':' || at[1] == '='))
			piece->len = 2;
	}
	return NULL;
}

/* A hint may run over lines. */
static char *
put(char *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		*out++ = is_control(text[i]) ? ' ' : text[i];
	return out;
}

static char *
put_piece(char *out, const struct piece *piece, const char *at, bool named)
{
	if (piece->kind == KIND_COMMENT)
		return put(out, " ", 1);
	if (piece->kind == KIND_PARAMETER && !named && piece->parameter == SQLQUERY_PASSWORD)
		return put(out, BYTES, strlen(BYTES));
	if (piece->kind == KIND_PARAMETER && !named)
		return put(out, "?", 1);
	return put(out, at, piece->len);
}

static const char *
note_parameter(struct sqlquery *query, enum sqlquery_parameter parameter)
{
	if (query->count == SQLQUERY_PARAMETERS_MAX)
		return "too many parameters";
	query->parameters[query->count++] = parameter;
	return NULL;
}

/* Fills `query`; its text has the names or "?". Only BYTES can be longer than what it stands for. */
static const char *
rewrite(struct sqlquery *query, const char *text, bool named)
{
	struct piece piece = { KIND_TEXT, 0, SQLQUERY_NAMES };
	char *out = query->text;
	bool ended = false;
	const char *why = NULL;

	for (const char *at = text; why == NULL; at += piece.len) {
		if ((why = take(&piece, at)) != NULL || piece.kind == KIND_END)
			break;
		if (ended && piece.kind != KIND_BLANK && piece.kind != KIND_COMMENT)
			why = "more than one statement";
		else if (piece.kind == KIND_PARAMETER)
			why = note_parameter(query, piece.parameter);
		ended = ended || *at == ';';
		if (!ended)
			out = put_piece(out, &piece, at, named);
	}
	*out = '\0';
	if (why == NULL && !sqlquery_uses(query, SQLQUERY_USER) && !sqlquery_uses(query, SQLQUERY_LOCAL))
		why = "the query asks for neither :user nor :local";
	return why;
}

static const char *
parse(struct sqlquery *query, const char *text, bool named)
{
	size_t len = strnlen(text, SQLQUERY_MAX + 1);
	const char *why;

	*query = (struct sqlquery){ .text = NULL };
	if (len > SQLQUERY_MAX)
		return "the query is too long";
	query->text = mem_alloc(len + SQLQUERY_PARAMETERS_MAX * strlen(BYTES) + 1);
	if ((why = rewrite(query, text, named)) != NULL)
		sqlquery_reset(query);
	return why;
}

const char *
sqlquery_parse(struct sqlquery *query, const char *text)
{
	return parse(query, text, false);
}

void
sqlquery_reset(struct sqlquery *query)
{
	mem_free(query->text);
	*query = (struct sqlquery){ .text = NULL };
}

bool
sqlquery_uses(const struct sqlquery *query, enum sqlquery_parameter parameter)
{
	for (size_t i = 0; i < query->count; i++)
		if (query->parameters[i] == parameter)
			return true;
	return false;
}

char *
sqlquery_one_line(const char *text)
{
	struct sqlquery query;

	return parse(&query, text, true) == NULL ? query.text : NULL;
}
