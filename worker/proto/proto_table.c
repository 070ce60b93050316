/* Apart from proto.c, so that whoever needs one protocol does not link them all. */
#include "worker/proto/proto.h"

#include "common/must.h"

#define PROTO_DECLARE(upper, lower, ...) extern const struct proto proto_##lower;
PROTOCOLS(PROTO_DECLARE)
#undef PROTO_DECLARE

const struct proto *
proto_get(enum protocol protocol)
{
	static const struct proto *const protos[] = {
#define PROTO_ROW(upper, lower, ...) [PROTOCOL_##upper] = &proto_##lower,
		PROTOCOLS(PROTO_ROW)
#undef PROTO_ROW
	};

	MUST(protocol < PROTOCOL_COUNT);
	return protos[protocol];
}
