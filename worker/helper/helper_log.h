/*
 * helper_log - the log of a helper, as the master describes it message by message
 *
 * Built on: addr, log, mem.
 */
#ifndef POSTERN_WORKER_HELPER_HELPER_LOG_H
#define POSTERN_WORKER_HELPER_HELPER_LOG_H

#include <stddef.h>
#include <stdint.h>

/*
 * IPC_SET_LOG_FILE and IPC_SET_LOG_SYSLOG: one more target. `fd` now belongs to the log;
 * `text` is what the syslog setting holds, `len` bytes and a NUL. What makes no sense is
 * left out. From the first target on lines go there instead of to stderr.
 */
void helper_log_file(int64_t value, int fd);
void helper_log_syslog(int64_t value, const char *text, size_t len);

/* IPC_LOGFILE: file `index` was opened anew as `fd`, which is the log's to close. */
void helper_log_reopened(uint32_t index, int fd);

#endif
