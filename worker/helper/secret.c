#include "worker/helper/secret.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <strings.h>

#include "common/base64.h"
#include "common/mem.h"
#include "worker/helper/crypthash.h"

#define MD5_LEN 16

enum kind { KIND_PLAIN, KIND_DIGEST, KIND_SALTED, KIND_CRYPT };

struct secret_scheme {
	const char *name;
	enum kind kind;
	enum secret_encoding encoding;  /* when the scheme names none */
	const EVP_MD *(*digest)(void);  /* KIND_DIGEST, KIND_SALTED */
	const char *prefix;             /* KIND_CRYPT: how its hashes begin */
};

static const struct secret_scheme schemes[] = {
	{ "PLAIN",        KIND_PLAIN,  SECRET_AS_IS,  NULL,       NULL },
	{ "CLEARTEXT",    KIND_PLAIN,  SECRET_AS_IS,  NULL,       NULL },
	{ "SHA",          KIND_DIGEST, SECRET_BASE64, EVP_sha1,   NULL },
	{ "SHA1",         KIND_DIGEST, SECRET_BASE64, EVP_sha1,   NULL },
	{ "SSHA",         KIND_SALTED, SECRET_BASE64, EVP_sha1,   NULL },
	{ "SHA256",       KIND_DIGEST, SECRET_BASE64, EVP_sha256, NULL },
	{ "SSHA256",      KIND_SALTED, SECRET_BASE64, EVP_sha256, NULL },
	{ "SHA512",       KIND_DIGEST, SECRET_BASE64, EVP_sha512, NULL },
	{ "SSHA512",      KIND_SALTED, SECRET_BASE64, EVP_sha512, NULL },
	{ "LDAP-MD5",     KIND_DIGEST, SECRET_BASE64, EVP_md5,    NULL },
	{ "PLAIN-MD5",    KIND_DIGEST, SECRET_HEX,    EVP_md5,    NULL },
	{ "SMD5",         KIND_SALTED, SECRET_BASE64, EVP_md5,    NULL },
	{ "CRYPT",        KIND_CRYPT,  SECRET_AS_IS,  NULL,       "" },
	{ "BLF-CRYPT",    KIND_CRYPT,  SECRET_AS_IS,  NULL,       "$2" },
	{ "SHA512-CRYPT", KIND_CRYPT,  SECRET_AS_IS,  NULL,       "$6$" },
	{ "SHA256-CRYPT", KIND_CRYPT,  SECRET_AS_IS,  NULL,       "$5$" },
	{ "MD5-CRYPT",    KIND_CRYPT,  SECRET_AS_IS,  NULL,       "$1$" },
	{ "MD5",          KIND_CRYPT,  SECRET_AS_IS,  NULL,       "$1$" },
	{ "DES-CRYPT",    KIND_CRYPT,  SECRET_AS_IS,  NULL,       "" },
};

#define SCHEME_COUNT (sizeof(schemes) / sizeof(schemes[0]))

/* The text without its encoding. Holds secrets: wiped after use. */
struct decoded {
	char bytes[SECRET_MAX + 1];     /* NUL behind the last */
	size_t len;
};

static bool
is_word(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && strncasecmp(text, word, len) == 0;
}

static const struct secret_scheme *
scheme_find(const char *name, size_t len)
{
	for (size_t i = 0; i < SCHEME_COUNT; i++)
		if (is_word(name, len, schemes[i].name))
			return &schemes[i];
	return NULL;
}

static size_t
digest_len(const struct secret_scheme *scheme)
{
	return (size_t)EVP_MD_get_size(scheme->digest());
}

static int
hex_digit(char c)
{
	const char digits[] = "0123456789abcdef", *at = c == '\0' ? NULL : strchr(digits, c | (c >= 'A' ? 0x20 : 0));

	return at == NULL ? -1 : (int)(at - digits);
}

/* Returns how many bytes `text` stands for, or -1. */
static ssize_t
hex_decode(char *out, const char *text, size_t len)
{
	if (len % 2 != 0)
		return -1;
	for (size_t i = 0; i < len; i += 2) {
		int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);

		if (high == -1 || low == -1)
			return -1;
		out[i / 2] = (char)(high << 4 | low);
	}
	return (ssize_t)(len / 2);
}

