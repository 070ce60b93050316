#include "common/protocols.h"

#include <stddef.h>
#include <string.h>

#define PORTS 3

static const struct {
	const char *name;
	unsigned ports[PORTS];
} protocols[] = {
#define PROTOCOL_ROW(upper, lower, methods, auth, capabilities, buffer, ...) \
	[PROTOCOL_##upper] = { #lower, { __VA_ARGS__ } },
	PROTOCOLS(PROTOCOL_ROW)
#undef PROTOCOL_ROW
};

const char *
protocol_name(enum protocol protocol)
{
	return protocols[protocol].name;
}

enum protocol
protocol_by_name(const char *name)
{
	for (unsigned p = 0; p < PROTOCOL_COUNT; p++)
		if (strcmp(name, protocols[p].name) == 0)
			return (enum protocol)p;
	return PROTOCOL_UNKNOWN;
}

enum protocol
protocol_by_port(unsigned port)
{
	for (unsigned p = 0; port != 0 && p < PROTOCOL_COUNT; p++)
		for (unsigned i = 0; i < PORTS; i++)
			if (port == protocols[p].ports[i])
				return (enum protocol)p;
	return PROTOCOL_UNKNOWN;
}

unsigned
protocol_port(enum protocol protocol)
{
	return protocols[protocol].ports[0];
}

unsigned
protocol_tls_port(enum protocol protocol)
{
	return protocols[protocol].ports[1];
}
