#include "common/tlsticket.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/memfd.h"
#include "common/must.h"

#define OWN_KEYS TLSTICKET_OWN_KEYS
#define WORDS 10                        /* of 64 bits: a key */
#define TRIES 100000                    /* a rotation takes a microsecond */
#define RING_BYTES 4096

/* As in a file of 80 bytes. */
struct key {
	unsigned char name[16], hmac[32], aes[32];
};

_Static_assert(sizeof(struct key) == WORDS * sizeof(uint64_t), "a key is a row of words");
_Static_assert(sizeof(struct key) == TLSTICKET_KEY, "a key goes as it is");

/* What workers see of our own keys: readers look whether `turn` was even and stayed the same. */
struct ring {
	_Atomic uint64_t turn;
	_Atomic uint64_t words[OWN_KEYS][WORDS];
};

struct tlsticket {
	struct key *keys;               /* owned; NULL: our own, in the ring */
	bool *halves;                   /* owned; which of `keys` are of 16 bytes */
	size_t count;
	const struct ring *ring;        /* read-only, in every process */
	struct ring *writable;          /* the master's alone */
	EVP_CIPHER *aes256, *aes128;
};

static struct tlsticket *
make(void)
{
	struct tlsticket *t = mem_alloc(sizeof(*t));

	t->aes256 = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	t->aes128 = EVP_CIPHER_fetch(NULL, "AES-128-CBC", NULL);
	MUST(t->aes256 != NULL && t->aes128 != NULL);
	return t;
}

/* ---- our own ---- */

static void
map_ring(struct tlsticket *t)
{
	void *writable;

	t->ring = memfd_views("postern-tickets", RING_BYTES, &writable);
	if (t->ring == NULL)
		must_die("no memory for the keys of session tickets");
	t->writable = writable;
}

void
tlsticket_settle(struct tlsticket *t)
{
	madvise(t->writable, RING_BYTES, MADV_DONTFORK);
}

static void
put_key(struct ring *ring, size_t index, const uint64_t *words)
{
	for (size_t i = 0; i < WORDS; i++)
		atomic_store_explicit(&ring->words[index][i], words[i], memory_order_relaxed);
}

static void
get_key(const struct ring *ring, size_t index, uint64_t *words)
{
	for (size_t i = 0; i < WORDS; i++)
		words[i] = atomic_load_explicit(&ring->words[index][i], memory_order_relaxed);
}

