/*
 * postern-auth-file - the helper of auth_file: a password file in memory
 */
#include <errno.h>

#include "common/log.h"
#include "common/mem.h"
#include "worker/helper/filetext.h"
#include "worker/helper/helper.h"
#include "worker/helper/passwdfile.h"
#include "worker/helper/secret.h"

struct loaded {
	struct filetext text;
	struct passwdfile *table;       /* owned; over the text */
};

static void
unload(void **loadedp)
{
	struct loaded *loaded = *loadedp;

	passwdfile_free(&loaded->table);
	filetext_reset(&loaded->text);
	mem_free(loaded);
	*loadedp = NULL;
}

/* Returns NULL or, the caller's to free, what is wrong. */
static char *
read_table(struct loaded *loaded, const struct helper_source *source)
{
	const char *wrong;
	unsigned line;

	if (filetext_read(&loaded->text, source->fd, PASSWDFILE_MAX) == -1)
		return mem_printf("read() \"%s\" failed %s", source->label, log_errno(errno));
	wrong = passwdfile_new(&loaded->table, loaded->text.bytes, loaded->text.len, &line);
	return wrong == NULL ? NULL : mem_printf("%s in %s:%u", wrong, source->label, line);
}

static void *
load(const struct helper_source *source, char **why)
{
	struct loaded *fresh = mem_alloc(sizeof(*fresh));
	void *loaded = fresh;

	if ((*why = read_table(fresh, source)) != NULL) {
		unload(&loaded);
		return NULL;
	}
	if (passwdfile_count(fresh->table) == 0) /* as it is when installed; or the script that makes it had no list */
		log_say(LOG_WARN, "auth_file \"%s\" has no users, nobody can log in by it", source->label);
	else
		log_say(LOG_INFO, "auth_file \"%s\" read, %zu users", source->label, passwdfile_count(fresh->table));
	return fresh;
}

static unsigned
methods(const void *loaded)
{
	return passwdfile_methods(((const struct loaded *)loaded)->table);
}

static void
answer(void *loaded, const struct helper_request *request, struct helper_reply *reply)
{
	passwdfile_answer(((struct loaded *)loaded)->table, request, reply);
}

static const struct helper_kind auth_file = {
	.name = "auth_file", .program = "postern-auth-file",
	.wants_file = true, .sandbox = SANDBOX_CLOSED,
	.prepare = secret_prepare, .load = load, .unload = unload, .methods = methods, .answer = answer,
};

int
main(int argc, char **argv)
{
	helper_run(argc, argv, &auth_file);
}
