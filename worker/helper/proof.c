#include "worker/helper/proof.h"

#include <string.h>

const char *
proof_judge_request(const struct helper_request *request)
{
	if (((unsigned)request->method & (METHODS_PASSWORD | METHODS_CHALLENGE)) == 0)
		return "only passwords are known here";
	if (request->user == NULL || request->user[0] == '\0')
		return "no user name";
	if (request->secret != NULL && strlen(request->secret) > SECRET_MAX)
		return "password too long";
	if (request->authz != NULL)
		return "nobody may act for another user";
	return NULL;
}

bool
proof_needs_plain(const struct helper_request *request)
{
	return ((unsigned)request->method & METHODS_CHALLENGE) != 0;
}

static bool
fits(const struct secret *secret, const struct secret *costliest, const char *pass)
{
	if (secret_fits(secret, pass, strlen(pass)))
		return true;
	if (secret_cost(secret) < secret_cost(costliest))
		secret_fits(costliest, pass, strlen(pass));
	return false;
}

static bool
proves(const struct secret *secret, const struct secret *costliest, const struct helper_request *request)
{
	const char *said = request->secret != NULL ? request->secret : "";
	const char *salt = request->salt != NULL ? request->salt : "";

	if (request->method == METHOD_APOP)
		return secret_answers_apop(secret, salt, said);
	if (request->method == METHOD_CRAM_MD5)
		return secret_answers_cram_md5(secret, salt, said);
	return fits(secret, costliest, said);
}

const char *
proof_judge(const struct secret *secret, const struct secret *costliest, const struct helper_request *request)
{
	bool proven = proves(secret, costliest, request);

	if (secret->scheme == NULL)
		return "the user is locked";
	if (!secret_is_plain(secret) && proof_needs_plain(request))
		return "the password is stored as a hash, which this method cannot use";
	return proven ? NULL : "wrong password";
}

void
proof_pretend(const struct secret *costliest, const struct helper_request *request)
{
	const struct secret nothing = { .scheme = NULL };

	proves(&nothing, costliest, request);
}
