#include "master/conf_lex.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/must.h"

#define BLANKS " \t\r\n"

void
lex_init(struct lex *lex, const char *text, size_t len, bool is_option)
{
	*lex = (struct lex){ .at = text, .end = text + len, .line = 1, .is_option = is_option };
	buf_init(&lex->words, SIZE_MAX / 8);    /* bounded by the text */
}

void
lex_reset(struct lex *lex)
{
	buf_reset(&lex->words);
}

/* Takes a word in as typed, without its quotes, and resolves the escapes that nginx resolves. */
static void
keep_word(struct lex *lex, const char *text, size_t len)
{
	static const char typed[] = "\"'\\trn", meant[] = "\"'\\\t\r\n";
	char *word = buf_room(&lex->words, len + 1);
	size_t kept = 0;

	MUST(word != NULL);
	for (size_t i = 0; i < len; i++) {
		const char *escape = text[i] == '\\' && i + 1 < len ? strchr(typed, text[i + 1]) : NULL;

		if (escape != NULL)
			i++;
		word[kept] = escape != NULL ? meant[escape - typed] : text[i];
		lex->newlines += word[kept++] == '\n';
	}
	word[kept] = '\0';
	buf_added(&lex->words, kept + 1);
	lex->count++;
}

static bool
unexpected(struct lex *lex, char c)
{
	if (c == '\0')
		snprintf(lex->why, sizeof(lex->why), "unexpected NUL byte");
	else
		snprintf(lex->why, sizeof(lex->why), "unexpected \"%c\"", c);
	return false;
}

static bool
unexpected_end(struct lex *lex)
{
	snprintf(lex->why, sizeof(lex->why), "unexpected end of %s",
	    lex->is_option ? "parameter, expecting \";\"" : "file, expecting \";\" or \"}\"");
	return false;
}

/* The place of the complaint is where the word began. */
static bool
too_long(struct lex *lex, int line, const char *start, char quote)
{
	lex->line = line;
	if (quote == '\0')
		snprintf(lex->why, sizeof(lex->why), "too long parameter \"%.10s...\" started", start);
	else
		snprintf(lex->why, sizeof(lex->why),
		    "too long parameter, probably missing terminating \"%c\" character", quote);
	return false;
}

/* Is this one of a few characters? NUL never is. */
static bool
is_in(const char *set, char c)
{
	return c != '\0' && strchr(set, c) != NULL;
}

/* Reads one word, which begins here. False when it is none, and then `why` says so. */
static bool
read_word(struct lex *lex)
{
	const char quote = is_in("\"'", *lex->at) ? *lex->at : '\0';
	const char *start = lex->at + (quote != '\0'), *p;
	const int line = lex->line;
	bool dollar = false;            /* `${` opens no block */

	for (p = start; p < lex->end; p++) {
		if (p - start >= LEX_WORD_MAX)
			return too_long(lex, line, start, quote);
		if (*p == '\0')
			return unexpected(lex, *p);
		if (quote != '\0' ? *p == quote : is_in(BLANKS ";", *p) || (*p == '{' && !dollar))
			break;
		dollar = *p == '$' || (*p == '{' && dollar);
		if (*p == '\\' && p + 1 < lex->end && p[1] != '\0')
			p++;
		lex->line += *p == '\n';
	}
	if (p == lex->end)
		return unexpected_end(lex);
	keep_word(lex, start, (size_t)(p - start));
	lex->at = p + (quote != '\0');
	if (quote != '\0' && lex->at < lex->end && !is_in(BLANKS ";{)", *lex->at))
		return unexpected(lex, *lex->at);
	return true;
}

/* Steps over blanks and comments. */
static void
skip_blanks(struct lex *lex)
{
	bool comment = false;

	for (; lex->at < lex->end; lex->at++) {
		if (*lex->at == '#')
			comment = true;
		else if (*lex->at == '\n')
			comment = false;
		else if (!comment && !is_in(BLANKS, *lex->at))
			return;
		lex->line += *lex->at == '\n';
	}
}

/* Takes `;`, `{` or `}`, which must not stand behind words, or must. */
static enum lex_token
take(struct lex *lex, enum lex_token token)
{
	if ((lex->count > 0) == (token == LEX_CLOSE)) {
		unexpected(lex, *lex->at);
		return LEX_FAULT;
	}
	lex->at++;
	return token;
}

enum lex_token
lex_next(struct lex *lex)
{
	buf_take(&lex->words, lex->words.len);
	lex->count = 0;
	lex->newlines = 0;
	for (;;) {
		skip_blanks(lex);
		if (lex->at == lex->end)
			break;
		if (*lex->at == ';')
			return take(lex, LEX_SEMICOLON);
		if (*lex->at == '{')
			return take(lex, LEX_OPEN);
		if (*lex->at == '}')
			return take(lex, LEX_CLOSE);
		if (!read_word(lex))
			return LEX_FAULT;
	}
	if (lex->count == 0)
		return LEX_END;
	unexpected_end(lex);
	return LEX_FAULT;
}
