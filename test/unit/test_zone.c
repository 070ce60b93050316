#include "common/zone.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/memfd.h"
#include "common/zone_parts.h"
#include "test/unit/child.h"
#include "test/unit/unit.h"

struct value {
	uint32_t count, other;
	uint64_t sum;
};

static const struct zone_spec wide = { "limit", "addr", 100000, sizeof(struct value), 8, 7 };
/* The least that there can be: one bucket, where everything meets. */
static const struct zone_spec narrow = { "limit", "addr", 5000, sizeof(struct value), 8, 7 };

static struct zone *zone;

static void
make_wide(void)
{
	zone = zone_new(&wide);
	ck_assert_ptr_nonnull(zone);
}

static void
make_narrow(void)
{
	zone = zone_new(&narrow);
	ck_assert_ptr_nonnull(zone);
	ck_assert_uint_eq(zone->buckets, 1);
}

static void
free_zone(void)
{
	zone_free(&zone);
	ck_assert_ptr_null(zone);
}

/* Keys have eight bytes: a number. */
static struct value *
find(struct zone *z, uint32_t slot, uint64_t key, bool make)
{
	return zone_find(z, slot, &key, make);
}

static uint32_t
hold(struct zone *z, uint32_t slot, uint64_t key, uint32_t limit)
{
	return zone_hold(z, slot, &key, limit);
}

/* The holds on a key; 0 when there is no entry. */
static uint32_t
holds(struct zone *z, uint32_t slot, uint64_t key)
{
	struct value *value = find(z, slot, key, false);
	uint32_t count;

	if (value == NULL)
		return 0;
	count = value->count;
	zone_done(z, slot, value);
	return count;
}

START_TEST(an_entry_is_made_zero_and_found_again)
{
	struct value *value;

	ck_assert_ptr_null(find(zone, 1, 17, false));
	value = find(zone, 1, 17, true);
	ck_assert(value->count == 0 && value->other == 0 && value->sum == 0);
	ck_assert_uint_eq((uintptr_t)value % 8, 0);
	value->sum = 99;
	zone_done(zone, 1, value);
	ck_assert_ptr_null(find(zone, 2, 18, false));
	value = find(zone, 2, 17, false);
	ck_assert_uint_eq(value->sum, 99);
	zone_done(zone, 2, value);
}
END_TEST

START_TEST(the_least_recently_used_makes_room)
{
	/* As many as a bucket takes; then the first is used once more. */
	for (uint64_t key = 0; key < ZONE_WAYS; key++)
		zone_done(zone, 1, find(zone, 1, key, true));
	zone_done(zone, 1, find(zone, 1, 0, false));
	zone_done(zone, 1, find(zone, 1, 1000, true));
	for (uint64_t key = 0; key < ZONE_WAYS; key++) {
		struct value *value = find(zone, 1, key, false);

		ck_assert_msg((value == NULL) == (key == 1), "key %u", (unsigned)key);
		if (value != NULL)
			zone_done(zone, 1, value);
	}
}
END_TEST

START_TEST(what_is_held_never_makes_room)
{
	uint32_t handle = 0;

	for (uint64_t key = 0; key < ZONE_WAYS; key++)
		ck_assert_uint_ne(handle = hold(zone, 1, key, 10), 0);
	ck_assert_ptr_null(find(zone, 1, 1000, true));
	ck_assert_uint_eq(hold(zone, 1, 1000, 10), 0);
	zone_drop(zone, 1, handle);
	ck_assert_uint_ne(hold(zone, 1, 1000, 10), 0);
	ck_assert_ptr_null(find(zone, 1, ZONE_WAYS - 1, false));
	ck_assert_uint_eq(holds(zone, 1, 0), 1);
}
END_TEST

