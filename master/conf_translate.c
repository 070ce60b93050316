#include "master/conf_translate.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/must.h"
#include "master/conf_table.h"

#define WORD_MAX 4096                           /* of one word as typed, as nginx has it */
#define OUT_MAX ((size_t)64 * 1024 * 1024)      /* includes can multiply; here they stop */
#define INCLUDES_MAX 32                         /* files inside files */
#define NO_LIMIT (SIZE_MAX / 8)                 /* the reader bounds a file, OUT_MAX their sum */
#define BLOCKS_MAX 4                            /* main, and what the table can nest */
#define BLANKS " \t\r\n"

/* One text being read. */
struct file {
	const char *name;               /* "" is the command line */
	const char *at, *end;
	int line;                       /* of `at` */
	unsigned depth;                 /* blocks open where it begins: it closes only its own */
	struct file *includer;
};

struct translation {
	const struct translate_request *request;
	struct buf *out;
	int out_line;                   /* what libconfuse will believe */
	struct file *file;
	unsigned blocks[BLOCKS_MAX];    /* those open, IN_MAIN first */
	unsigned depth;                 /* the innermost one's index */
	unsigned skipped;               /* braces open inside a block that is skipped */
	/* the directive being gathered */
	struct buf words;               /* each ended by NUL */
	size_t count;
	int newlines;                   /* in the words */
	bool failed;
};

enum token { TOKEN_WORD, TOKEN_SEMICOLON, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_END, TOKEN_FAULT };

static void
put(struct translation *t, const char *text, size_t len)
{
	MUST(buf_add(t->out, text, len) == 0);
}

static void
put_text(struct translation *t, const char *text)
{
	put(t, text, strlen(text));
}

/* In single quotes libconfuse knows two escapes and expands nothing. */
static void
put_quoted(struct translation *t, const char *text)
{
	put_text(t, "'");
	for (size_t len; *text != '\0'; text += len) {
		if (*text == '\'' || *text == '\\')
			put_text(t, "\\");
		len = 1 + strcspn(text + 1, "'\\");
		put(t, text, len);
	}
	put_text(t, "'");
}

/* Tells libconfuse where we are: at `line` of the present file. */
static void
put_line(struct translation *t, int line)
{
	char number[sizeof(",'-2147483648')")];

	put_text(t, "line(");
	put_quoted(t, t->file->name);
	snprintf(number, sizeof(number), ",'%d')", line);
	put_text(t, number);
	t->out_line = line;
}

/* Makes what follows stand on `line`. */
static void
move_to(struct translation *t, int line)
{
	if (line < t->out_line)
		put_line(t, line);
	for (; t->out_line < line; t->out_line++)
		put_text(t, "\n");
}

static int
count_newlines(const char *text)
{
	int count = 0;

	while ((text = strchr(text, '\n')) != NULL) {
		text++;
		count++;
	}
	return count;
}

