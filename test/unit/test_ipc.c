#include "common/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/unit/unit.h"

static int ends[2];

static void
make_pair(void)
{
	ck_assert_int_eq(ipc_pair(ends), 0);
}

static void
close_pair(void)
{
	close(ends[0]);
	close(ends[1]);
}

static const struct ipc_message letter = { IPC_LOGFILE, 7, -3 };

/* As a hostile child would: any number of bytes and of descriptors. */
static void
send_raw(size_t len, int count)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(8 * sizeof(int))];
	} control;
	char bytes[64] = "";
	struct iovec whole = { bytes, len };
	struct msghdr header = { .msg_iov = &whole, .msg_iovlen = 1 };
	int fds[8] = { 0, 0, 0, 0, 0, 0, 0, 0 };

	if (count > 0) {
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
		memset(&control, 0, sizeof(control));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, (size_t)count * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(ends[1], &header, 0), (ssize_t)len);
}

static int
count_open(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) != -1;
	return count;
}

START_TEST(messages_arrive_whole_and_in_order)
{
	struct ipc_message got;
	int fd = 5;

	ck_assert_int_eq(ipc_recv(ends[0], &got, &fd), -1);
	ck_assert_int_eq(errno, EAGAIN);
	for (uint32_t i = 0; i < 5; i++)
		ck_assert_int_eq(ipc_send(ends[1], &(struct ipc_message){ IPC_READY, i, i }, -1), 0);
	for (uint32_t i = 0; i < 5; i++) {
		ck_assert_int_eq(ipc_recv(ends[0], &got, &fd), 1);
		ck_assert(got.kind == IPC_READY && got.index == i && got.value == i);
		ck_assert_int_eq(fd, -1);
	}
}
END_TEST

START_TEST(a_descriptor_travels_and_is_closed_on_exec)
{
	struct ipc_message got;
	int pipes[2], fd;
	char byte;

	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(ipc_send(ends[1], &letter, pipes[1]), 0);
	close(pipes[1]);
	ck_assert_int_eq(ipc_recv(ends[0], &got, &fd), 1);
	ck_assert_mem_eq(&got, &letter, sizeof(got));
	ck_assert(fd != -1 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	ck_assert(write(fd, "x", 1) == 1 && read(pipes[0], &byte, 1) == 1);
	close(fd);
	close(pipes[0]);
}
END_TEST

/* A message of our size has 16 bytes. */
static const struct {
	size_t len;
	int fds;
} hostile[] = {
	{ 0, 1 }, { 1, 0 }, { 15, 0 }, { 17, 0 }, { 64, 0 }, { 15, 1 }, { 17, 1 }, { 16, 2 }, { 16, 3 }, { 64, 8 },
};

START_TEST(another_size_or_two_descriptors_are_refused_and_nothing_stays_open)
{
	int open_before = count_open(), fd;
	struct ipc_message got;

	send_raw(hostile[_i].len, hostile[_i].fds);
	ck_assert_int_eq(ipc_recv(ends[0], &got, &fd), -1);
	ck_assert_int_eq(errno, EPROTO);
	ck_assert_int_eq(fd, -1);
	ck_assert_int_eq(count_open(), open_before);
	/* The channel goes on. */
	ck_assert_int_eq(ipc_send(ends[1], &letter, -1), 0);
	ck_assert_int_eq(ipc_recv(ends[0], &got, &fd), 1);
}
END_TEST

START_TEST(the_last_words_of_the_dead_come_before_the_end_of_file)
{
	struct ipc_message got;
	int fd;

	/* It died with a message of ours unread: the kernel says ECONNRESET first. */
	ck_assert_int_eq(ipc_send(ends[0], &letter, -1), 0);
	ck_assert_int_eq(ipc_send(ends[1], &(struct ipc_message){ IPC_FAILED, 0, ENOMEM }, -1), 0);
	close(ends[1]);
	ck_assert_int_eq(ipc_recv(ends[0], &got, &fd), 1);
	ck_assert(got.kind == IPC_FAILED && got.value == ENOMEM);
	ck_assert_int_eq(ipc_recv(ends[0], &got, &fd), 0);
	ck_assert_int_eq(ipc_recv(ends[0], &got, &fd), 0);
	/* Nor does a message to it raise a signal. */
	ck_assert_int_eq(ipc_send(ends[0], &letter, -1), -1);
	ck_assert_int_eq(errno, EPIPE);
	ends[1] = -1;
}
END_TEST

START_TEST(a_child_that_does_not_read_does_not_block_us)
{
	int sent = 0;

	while (ipc_send(ends[0], &letter, -1) == 0 && sent < 1000000)
		sent++;
	ck_assert_int_eq(errno, EAGAIN);
}
END_TEST

Suite *
ipc_suite(void)
{
	Suite *suite = suite_create("ipc");
	TCase *tcase = tcase_create("ipc");

	tcase_add_checked_fixture(tcase, make_pair, close_pair);
	tcase_add_test(tcase, messages_arrive_whole_and_in_order);
	tcase_add_test(tcase, a_descriptor_travels_and_is_closed_on_exec);
	tcase_add_loop_test(tcase, another_size_or_two_descriptors_are_refused_and_nothing_stays_open, 0,
	    UNIT_COUNT(hostile));
	tcase_add_test(tcase, the_last_words_of_the_dead_come_before_the_end_of_file);
	tcase_add_test(tcase, a_child_that_does_not_read_does_not_block_us);
	suite_add_tcase(suite, tcase);
	return suite;
}
