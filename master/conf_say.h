/*
 * conf_say - complaints about the configuration, with their place
 *
 * One line each, `[emerg] unknown directive "x" in FILE:LINE`, whatever bytes the text
 * holds: control bytes are escaped, long text is cut so that the place stays readable.
 * Built on: log.
 */
#ifndef POSTERN_MASTER_CONF_SAY_H
#define POSTERN_MASTER_CONF_SAY_H

#include "common/conf.h"

/* `place` with line 0 adds nothing to the text; without a file it is ` in command line`. */
void conf_say(enum log_level level, const struct conf_place *place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Says in nginx's words what is wrong with a name or address: `host not found in
 * "imap.example.com:143" of the "listen" directive`. `why` is the beginning.
 */
void conf_say_name(const struct conf_name *name, const char *why);

#endif