START_TEST(holds_stop_at_the_limit_and_go_on_when_one_is_dropped)
{
	uint32_t first = hold(zone, 1, 5, 2), second = hold(zone, 1, 5, 2);

	ck_assert(first != 0 && second != 0 && first != second);
	ck_assert_uint_eq(hold(zone, 1, 5, 2), 0);
	ck_assert_uint_eq(hold(zone, 1, 5, 0), 0);
	ck_assert_uint_ne(hold(zone, 1, 6, 2), 0);
	zone_drop(zone, 1, first);
	ck_assert_uint_eq(holds(zone, 1, 5), 1);
	ck_assert_uint_ne(hold(zone, 1, 5, 2), 0);
	ck_assert_uint_eq(holds(zone, 1, 5), 2);
}
END_TEST

START_TEST(a_ledger_that_is_full_refuses_and_recovers)
{
	static uint32_t handles[ZONE_LINES];

	for (uint32_t i = 0; i < ZONE_LINES; i++)
		if ((handles[i] = hold(zone, 1, 5, UINT32_MAX)) == 0)
			ck_abort_msg("hold %u", i);
	ck_assert_uint_eq(hold(zone, 1, 5, UINT32_MAX), 0);
	ck_assert_uint_eq(holds(zone, 1, 5), ZONE_LINES);
	for (uint32_t i = 0; i < ZONE_LINES; i++)
		zone_drop(zone, 1, handles[i]);
	ck_assert_uint_eq(holds(zone, 1, 5), 0);
	ck_assert_uint_ne(hold(zone, 1, 5, 1), 0);
}
END_TEST

/* ---- making and opening ---- */

START_TEST(too_little_memory_for_one_bucket_is_refused)
{
	struct zone_spec spec = narrow;

	for (spec.bytes = 0; spec.bytes <= 4096; spec.bytes += 64)
		ck_assert(zone_new(&spec) == NULL && errno == ENOSPC);
}
END_TEST

START_TEST(nobody_can_change_its_size)
{
	ck_assert(ftruncate(zone_fd(zone), 0) == -1 && errno == EPERM);
	ck_assert(ftruncate(zone_fd(zone), 1 << 30) == -1 && errno == EPERM);
}
END_TEST

START_TEST(another_process_opens_it_by_its_descriptor)
{
	struct zone *other = zone_open(dup(zone_fd(zone)), &wide);
	struct value *value = find(zone, 1, 17, true);

	ck_assert_ptr_nonnull(other);
	value->sum = 99;
	zone_done(zone, 1, value);
	value = find(other, 2, 17, false);
	ck_assert_uint_eq(value->sum, 99);
	zone_done(other, 2, value);
	zone_free(&other);
	ck_assert_int_eq(fcntl(zone_fd(zone), F_GETFD), FD_CLOEXEC);
}
END_TEST

static const struct zone_spec others[] = {
	{ "auth_cache", "addr", 100000, sizeof(struct value), 8, 7 },
	{ "limit", "address", 100000, sizeof(struct value), 8, 7 },
	{ "limit", "addr", 100001, sizeof(struct value), 8, 7 },
	{ "limit", "addr", 200000, sizeof(struct value), 8, 7 },
	{ "limit", "addr", 100000, sizeof(struct value) + 1, 8, 7 },
	{ "limit", "addr", 100000, sizeof(struct value), 7, 7 },
	{ "limit", "addr", 100000, sizeof(struct value), 8, 8 },
};

START_TEST(another_spec_neither_fits_nor_opens)
{
	ck_assert(zone_fits(zone, &wide));
	ck_assert(!zone_fits(zone, &others[_i]));
	ck_assert(zone_open(zone_fd(zone), &others[_i]) == NULL && errno == EINVAL);
	/* It is still the caller's. */
	ck_assert_int_ne(fcntl(zone_fd(zone), F_GETFD), -1);
}
END_TEST

