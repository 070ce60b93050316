#include "worker/helper/secretmake.h"

#include <crypt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base64.h"
#include "common/mem.h"
#include "worker/helper/secret.h"

struct secretmake {
	const char *name;
	const char *mark;               /* before the stored text */
	const char *prefix;             /* of crypt(3); NULL: the password itself is stored */
	unsigned long rounds;           /* usual cost; 0: libcrypt's choice */
	unsigned least, most;           /* of what may be asked for: beyond it a login takes minutes */
	size_t max_len;                 /* of a password: what is longer would be cut silently, or refused */
};

/* From the best to the last. */
static const struct secretmake schemes[] = {
	{ "YESCRYPT",     "{CRYPT}",        "$y$",  0,    1,    11,      CRYPT_MAX_PASSPHRASE_SIZE - 1 },
	{ "SHA512-CRYPT", "{SHA512-CRYPT}", "$6$",  0,    1000, 5000000, CRYPT_MAX_PASSPHRASE_SIZE - 1 },
	{ "SHA256-CRYPT", "{SHA256-CRYPT}", "$5$",  0,    1000, 5000000, CRYPT_MAX_PASSPHRASE_SIZE - 1 },
	{ "BLF-CRYPT",    "{BLF-CRYPT}",    "$2y$", 10,   4,    16,      72 },
	{ "PLAIN",        "{PLAIN}",        NULL,   0,    0,    0,       BASE64_DECODED(SECRET_MAX) },
};

#define COUNT (sizeof(schemes) / sizeof(schemes[0]))

static bool
can_salt(const struct secretmake *scheme)
{
	char *setting = scheme->prefix == NULL ? NULL : crypt_gensalt_ra(scheme->prefix, scheme->rounds, NULL, 0);
	bool can = scheme->prefix == NULL || setting != NULL;

	free(setting);
	return can;
}

const char *
secretmake_names(void)
{
	return "YESCRYPT SHA512-CRYPT SHA256-CRYPT BLF-CRYPT PLAIN";
}

const char *
secretmake_find(const struct secretmake **scheme, const char *name, unsigned rounds)
{
	size_t i = 0;

	while (i < COUNT && (name != NULL ? strcasecmp(schemes[i].name, name) != 0 : !can_salt(&schemes[i])))
		i++;
	if (i == COUNT)
		return "no such scheme can be made";
	if (!can_salt(&schemes[i]))
		return "crypt(3) of this system has no such scheme";
	if (rounds != 0 && (rounds < schemes[i].least || rounds > schemes[i].most))
		return "rounds are out of the scheme's range";
	*scheme = &schemes[i];
	return NULL;
}

/* The bytes that can stand in a line as they are. */
static bool
is_harmless(const char *pass)
{
	for (; *pass != '\0'; pass++)
		if ((unsigned char)*pass < 0x20 || *pass == 0x7f || *pass == ':')
			return false;
	return true;
}

static char *
store_plain(const char *pass)
{
	size_t len = strlen(pass);
	char *encoded, *stored;

	if (is_harmless(pass))
		return mem_printf("{PLAIN}%s", pass);
	encoded = mem_alloc(BASE64_ENCODED(len) + 1);
	base64_encode(encoded, pass, len);
	stored = mem_printf("{PLAIN.b64}%s", encoded);
	mem_free_secret(&encoded);
	return stored;
}

/* NULL if libcrypt will not. */
static char *
store_hash(const struct secretmake *scheme, unsigned long rounds, const char *pass)
{
	struct crypt_data *data = mem_alloc(sizeof(*data));
	char *setting = crypt_gensalt_ra(scheme->prefix, rounds, NULL, 0), *stored = NULL;
	const char *hash = setting != NULL ? crypt_r(pass, setting, data) : NULL;

	if (hash != NULL && hash[0] != '*')
		stored = mem_printf("%s%s", scheme->mark, hash);
	mem_wipe(data, sizeof(*data));
	mem_free(data);
	free(setting);
	return stored;
}

const char *
secretmake_store(char **stored, const struct secretmake *scheme, unsigned rounds, const char *pass)
{
	*stored = NULL;
	if (pass[0] == '\0')
		return "empty password";
	if (strpbrk(pass, "\r\n") != NULL)
		return "line end in the password";
	if (strlen(pass) > scheme->max_len)
		return "the password is longer than its scheme can tell apart";
	if (scheme->prefix == NULL)
		*stored = store_plain(pass);
	else
		*stored = store_hash(scheme, rounds != 0 ? rounds : scheme->rounds, pass);
	return *stored != NULL ? NULL : "crypt(3) cannot hash it";
}