static int
decode(struct decoded *d, const struct secret *s)
{
	ssize_t len = (ssize_t)s->len;

	if (s->len > SECRET_MAX)
		return -1;
	if (s->encoding == SECRET_BASE64)
		len = base64_decode(d->bytes, s->text, s->len);
	else if (s->encoding == SECRET_HEX)
		len = hex_decode(d->bytes, s->text, s->len);
	else
		memcpy(d->bytes, s->text, s->len);
	if (len == -1)
		return -1;
	d->len = (size_t)len;
	d->bytes[len] = '\0';
	return 0;
}

/* Takes "{SCHEME.encoding}" off the front; without it the text is a hash of crypt(3). */
static const char *
parse_scheme(struct secret *s)
{
	const char *end = memchr(s->text, '}', s->len), *name = s->text + 1, *dot;
	size_t len;

	if (s->text[0] != '{') {
		s->scheme = scheme_find("CRYPT", 5);
		return NULL;
	}
	if (end == NULL)
		return "password scheme without \"}\"";
	len = (size_t)(end - name);
	dot = memchr(name, '.', len);
	s->scheme = scheme_find(name, dot != NULL ? (size_t)(dot - name) : len);
	if (s->scheme == NULL)
		return "unknown password scheme";
	s->encoding = s->scheme->encoding;
	s->len -= len + 2;
	s->text = end + 1;
	if (dot == NULL) {
		/* Dovecot tells the hexadecimal form of a bare digest by its length. */
		if (s->scheme->kind == KIND_DIGEST && s->len == 2 * digest_len(s->scheme))
			s->encoding = SECRET_HEX;
		return NULL;
	}
	len = (size_t)(end - dot) - 1;
	if (is_word(dot + 1, len, "b64") || is_word(dot + 1, len, "base64"))
		s->encoding = SECRET_BASE64;
	else if (is_word(dot + 1, len, "hex"))
		s->encoding = SECRET_HEX;
	else
		return "unknown encoding of the password";
	return NULL;
}

static const char *
judge(const struct secret_scheme *scheme, const struct decoded *d)
{
	switch (scheme->kind) {
	case KIND_DIGEST:
		return d->len == digest_len(scheme) ? NULL : "password digest of a wrong length";
	case KIND_SALTED:
		return d->len >= digest_len(scheme) ? NULL : "password digest of a wrong length";
	case KIND_CRYPT:
		return strlen(d->bytes) == d->len ? crypthash_judge(d->bytes, scheme->prefix) : "NUL in the password";
	case KIND_PLAIN:
		break;
	}
	/* It may have to be said to a backend. */
	return strcspn(d->bytes, "\r\n") == d->len ? NULL : "CR, LF or NUL in the password";
}

const char *
secret_parse(struct secret *s, const char *text, size_t len)
{
	struct decoded d;
	const char *why;

	*s = (struct secret){ .text = text, .len = len };
	if (len == 0 || text[0] == '!' || (len == 1 && text[0] == '*'))
		return NULL;
	if ((why = parse_scheme(s)) != NULL)
		return why;
	if (s->len > SECRET_MAX)
		return "password too long";
	if (s->len == 0) {      /* "{PLAIN}" must not let in whoever sends nothing */
		s->scheme = NULL;
		return NULL;
	}
	why = decode(&d, s) == -1 ? "password is not in its encoding" : judge(s->scheme, &d);
	mem_wipe(&d, sizeof(d));
	return why;
}

const char *
secret_scheme_name(const struct secret *s)
{
	return s->scheme != NULL ? s->scheme->name : NULL;
}

bool
secret_is_plain(const struct secret *s)
{
	return s->scheme != NULL && s->scheme->kind == KIND_PLAIN;
}

char *
secret_reveal(const struct secret *s)
{
	struct decoded d;
	char *text = NULL;

	if (!secret_is_plain(s))
		return NULL;
	if (decode(&d, s) == 0)
		text = mem_strndup(d.bytes, d.len);
	mem_wipe(&d, sizeof(d));
	return text;
}

/* One digest over two pieces. Returns its length, or 0 if the library refuses. */
static size_t
digest(unsigned char out[EVP_MAX_MD_SIZE], const EVP_MD *md, const void *a, size_t a_len, const void *b, size_t b_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned len = 0;

	if (ctx == NULL || !EVP_DigestInit_ex(ctx, md, NULL) || !EVP_DigestUpdate(ctx, a, a_len) ||
	    !EVP_DigestUpdate(ctx, b, b_len) || !EVP_DigestFinal_ex(ctx, out, &len))
		len = 0;
	EVP_MD_CTX_free(ctx);
	return len;
}

