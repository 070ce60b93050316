/*
 * postern-auth-pam - the helper of auth_pam: the system's own ways to tell who it is
 *
 * Each login is a transaction of its own: the password first, then the account. No
 * session is opened and no credentials are set: the user's work is done at the backend.
 */
#include <ctype.h>
#include <errno.h>
#include <security/pam_appl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "worker/helper/helper.h"
#include "worker/helper/pamtalk.h"
#include "worker/helper/pamverdict.h"

/* What `load` makes of the settings. */
struct stack {
	char *service, *directory;      /* owned; NULL: the system's directory */
};

/* A login under way. */
struct attempt {
	pam_handle_t *pam;
	struct pamtalk talk;
	int result;                     /* of the last call */
};

static int
begin(const struct stack *stack, struct attempt *attempt)
{
	const struct pam_conv conversation = { pamtalk_converse, &attempt->talk };

	attempt->result = pam_start_confdir(stack->service, attempt->talk.user, &conversation, stack->directory,
	    &attempt->pam);
	return attempt->result == PAM_SUCCESS ? 0 : -1;
}

static void
end(struct attempt *attempt)
{
	if (attempt->pam != NULL)
		pam_end(attempt->pam, attempt->result);
	pamtalk_reset(&attempt->talk);
}

static int
set_items(struct attempt *attempt, const struct addr *client)
{
	char host[ADDR_TEXT];
	const struct {
		int item;
		const void *value;
	} items[] = {
		{ PAM_RHOST, addr_format(host, client) },
		{ PAM_TTY, "postern" },         /* there is none, but some modules insist */
		{ PAM_FAIL_DELAY, (const void *)pamtalk_delay },
	};

	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
		if ((attempt->result = pam_set_item(attempt->pam, items[i].item, items[i].value)) != PAM_SUCCESS)
			return -1;
	return 0;
}

static void
say(struct helper_reply *reply, const struct attempt *attempt, struct pamverdict verdict)
{
	const char *said = attempt->talk.said, *reason = verdict.reason;
	char text[PAMTALK_SAID_MAX];

	if (reason == NULL)
		reason = attempt->pam != NULL ? pam_strerror(attempt->pam, attempt->result) : "PAM cannot be started";
	if (verdict.outcome != HELPER_ACCEPTED)
		reply->reason = said[0] != '\0' ? mem_printf("%s, PAM says: %s", reason, said) : mem_strdup(reason);
	else if (said[0] != '\0')
		log_say(LOG_INFO, "auth_pam: a user was let in, PAM says: %s",
		    log_text(text, sizeof(text), said, strlen(said)));
	reply->outcome = verdict.outcome;
	reply->wait_ms = attempt->talk.wait_ms;
}

/* Modules may know the user by another name, which then is that for the backend. */
static struct pamverdict
take_name(struct attempt *attempt, struct helper_reply *reply)
{
	const void *name = NULL;

	attempt->result = pam_get_item(attempt->pam, PAM_USER, &name);
	if (attempt->result != PAM_SUCCESS)
		return (struct pamverdict){ HELPER_UNAVAILABLE, NULL };
	if (name == NULL || !pamverdict_is_name(name))
		return (struct pamverdict){ HELPER_UNAVAILABLE, "a PAM module has set no usable user name" };
	if (strcmp(name, attempt->talk.user) != 0)
		reply->user = mem_strdup(name);
	return (struct pamverdict){ HELPER_ACCEPTED, NULL };
}

static struct pamverdict
ask(struct attempt *attempt, const struct helper_request *request)
{
	struct pamverdict verdict = { HELPER_UNAVAILABLE, NULL };

	if (set_items(attempt, &request->client) == -1)
		return verdict;
	attempt->result = pam_authenticate(attempt->pam, PAM_DISALLOW_NULL_AUTHTOK);
	verdict = pamverdict_of_password(attempt->result);
	if (verdict.outcome != HELPER_ACCEPTED && attempt->talk.balked)
		return (struct pamverdict){ HELPER_REFUSED, "PAM asks for more than a password" };
	if (verdict.outcome != HELPER_ACCEPTED)
		return verdict;
	attempt->result = pam_acct_mgmt(attempt->pam, PAM_DISALLOW_NULL_AUTHTOK);
	return pamverdict_of_account(attempt->result);
}

