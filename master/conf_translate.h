/*
 * conf_translate - nginx's configuration text, rewritten for libconfuse
 *
 *     mail {                                mail {block()
 *         timeout 60s;                          timeout('60s')
 *         include conf.d/a.conf;            line('/etc/postern/conf.d/a.conf','1') ...
 *     }                                     line('/etc/postern/postern.conf','4')end()}
 *
 * Token by token, by nginx's rules for quotes, escapes, comments and `include`. Four marks
 * are planted among the directives: line(FILE, LINE) where the position is not the one
 * that counting newlines gives (the command line's file is ''), block() and end() at the
 * braces, and fault(TEXT) where the text is wrong; behind that nothing follows, so that
 * complaints come in the order of the text whoever makes them. Blocks of nginx's other
 * sides become one call without their contents.
 *
 * Pure but for the reader that it is given. Built on: buf, conf_lex, conf_table.
 */
#ifndef POSTERN_MASTER_CONF_TRANSLATE_H
#define POSTERN_MASTER_CONF_TRANSLATE_H

#include <stddef.h>

struct buf;

/* Where the texts come from. */
struct translate_reader {
	/*
	 * The whole file, of a size that the reader finds bearable: 0 with *text, fresh and of *len
	 * bytes; or an errno, and *step names the call that failed.
	 */
	int (*read)(void *ctx, const char *path, char **text, size_t *len, const char **step);
	/* The files that a pattern names, in order: fresh, NULL-ended; NULL when it cannot be told (errno). */
	char **(*match)(void *ctx, const char *pattern);
	void *ctx;
};

struct translate_request {
	const char *path;       /* the main file */
	const char *folder;     /* where the names of included files start */
	const char *directives; /* of the command line, read first; or NULL */
	const struct translate_reader *reader;
};

/*
 * Fills `out`, which it initializes and the caller resets, with libconfuse's text, ended by
 * NUL. What was read is wiped.
 */
void conf_translate(struct buf *out, const struct translate_request *request);

#endif