START_TEST(what_is_no_zone_does_not_open)
{
	FILE *file = tmpfile();
	int sealed = memfd_new("postern-test", zone->map_bytes);
	int unsealed = memfd_create("postern-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	/* The right size and no header; the right bytes and no seals; a file; nothing. */
	ck_assert(zone_open(sealed, &wide) == NULL && errno == EINVAL);
	ck_assert_int_eq(ftruncate(unsealed, (off_t)zone->map_bytes), 0);
	ck_assert_int_eq(pwrite(unsealed, zone->map, 4096, 0), 4096);
	ck_assert(zone_open(unsealed, &wide) == NULL && errno == EINVAL);
	ck_assert_int_eq(ftruncate(fileno(file), (off_t)zone->map_bytes), 0);
	ck_assert_ptr_null(zone_open(fileno(file), &wide));
	ck_assert_ptr_null(zone_open(STDIN_FILENO, &wide));
	ck_assert_ptr_null(zone_open(-1, &wide));
	close(sealed);
	close(unsealed);
	fclose(file);
}
END_TEST

/* ---- several processes ---- */

/* A child of a process that holds needs a handle of its own: the ledger's free lines are a process's own. */
static void
open_own(void)
{
	struct zone *own = zone_open(dup(zone_fd(zone)), &zone->spec);

	zone_free(&zone);
	zone = own;
}

#define CHILDREN 4
#define ROUNDS 20000

/* Slots 1 to CHILDREN; each adds as many ones as the others, in the same entries. */
static int
add_ones(void *slot)
{
	uint32_t mine = *(uint32_t *)slot;

	for (uint64_t i = 0; i < ROUNDS; i++) {
		struct value *value = find(zone, mine, i % 8, true);

		if (value == NULL)
			return 1;
		value->other++;
		value->sum++;
		if (value->other != value->sum)
			return 2;
		zone_done(zone, mine, value);
	}
	return 0;
}

START_TEST(a_bucket_lets_one_process_in_at_a_time)
{
	pid_t children[CHILDREN];
	uint64_t sum = 0;

	for (uint32_t slot = 1; slot <= CHILDREN; slot++)
		children[slot - 1] = child_start(add_ones, &slot);
	for (int i = 0; i < CHILDREN; i++)
		ck_assert_int_eq(child_wait(children[i]), 0);
	for (uint64_t key = 0; key < 8; key++) {
		struct value *value = find(zone, 9, key, false);

		sum += value->sum;
		zone_done(zone, 9, value);
	}
	ck_assert_uint_eq(sum, CHILDREN * ROUNDS);
}
END_TEST

#define LIMIT 3

/* Each holds one at a time, and counts itself among the holders with its own eyes. */
static int
hold_and_drop(void *slot)
{
	uint32_t mine = *(uint32_t *)slot;

	for (uint64_t i = 0; i < ROUNDS; i++) {
		uint32_t handle = hold(zone, mine, i % 4, LIMIT);

		if (handle == 0)
			continue;
		if (holds(zone, mine, i % 4) > LIMIT)
			return 1;
		zone_drop(zone, mine, handle);
	}
	return 0;
}

START_TEST(no_number_of_processes_passes_the_limit)
{
	pid_t children[CHILDREN];

	for (uint32_t slot = 1; slot <= CHILDREN; slot++)
		children[slot - 1] = child_start(hold_and_drop, &slot);
	for (int i = 0; i < CHILDREN; i++)
		ck_assert_int_eq(child_wait(children[i]), 0);
	for (uint64_t key = 0; key < 4; key++)
		ck_assert_uint_eq(holds(zone, 9, key), 0);
}
END_TEST

/* ---- the dead ---- */

static int
die_inside(void *data)
{
	struct value *value = find(zone, 1, 17, true);

	(void)data;
	value->sum = 1;
	/* Half of what it wanted to write. */
	kill(getpid(), SIGKILL);
	return 0;
}

START_TEST(the_lock_of_the_dead_is_freed_and_its_half_entry_forgotten)
{
	struct value *value = find(zone, 2, 18, true);

	zone_done(zone, 2, value);
	ck_assert_uint_ne(hold(zone, 2, 19, 1), 0);
	ck_assert_int_eq(child_run(die_inside, NULL), -SIGKILL);
	/* Until somebody says that it is dead nobody comes in, and nobody hangs. */
	ck_assert_ptr_null(find(zone, 2, 17, true));
	ck_assert_uint_eq(hold(zone, 2, 17, 1), 0);
	zone_unlock_dead(zone, BOARD_ONE(3));
	ck_assert_ptr_null(find(zone, 2, 17, true));
	zone_unlock_dead(zone, BOARD_ONE(1));
	ck_assert_ptr_null(find(zone, 2, 17, false));
	value = find(zone, 2, 17, true);
	ck_assert_uint_eq(value->sum, 0);
	zone_done(zone, 2, value);
	ck_assert_uint_eq(holds(zone, 2, 19), 1);
}
END_TEST

static int
leave_holds(void *data)
{
	(void)data;
	open_own();
	for (uint64_t i = 0; i < 1000; i++)
		if (hold(zone, 1, i % 10, 1000) == 0)
			return 1;
	/* A gap in the ledger. */
	zone_drop(zone, 1, 500);
	return 0;
}

START_TEST(the_holds_of_the_dead_are_settled)
{
	ck_assert_uint_ne(hold(zone, 2, 3, 1000), 0);
	ck_assert_int_eq(child_run(leave_holds, NULL), 0);
	ck_assert_uint_eq(holds(zone, 2, 3), 101);
	zone_unlock_dead(zone, BOARD_ONE(1));
	ck_assert(zone_settle(zone, 2, BOARD_ONE(1)));
	for (uint64_t key = 0; key < 10; key++)
		ck_assert_uint_eq(holds(zone, 2, key), key == 3 ? 1 : 0);
	ck_assert(zone_settle(zone, 2, BOARD_ONE(1)));
	ck_assert_uint_eq(holds(zone, 2, 3), 1);
}
END_TEST

static int
leave_one(void *slot)
{
	open_own();
	return hold(zone, *(const uint32_t *)slot, 3, 10) == 0;
}

START_TEST(a_span_of_the_dead_is_settled_and_nobody_else)
{
	uint32_t slots[] = { 0, 1, 4, 5 };

	for (int i = 0; i < UNIT_COUNT(slots); i++)
		ck_assert_int_eq(child_run(leave_one, &slots[i]), 0);
	ck_assert_uint_eq(holds(zone, 6, 3), 4);
	ck_assert(zone_settle(zone, 6, (struct board_span){ 1, 4 }));
	ck_assert_uint_eq(holds(zone, 6, 3), 2);
	ck_assert(zone_settle(zone, 6, (struct board_span){ 0, 6 }));
	ck_assert_uint_eq(holds(zone, 6, 3), 0);
}
END_TEST

START_TEST(only_locks_within_the_span_are_freed)
{
	static const struct board_span dead = { 1, 4 };

	for (uint32_t i = 0; i < 7; i++)
		zone->locks[i] = i;
	zone->locks[7] = ZONE_ABANDONED | 3;
	zone_unlock_dead(zone, dead);
	for (uint32_t i = 0; i < 7; i++)
		ck_assert_uint_eq(zone->locks[i], i < 2 || i > 5 ? i : (i | ZONE_ABANDONED));
	ck_assert_uint_eq(zone->locks[7], ZONE_ABANDONED | 3);
}
END_TEST

START_TEST(a_drop_that_cannot_get_in_leaves_the_hold_to_the_settling)
{
	uint32_t handle = hold(zone, 2, 3, 10);

	ck_assert_int_eq(child_run(die_inside, NULL), -SIGKILL);
	zone_drop(zone, 2, handle);
	zone_unlock_dead(zone, BOARD_ONE(1));
	ck_assert_uint_eq(holds(zone, 4, 3), 1);
	ck_assert_uint_ne(hold(zone, 2, 3, 10), handle);
	ck_assert(zone_settle(zone, 4, BOARD_ONE(2)));
	ck_assert_uint_eq(holds(zone, 4, 3), 0);
}
END_TEST

/* Holds and drops without end; says through the pipe that it has begun. */
static int
work_for_ever(void *pipe_end)
{
	uint32_t handles[8] = { 0 };

	open_own();
	for (uint64_t i = 0;; i++) {
		uint32_t *handle = &handles[i % 8];

		if (*handle != 0)
			zone_drop(zone, 1, *handle);
		*handle = hold(zone, 1, i % 5, 100);
		if (i == 20 && write(*(int *)pipe_end, "x", 1) != 1)
			return 1;
	}
}

static void
kill_at_some_point(unsigned seed)
{
	struct timespec some = { 0, (long)(seed % 50) * 1000 };
	int ends[2];
	char byte;
	pid_t child;

	ck_assert_int_eq(pipe(ends), 0);
	child = child_start(work_for_ever, &ends[1]);
	close(ends[1]);
	ck_assert_int_eq(read(ends[0], &byte, 1), 1);
	nanosleep(&some, NULL);
	kill(child, SIGKILL);
	ck_assert_int_eq(child_wait(child), -SIGKILL);
	close(ends[0]);
}

START_TEST(a_process_killed_at_any_time_leaves_no_hold)
{
	for (uint64_t key = 0; key < 5; key++)
		ck_assert_uint_ne(hold(zone, 2, key, 100), 0);
	for (unsigned round = 0; round < 100; round++) {
		kill_at_some_point(round);
		zone_unlock_dead(zone, BOARD_ONE(1));
		ck_assert(zone_settle(zone, 2, BOARD_ONE(1)));
		for (uint64_t key = 0; key < 5; key++)
			ck_assert_uint_eq(holds(zone, 2, key), 1);
	}
}
END_TEST

/* The memory as it is at this moment, in a zone of its own. */
static struct zone *
photograph(void)
{
	int from = zone_fd(zone), to = memfd_new("postern-test", zone->map_bytes);
	off_t start = 0, end;
	struct zone *copy;

	while ((start = lseek(from, start, SEEK_DATA)) != -1) {
		end = lseek(from, start, SEEK_HOLE);
		ck_assert_int_eq(pwrite(to, zone->map + start, (size_t)(end - start), start), end - start);
		start = end;
	}
	copy = zone_open(to, &zone->spec);
	ck_assert_ptr_nonnull(copy);
	return copy;
}

/* Slot 1 holds and drops, of one key that others hold and of one that nobody else does. */
static void
hold_two_and_drop_them(void)
{
	uint32_t first = hold(zone, 1, 5, 10), second = hold(zone, 1, 6, 10);

	zone_drop(zone, 1, first);
	zone_drop(zone, 1, second);
}

/* Slot 1 settles what slot 4 left. */
static void
settle_another(void)
{
	zone_settle(zone, 1, BOARD_ONE(4));
}

static void (*const scenes[])(void) = { hold_two_and_drop_them, settle_another };

static int
be_traced(void *scene)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1)
		return 1;
	open_own();
	raise(SIGSTOP);
	(*(void (*const *)(void))scene)();
	return 0;
}

