/* Waiting for processes, their ends at a time that was set, and the end of a process's children
   when it ends itself. */
#include "family/cancel.h"
#include <signal.h>

#define SPINS	 1000 /* some 30 us */
#define SLICE_MS 250 /* how long a wait trusts that there is a server */
#define GRACE_MS 500 /* after its deadline, for a server that is about to say that p has ended */

static bool over(enum prongi_phase phase)
{
	return phase == PRONGI_ENDED || phase == PRONGI_REFUSED || phase == PRONGI_FREE;
}

static prong_time sooner(prong_time a, prong_time b)
{
	return a.ns_ < b.ns_ ? a : b;
}

/* The deadline has passed; but who polled the process's descriptor knows that it has ended, and the
   server is about to say so. */
static bool ended_but_unsaid(const struct prong_process *p)
{
	uint64_t v = prongi_state(p);

	if (prongi_phase(v) == PRONGI_DYING)
		return true;
	return prongi_phase(v) == PRONGI_RUNNING && prongi_os_ended(prongi_state_pid(v));
}

/* The server is at it, and will be done sooner than a sleep would cost. */
static void watch_dying(const struct prong_process *p)
{
	for (int i = 0; i < SPINS && prongi_spins && prongi_phase_of(p) == PRONGI_DYING; i++)
		prongi_os_pause();
}

int prongi_await_any(const struct prongi_awaited *a, size_t n, prong_time deadline)
{
	int r;

	do {
		r = prongi_os_wait_any(a, n, sooner(deadline, prong_in_ms(SLICE_MS)));
		if (r == 0 || prongi_os_now() >= deadline.ns_)
			return r;
	} while (prongi_server_alive());
	prongi_server_lost();
	return 0;
}

typedef int sleep_fn(struct prongi_awaited *a, size_t n, prong_time deadline);

static int sleep_through(struct prongi_awaited *a, size_t n, prong_time deadline)
{
	return prongi_await_any(a, n, deadline);
}

/* Sleep until p's state changes, the server's death could have gone unseen, or the deadline; or as
   sleep says.  Return PRONG_CANCELLED when that does. */
static int sleep_on(struct prong_process *p, sleep_fn *sleep, prong_time deadline)
{
	struct prongi_awaited a[2] = { { prongi_low(&p->state), 0, true } };
	uint64_t v;

	watch_dying(p);
	v = prongi_state(p);
	if (over(prongi_phase(v)))
		return 0;
	a[0].seen = (uint32_t)v;
	return sleep(a, 1, deadline) == PRONG_CANCELLED ? PRONG_CANCELLED : 0;
}

static bool passed(prong_time t)
{
	return t.ns_ != PRONG_FOREVER.ns_ && prongi_os_now() >= t.ns_;
}

/* A server that is stopped never says it. */
static int await_word(struct prong_process *p)
{
	prong_time grace = prong_in_ms(GRACE_MS);

	while (!over(prongi_phase_of(p)) && !passed(grace))
		sleep_on(p, sleep_through, grace);
	return over(prongi_phase_of(p)) ? 0 : PRONG_TIMEDOUT;
}

static int await(struct prong_process *p, sleep_fn *sleep, prong_time deadline)
{
	int r = 0;

	while (!over(prongi_phase_of(p))) {
		if (r)
			return r;
		if (passed(deadline))
			return ended_but_unsaid(p) ? await_word(p) : PRONG_TIMEDOUT;
		r = sleep_on(p, sleep, deadline);
	}
	return 0;
}

int prongi_process_await(struct prong_process *p, prong_time deadline)
{
	return await(p, sleep_through, deadline);
}

int prongi_process_join(struct prong_process *p, prong_time deadline)
{
	return await(p, prongi_sleep_served, deadline);
}

/* --- at the end of their starter ----------------------------------------------------------- */

/* Call visit for each child of this process that runs. */
static int each_child(int (*visit)(struct prong_process *p, prong_time deadline),
		      prong_time deadline)
{
	uint32_t n = atomic_load_explicit(&prongi_heap->processes_used, memory_order_relaxed);
	uint64_t me = prongi_process_ref(prongi_me);
	int r = 0;

	for (uint32_t i = 0; i < n && r == 0; i++) {
		struct prong_process *p = &prongi_heap->process[i];

		if (!over(prongi_phase_of(p)) && prongi_phase_of(p) != PRONGI_BEING &&
		    atomic_load_explicit(&p->parent, memory_order_relaxed) == me)
			r = visit(p, deadline);
	}
	return r;
}