static void fault(struct translation *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
fault(struct translation *t, const char *format, ...)
{
	char text[WORD_MAX + 64];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	move_to(t, t->file->line - count_newlines(text));
	put_text(t, "fault(");
	put_quoted(t, text);
	put_text(t, ")");
	t->failed = true;
}

static void
forget_words(struct translation *t)
{
	buf_take(&t->words, t->words.len);
	t->count = 0;
	t->newlines = 0;
}

/* Takes a word in as typed, without its quotes, and resolves the escapes that nginx resolves. */
static void
keep_word(struct translation *t, const char *text, size_t len)
{
	char *word = buf_room(&t->words, len + 1);
	size_t kept = 0;

	MUST(word != NULL);
	for (size_t i = 0; i < len; i++) {
		static const char typed[] = "\"'\\trn", meant[] = "\"'\\\t\r\n";
		const char *escape = text[i] == '\\' && i + 1 < len ? strchr(typed, text[i + 1]) : NULL;

		if (escape != NULL) {
			word[kept] = meant[escape - typed];
			i++;
		} else {
			word[kept] = text[i];
		}
		t->newlines += word[kept++] == '\n';
	}
	word[kept] = '\0';
	buf_added(&t->words, kept + 1);
	t->count++;
}

static enum token
too_long(struct translation *t, int line, const char *start, char quote)
{
	t->file->line = line;
	if (quote == '\0')
		fault(t, "too long parameter \"%.10s...\" started", start);
	else
		fault(t, "too long parameter, probably missing terminating \"%c\" character", quote);
	return TOKEN_FAULT;
}

static enum token
unexpected(struct translation *t, char c)
{
	if (c == '\0')
		fault(t, "unexpected NUL byte");
	else
		fault(t, "unexpected \"%c\"", c);
	return TOKEN_FAULT;
}

static enum token
unexpected_end(struct translation *t)
{
	if (t->file->name[0] == '\0')
		fault(t, "unexpected end of parameter, expecting \";\"");
	else
		fault(t, "unexpected end of file, expecting \";\" or \"}\"");
	return TOKEN_FAULT;
}

/* Only so much may stand behind a closing quote. */
static enum token
after_quote(struct translation *t)
{
	const struct file *f = t->file;

	if (f->at < f->end && (*f->at == '\0' || strchr(BLANKS ";{)", *f->at) == NULL))
		return unexpected(t, *f->at);
	return TOKEN_WORD;
}

/* Reads one word that begins here. */
static enum token
read_word(struct translation *t)
{
	struct file *f = t->file;
	const char quote = *f->at == '"' || *f->at == '\'' ? *f->at : '\0';
	const char *start = f->at + (quote != '\0'), *p;
	const int line = f->line;
	bool dollar = false;            /* `${` opens no block */

	for (p = start; p < f->end; p++) {
		if (p - start >= WORD_MAX)
			return too_long(t, line, start, quote);
		if (*p == '\0')
			return unexpected(t, *p);
		if (quote != '\0' ? *p == quote : strchr(BLANKS ";", *p) != NULL || (*p == '{' && !dollar))
			break;
		dollar = *p == '$' || (*p == '{' && dollar);
		if (*p == '\\' && p + 1 < f->end && p[1] != '\0')
			p++;
		f->line += *p == '\n';
	}
	f->at = p + (quote != '\0');
	if (p == f->end) {
		f->at = p;
		return unexpected_end(t);
	}
	keep_word(t, start, (size_t)(p - start));
	return quote != '\0' ? after_quote(t) : TOKEN_WORD;
}

/* Steps over blanks and comments. */
static void
skip_blanks(struct file *f)
{
	bool comment = false;

	for (; f->at < f->end; f->at++) {
		if (*f->at == '#')
			comment = true;
		else if (*f->at == '\n')
			comment = false;
		else if (!comment && (*f->at == '\0' || strchr(BLANKS, *f->at) == NULL))
			return;
		f->line += *f->at == '\n';
	}
}

static enum token
next_token(struct translation *t)
{
	struct file *f = t->file;

	skip_blanks(f);
	if (f->at == f->end)
		return t->count > 0 ? unexpected_end(t) : TOKEN_END;
	switch (*f->at) {
	case ';':
		f->at++;
		return t->count > 0 ? TOKEN_SEMICOLON : unexpected(t, ';');
	case '{':
		f->at++;
		return t->count > 0 ? TOKEN_OPEN : unexpected(t, '{');
	case '}':
		f->at++;
		return t->count == 0 ? TOKEN_CLOSE : unexpected(t, '}');
	default:
		return read_word(t);
	}
}

/* "name('word','word')", for a block "name {block('word')"; on the line where the directive ended. */
static void
put_directive(struct translation *t, bool opens)
{
	const char *word = buf_head(&t->words);

	move_to(t, t->file->line - t->newlines);
	put_text(t, word);
	put_text(t, opens ? " {block(" : "(");
	for (size_t i = 1; i < t->count; i++) {
		word += strlen(word) + 1;
		put_text(t, i > 1 ? "," : "");
		put_quoted(t, word);
	}
	put_text(t, ")");
	t->out_line += t->newlines;
}

static void include(struct translation *t, const char *name);

static void
directive(struct translation *t, bool opens)
{
	const char *name = buf_head(&t->words);
	char why[WORD_MAX + 64];
	const struct directive *d = conf_table_judge(name, t->blocks[t->depth], t->count - 1, opens, why, sizeof(why));

	if (t->out->len > OUT_MAX) {
		fault(t, "the configuration is too large");
	} else if (opens && t->file->name[0] == '\0') {
		fault(t, "block directives are not supported in -g option");
	} else if (d == NULL) {
		fault(t, "%s", why);
	} else if (d->opens == SKIPPED) {
		put_directive(t, false);
		t->skipped = 1;
	} else if (strcmp(d->name, "include") == 0) {
		include(t, name + strlen(name) + 1);
	} else {
		put_directive(t, opens);
		if (opens) {
			MUST(t->depth + 1 < BLOCKS_MAX);
			t->blocks[++t->depth] = d->opens;
		}
	}
}

static void
close_block(struct translation *t)
{
	if (t->depth == t->file->depth) {
		unexpected(t, '}');
		return;
	}
	move_to(t, t->file->line);
	put_text(t, "end()}");
	t->depth--;
}

/* Takes a token of a block that is skipped: only its braces matter. */
static void
skip(struct translation *t, enum token token)
{
	if (token == TOKEN_OPEN)
		t->skipped++;
	if (token == TOKEN_CLOSE)
		t->skipped--;
}

/* Translates the present file to its end, or to the first fault. */
static void
translate_file(struct translation *t)
{
	enum token token;

	while (!t->failed && (token = next_token(t)) != TOKEN_END && token != TOKEN_FAULT) {
		if (token == TOKEN_WORD)
			continue;
		if (t->skipped > 0)
			skip(t, token);
		else if (token == TOKEN_CLOSE)
			close_block(t);
		else
			directive(t, token == TOKEN_OPEN);
		forget_words(t);
	}
	if (!t->failed && (t->depth > t->file->depth || t->skipped > 0))
		fault(t, "unexpected end of file, expecting \"}\"");
}

/* Translates `text`, called `name`, where we stand now. */
static void
translate_text(struct translation *t, const char *name, const char *text, size_t len)
{
	struct file file = { name, text, text + len, 1, t->depth, t->file };

	t->file = &file;
	forget_words(t);
	put_line(t, 1);
	translate_file(t);
	t->file = file.includer;
}

static bool
is_open(const struct translation *t, const char *path)
{
	for (const struct file *f = t->file; f != NULL; f = f->includer)
		if (strcmp(f->name, path) == 0)
			return true;
	return false;
}

static bool
is_deep(const struct translation *t)
{
	unsigned count = 0;

	for (const struct file *f = t->file; f != NULL; f = f->includer)
		count++;
	return count > INCLUDES_MAX;
}

/* Reads and translates one file; the place of a failure is that of the include. */
static void
include_file(struct translation *t, const char *path)
{
	const struct translate_reader *reader = t->request->reader;
	const char *step = "open";
	char *text;
	size_t len;
	int error;

	if (is_open(t, path)) {
		fault(t, "\"%s\" includes itself", path);
	} else if (is_deep(t)) {
		fault(t, "\"%s\" is included too deep", path);
	} else if ((error = reader->read(reader->ctx, path, &text, &len, &step)) != 0) {
		fault(t, "%s() \"%s\" failed %s", step, path, log_errno(error));
	} else {
		translate_text(t, path, text, len);
		mem_wipe(text, len);
		mem_free(text);
	}
}

static void
include_matches(struct translation *t, const char *pattern)
{
	const struct translate_reader *reader = t->request->reader;
	char **paths = reader->match(reader->ctx, pattern);

	if (paths == NULL) {
		fault(t, "glob() \"%s\" failed %s", pattern, log_errno(errno));
		return;
	}
	for (char **path = paths; *path != NULL; path++) {
		if (!t->failed)
			include_file(t, *path);
		mem_free(*path);
	}
	mem_free(paths);
}

static void
include(struct translation *t, const char *name)
{
	char *path = name[0] == '/' ? mem_strdup(name) : mem_printf("%s/%s", t->request->folder, name);

	if (strpbrk(name, "*?[") != NULL)
		include_matches(t, path);
	else
		include_file(t, path);
	if (!t->failed)
		put_line(t, t->file->line);
	mem_free(path);
}

void
conf_translate(struct buf *out, const struct translate_request *request)
{
	struct file nowhere = { .name = "" };   /* what "includes" the main file: a fault here has no place */
	struct translation t = { .request = request, .out = out, .blocks = { IN_MAIN } };

	buf_init(out, NO_LIMIT);
	buf_init(&t.words, NO_LIMIT);
	if (request->directives != NULL)
		translate_text(&t, "", request->directives, strlen(request->directives));
	t.file = &nowhere;
	t.out_line = 0;
	if (!t.failed) {
		put_line(&t, 0);
		include_file(&t, request->path);
	}
	put(&t, "", 1);
	buf_reset(&t.words);
}