/* Both keys change at once, as far as readers can tell. */
static void
put_keys(struct ring *ring, const uint64_t *current, const uint64_t *last)
{
	atomic_fetch_add_explicit(&ring->turn, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	put_key(ring, 1, last);
	put_key(ring, 0, current);
	atomic_fetch_add_explicit(&ring->turn, 1, memory_order_seq_cst);
}

void
tlsticket_rotate(struct tlsticket *t)
{
	struct ring *ring = t->writable;
	uint64_t fresh[WORDS], last[WORDS];

	MUST(ring != NULL);
	/* Without randomness the old key goes on: the next rotation may have better luck. */
	if (RAND_priv_bytes((unsigned char *)fresh, sizeof(fresh)) != 1) {
		ERR_clear_error();
		return;
	}
	get_key(ring, 0, last);
	put_keys(ring, fresh, last);
	mem_wipe(fresh, sizeof(fresh));
	mem_wipe(last, sizeof(last));
}

void
tlsticket_export(const struct tlsticket *t, struct tlsticket_keys *keys)
{
	uint64_t words[WORDS];

	MUST(t->writable != NULL);
	for (size_t i = 0; i < OWN_KEYS; i++) {
		get_key(t->ring, i, words);
		memcpy(keys->keys[i], words, sizeof(words));
	}
	mem_wipe(words, sizeof(words));
}

void
tlsticket_import(struct tlsticket *t, const struct tlsticket_keys *keys)
{
	uint64_t words[OWN_KEYS][WORDS];

	MUST(t->writable != NULL);
	memcpy(words, keys->keys, sizeof(words));
	put_keys(t->writable, words[0], words[1]);
	mem_wipe(words, sizeof(words));
}

struct tlsticket *
tlsticket_new(void)
{
	struct tlsticket *t = make();

	map_ring(t);
	t->count = OWN_KEYS;
	/* Twice: the one before must not be a key that everybody knows. */
	tlsticket_rotate(t);
	tlsticket_rotate(t);
	if (atomic_load(&t->ring->turn) != 4)
		must_die("no randomness for the keys of session tickets");
	return t;
}

/* Copies our own keys; false if the master died while it rotated them. */
static bool
copy_ring(const struct ring *ring, struct key *keys)
{
	for (unsigned i = 0; i < TRIES; i++) {
		uint64_t before = atomic_load_explicit(&ring->turn, memory_order_acquire);

		for (size_t k = 0; k < OWN_KEYS; k++) {
			uint64_t words[WORDS];

			get_key(ring, k, words);
			memcpy(&keys[k], words, sizeof(words));
			mem_wipe(words, sizeof(words));
		}
		atomic_thread_fence(memory_order_acquire);
		if (before % 2 == 0 && atomic_load_explicit(&ring->turn, memory_order_relaxed) == before)
			return true;
	}
	return false;
}

/* ---- files ---- */

/* Returns the size of the file, as far as `size` goes, or -1 with errno. */
static ssize_t
read_whole(const char *path, unsigned char *bytes, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t got;

	if (fd == -1)
		return -1;
	got = read(fd, bytes, size);
	close(fd);
	return got;
}

/* nginx's order: the short form has its AES key first, the long one its HMAC key. */
static void
parse(struct key *key, bool half, const unsigned char *bytes)
{
	memcpy(key->name, bytes, 16);
	if (half) {
		memcpy(key->aes, bytes + 16, 16);
		memcpy(key->hmac, bytes + 32, 16);
	} else {
		memcpy(key->hmac, bytes + 16, 32);
		memcpy(key->aes, bytes + 48, 32);
	}
}

static int
read_key(struct tlsticket *t, const char *path, char *why, size_t size)
{
	unsigned char bytes[81];
	ssize_t got = read_whole(path, bytes, sizeof(bytes));

	if (got == 48 || got == 80) {
		t->halves[t->count] = got == 48;
		parse(&t->keys[t->count++], got == 48, bytes);
	} else if (got == -1) {
		snprintf(why, size, "open() \"%s\" failed (%d: %s)", path, errno, strerror(errno));
	} else {
		snprintf(why, size, "\"%s\" must be 48 or 80 bytes", path);
	}
	mem_wipe(bytes, sizeof(bytes));
	return got == 48 || got == 80 ? 0 : -1;
}

struct tlsticket *
tlsticket_load(const char *const *paths, char *why, size_t size)
{
	struct tlsticket *t = make();
	size_t count = 0;

	while (paths[count] != NULL)
		count++;
	t->keys = mem_array(count, sizeof(*t->keys));
	t->halves = mem_array(count, sizeof(*t->halves));
	for (size_t i = 0; i < count; i++)
		if (read_key(t, paths[i], why, size) == -1) {
			tlsticket_free(&t);
			break;
		}
	return t;
}

void
tlsticket_free(struct tlsticket **ticketp)
{
	struct tlsticket *t = *ticketp;

	if (t == NULL)
		return;
	if (t->keys != NULL)
		mem_wipe(t->keys, t->count * sizeof(*t->keys));
	mem_free(t->keys);
	mem_free(t->halves);
	if (t->writable != NULL)
		munmap(t->writable, RING_BYTES);
	if (t->ring != NULL)
		munmap((void *)(uintptr_t)t->ring, RING_BYTES);
	EVP_CIPHER_free(t->aes256);
	EVP_CIPHER_free(t->aes128);
	mem_free(t);
	*ticketp = NULL;
}

/* ---- what OpenSSL asks ---- */

static bool
set_up(const struct tlsticket *t, const struct key *key, bool half, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int seal)
{
	size_t size = half ? 16 : 32;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->hmac, size),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){ "SHA256" }, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_CipherInit_ex2(cipher, half ? t->aes128 : t->aes256, key->aes, iv, seal, NULL) == 1 &&
	    EVP_MAC_CTX_set_params(mac, params) == 1;
}

static enum tlsticket_found
prepare(const struct tlsticket *t, const struct key *keys, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
	size_t i = 0;

	if (seal) {
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(t->aes256)) != 1)
			return TLSTICKET_BROKEN;
		memcpy(name, keys[0].name, sizeof(keys[0].name));
	}
	while (i < t->count && memcmp(name, keys[i].name, sizeof(keys[i].name)) != 0)
		i++;
	if (i == t->count)
		return TLSTICKET_UNKNOWN;
	if (!set_up(t, &keys[i], t->halves != NULL && t->halves[i], iv, cipher, mac, seal))
		return TLSTICKET_BROKEN;
	return i == 0 ? TLSTICKET_CURRENT : TLSTICKET_OLD;
}

enum tlsticket_found
tlsticket_prepare(const struct tlsticket *t, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int seal)
{
	struct key own[OWN_KEYS];
	enum tlsticket_found found = TLSTICKET_UNKNOWN;

	if (t->keys != NULL)
		return prepare(t, t->keys, name, iv, cipher, mac, seal);
	if (copy_ring(t->ring, own))
		found = prepare(t, own, name, iv, cipher, mac, seal);
	mem_wipe(own, sizeof(own));
	return found;
}
