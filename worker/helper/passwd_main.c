/*
 * postern-passwd - changes a password file safely, and shows who is in it
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "common/buf.h"
#include "common/mem.h"
#include "worker/helper/passwdargs.h"
#include "worker/helper/passwdask.h"
#include "worker/helper/passwdedit.h"
#include "worker/helper/passwdfile.h"
#include "worker/helper/passwdline.h"
#include "worker/helper/passwdlist.h"
#include "worker/helper/passwdstore.h"
#include "worker/helper/secretmake.h"

#define NAME "postern-passwd"
#define STATUS_NO 1             /* it cannot be done, or the password does not fit */
#define STATUS_USAGE 2
#define FAR_AWAY (SIZE_MAX / 8)         /* the limit of what holds a whole file */

static void
say(const char *text)
{
	fprintf(stderr, NAME ": %s\n", text);
}

/* Says what went wrong and frees it. */
static int
fail(char *why)
{
	say(why);
	mem_free(why);
	return STATUS_NO;
}

/* NULL, or why postern would not take this text: a fresh string. */
static char *
judge_text(const char *path, const char *text, size_t len)
{
	struct passwdfile *table;
	unsigned line;
	const char *wrong = passwdfile_new(&table, text, len, &line);

	passwdfile_free(&table);
	return wrong == NULL ? NULL : mem_printf("%s in %s:%u", wrong, path, line);
}

static int
list(const struct passwdargs *args)
{
	struct passwdstore store;
	struct buf out;
	char *why = NULL;
	int status = EXIT_SUCCESS;

	if (passwdstore_open(&store, args->file, PASSWDSTORE_READ, &why) == -1)
		return fail(why);
	buf_init(&out, FAR_AWAY);
	passwdlist(&out, store.text.bytes, store.text.len);
	fwrite(buf_head(&out), 1, out.len, stdout);
	if (fflush(stdout) != 0)
		status = fail(mem_printf("cannot write the list: %s", strerror(errno)));
	else if ((why = judge_text(args->file, store.text.bytes, store.text.len)) != NULL)
		status = fail(why);
	buf_reset(&out);
	passwdstore_close(&store);
	return status;
}

static char *
ask(const struct passwdargs *args, const char *what, bool twice, char **secret)
{
	char *prompt = mem_printf("%s %s", what, args->user);
	const char *why = passwdask(secret, prompt, args->from_stdin, twice);

	mem_free(prompt);
	return mem_strdup(why);
}

static int
compare(const struct passwdargs *args, const struct passwdline *line)
{
	char *secret, *why = ask(args, "Password of", false, &secret);
	bool fits = why == NULL && secret_fits(&line->secret, secret, strlen(secret));

	mem_free_secret(&secret);
	if (why != NULL)
		return fail(why);
	if (line->secret.scheme == NULL)
		return fail(mem_strdup("the user is locked"));
	if (!fits)
		return fail(mem_strdup("wrong password"));
	puts("the password fits");
	return EXIT_SUCCESS;
}

static int
verify(const struct passwdargs *args)
{
	struct passwdstore store;
	struct passwdline line;
	const char *text, *wrong;
	size_t len;
	char *why;
	int status;

	if (passwdstore_open(&store, args->file, PASSWDSTORE_READ, &why) == -1)
		return fail(why);
	if (!passwdedit_find(store.text.bytes, store.text.len, args->user, &text, &len))
		status = fail(mem_strdup("unknown user"));
	else if ((wrong = passwdline_parse(&line, text, len)) != NULL)
		status = fail(mem_printf("%s in the user's line", wrong));
	else
		status = compare(args, &line);
	passwdstore_close(&store);
	return status;
}

static bool
is_locked(const struct passwdstore *store, const char *user)
{
	const char *line, *colon;
	size_t len;

	if (!passwdedit_find(store->text.bytes, store->text.len, user, &line, &len))
		return false;
	colon = memchr(line, ':', len);
	return colon != NULL && colon + 1 < line + len && colon[1] == '!';
}

static bool
is_same(const struct passwdstore *store, const struct buf *fresh)
{
	return fresh->len == store->text.len && memcmp(buf_head(fresh), store->text.bytes, fresh->len) == 0;
}

/* Whoever misspells a key learns it. */
static void
note_strange_keys(const struct passwdargs *args)
{
	for (size_t i = 0; i < args->key_count; i++)
		if (args->keys[i].value != NULL && !passwdline_knows(args->keys[i].name))
			fprintf(stderr, NAME ": note: the key \"%s\" says nothing to postern\n", args->keys[i].name);
}

