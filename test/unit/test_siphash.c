#include "common/siphash.h"

#include "test/unit/unit.h"

/* The authors' vectors: key 00 01 .. 0f, input 00 01 .. of each length. */
static const struct {
	size_t len;
	uint64_t hash;
} vectors[] = {
	{ 0,  UINT64_C(0x726fdb47dd0e0e31) },
	{ 1,  UINT64_C(0x74f839c593dc67fd) },
	{ 7,  UINT64_C(0xab0200f58b01d137) },
	{ 8,  UINT64_C(0x93f5f5799a932462) },
	{ 15, UINT64_C(0xa129ca6149be45e5) },
	{ 63, UINT64_C(0x958a324ceb064572) },
};

START_TEST(the_hash_is_siphash_2_4)
{
	static const struct siphash_key key = { { UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908) } };
	unsigned char input[64];

	for (unsigned i = 0; i < sizeof(input); i++)
		input[i] = (unsigned char)i;
	ck_assert_uint_eq(siphash(&key, input, vectors[_i].len), vectors[_i].hash);
}
END_TEST

Suite *
siphash_suite(void)
{
	Suite *suite = suite_create("siphash");
	TCase *tcase = tcase_create("siphash");

	tcase_add_loop_test(tcase, the_hash_is_siphash_2_4, 0, UNIT_COUNT(vectors));
	suite_add_tcase(suite, tcase);
	return suite;
}
