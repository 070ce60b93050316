#include "master/settle.h"

#include "common/ipc.h"
#include "common/list.h"
#include "common/mem.h"
#include "master/spawn.h"

#define ASKED_MAX 64u           /* questions to one worker, as many as surely fit into its channel */
#define RETRY_MS 200u /* until those are asked again whose answer was "not all", or for whom nobody had room */

/* The ledgers of the dead: a worker of ours, or all that another master had. */
struct debt {
	struct list node;       /* settle->debts */
	struct board_span dead;
	bool ours;              /* its slot is not free before it is settled */
	uint32_t generation;
	uint64_t birth;
	struct place *asked;    /* borrowed; NULL: nobody yet */
};

struct settle {
	struct loop *loop;
	struct spawn *spawn;
	struct list debts;
	struct loop_timer retry;
};

static void ask_all(struct settle *settle);

static void
on_retry(struct loop_timer *timer)
{
	ask_all(LIST_ENTRY(timer, struct settle, retry));
}

struct settle *
settle_new(struct loop *loop, struct spawn *spawn)
{
	struct settle *settle = mem_alloc(sizeof(*settle));

	*settle = (struct settle){ .loop = loop, .spawn = spawn };
	list_init(&settle->debts);
	settle->retry.on_time = on_retry;
	return settle;
}

static void
forget(struct debt *debt)
{
	list_remove(&debt->node);
	mem_free(debt);
}

void
settle_free(struct settle **settlep)
{
	struct settle *settle = *settlep;

	loop_timer_stop(&settle->retry);
	LIST_EACH(node, &settle->debts)
		forget(LIST_ENTRY(node, struct debt, node));
	mem_free(settle);
	*settlep = NULL;
}

unsigned
settle_count(const struct settle *settle)
{
	unsigned count = 0;

	LIST_EACH(node, &settle->debts)
		count++;
	return count;
}

/* --- asking --- */

static unsigned
asked_of(const struct settle *settle, const struct place *place)
{
	unsigned count = 0;

	LIST_EACH(node, &settle->debts)
		count += LIST_ENTRY(node, struct debt, node)->asked == place;
	return count;
}

/*
 * Does it have every zone in which the dead one may have held something? All that there
 * are when a worker is forked are its own, those of older generations included.
 */
static bool
has_zones_of(const struct place *place, const struct debt *debt)
{
	return place->role->kind == BOARD_WORKER &&
	    (place->generation >= debt->generation || place->birth > debt->birth);
}

static void
ask(struct settle *settle, struct debt *debt, struct place *place)
{
	const struct ipc_message message = {
		.kind = IPC_SETTLE, .index = debt->dead.first, .value = debt->dead.count,
	};

	if (asked_of(settle, place) < ASKED_MAX && place_offer(place, &message) == 0)
		debt->asked = place;
}

struct search {
	struct settle *settle;
	struct debt *debt;
	bool serving;           /* only those that have said READY */
};

static bool
try(void *ctx, struct place *place)
{
	struct search *search = ctx;

	if (place->pid == 0 || place->heard != search->serving || !has_zones_of(place, search->debt))
		return false;
	ask(search->settle, search->debt, place);
	return search->debt->asked != NULL;
}

/* Those that serve answer soonest. */
static bool
ask_somebody(struct settle *settle, struct debt *debt)
{
	struct search search = { .settle = settle, .debt = debt, .serving = true };

	if (spawn_find(settle->spawn, try, &search) != NULL)
		return true;
	search.serving = false;
	return spawn_find(settle->spawn, try, &search) != NULL;
}

static void
retry_later(struct settle *settle)
{
	if (!loop_timer_is_set(&settle->retry))
		loop_timer_set(settle->loop, &settle->retry, RETRY_MS);
}

static void
ask_all(struct settle *settle)
{
	bool all = true;

	LIST_EACH(node, &settle->debts) {
		struct debt *debt = LIST_ENTRY(node, struct debt, node);

		if (debt->asked == NULL && !ask_somebody(settle, debt))
			all = false;
	}
	if (!all)
		retry_later(settle);
}

/* --- what happens --- */

void
settle_awaited(struct settle *settle, struct place *place)
{
	LIST_EACH(node, &settle->debts) {
		struct debt *debt = LIST_ENTRY(node, struct debt, node);

		if (debt->asked == NULL && has_zones_of(place, debt))
			ask(settle, debt, place);
	}
}

/* Nobody hears the questions that it was asked. */
static void
excuse(struct settle *settle, const struct place *place)
{
	LIST_EACH(node, &settle->debts) {
		struct debt *debt = LIST_ENTRY(node, struct debt, node);

		if (debt->asked == place)
			debt->asked = NULL;
	}
}

static void
owe(struct settle *settle, const struct debt *debt)
{
	struct debt *kept = mem_dup(debt, sizeof(*debt));

	list_add(&settle->debts, &kept->node);
}

bool
settle_left(struct settle *settle, struct place *place, bool holds)
{
	bool owes = holds && place->pid != 0 && place->role->kind == BOARD_WORKER;

	excuse(settle, place);
	if (owes)
		owe(settle, &(struct debt){
		    .dead = BOARD_ONE(place->slot), .ours = true,
		    .generation = place->generation, .birth = place->birth });
	ask_all(settle);
	return !owes;
}

void
settle_others(struct settle *settle, struct board_span dead, uint32_t generation)
{
	owe(settle, &(struct debt){ .dead = dead, .generation = generation, .birth = UINT64_MAX });
	ask_all(settle);
}

bool
settle_owes_others(const struct settle *settle)
{
	LIST_EACH(node, &settle->debts)
		if (!LIST_ENTRY(node, struct debt, node)->ours)
			return true;
	return false;
}

bool
settle_answered(struct settle *settle, struct place *place, const struct ipc_message *message)
{
	LIST_EACH(node, &settle->debts) {
		struct debt *debt = LIST_ENTRY(node, struct debt, node);

		if (debt->asked != place || debt->dead.first != message->index)
			continue;
		debt->asked = NULL;
		if (message->value == 0) {
			retry_later(settle);
			return true;
		}
		if (debt->ours)
			board_release(spawn_board(settle->spawn), debt->dead.first);
		forget(debt);
		ask_all(settle);
		return true;
	}
	return false;
}