/* The new text, judged as postern will. Returns NULL, or why not, the caller's to free. */
static char *
compose(const struct passwdargs *args, const struct passwdedit *edit, const struct passwdstore *store,
    struct buf *fresh)
{
	const char *wrong = passwdedit_apply(edit, store->text.bytes, store->text.len, fresh);
	char *why = wrong != NULL ? mem_strdup(wrong) : judge_text(args->file, buf_head(fresh), fresh->len);

	if (wrong == NULL && why != NULL) {
		char *bad = why;

		why = mem_printf("%s, nothing was written", bad);
		mem_free(bad);
	}
	return why;
}

/* Would it work? So nobody types a password in vain. */
static char *
rehearse(const struct passwdargs *args, const struct passwdedit *edit)
{
	struct passwdstore store;
	struct buf fresh;
	char *why = NULL;

	if (passwdstore_open(&store, args->file, PASSWDSTORE_READ, &why) == -1) {
		if (!args->creates || errno != ENOENT)
			return why;
		mem_free(why);
		return NULL;
	}
	buf_init(&fresh, FAR_AWAY);
	why = compose(args, edit, &store, &fresh);
	buf_reset(&fresh);
	passwdstore_close(&store);
	return why;
}

static char *
perform(const struct passwdargs *args, const struct passwdedit *edit)
{
	struct passwdstore store;
	struct buf fresh;
	char *why = NULL;

	if (passwdstore_open(&store, args->file, args->creates ? PASSWDSTORE_MAKE : PASSWDSTORE_EDIT, &why) == -1)
		return why;
	buf_init(&fresh, FAR_AWAY);
	why = compose(args, edit, &store, &fresh);
	if (why == NULL && is_same(&store, &fresh))
		say("note: it was so already");
	else if (why == NULL && passwdstore_replace(&store, buf_head(&fresh), fresh.len, &why) == 0 &&
	    edit->verb == PASSWDEDIT_CHANGE && edit->secret != NULL && is_locked(&store, edit->user))
		say("note: the user stays locked");
	buf_reset(&fresh);
	passwdstore_close(&store);
	return why;
}

/* Asks for the user's password and makes of it what is stored. */
static char *
make_secret(const struct passwdargs *args, const struct secretmake *scheme, char **stored)
{
	char *secret, *why = ask(args, "Password of", true, &secret);

	if (why == NULL)
		why = mem_strdup(secretmake_store(stored, scheme, args->rounds, secret));
	mem_free_secret(&secret);
	return why;
}

/* All that is asked for, then the change. */
static char *
ask_and_perform(const struct passwdargs *args, const struct secretmake *scheme, struct passwdedit *edit)
{
	char *stored = NULL, *pass = NULL, *why = NULL;

	if (args->command->asks)
		why = make_secret(args, scheme, &stored);
	if (why == NULL && args->pass != NULL)
		why = ask(args, "Password at the backend of", true, &pass);
	if (why == NULL) {
		edit->secret = stored;
		if (args->pass != NULL)
			args->pass->value = pass;
		why = perform(args, edit);
	}
	mem_free_secret(&stored);
	mem_free_secret(&pass);
	return why;
}

static int
edit(const struct passwdargs *args)
{
	const struct secretmake *scheme = NULL;
	struct passwdedit change = {
		.verb = args->command->verb, .user = args->user, .keys = args->keys, .key_count = args->key_count,
		.secret = args->command->asks ? "*" : NULL,
	};
	const char *wrong = args->command->asks ? secretmake_find(&scheme, args->scheme, args->rounds) : NULL;
	char *why;

	if (wrong != NULL) {
		fprintf(stderr, NAME ": %s; there are %s\n", wrong, secretmake_names());
		return STATUS_USAGE;
	}
	if (args->pass != NULL)
		args->pass->value = "*";
	note_strange_keys(args);
	if ((why = rehearse(args, &change)) == NULL)
		why = ask_and_perform(args, scheme, &change);
	return why == NULL ? EXIT_SUCCESS : fail(why);
}

static int
run(const struct passwdargs *args)
{
	switch (args->command->does) {
	case PASSWDARGS_LISTS:
		return list(args);
	case PASSWDARGS_VERIFIES:
		return verify(args);
	case PASSWDARGS_EDITS:
		return edit(args);
	case PASSWDARGS_HELPS:
		fputs(passwdargs_help, stdout);
		return EXIT_SUCCESS;
	case PASSWDARGS_SAYS_VERSION:
		break;
	}
	puts(NAME " " PACKAGE_VERSION);
	return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
	struct passwdargs args;
	char *why = passwdargs_parse(&args, argc, argv);
	int status = STATUS_USAGE;

	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);     /* no core image holds a password */
	signal(SIGXFSZ, SIG_IGN);               /* too large is an error to be told */
	if (why == NULL) {
		status = run(&args);
	} else {
		fprintf(stderr, NAME ": %s; try --help\n", why);
		mem_free(why);
	}
	passwdargs_reset(&args);
	return status;
}
