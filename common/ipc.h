/*
 * ipc - the channel between the master and a child
 *
 * One SOCK_SEQPACKET pair a child. Messages are of one fixed size, with at most one
 * descriptor beside them, so neither side parses anything. End of file means that
 * the other side is dead. Built on: packet.
 */
#ifndef POSTERN_COMMON_IPC_H
#define POSTERN_COMMON_IPC_H

#include <stdint.h>

enum ipc_kind {
	/*
	 * child -> master: it serves, and is of version `index`; a helper's `value`: the methods it
	 * can answer (enum method), 0: unsaid
	 */
	IPC_READY = 1,
	/* child -> master: it cannot start, and is of version `index`; `value` is an errno, or 0: it has said why */
	IPC_FAILED,
	IPC_LOGFILE,    /* master -> child: descriptor of log file `index`, reopened */
	IPC_FEED,       /* master -> helper: fresh descriptor of the file it reads; `value` is its number */
	IPC_SETTING,    /* master -> helper: setting number `index` is `value`, or the descriptor holds it */
	IPC_START,      /* master -> helper: that was the last setting; `value` is not 0: a file follows */
	/* helper -> master: it answers from file number `value` now; `index`: the methods, as in IPC_READY */
	IPC_FED,
	IPC_UNFED,      /* helper -> master: file number `value` is of no use, it answers from the one before */
	IPC_SETTLE,     /* master -> worker: give back what `value` dead slots from `index` on held in zones */
	/*
	 * worker -> master: that of the slots from `index` on is done; `value` 0: not all of it
	 * could be had, ask again
	 */
	IPC_SETTLED,
	/*
	 * master -> worker: `value` listens from `index` on will be nobody's: whoever waits there
	 * is yours to take before QUIT
	 */
	IPC_GIVEN_UP,
};

/*
 * What a helper is told before IPC_START, one IPC_SETTING each; `index` is one of these. A
 * text travels in a memfd beside the message. The helper has its channel at descriptor
 * IPC_HELPER_CHANNEL and the read end of its source's mailbox at IPC_HELPER_MAILBOX, and
 * runs as its source's account, or the workers', from its first instruction.
 */
enum ipc_setting {
	IPC_SET_LABEL,          /* text: the source's label, for log lines and the process title */
	/* descriptor of a log file or stderr; value: level + 256 * the IPC_LOGFILE index (0xffffff: stderr) */
	IPC_SET_LOG_FILE,
	/* text: address, tag, hostname ("" for none), each ended by NUL; value: level + 256 * priority */
	IPC_SET_LOG_SYSLOG,
	IPC_SET_SOURCE,         /* text: the source's own settings, "name=value" lines; its kind knows them */
};

/* The exit status by which a child says that the next one could do no better: its place stays empty. */
#define IPC_EXIT_FATAL 2

#define IPC_REVISION "1"       /* another with each change of a message here, or in a mailbox, between two releases */

#define IPC_HELPER_CHANNEL 3
#define IPC_HELPER_MAILBOX 4

struct ipc_message {
	uint32_t kind;
	uint32_t index;
	int64_t value;
};

/*
 * The version of this program: what a master and its children have to agree on, since they
 * may be files of different packages. A number made of the release and IPC_REVISION.
 */
uint32_t ipc_version(void);

/* Makes the pair, nonblocking and close-on-exec. Returns 0, or -1 with errno. */
int ipc_pair(int ends[2]);

/* Sends one message with `fd` (-1: none) attached; `fd` stays the caller's. Returns 0, or -1 with errno. */
int ipc_send(int channel, const struct ipc_message *message, int fd);

/*
 * Receives one. *fd is -1 or a descriptor that is now the caller's, close-on-exec.
 * Returns 1 for a message, 0 at end of file, -1 with errno (EAGAIN: none now;
 * EPROTO: not of our size).
 */
int ipc_recv(int channel, struct ipc_message *message, int *fd);

#endif
