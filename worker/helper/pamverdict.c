#include "worker/helper/pamverdict.h"

#include <security/pam_appl.h>
#include <stddef.h>
#include <string.h>

#define NAME_MAX_LEN 255        /* bytes: as long as a name of a user or a file may be */

static const struct {
	int result;
	const char *reason;
} refusals[] = {
	{ PAM_MAXTRIES,         "too many wrong passwords" },
	{ PAM_PERM_DENIED,      "permission denied" },
	{ PAM_ACCT_EXPIRED,     "the account has expired" },
	{ PAM_NEW_AUTHTOK_REQD, "the password has to be changed" },
	{ PAM_AUTHTOK_EXPIRED,  "the password has expired" },
	{ PAM_CRED_EXPIRED,     "the credentials have expired" },
	{ PAM_CRED_UNAVAIL,     "no credentials for this user" },
	{ PAM_CRED_INSUFFICIENT, "insufficient credentials" },
	{ PAM_CRED_ERR,         "the credentials cannot be set" },
};

struct pamverdict
pamverdict_of_account(int result)
{
	if (result == PAM_SUCCESS)
		return (struct pamverdict){ HELPER_ACCEPTED, NULL };
	if (result == PAM_USER_UNKNOWN)
		return (struct pamverdict){ HELPER_REFUSED, "the user has no account" };
	if (result == PAM_AUTH_ERR)
		return (struct pamverdict){ HELPER_REFUSED, "the account is refused" };
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (refusals[i].result == result)
			return (struct pamverdict){ HELPER_REFUSED, refusals[i].reason };
	return (struct pamverdict){ HELPER_UNAVAILABLE, NULL };
}

struct pamverdict
pamverdict_of_password(int result)
{
	if (result == PAM_USER_UNKNOWN)
		return (struct pamverdict){ HELPER_UNKNOWN, "unknown user" };
	if (result == PAM_AUTH_ERR)
		return (struct pamverdict){ HELPER_REFUSED, "wrong password" };
	return pamverdict_of_account(result);
}

bool
pamverdict_is_name(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f || name[i] == '/')
			return false;
	return len > 0 && len <= NAME_MAX_LEN && name[0] != '-' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

struct pamverdict
pamverdict_of_request(const struct helper_request *request)
{
	const char *pass = request->secret != NULL ? request->secret : "";

	if (request->method != METHOD_PLAIN && request->method != METHOD_LOGIN)
		return (struct pamverdict){ HELPER_REFUSED, "PAM knows only passwords" };
	if (request->authz != NULL)
		return (struct pamverdict){ HELPER_REFUSED, "nobody may act for another user" };
	if (request->user == NULL || !pamverdict_is_name(request->user))
		return (struct pamverdict){ HELPER_UNKNOWN, "not a name that PAM is asked about" };
	if (pass[0] == '\0')            /* directories let in whoever says nothing */
		return (struct pamverdict){ HELPER_REFUSED, "empty password" };
	if (strlen(pass) >= PAM_MAX_RESP_SIZE)
		return (struct pamverdict){ HELPER_REFUSED, "password too long" };
	return (struct pamverdict){ HELPER_ACCEPTED, NULL };
}
