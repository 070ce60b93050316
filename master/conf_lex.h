/*
 * conf_lex - the words of nginx's configuration text
 *
 * Words are separated by blanks; `;`, `{` and `}` end what they belong to; quotes,
 * backslashes, `${` and comments mean what they mean to nginx. The words of one
 * directive gather until its end is met. Pure. Built on: buf, mem, must.
 */
#ifndef POSTERN_MASTER_CONF_LEX_H
#define POSTERN_MASTER_CONF_LEX_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

#define LEX_WORD_MAX 4096       /* bytes of a word as typed, as nginx has it */

enum lex_token {
	LEX_SEMICOLON,          /* behind a directive's words */
	LEX_OPEN,               /* the same, and a block begins */
	LEX_CLOSE,              /* a block ends */
	LEX_END,                /* of the text */
	LEX_FAULT,              /* `why`, on `line` */
};

struct lex {
	const char *at, *end;   /* what is left of the text */
	int line;               /* of `at`, from 1 */
	bool is_option;         /* the text of -g: its end is called otherwise */
	struct buf words;       /* of the directive, each ended by NUL */
	size_t count;           /* of words */
	int newlines;           /* in the words */
	char why[80];           /* after LEX_FAULT */
};

/* `text` is borrowed, and stays as long as the lex is used. */
void lex_init(struct lex *lex, const char *text, size_t len, bool is_option);
void lex_reset(struct lex *lex);

/* Reads on to the end of a directive or block; the words of the one before are forgotten. */
enum lex_token lex_next(struct lex *lex);

#endif
