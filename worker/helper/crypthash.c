#include "worker/helper/crypthash.h"

#include <crypt.h>
#include <string.h>

#include "common/mem.h"
#include "common/num.h"

/* The digits of crypt(3)'s own base 64, in order. */
static const char digits[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* The traditional hashes have no mark: thirteen characters, or twenty the first of which is "_". */
static bool
looks_like_hash(const char *hash)
{
	size_t len = strlen(hash), mark = hash[0] == '_';

	if (hash[0] == '$')
		return true;
	return len == (mark ? 20 : 13) && strspn(hash + mark, digits) == len - mark;
}

const char *
crypthash_judge(const char *hash, const char *prefix)
{
	int verdict;

	if (strncmp(hash, prefix, strlen(prefix)) != 0 || !looks_like_hash(hash))
		return "not a hash of this password scheme";
	verdict = crypt_checksalt(hash);
	if (verdict == CRYPT_SALT_INVALID || verdict == CRYPT_SALT_METHOD_DISABLED)
		return "a password hash that crypt(3) does not know";
	return NULL;
}

bool
crypthash_fits(const char *hash, const char *pass, size_t len)
{
	struct crypt_data *data = mem_alloc(sizeof(*data));
	char *copy = mem_strndup(pass, len);
	const char *made = crypt_r(copy, hash, data);
	size_t hash_len = strlen(hash);
	/* A failure of crypt_r() gives NULL or a text with a star in front, never what could equal `hash`. */
	bool same = made != NULL && strlen(made) == hash_len && mem_same_secret(made, hash, hash_len);

	mem_wipe(data, sizeof(*data));
	mem_free(data);
	mem_free_secret(&copy);
	return same;
}

/* The number behind `key`, or `otherwise`. */
static uint64_t
number_behind(const char *hash, const char *key, uint64_t otherwise)
{
	const char *at = strstr(hash, key);
	uint64_t number;

	if (at == NULL)
		return otherwise;
	at += strlen(key);
	return num_parse_len(at, strspn(at, "0123456789"), UINT32_MAX, &number) == 0 ? number : otherwise;
}

static uint64_t
digit(char c)
{
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	return at == NULL ? 0 : (uint64_t)(at - digits);
}

/* 2 to this power, within reason: nobody waits for more. */
static uint64_t
power(uint64_t exponent)
{
	return UINT64_C(1) << (exponent < 32 ? exponent : 32);
}

/* Of the parameters of yescrypt: flavour, N, r, one digit each. */
static uint64_t
yescrypt_cost(const char *parameters)
{
	if (strlen(parameters) < 3)
		return 0;
	return power(digit(parameters[1]) + 1) * (digit(parameters[2]) + 1) / 4;
}

uint64_t
crypthash_cost(const char *hash)
{
	if (strncmp(hash, "$2", 2) == 0)
		return 50 * power(number_behind(hash + 2, "$", 5));
	if (strncmp(hash, "$5$", 3) == 0 || strncmp(hash, "$6$", 3) == 0)
		return number_behind(hash, "$rounds=", 5000) / 2;
	if (strncmp(hash, "$y$", 3) == 0)
		return yescrypt_cost(hash + 3);
	if (strncmp(hash, "$gy$", 4) == 0)
		return yescrypt_cost(hash + 4);
	if (strncmp(hash, "$7$", 3) == 0)
		return 8 * power(digit(hash[3]));
	if (strncmp(hash, "$sha1$", 6) == 0)
		return number_behind(hash, "$sha1$", 20000) / 2;
	return 200;
}