/* Digests hide the lengths, too. */
static bool
fits_plain(const struct decoded *d, const char *pass, size_t len)
{
	unsigned char ours[EVP_MAX_MD_SIZE], theirs[EVP_MAX_MD_SIZE];
	size_t ours_len = digest(ours, EVP_sha256(), d->bytes, d->len, "", 0);
	size_t theirs_len = digest(theirs, EVP_sha256(), pass, len, "", 0);
	bool same = ours_len > 0 && ours_len == theirs_len && mem_same_secret(ours, theirs, ours_len);

	mem_wipe(ours, sizeof(ours));
	mem_wipe(theirs, sizeof(theirs));
	return same;
}

static bool
fits_digest(const struct secret_scheme *scheme, const struct decoded *d, const char *pass, size_t len)
{
	unsigned char theirs[EVP_MAX_MD_SIZE];
	size_t want = digest_len(scheme);
	size_t theirs_len = digest(theirs, scheme->digest(), pass, len, d->bytes + want, d->len - want);
	bool same = theirs_len == want && mem_same_secret(d->bytes, theirs, want);

	mem_wipe(theirs, sizeof(theirs));
	return same;
}

bool
secret_fits(const struct secret *s, const char *pass, size_t len)
{
	struct decoded d;
	bool fits = false;

	if (s->scheme == NULL || len > SECRET_MAX || memchr(pass, '\0', len) != NULL)
		return false;
	if (decode(&d, s) == 0) {
		if (s->scheme->kind == KIND_PLAIN)
			fits = fits_plain(&d, pass, len);
		else if (s->scheme->kind == KIND_CRYPT)
			fits = crypthash_fits(d.bytes, pass, len);
		else
			fits = fits_digest(s->scheme, &d, pass, len);
	}
	mem_wipe(&d, sizeof(d));
	return fits;
}

typedef size_t answer_function(unsigned char out[EVP_MAX_MD_SIZE], const char *pass, const char *salt);

static size_t
apop(unsigned char out[EVP_MAX_MD_SIZE], const char *pass, const char *salt)
{
	return digest(out, EVP_md5(), salt, strlen(salt), pass, strlen(pass));
}

static size_t
cram_md5(unsigned char out[EVP_MAX_MD_SIZE], const char *pass, const char *salt)
{
	unsigned len = 0;

	if (HMAC(EVP_md5(), pass, (int)strlen(pass), (const unsigned char *)salt, strlen(salt), out, &len) == NULL)
		return 0;
	return len;
}

static bool
answers(const struct secret *s, const char *salt, const char *hex, answer_function *expected)
{
	unsigned char ours[EVP_MAX_MD_SIZE];
	char theirs[MD5_LEN] = { 0 };
	char *pass = secret_reveal(s);
	bool well_formed = strlen(hex) == 2 * MD5_LEN && hex_decode(theirs, hex, 2 * MD5_LEN) != -1;
	size_t len = expected(ours, pass != NULL ? pass : "", salt);
	bool same = len == MD5_LEN && mem_same_secret(ours, theirs, MD5_LEN);

	same = same && well_formed && pass != NULL;
	mem_wipe(ours, sizeof(ours));
	mem_free_secret(&pass);
	return same;
}

bool
secret_answers_apop(const struct secret *s, const char *salt, const char *hex)
{
	return answers(s, salt, hex, apop);
}

bool
secret_answers_cram_md5(const struct secret *s, const char *salt, const char *hex)
{
	return answers(s, salt, hex, cram_md5);
}

uint64_t
secret_cost(const struct secret *s)
{
	struct decoded d;
	uint64_t cost = 0;

	if (s->scheme == NULL)
		return 0;
	if (s->scheme->kind != KIND_CRYPT)
		return 1;
	if (decode(&d, s) == 0)
		cost = crypthash_cost(d.bytes);
	mem_wipe(&d, sizeof(d));
	return cost;
}

void
secret_prepare(void)
{
	unsigned char out[EVP_MAX_MD_SIZE];

	for (size_t i = 0; i < SCHEME_COUNT; i++)
		if (schemes[i].digest != NULL)
			digest(out, schemes[i].digest(), "", 0, "", 0);
	cram_md5(out, "", "");
}