static void
answer(void *loaded, const struct helper_request *request, struct helper_reply *reply)
{
	struct pamverdict verdict = pamverdict_of_request(request);
	struct attempt attempt = { .talk = { .user = request->user, .pass = request->secret } };

	*reply = (struct helper_reply){ .outcome = HELPER_UNAVAILABLE };
	if (verdict.outcome == HELPER_ACCEPTED) {
		verdict = (struct pamverdict){ HELPER_UNAVAILABLE, NULL };
		if (begin(loaded, &attempt) == 0)
			verdict = ask(&attempt, request);
		if (verdict.outcome == HELPER_ACCEPTED)
			verdict = take_name(&attempt, reply);
	}
	say(reply, &attempt, verdict);
	end(&attempt);
}

static void
unload(void **loadedp)
{
	struct stack *stack = *loadedp;

	mem_free(stack->service);
	mem_free(stack->directory);
	mem_free(stack);
	*loadedp = NULL;
}

static bool
is_there(const char *directory, const char *file)
{
	char *path = mem_printf("%s/%s", directory, file);
	bool is = access(path, F_OK) == 0 || errno != ENOENT;

	mem_free(path);
	return is;
}

/* Whether the service has a file of its own; PAM looks for it in lower case. */
static bool
has_file(const struct stack *stack)
{
	static const char *const places[] = { "/etc/pam.d", "/usr/lib/pam.d", "/usr/share/pam.d", "/usr/etc/pam.d" };
	char *file = mem_strdup(stack->service);
	bool has = false;

	for (char *p = file; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	for (size_t i = 0; stack->directory == NULL && !has && i < sizeof(places) / sizeof(places[0]); i++)
		has = is_there(places[i], file);
	if (stack->directory != NULL)
		has = is_there(stack->directory, file);
	else if (!is_there("/etc", "pam.d"))
		has = true;             /* then all services are in /etc/pam.conf, which is PAM's to read */
	mem_free(file);
	return has;
}

/* PAM reads the service's file at each login; here it shows that there is one. */
static void *
load(const struct helper_source *source, char **why)
{
	struct stack *stack = mem_alloc(sizeof(*stack));
	struct attempt attempt = { .talk = { .user = "postern" } };
	void *loaded = stack;

	stack->service = helper_setting(source->settings, "service");
	stack->directory = helper_setting(source->settings, "directory");
	if (stack->service != NULL && begin(stack, &attempt) == 0) {
		end(&attempt);
		if (!has_file(stack))   /* a slip of the pen, and whoever has an account may come in */
			log_say(LOG_WARN,
			    "auth_pam \"%s\": there is no such service in %s, PAM asks the one called \"other\"",
			    stack->service, stack->directory != NULL ? stack->directory : "/etc/pam.d");
		return stack;
	}
	*why = mem_printf("PAM has no usable service \"%s\"%s%s", stack->service != NULL ? stack->service : "",
	    stack->directory != NULL ? " in " : "", stack->directory != NULL ? stack->directory : "");
	end(&attempt);
	unload(&loaded);
	return NULL;
}

static void
prepare(void)
{
}

static unsigned
methods(const void *loaded)
{
	(void)loaded;
	return METHODS_PASSWORD;
}

static const struct helper_kind auth_pam = {
	.name = "auth_pam", .program = "postern-auth-pam",
	.sandbox = SANDBOX_OPEN, .may_hang = true, .recycle_after = 1000,
	.prepare = prepare, .load = load, .unload = unload, .methods = methods, .answer = answer,
};

int
main(int argc, char **argv)
{
	helper_run(argc, argv, &auth_pam);
}
