#include "worker/net/hostname.h"

#include <errno.h>
#include <stddef.h>

const char *
hostname_why(unsigned code)
{
	switch (code) {
	case 0:
		return NULL;
	case HOSTNAME_BAD_FORMAT:
		return "Format error";
	case HOSTNAME_FAILURE:
		return "Server failure";
	case HOSTNAME_NOT_FOUND:
		return "Host not found";
	case HOSTNAME_UNIMPLEMENTED:
		return "Unimplemented";
	case HOSTNAME_REFUSED:
		return "Operation refused";
	case ETIMEDOUT:
		return "Operation timed out";
	case ECONNREFUSED:
		return "Connection refused";
	case EAGAIN:
		return "too many look-ups at once";
	default:
		return "Unknown error";
	}
}
