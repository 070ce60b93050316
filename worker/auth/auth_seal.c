#include "worker/auth/auth_seal.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include "common/mem.h"
#include "common/must.h"

struct auth_seal {
	EVP_MAC_CTX *mac;               /* all owned */
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *box;
};

static EVP_MAC_CTX *
make_mac(void)
{
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *mac = hmac != NULL ? EVP_MAC_CTX_new(hmac) : NULL;
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()
	};

	EVP_MAC_free(hmac);
	if (mac != NULL && EVP_MAC_CTX_set_params(mac, params) != 1) {
		EVP_MAC_CTX_free(mac);
		mac = NULL;
	}
	return mac;
}

struct auth_seal *
auth_seal_new(void)
{
	struct auth_seal *seal = mem_alloc(sizeof(*seal));

	seal->mac = make_mac();
	seal->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	seal->box = EVP_CIPHER_CTX_new();
	if (seal->mac == NULL || seal->cipher == NULL || seal->box == NULL) {
		ERR_clear_error();
		auth_seal_free(&seal);
	}
	return seal;
}

void
auth_seal_free(struct auth_seal **sealp)
{
	struct auth_seal *seal = *sealp;

	*sealp = NULL;
	if (seal == NULL)
		return;
	EVP_MAC_CTX_free(seal->mac);
	EVP_CIPHER_CTX_free(seal->box);
	EVP_CIPHER_free(seal->cipher);
	mem_free(seal);
}

void
auth_seal_begin(struct auth_seal *seal, const unsigned char *key, char purpose)
{
	MUST(EVP_MAC_init(seal->mac, key, AUTH_SEAL_KEY, NULL) == 1);
	MUST(EVP_MAC_update(seal->mac, (const unsigned char *)&purpose, 1) == 1);
}

static void
feed(struct auth_seal *seal, const void *bytes, size_t len, uint64_t said_len)
{
	MUST(EVP_MAC_update(seal->mac, (const unsigned char *)&said_len, sizeof(said_len)) == 1);
	MUST(len == 0 || EVP_MAC_update(seal->mac, bytes, len) == 1);
}

void
auth_seal_bytes(struct auth_seal *seal, const void *bytes, size_t len)
{
	feed(seal, bytes, len, len);
}

void
auth_seal_text(struct auth_seal *seal, const char *text)
{
	if (text == NULL)
		feed(seal, NULL, 0, UINT64_MAX);
	else
		auth_seal_bytes(seal, text, strlen(text));
}

void
auth_seal_end(struct auth_seal *seal, unsigned char mac[AUTH_SEAL_KEY])
{
	size_t len;

	MUST(EVP_MAC_final(seal->mac, mac, &len, AUTH_SEAL_KEY) == 1 && len == AUTH_SEAL_KEY);
}

void
auth_seal_close(struct auth_seal *seal, const unsigned char key[AUTH_SEAL_KEY], const struct auth_sealed *what)
{
	int len;

	MUST(getrandom(what->nonce, AUTH_SEAL_NONCE, 0) == AUTH_SEAL_NONCE);
	MUST(EVP_EncryptInit_ex2(seal->box, seal->cipher, key, what->nonce, NULL) == 1);
	MUST(EVP_EncryptUpdate(seal->box, NULL, &len, what->label, (int)what->label_len) == 1);
	MUST(EVP_EncryptUpdate(seal->box, what->text, &len, what->text, (int)what->text_len) == 1);
	MUST(EVP_EncryptFinal_ex(seal->box, (unsigned char *)what->text + len, &len) == 1);
	MUST(EVP_CIPHER_CTX_ctrl(seal->box, EVP_CTRL_AEAD_GET_TAG, AUTH_SEAL_TAG, what->tag) == 1);
	MUST(EVP_CIPHER_CTX_reset(seal->box) == 1);     /* it forgets the key */
}

bool
auth_seal_open(struct auth_seal *seal, const unsigned char key[AUTH_SEAL_KEY], const struct auth_sealed *what)
{
	bool genuine;
	int len;

	MUST(EVP_DecryptInit_ex2(seal->box, seal->cipher, key, what->nonce, NULL) == 1);
	MUST(EVP_DecryptUpdate(seal->box, NULL, &len, what->label, (int)what->label_len) == 1);
	MUST(EVP_DecryptUpdate(seal->box, what->text, &len, what->text, (int)what->text_len) == 1);
	MUST(EVP_CIPHER_CTX_ctrl(seal->box, EVP_CTRL_AEAD_SET_TAG, AUTH_SEAL_TAG, what->tag) == 1);
	genuine = EVP_DecryptFinal_ex(seal->box, (unsigned char *)what->text + len, &len) == 1;
	MUST(EVP_CIPHER_CTX_reset(seal->box) == 1);
	if (!genuine) {
		mem_wipe(what->text, what->text_len);
		ERR_clear_error();
	}
	return genuine;
}