static bool is_daemon(const struct prong_process *p)
{
	return atomic_load_explicit(&p->state, memory_order_relaxed) & PRONGI_DAEMON;
}

static bool still_runs(const void *ctx)
{
	return prongi_phase_of(ctx) == PRONGI_RUNNING;
}

static void send(struct prong_process *p, int sig)
{
	uint64_t v = prongi_state(p);

	if (prongi_phase(v) == PRONGI_RUNNING)
		prongi_os_signal(prongi_state_pid(v), sig, still_runs, p);
}

static int ask_daemon(struct prong_process *p, prong_time deadline)
{
	(void)deadline;
	if (is_daemon(p))
		send(p, SIGTERM);
	return 0;
}

static int join_child(struct prong_process *p, prong_time deadline)
{
	return is_daemon(p) ? 0 : prongi_process_await(p, deadline);
}

static int end_daemon(struct prong_process *p, prong_time grace)
{
	if (is_daemon(p) && prongi_process_await(p, grace)) {
		send(p, SIGKILL);
		return prongi_process_await(p, PRONG_FOREVER);
	}
	return 0;
}

int prongi_children_end(prong_time deadline)
{
	int64_t ms = prongi_heap->server.exit_ms;
	int r = each_child(join_child, deadline);

	if (r)
		return prongi_fail(r, "close: a child still runs");
	if (ms >= 0)
		each_child(ask_daemon, PRONG_NOW);
	return each_child(end_daemon, prong_in_ms(ms < 0 ? 0 : ms ? ms : 2000));
}

/* --- at a time ------------------------------------------------------------------------------- */

/* Make the time in word at, where it is not sooner already; 0 is never. */
static void hasten(prongi_word *word, uint64_t at)
{
	uint64_t v = atomic_load_explicit(word, memory_order_relaxed);

	/* release: pairs with the acquire in prongi_alarm(): the record's time is seen. */
	while (at && (!v || v > at) &&
	       !atomic_compare_exchange_weak_explicit(word, &v, at, memory_order_release,
						      memory_order_relaxed))
		;
}

void prongi_process_end_by(struct prong_process *p, int64_t term_at, int64_t kill_at)
{
	prongi_word *alarm = &prongi_heap->server.alarm;

	hasten(&p->term_at, (uint64_t)term_at);
	hasten(&p->kill_at, (uint64_t)kill_at);
	hasten(alarm, (uint64_t)term_at);
	hasten(alarm, (uint64_t)kill_at);
	prongi_ring();
}

/* Send sig to p if its time has come.  It is cleared after that: for a server that is killed in
   between, the next does it again. */
static void send_when_due(struct prong_process *p, prongi_word *at, int sig, uint64_t now)
{
	uint64_t v = atomic_load_explicit(at, memory_order_relaxed);

	if (!v)
		return;
	if (v > now) {
		hasten(&prongi_heap->server.alarm, v);
		return;
	}
	send(p, sig);
	atomic_compare_exchange_strong_explicit(at, &v, 0, memory_order_relaxed,
						memory_order_relaxed);
}

prong_time prongi_alarm(void)
{
	prongi_word *alarm = &prongi_heap->server.alarm;
	uint64_t now = (uint64_t)prongi_os_now();
	uint64_t at = atomic_load_explicit(alarm, memory_order_relaxed);
	uint32_t n = atomic_load_explicit(&prongi_heap->processes_used, memory_order_relaxed);

	if (at && at <= now) {
		/* acquire: pairs with the release in hasten(). */
		atomic_exchange_explicit(alarm, 0, memory_order_acquire);
		for (uint32_t i = 0; i < n; i++) {
			struct prong_process *p = &prongi_heap->process[i];

			if (prongi_phase_of(p) != PRONGI_RUNNING)
				continue;
			send_when_due(p, &p->term_at, SIGTERM, now);
			send_when_due(p, &p->kill_at, SIGKILL, now);
		}
		at = atomic_load_explicit(alarm, memory_order_relaxed);
	}
	return at ? prong_time_((int64_t)at) : PRONG_FOREVER;
}
