#include "worker/proto/proxyhdr.h"

#include <stdint.h>
#include <string.h>
#include <sys/types.h>


/* Version 1: its longest line. Version 2: its head, and what stands behind it. */
#define LINE_MAX 107
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define SIGNATURE_LEN 12
#define HEAD_LEN 16
#define UNIX_PATH 108

enum { LOCAL = 0x20, PROXY = 0x21 };
enum { UNSPEC = 0x00, TCP4 = 0x11, TCP6 = 0x21, UNIX_STREAM = 0x31 };
enum {
	TLV_ALPN = 0x01,
	TLV_AUTHORITY = 0x02,
	TLV_CRC32C = 0x03,
	TLV_UNIQUE_ID = 0x05,
	TLV_SSL = 0x20,
	TLV_SSL_VERSION = 0x21,
	TLV_SSL_CN = 0x22,
	TLV_SSL_CIPHER = 0x23
};
enum { CLIENT_SSL = 0x01, CLIENT_CERT_CONN = 0x02, CLIENT_CERT_SESS = 0x04 };

/* What an IPv4 address begins with where it is written as IPv6. */
static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

static enum proxyhdr_verdict
bad(const char **why, const char *reason)
{
	*why = reason;
	return PROXYHDR_BAD;
}

static unsigned
read_u16(const unsigned char *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

/* --- version 1 --- */

/* Cuts the next word off. Words stand one blank apart. Its length; 0: there is none. */
static size_t
next_word(const char **at, const char *end, const char **word)
{
	const char *blank = memchr(*at, ' ', (size_t)(end - *at));
	const char *stop = blank != NULL ? blank : end;

	*word = *at;
	*at = blank != NULL ? blank + 1 : end;
	return (size_t)(stop - *word);
}

static bool
read_address(const char **at, const char *end, int family, struct addr *a)
{
	const char *word;
	size_t len = next_word(at, end, &word);
	bool is_v6 = memchr(word, ':', len) != NULL;

	return is_v6 == (family == AF_INET6) && addr_parse(a, word, len) == 0;
}

/* A decimal number without leading zeros. */
static bool
read_port(const char **at, const char *end, struct addr *a)
{
	const char *word;
	size_t len = next_word(at, end, &word);
	unsigned port = 0;

	if (len == 0 || len > 5 || (len > 1 && *word == '0'))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (word[i] < '0' || word[i] > '9')
			return false;
		port = port * 10 + (unsigned)(word[i] - '0');
	}
	a->port = (uint16_t)port;
	return port <= UINT16_MAX;
}

static bool
read_words(struct proxyhdr *header, const char *at, const char *end)
{
	const char *word;
	size_t len = next_word(&at, end, &word);
	int family = len == 4 && memcmp(word, "TCP4", 4) == 0 ? AF_INET : AF_INET6;

	if (len == strlen("UNKNOWN") && memcmp(word, "UNKNOWN", len) == 0)
		return true;
	if (len != 4 || (family == AF_INET6 && memcmp(word, "TCP6", 4) != 0))
		return false;
	header->tells = true;
	return read_address(&at, end, family, &header->source) &&
	    read_address(&at, end, family, &header->destination) &&
	    read_port(&at, end, &header->source) && read_port(&at, end, &header->destination) &&
	    at == end && end[-1] != ' ';
}

static enum proxyhdr_verdict
read_v1(struct proxyhdr *header, const char *bytes, size_t len, const char **why)
{
	const size_t skip = strlen("PROXY ");
	const char *end = memchr(bytes, '\n', len < LINE_MAX ? len : LINE_MAX);

	if (memcmp(bytes, "PROXY ", len < skip ? len : skip) != 0)
		return bad(why, "no signature");
	if (end == NULL)
		return len < LINE_MAX ? PROXYHDR_MORE : bad(why, "line too long");
	if (end[-1] != '\r' || memchr(bytes, '\r', (size_t)(end - bytes - 1)) != NULL)
		return bad(why, "line does not end with CRLF");
	header->len = (size_t)(end + 1 - bytes);
	return read_words(header, bytes + skip, end - 1) ? PROXYHDR_DONE : bad(why, "invalid line");
}

/* --- version 2 --- */