static int
leave_two(void *data)
{
	(void)data;
	return hold(zone, 4, 5, 10) != 0 && hold(zone, 4, 6, 10) != 0 ? 0 : 1;
}

/* As if the traced process had been killed just here: only slot 2's hold on 5 may be left. */
static void
bury_and_check(unsigned long instruction)
{
	struct zone *copy = photograph();
	bool settled;

	zone_unlock_dead(copy, BOARD_ONE(1));
	settled = zone_settle(copy, 3, BOARD_ONE(1)) && zone_settle(copy, 3, BOARD_ONE(4));
	if (!settled || holds(copy, 3, 5) != 1 || holds(copy, 3, 6) != 0)
		ck_abort_msg("killed after instruction %lu: %u and %u holds left", instruction, holds(copy, 3, 5),
		    holds(copy, 3, 6));
	zone_free(&copy);
}

START_TEST(death_between_any_two_instructions_leaves_no_hold_and_takes_none)
{
	unsigned long instructions = 0;
	pid_t child;
	int status;

	ck_assert_int_eq(child_run(leave_two, NULL), 0);
	ck_assert_uint_ne(hold(zone, 2, 5, 10), 0);
	child = child_start(be_traced, (void *)&scenes[_i]);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	while (WIFSTOPPED(status)) {
		bury_and_check(instructions++);
		ck_assert_int_eq(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
		ck_assert_int_eq(waitpid(child, &status, 0), child);
	}
	/* Where tracing is forbidden it ends with 1 and nothing has been shown. */
	ck_assert(WIFEXITED(status) && (WEXITSTATUS(status) == 1 || instructions > 100));
}
END_TEST

/* ---- the mad ---- */

static void
scribble(unsigned char *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		at[i] = (unsigned char)(lrand48() >> 7);
}

/* Everything but the locks, where nonsense only means waiting in vain. */
START_TEST(nonsense_in_the_memory_leads_nowhere)
{
	size_t buckets = zone->buckets * zone->bucket_bytes;

	srand48(_i);
	for (int round = 0; round < 200; round++) {
		uint32_t handle;
		void *value;

		scribble(zone->first_bucket, buckets);
		scribble((unsigned char *)zone->ledgers, 3 * sizeof(struct zone_ledger) / 16);
		zone->locks[0] = ZONE_ABANDONED | 1;
		handle = hold(zone, 1, (uint64_t)round, UINT32_MAX);
		scribble(zone->first_bucket, buckets);
		if (handle != 0)
			zone_drop(zone, 1, handle);
		if ((value = find(zone, 1, (uint64_t)lrand48(), true)) != NULL)
			zone_done(zone, 1, value);
		zone->uses[0] = 4000;
		zone_settle(zone, 1, BOARD_ONE(0));
	}
}
END_TEST

Suite *
zone_suite(void)
{
	Suite *suite = suite_create("zone");
	TCase *in_wide = tcase_create("wide"), *in_narrow = tcase_create("narrow");

	tcase_add_checked_fixture(in_wide, make_wide, free_zone);
	tcase_add_test(in_wide, an_entry_is_made_zero_and_found_again);
	tcase_add_test(in_wide, holds_stop_at_the_limit_and_go_on_when_one_is_dropped);
	tcase_add_test(in_wide, a_ledger_that_is_full_refuses_and_recovers);
	tcase_add_test(in_wide, too_little_memory_for_one_bucket_is_refused);
	tcase_add_test(in_wide, nobody_can_change_its_size);
	tcase_add_test(in_wide, another_process_opens_it_by_its_descriptor);
	tcase_add_loop_test(in_wide, another_spec_neither_fits_nor_opens, 0, UNIT_COUNT(others));
	tcase_add_test(in_wide, what_is_no_zone_does_not_open);
	tcase_add_test(in_wide, a_bucket_lets_one_process_in_at_a_time);
	tcase_add_test(in_wide, no_number_of_processes_passes_the_limit);
	tcase_add_test(in_wide, the_holds_of_the_dead_are_settled);
	tcase_add_test(in_wide, a_span_of_the_dead_is_settled_and_nobody_else);
	tcase_add_test(in_wide, only_locks_within_the_span_are_freed);
	tcase_add_test(in_wide, a_process_killed_at_any_time_leaves_no_hold);
	tcase_set_timeout(in_wide, 120);
	suite_add_tcase(suite, in_wide);
	tcase_add_checked_fixture(in_narrow, make_narrow, free_zone);
	tcase_add_test(in_narrow, the_least_recently_used_makes_room);
	tcase_add_test(in_narrow, what_is_held_never_makes_room);
	tcase_add_test(in_narrow, the_lock_of_the_dead_is_freed_and_its_half_entry_forgotten);
	tcase_add_test(in_narrow, a_drop_that_cannot_get_in_leaves_the_hold_to_the_settling);
	tcase_add_loop_test(in_narrow, nonsense_in_the_memory_leads_nowhere, 1, 3);
	if (!child_in_valgrind())
		tcase_add_loop_test(in_narrow, death_between_any_two_instructions_leaves_no_hold_and_takes_none, 0,
		    UNIT_COUNT(scenes));
	tcase_set_timeout(in_narrow, 120);
	suite_add_tcase(suite, in_narrow);
	return suite;
}
