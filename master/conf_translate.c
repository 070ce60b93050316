#include "master/conf_translate.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/must.h"
#include "master/conf_lex.h"
#include "master/conf_table.h"

#define OUT_MAX ((size_t)64 * 1024 * 1024)      /* includes can multiply; here they stop */
#define INCLUDES_MAX 32                         /* files inside files */
#define NO_LIMIT (SIZE_MAX / 8)                 /* the reader bounds a file, OUT_MAX their sum */
#define BLOCKS_MAX 4                            /* main, and what the table can nest */

/* One text being read. */
struct file {
	const char *name;               /* "" is the command line */
	struct lex lex;
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
	bool failed;
};

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
	char text[LEX_WORD_MAX + 64];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	move_to(t, t->file->lex.line - count_newlines(text));
	put_text(t, "fault(");
	put_quoted(t, text);
	put_text(t, ")");
	t->failed = true;
}

/* "name('word','word')", for a block "name {block('word')"; on the line where the directive ended. */
static void
put_directive(struct translation *t, bool opens)
{
	const struct lex *lex = &t->file->lex;
	const char *word = buf_head(&lex->words);

	move_to(t, lex->line - lex->newlines);
	put_text(t, word);
	put_text(t, opens ? " {block(" : "(");
	for (size_t i = 1; i < lex->count; i++) {
		word += strlen(word) + 1;
		put_text(t, i > 1 ? "," : "");
		put_quoted(t, word);
	}
	put_text(t, ")");
	t->out_line += lex->newlines;
}

static void include(struct translation *t, const char *name);

static void
directive(struct translation *t, bool opens)
{
	const struct lex *lex = &t->file->lex;
	const char *name = buf_head(&lex->words);
	const unsigned block = t->blocks[t->depth];
	char why[LEX_WORD_MAX + 64];
	const struct directive *d = conf_table_judge(name, block, lex->count - 1, opens, why, sizeof(why));

	if (t->out->len > OUT_MAX) {
		fault(t, "the configuration is too large");
	} else if (opens && lex->is_option) {
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
		fault(t, "unexpected \"}\"");
		return;
	}
	move_to(t, t->file->lex.line);
	put_text(t, "end()}");
	t->depth--;
}

static void
end_of_file(struct translation *t)
{
	if (t->depth > t->file->depth || t->skipped > 0)
		fault(t, "unexpected end of file, expecting \"}\"");
}

/* Of a block that is skipped only the braces matter. */
static void
skip(struct translation *t, enum lex_token token)
{
	if (token == LEX_OPEN)
		t->skipped++;
	else if (token == LEX_CLOSE)
		t->skipped--;
}

static void
act(struct translation *t, enum lex_token token)
{
	if (token == LEX_FAULT)
		fault(t, "%s", t->file->lex.why);
	else if (token == LEX_END)
		end_of_file(t);
	else if (t->skipped > 0)
		skip(t, token);
	else if (token == LEX_CLOSE)
		close_block(t);
	else
		directive(t, token == LEX_OPEN);
}

/* Translates `text`, called `name`, where we stand now: to its end, or to the first fault. */
static void
translate_text(struct translation *t, const char *name, const char *text, size_t len)
{
	struct file file = { .name = name, .depth = t->depth, .includer = t->file };
	enum lex_token token;

	lex_init(&file.lex, text, len, name[0] == '\0');
	t->file = &file;
	put_line(t, 1);
	do {
		token = lex_next(&file.lex);
		act(t, token);
	} while (token != LEX_END && !t->failed);
	lex_reset(&file.lex);
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
		put_line(t, t->file->lex.line);
	mem_free(path);
}

void
conf_translate(struct buf *out, const struct translate_request *request)
{
	struct file nowhere = { .name = "" };   /* what "includes" the main file: a fault here has no place */
	struct translation t = { .request = request, .out = out, .blocks = { IN_MAIN } };

	buf_init(out, NO_LIMIT);
	if (request->directives != NULL)
		translate_text(&t, "", request->directives, strlen(request->directives));
	t.file = &nowhere;
	t.out_line = 0;
	if (!t.failed) {
		put_line(&t, 0);
		include_file(&t, request->path);
	}
	put(&t, "", 1);
}
