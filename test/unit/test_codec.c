#include "worker/helper/codec.h"

#include <string.h>

#include "common/mem.h"
#include "test/unit/unit.h"

static const struct helper_request request = {
	.deadline_ms = UINT64_C(0x123456789abcdef), .connection = 42, .method = METHOD_CRAM_MD5,
	.protocol = PROTOCOL_POP3, .client = { .ip = { 192, 0, 2, 1 }, .port = 4711, .family = AF_INET },
	.user = "m\xc3\xbcller", .secret = "", .authz = NULL, .salt = "<1.2@mx>", .server_name = "mx",
};

static char user[] = "u", pass[] = "p w", host[] = "192.0.2.9", reason[] = "";

static const struct helper_reply reply = {
	.outcome = HELPER_ACCEPTED, .port = 65535, .is_unix = true, .says_ssl = true, .ssl = PROXY_SSL_STARTTLS, .user = user, .pass = pass, .host = host,
	.reason = reason,
};

static void
assert_same(const char *a, const char *b)
{
	if (b == NULL)
		ck_assert_ptr_null(a);
	else
		ck_assert_str_eq(a, b);
}

START_TEST(a_request_comes_out_as_it_went_in)
{
	char bytes[CODEC_MAX];
	ssize_t len = helper_request_encode(bytes, sizeof(bytes), &request);
	struct helper_request out;

	ck_assert_int_gt(len, 0);
	ck_assert_int_eq(helper_request_decode(&out, bytes, (size_t)len), 0);
	ck_assert(out.deadline_ms == request.deadline_ms && out.connection == request.connection);
	ck_assert(out.method == request.method && out.protocol == request.protocol);
	ck_assert(addr_equal(&out.client, &request.client));
	assert_same(out.user, request.user);
	assert_same(out.secret, request.secret);
	assert_same(out.authz, request.authz);
	assert_same(out.salt, request.salt);
	assert_same(out.server_name, request.server_name);
}
END_TEST

START_TEST(a_reply_comes_out_as_it_went_in)
{
	char bytes[CODEC_MAX];
	ssize_t len = helper_reply_encode(bytes, sizeof(bytes), &reply);
	struct helper_reply out;

	ck_assert_int_gt(len, 0);
	ck_assert_int_eq(helper_reply_decode(&out, bytes, (size_t)len), 0);
	ck_assert(out.outcome == reply.outcome && out.port == reply.port && out.is_unix);
	ck_assert(out.says_ssl && out.ssl == PROXY_SSL_STARTTLS);
	assert_same(out.user, reply.user);
	assert_same(out.pass, reply.pass);
	assert_same(out.host, reply.host);
	assert_same(out.text, reply.text);
	assert_same(out.reason, reply.reason);
	helper_reply_reset(&out);
	ck_assert_ptr_null(out.user);
}
END_TEST

START_TEST(a_message_that_does_not_fit_is_not_written)
{
	char bytes[CODEC_MAX];
	size_t request_len = (size_t)helper_request_encode(bytes, sizeof(bytes), &request);
	size_t reply_len = (size_t)helper_reply_encode(bytes, sizeof(bytes), &reply);

	for (size_t size = 0; size < request_len; size++) {
		char *out = mem_alloc(size);

		ck_assert_int_eq(helper_request_encode(out, size, &request), -1);
		mem_free(out);
	}
	for (size_t size = 0; size < reply_len; size++) {
		char *out = mem_alloc(size);

		ck_assert_int_eq(helper_reply_encode(out, size, &reply), -1);
		mem_free(out);
	}
}
END_TEST

START_TEST(a_message_cut_or_lengthened_is_refused)
{
	char bytes[CODEC_MAX] = { 0 };
	size_t len = (size_t)helper_request_encode(bytes, sizeof(bytes), &request);
	struct helper_request out;
	struct helper_reply reply_out;

	for (size_t i = 0; i < len; i++) {
		char *cut = mem_dup(bytes, i);

		ck_assert_int_eq(helper_request_decode(&out, cut, i), -1);
		mem_free(cut);
	}
	ck_assert_int_eq(helper_request_decode(&out, bytes, len + 1), -1);
	len = (size_t)helper_reply_encode(bytes, sizeof(bytes), &reply);
	for (size_t i = 0; i < len; i++) {
		char *cut = mem_dup(bytes, i);

		ck_assert_int_eq(helper_reply_decode(&reply_out, cut, i), -1);
		mem_free(cut);
	}
	ck_assert_int_eq(helper_reply_decode(&reply_out, bytes, len + 1), -1);
}
END_TEST

/* Decoding anything is safe; what it takes is what an encoder writes. */
START_TEST(a_message_with_any_byte_changed_is_refused_or_reads_as_another)
{
	char bytes[CODEC_MAX], again[CODEC_MAX];
	size_t len = (size_t)helper_request_encode(bytes, sizeof(bytes), &request);

	for (size_t i = 0; i < len; i++) {
		for (unsigned flip = 1; flip < 256; flip++) {
			struct helper_request out;
			char *copy = mem_dup(bytes, len);

			copy[i] = (char)(copy[i] ^ (char)flip);
			if (helper_request_decode(&out, copy, len) == 0) {
				ck_assert_int_eq(helper_request_encode(again, sizeof(again), &out), (ssize_t)len);
				ck_assert_mem_eq(again, copy, len);
			}
			mem_free(copy);
		}
	}
}
END_TEST

START_TEST(a_reply_with_any_byte_changed_is_refused_or_reads_as_another)
{
	char bytes[CODEC_MAX], again[CODEC_MAX];
	size_t len = (size_t)helper_reply_encode(bytes, sizeof(bytes), &reply);

	for (size_t i = 0; i < len; i++) {
		for (unsigned flip = 1; flip < 256; flip++) {
			struct helper_reply out;
			char *copy = mem_dup(bytes, len);

			copy[i] = (char)(copy[i] ^ (char)flip);
			if (helper_reply_decode(&out, copy, len) == 0) {
				ck_assert_int_eq(helper_reply_encode(again, sizeof(again), &out), (ssize_t)len);
				ck_assert_mem_eq(again, copy, len);
			}
			helper_reply_reset(&out);
			mem_free(copy);
		}
	}
}
END_TEST

Suite *
codec_suite(void)
{
	Suite *suite = suite_create("codec");
	TCase *tcase = tcase_create("codec");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, a_request_comes_out_as_it_went_in);
	tcase_add_test(tcase, a_reply_comes_out_as_it_went_in);
	tcase_add_test(tcase, a_message_that_does_not_fit_is_not_written);
	tcase_add_test(tcase, a_message_cut_or_lengthened_is_refused);
	tcase_add_test(tcase, a_message_with_any_byte_changed_is_refused_or_reads_as_another);
	tcase_add_test(tcase, a_reply_with_any_byte_changed_is_refused_or_reads_as_another);
	suite_add_tcase(suite, tcase);
	return suite;
}
