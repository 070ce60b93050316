#include <confuse.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/mem.h"
#include "common/must.h"
#include "master/conf_table.h"
#include "master/conf_translate.h"
#include "test/fuzz/fuzz.h"

static const char *main_text;
static size_t main_len;
static unsigned faults;

/* The main file; files whose names begin with "i" hold a directive; others are missing. */
static int
read_file(void *ctx, const char *path, char **text, size_t *len, const char **step)
{
	(void)ctx, (void)step;
	if (strcmp(path, "/main") == 0) {
		*text = mem_dup(main_text, main_len);
		*len = main_len;
		return 0;
	}
	if (path[1] != 'i')
		return ENOENT;
	*text = mem_strdup("daemon\non;");
	*len = strlen(*text);
	return 0;
}

static char **
match_files(void *ctx, const char *pattern)
{
	char **paths = mem_array(2, sizeof(*paths));

	(void)ctx;
	if (pattern[1] == 'i')
		paths[0] = mem_strdup("/i");
	return paths;
}

static int
on_directive(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
	(void)cfg, (void)opt, (void)argv;
	MUST(argc >= 0 && faults == 0);
	return 0;
}

/* Behind a fault nothing comes; a place is in no file or in one that is there. */
static int
on_mark(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
	MUST(faults == 0);
	if (strcmp(opt->name, "line") == 0) {
		MUST(argc == 2);
		cfg->line = atoi(argv[1]);
	} else if (strcmp(opt->name, "fault") == 0) {
		MUST(argc == 1 && argv[0][0] != '\0' && cfg->line >= 0);
		faults++;
	}
	return 0;
}

/* libconfuse never finds anything wrong, but for the end of text behind a fault inside a block. */
static void
on_error(cfg_t *cfg, const char *format, va_list args)
{
	(void)cfg, (void)format, (void)args;
	MUST(faults == 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct translate_reader reader = { read_file, match_files, NULL };
	const struct translate_request request = { .path = "/main", .folder = "", .reader = &reader };
	cfg_opt_t *options = conf_table_options(IN_MAIN, on_directive, on_mark);
	cfg_t *cfg = cfg_init(options, CFGF_NONE);
	struct buf out;
	int result;

	main_text = (const char *)data;
	main_len = size;
	faults = 0;
	conf_translate(&out, &request);
	MUST(strlen(buf_head(&out)) == out.len - 1);
	cfg_set_error_function(cfg, on_error);
	result = cfg_parse_buf(cfg, buf_head(&out));
	MUST(result == CFG_SUCCESS || faults == 1);
	cfg_free(cfg);
	conf_table_free_options(&options);
	buf_reset(&out);
	return 0;
}
