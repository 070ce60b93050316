/*
 * conf_table - every directive there is, one row each
 *
 * A row says where a directive may stand, how many words it takes, how its value is
 * read and printed, into which field it goes, and what it is when nobody says. From the
 * rows come libconfuse's options, the error messages, the defaults, the inheritance from
 * mail{} to server{}, the dump of what is in force and the check of the manual.
 * Built on: conf_type, libconfuse.
 */
#ifndef POSTERN_MASTER_CONF_TABLE_H
#define POSTERN_MASTER_CONF_TABLE_H

#include <confuse.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf_type;
struct conf_word;

/* The blocks; a row's `blocks` is a set of them. */
enum conf_block {
	IN_MAIN   = 1 << 0,
	IN_EVENTS = 1 << 1,
	IN_MAIL   = 1 << 2,
	IN_SERVER = 1 << 3,
	IN_UPSTREAM = 1 << 4,
	IN_ANY    = IN_MAIN | IN_EVENTS | IN_MAIL | IN_SERVER | IN_UPSTREAM,
	SKIPPED   = 1 << 5,     /* a block of nginx's other sides: read over */
};

#define ANY_ARGS UINT_MAX

/* Limits that nobody should meet; they keep sums and products from wrapping. */
#define CONF_MAX_MSEC ((uint64_t)10 * 365 * 86400 * 1000)

struct directive {
	const char *name;
	unsigned blocks;
	unsigned min_args, max_args;
	const struct conf_type *type;   /* NULL: the row is structure (a block, include) and has no value */
	size_t offset;                  /* of the field: in struct conf, draft_server or draft_upstream */
	const char *fallback;           /* the words of the default; NULL: the field starts as zeros */
	uint64_t min, max;              /* of numbers, sizes and times; `max` is the set of words for word sets */
	enum conf_block opens;          /* of a block: which one; else 0 */
	const struct conf_word *words;  /* of choices and sets */
};

/* The rows, in the manual's order; a name of NULL ends them. */
extern const struct directive directives[];

size_t conf_table_count(void);

/* Its row's number. */
size_t conf_table_index(const struct directive *d);

/* NULL when `block` knows no such directive. */
const struct directive *conf_table_find(const char *name, unsigned block);

/*
 * What is the directive `name` with `args` words behind it, in `block`, ended by `{`
 * (opens) or `;`? Returns its row, or NULL with nginx's message in `why`.
 */
const struct directive *conf_table_judge(const char *name, unsigned block, size_t args, bool opens,
    char *why, size_t size);

/*
 * The options of `block` for libconfuse: each directive calls `on_directive`, each of
 * the marks that conf_translate plants calls `on_mark`, blocks are sections. Freed by
 * conf_table_free_options().
 */
cfg_opt_t *conf_table_options(enum conf_block block, cfg_func_t on_directive, cfg_func_t on_mark);
void conf_table_free_options(cfg_opt_t **optionsp);

#endif
