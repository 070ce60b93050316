#include "worker/farewell.h"

#include "worker/entry.h"
#include "worker/session.h"

#define LINGER_MS 5000
#define READS_A_TURN 16         /* of one who sends as fast as we read */

static void linger(struct session *s);

static void
again(struct loop_task *task)
{
	linger(LIST_ENTRY(task, struct session, task));
}

static void
on_client(struct session *s, uint32_t events)
{
	(void)events;
	linger(s);
}

static const struct phase phase_linger = { .name = "linger", .on_client = on_client };

static void
on_over(struct loop_timer *timer)
{
	session_end(LIST_ENTRY(timer, struct session, timer));
}

static void
linger(struct session *s)
{
	int sent = entry_flush(&s->client, &s->entry->out);
	ssize_t got = 1;

	if (sent == 0)
		return;
	if (sent == 1) {
		conn_finish(&s->client);
		for (int reads = 0; reads < READS_A_TURN && s->client.readable && got > 0; reads++)
			got = conn_discard(&s->client, s->shift->scratch, SHIFT_SCRATCH);
	}
	if (sent == -1 || s->client.eof || s->client.failed) {
		session_end(s);
	} else if (s->client.readable && got > 0) {
		s->task.run = again;
		loop_again(s->shift->loop, &s->task);
	}
}

void
farewell_begin(struct session *s)
{
	int sent = entry_flush(&s->client, &s->entry->out);

	if (sent == -1 || (sent == 1 && (s->client.eof || !s->client.readable))) {
		session_end(s);
		return;
	}
	conn_close(&s->backend, s->shift->loop);
	session_enter(s, &phase_linger);
	s->timer.on_time = on_over;
	loop_timer_set(s->shift->loop, &s->timer, LINGER_MS);
	linger(s);
}