/* CRC-32C (RFC 3720 appendix B.4), a bit at a time: headers are short. */
static uint32_t
crc32c(uint32_t crc, const unsigned char *bytes, size_t len)
{
	crc = ~crc;
	for (size_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

/* The checksum is that of the header with zeros in the checksum's own place. */
static bool
checksum_fits(const unsigned char *header, size_t len, const unsigned char *place)
{
	static const unsigned char zeros[4];
	size_t before = (size_t)(place - header);
	uint32_t crc = crc32c(0, header, before);

	crc = crc32c(crc, zeros, 4);
	crc = crc32c(crc, place + 4, len - before - 4);
	return crc == ((uint32_t)read_u16(place) << 16 | read_u16(place + 2));
}

/* Do the TLVs fill the bytes up to `end` exactly? */
static bool
fill(const unsigned char *at, const unsigned char *end)
{
	while (end - at >= 3 && end - at - 3 >= (long)read_u16(at + 1))
		at += 3 + read_u16(at + 1);
	return at == end;
}

/* Returns NULL, or what is wrong. */
static const char *
judge_tlvs(const unsigned char *header, size_t len, const unsigned char *at)
{
	const unsigned char *end = header + len;
	bool summed = false;

	if (!fill(at, end))
		return "TLV past the end";
	for (; at < end; at += 3 + read_u16(at + 1)) {
		size_t value_len = read_u16(at + 1);

		if (at[0] == TLV_CRC32C && (summed || value_len != 4 || !checksum_fits(header, len, at + 3)))
			return "wrong checksum";
		summed |= at[0] == TLV_CRC32C;
		if (at[0] == TLV_SSL && (value_len < 5 || !fill(at + 3 + 5, at + 3 + value_len)))
			return "TLV past the end";
	}
	return NULL;
}

static void
take_ip(struct addr *a, unsigned family, const unsigned char *ip, const unsigned char *port)
{
	bool is_mapped = family == TCP6 && memcmp(ip, mapped, sizeof(mapped)) == 0;

	*a = (struct addr){
		.family = family == TCP4 || is_mapped ? AF_INET : AF_INET6, .port = (uint16_t)read_u16(port),
	};
	memcpy(a->ip, is_mapped ? ip + sizeof(mapped) : ip, a->family == AF_INET ? 4 : 16);
}

/* The length of a family's block of addresses; -1: there is no such family, or it is none of a stream. */
static ssize_t
block_len(unsigned family)
{
	switch (family) {
	case UNSPEC:
		return 0;
	case TCP4:
		return 12;
	case TCP6:
		return 36;
	case UNIX_STREAM:
		return 2 * UNIX_PATH;
	default:
		return -1;
	}
}

static void
take_addresses(struct proxyhdr *header, unsigned family, const unsigned char *at)
{
	size_t width = family == TCP4 ? 4 : 16;

	header->tells = family != UNSPEC;
	if (family == UNIX_STREAM) {
		header->source.family = header->destination.family = AF_UNIX;
	} else if (family != UNSPEC) {
		take_ip(&header->source, family, at, at + 2 * width);
		take_ip(&header->destination, family, at + width, at + 2 * width + 2);
	}
}

/* The part behind addresses and length, of which all is there. */
static enum proxyhdr_verdict
read_body(struct proxyhdr *header, const unsigned char *bytes, const char **why)
{
	size_t used = (size_t)block_len(bytes[13]);

	if (header->len < HEAD_LEN + used)
		return bad(why, "addresses missing");
	take_addresses(header, bytes[13], bytes + HEAD_LEN);
	*why = judge_tlvs(bytes, header->len, bytes + HEAD_LEN + used);
	return *why == NULL ? PROXYHDR_DONE : PROXYHDR_BAD;
}

static enum proxyhdr_verdict
read_v2(struct proxyhdr *header, const unsigned char *bytes, size_t len, const char **why)
{
	if (memcmp(bytes, SIGNATURE, len < SIGNATURE_LEN ? len : SIGNATURE_LEN) != 0)
		return bad(why, "no signature");
	if (len > 12 && bytes[12] != LOCAL && bytes[12] != PROXY)
		return bad(why, "unknown version or command");
	if (len > 13 && bytes[12] == PROXY && block_len(bytes[13]) == -1)
		return bad(why, "unknown family");
	if (len < HEAD_LEN)
		return PROXYHDR_MORE;
	header->len = HEAD_LEN + read_u16(bytes + 14);
	if (header->len > PROXYHDR_MAX)
		return bad(why, "header too long");
	if (len < header->len)
		return PROXYHDR_MORE;
	/* What LOCAL holds is to be passed over. */
	return bytes[12] == LOCAL ? PROXYHDR_DONE : read_body(header, bytes, why);
}

enum proxyhdr_verdict
proxyhdr_read(struct proxyhdr *header, const void *bytes, size_t len, const char **why)
{
	enum proxyhdr_verdict verdict = PROXYHDR_MORE;

	*header = (struct proxyhdr){ .tells = false };
	if (len > 0)
		verdict =
		    *(const char *)bytes == 'P' ? read_v1(header, bytes, len, why) : read_v2(header, bytes, len, why);
	if (verdict != PROXYHDR_DONE)
		*header = (struct proxyhdr){ .tells = false };
	return verdict;
}

/* --- writing --- */

/* An address as IPv6 has it. */
static void
map_ip(unsigned char ip[16], const struct addr *a)
{
	if (a->family == AF_INET6) {
		memcpy(ip, a->ip, 16);
		return;
	}
	memcpy(ip, mapped, sizeof(mapped));
	memcpy(ip + sizeof(mapped), a->ip, 4);
}

static bool
is_ip(const struct addr *a)
{
	return a->family == AF_INET || a->family == AF_INET6;
}

int
proxyhdr_write_v1(struct buf *out, const struct addr *source, const struct addr *destination)
{
	char from[ADDR_TEXT], to[ADDR_TEXT];
	bool as_v6 = source->family == AF_INET6 || destination->family == AF_INET6;

	if (!is_ip(source) || !is_ip(destination))
		return buf_add_text(out, "PROXY UNKNOWN\r\n");
	return buf_printf(out, "PROXY %s %s%s %s%s %u %u\r\n", as_v6 ? "TCP6" : "TCP4",
	    as_v6 && source->family == AF_INET ? "::ffff:" : "", addr_format(from, source),
	    as_v6 && destination->family == AF_INET ? "::ffff:" : "", addr_format(to, destination),
	    source->port, destination->port);
}

static int
add_u16(struct buf *out, size_t value)
{
	const unsigned char bytes[2] = { (unsigned char)(value >> 8), (unsigned char)value };

	return buf_add(out, bytes, sizeof(bytes));
}

static int
add_tlv(struct buf *out, unsigned char type, const void *value, size_t len)
{
	return buf_add(out, &type, 1) | add_u16(out, len) | buf_add(out, value, len);
}

static int
add_text(struct buf *out, unsigned char type, const char *text)
{
	return text == NULL ? 0 : add_tlv(out, type, text, strlen(text));
}

static unsigned
certificate_bits(const struct proxyhdr_facts *facts)
{
	if (!facts->has_certificate)
		return 0;
	return facts->resumed ? CLIENT_CERT_SESS : CLIENT_CERT_SESS | CLIENT_CERT_CONN;
}

/* What is known of the client's TLS: a TLV that holds others. */
static int
add_tls(struct buf *out, const struct proxyhdr_facts *facts)
{
	const unsigned char head[5] = {
		(unsigned char)(CLIENT_SSL | certificate_bits(facts)),
		[4] = facts->has_certificate && facts->verified ? 0 : 1,
	};
	struct buf inner;
	int failed;

	if (facts->tls_version == NULL)
		return 0;
	buf_init(&inner, PROXYHDR_MAX);
	failed = buf_add(&inner, head, sizeof(head)) | add_text(&inner, TLV_SSL_VERSION, facts->tls_version) |
	    add_text(&inner, TLV_SSL_CIPHER, facts->tls_cipher) | add_text(&inner, TLV_SSL_CN, facts->tls_common_name);
	failed |= add_tlv(out, TLV_SSL, buf_head(&inner), inner.len);
	buf_reset(&inner);
	return failed;
}

static int
add_addresses(struct buf *out, const struct addr *source, const struct addr *destination, bool as_v6)
{
	unsigned char ips[32];

	if (as_v6) {
		map_ip(ips, source);
		map_ip(ips + 16, destination);
	} else {
		memcpy(ips, source->ip, 4);
		memcpy(ips + 4, destination->ip, 4);
	}
	return buf_add(out, ips, as_v6 ? 32 : 8) | add_u16(out, source->port) | add_u16(out, destination->port);
}

int
proxyhdr_write_v2(struct buf *out, const struct addr *source, const struct addr *destination,
    const struct proxyhdr_facts *facts)
{
	bool as_v6 = source->family == AF_INET6 || destination->family == AF_INET6;
	bool told = is_ip(source) && is_ip(destination);
	const unsigned char head[2] = { PROXY, !told ? UNSPEC : as_v6 ? TCP6 : TCP4 };
	struct buf body;
	int failed = 0;

	buf_init(&body, PROXYHDR_MAX - HEAD_LEN);
	if (told)
		failed = add_addresses(&body, source, destination, as_v6);
	failed |= add_text(&body, TLV_ALPN, facts->alpn) | add_text(&body, TLV_AUTHORITY, facts->authority) |
	    add_text(&body, TLV_UNIQUE_ID, facts->session) | add_tls(&body, facts);
	failed |= buf_add(out, SIGNATURE, SIGNATURE_LEN) | buf_add(out, head, sizeof(head)) | add_u16(out, body.len) |
	    buf_add(out, buf_head(&body), body.len);
	buf_reset(&body);
	return failed == 0 ? 0 : -1;
}
