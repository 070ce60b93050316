#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/must.h"
#include "common/num.h"
#include "test/fuzz/fuzz.h"

#define UNTOUCHED UINT64_C(0x5555555555555555)

static const uint64_t maxima[] = { 0, 9, 255, 65535, UINT_MAX, UINT64_MAX / 1000, UINT64_MAX };

/* A number that is accepted is written the same way, but for zeros before it. */
static void
try_number(const char *text, size_t len, uint64_t max)
{
	uint64_t value = UNTOUCHED;
	char back[24];
	size_t zeros = 0;

	if (num_parse_len(text, len, max, &value) == -1) {
		MUST(value == UNTOUCHED);
		return;
	}
	MUST(value <= max);
	while (zeros + 1 < len && text[zeros] == '0')
		zeros++;
	snprintf(back, sizeof(back), "%llu", (unsigned long long)value);
	MUST(strlen(back) == len - zeros && memcmp(back, text + zeros, len - zeros) == 0);
}

/* Whatever is accepted is in range; whatever is refused changes nothing. */
static void
try_units(const char *text, uint64_t max)
{
	uint64_t size = UNTOUCHED, ms = UNTOUCHED, s = UNTOUCHED;
	int size_is = num_parse_size(text, max, &size);
	int ms_is = num_parse_time(text, true, max, &ms);
	int s_is = num_parse_time(text, false, max, &s);

	MUST(size_is == -1 ? size == UNTOUCHED : size <= max);
	MUST(ms_is == -1 ? ms == UNTOUCHED : ms <= max);
	MUST(s_is == -1 ? s == UNTOUCHED : s <= max);
	/* Both forms of a time that knows only what both forms know say the same. */
	MUST(ms_is == -1 || s_is == -1 || ms == s * 1000);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_strndup((const char *)data, size);

	for (size_t i = 0; i < sizeof(maxima) / sizeof(maxima[0]); i++) {
		try_number((const char *)data, size, maxima[i]);
		try_units(text, maxima[i]);
	}
	mem_free(text);
	return 0;
}
