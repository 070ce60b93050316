#include <string.h>

#include "common/must.h"
#include "test/fuzz/fuzz.h"
#include "worker/net/dns_answer.h"

static void
check_name(const struct dns_name *name)
{
	char text[DNS_NAME_TEXT];
	size_t len = strlen(dns_name_format(text, name));

	MUST(name->len >= 1 && name->len <= DNS_NAME_WIRE && len < DNS_NAME_TEXT);
	MUST(!dns_name_is_host(name) || (len > 0 && len == name->len - 2));
	MUST(!dns_name_is_host(name) || strcspn(text, "\\ \r\n=_") == len);
}

static void
check(const uint8_t *data, size_t size, const char *name, enum dns_type type)
{
	struct dns_answer answer;
	struct dns_record record;
	size_t count = 0;
	enum dns_verdict verdict = dns_answer_read(&answer, data, size, name, type);

	MUST(verdict == DNS_BAD || answer.ttl_s <= INT32_MAX);
	if (verdict != DNS_FOUND)
		return;
	for (; dns_answer_next(&answer, &record); count++)
		if (type == DNS_PTR)
			check_name(&record.name);
		else
			MUST(record.addr.family == (type == DNS_A ? AF_INET : AF_INET6));
	MUST(count == answer.count && count > 0);
}

/* Whatever a name server says to any of our questions: it is bad, or nothing, or so many records and no more. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check(data, size, "1.2.0.192.in-addr.arpa", DNS_PTR);
	check(data, size, "mx.example.org", DNS_A);
	check(data, size, "mx.example.org", DNS_AAAA);
	return 0;
}
