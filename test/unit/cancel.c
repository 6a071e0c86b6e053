/* Being cancelled: each call that waits for somebody else ends, nothing that is there is lost by
   it, and locks wait. */
#include "support.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>

static prong_group *open_group(void)
{
	prong_group *g;

	CHECK_OK(prong_group_open(&g, NULL));
	return g;
}

/* What the waits are for; in the heap. */
struct world {
	prong_sem sem;
	prong_event event;
	prong_cond cond;
	prong_mutex mutex;
	prong_barrier barrier;
	prong_queue *queue, *full;
	prong_conn *in, *out;
	prong_process *process;
	atomic_int up; /* so many wait, or are about to */
	atomic_int step_of_other;
	int way;
};

enum way {
	SLEEP,
	SEM,
	EVENT,
	COND,
	BARRIER,
	GET,
	PUT,
	LEASE,
	QUEUE_JOIN,
	RECEIVE,
	RECEIVE_FD,
	SEND_FD,
	SEND,
	JOIN,
	JOIN_THREAD,
	WAIT_WORDS,
	WAIT_FDS,
	WAIT_BOTH,
	NEXT,
	WAYS
};

static int wait_for_fds(struct world *w, bool both)
{
	int ends[2], r;
	struct pollfd never;
	prong_source s[2] = { { .fd = &never }, { .event = &w->event } };

	CHECK_EQ(pipe(ends), 0);
	never = (struct pollfd){ .fd = ends[0], .events = POLLIN };
	r = prong_wait(s, both ? 2 : 1, soon());
	close(ends[0]);
	close(ends[1]);
	return r;
}

static int join_thread(void)
{
	atomic_int *go = shared(sizeof *go);
	prong_thread *t = start_thread(body_wait, go, 0);
	int r = prong_thread_join(t, NULL, soon());

	atomic_store(go, 1);
	while (prong_thread_join(t, NULL, soon()) == PRONG_CANCELLED)
		;
	prong_thread_free(t);
	prong_free(go);
	return r;
}

static int fill(prong_conn *c)
{
	char bytes[1000] = { 0 };
	int r;

	while ((r = prong_conn_send(c, bytes, sizeof bytes, soon())) == 0)
		;
	return r;
}

static int next_of_none(void)
{
	prong_group *g = open_group();
	prong_child c;
	prong_process *p;
	int r;

	CHECK_OK(prong_process_start(&p, body_sleep, NULL, 0,
				     &(prong_process_opts){ .group = g }));
	r = prong_group_next(g, &c, soon());
	prong_process_signal(p, SIGKILL);
	CHECK_OK(prong_group_close(g));
	return r;
}

static int wait_in(struct world *w, enum way way)
{
	prong_source s[] = { { .event = &w->event }, { .queue = w->queue } };
	prong_message m;
	int r, fd;
	long n = 0;

	switch (way) {
	case SLEEP:
		return prong_sleep(soon());
	case SEM:
		return prong_sem_wait(&w->sem, soon());
	case EVENT:
		return prong_event_wait(&w->event, soon());
	case COND:
		CHECK_OK(prong_mutex_lock(&w->mutex, soon()));
		r = prong_cond_wait(&w->cond, &w->mutex, soon());
		CHECK(prong_mutex_held(&w->mutex));
		CHECK_OK(prong_mutex_unlock(&w->mutex));
		return r;
	case BARRIER:
		return prong_barrier_wait(&w->barrier, NULL, NULL, NULL, soon());
	case GET:
		return prong_queue_get(w->queue, &n, sizeof n, NULL, soon());
	case PUT:
		return prong_queue_put(w->full, &n, sizeof n, soon());
	case LEASE:
		return prong_queue_lease(w->queue, &m, soon());
	case QUEUE_JOIN:
		return prong_queue_join(w->full, soon());
	case RECEIVE:
		return prong_conn_recv(w->in, &n, sizeof n, NULL, soon());
	case RECEIVE_FD:
		return prong_conn_recv_fd(w->in, &fd, soon());
	case SEND_FD:
		return prong_conn_send_fd(w->out, 2, soon());
	case SEND:
		return fill(w->out);
	case JOIN:
		return prong_process_join(w->process, NULL, soon());
	case JOIN_THREAD:
		return join_thread();
	case WAIT_WORDS:
		return prong_wait(s, 2, soon());
	case WAIT_FDS:
		return wait_for_fds(w, false);
	case WAIT_BOTH:
		return wait_for_fds(w, true);
	case NEXT:
		return next_of_none();
	default:
		return 0;
	}
}

static int body_waits(void *arg)
{
	struct world *w = arg;
	int r;

	atomic_fetch_add(&w->up, 1);
	r = wait_in(w, w->way);
	if (r != PRONG_CANCELLED)
		check_failed(__FILE__, __LINE__, "way %d: %d, %s", w->way, r, prong_strerror(r));
	CHECK(prong_cancelled());
	CHECK(strstr(prong_error_detail(), "cancelled"));
	/* And again, now that it is known. */
	CHECK_EQ(prong_sleep(soon()), PRONG_CANCELLED);
	return PRONG_CANCELLED;
}

static struct world *make(void)
{
	struct world *w = shared(sizeof *w);
	long n = 0;

	w->barrier = (prong_barrier)PRONG_BARRIER(9);
	CHECK_OK(prong_queue_new(&w->queue, NULL));
	CHECK_OK(prong_queue_new(&w->full, &(prong_queue_opts){ .capacity = 1 }));
	CHECK_OK(prong_queue_put(w->full, &n, sizeof n, PRONG_NOW));
	CHECK_OK(prong_pipe(&w->in, &w->out, NULL));
	w->process = start(body_sleep, NULL, 0);
	return w;
}

static void drop(struct world *w)
{
	kill_and_end(w->process);
	prong_conn_free(w->in);
	prong_conn_free(w->out);
	CHECK_OK(prong_queue_close(w->queue));
	CHECK_OK(prong_queue_free(w->queue));
	CHECK_OK(prong_queue_close(w->full));
	CHECK_OK(prong_queue_free(w->full));
	prong_free(w);
}

static char state_of(int pid, int tid)
{
	char path[64], line[512], *p;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, tid);
	f = fopen(path, "r");
	if (!f)
		return 0;
	p = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
	fclose(f);
	return p && p[1] ? p[2] : 0;
}

struct who {
	int pid, tid;
};

static bool asleep(void *arg)
{
	const struct who *who = arg;

	return state_of(who->pid, who->tid) == 'S';
}

/* Cancelled while it sleeps, when asleep is true, or else just when it may. */
static void cancel_wait(struct world *w, enum way way, bool thread, bool sleeps)
{
	prong_group *g = open_group();
	struct who who = { getpid(), 0 };
	prong_process *p;
	prong_thread *t;

	w->way = way;
	atomic_store(&w->up, 0);
	if (thread) {
		CHECK_OK(prong_thread_start(&t, body_waits, w, 0,
					    &(prong_thread_opts){ .group = g }));
		who.tid = prong_thread_id(t);
	} else {
		CHECK_OK(prong_process_start(&p, body_waits, w, 0,
					     &(prong_process_opts){ .group = g }));
		who.pid = who.tid = prong_process_pid(p);
	}
	CHECK(wait_for(&w->up, 1));
	if (sleeps)
		CHECK(wait_until(asleep, &who, HANG_MS));
	prong_group_cancel(g);
	CHECK_EQ(prong_group_join(g, soon()), PRONG_CANCELLED);
	CHECK_OK(prong_group_close(g));
}

/* Ends of pipes belong to processes: only their owner can use them. */
static bool for_threads_only(enum way way)
{
	return way == RECEIVE || way == RECEIVE_FD || way == SEND_FD || way == SEND;
}

static void each_wait(bool thread, bool sleeps)
{
	struct world *w = make();

	for (int way = 0; way < WAYS; way++) {
		if (!thread && for_threads_only((enum way)way))
			continue;
		cancel_wait(w, (enum way)way, thread, sleeps);
		if (way == BARRIER) {
			CHECK(prong_barrier_broken(&w->barrier));
			CHECK_OK(prong_barrier_reset(&w->barrier));
		}
	}
	drop(w);
}

static void threads_asleep(void **state)
{
	(void)state;
	each_wait(true, true);
}

static void threads_about_to_sleep(void **state)
{
	(void)state;
	for (int i = 0; i < scaled(5); i++)
		each_wait(true, false);
}

static void processes_asleep(void **state)
{
	(void)state;
	each_wait(false, true);
}

static void processes_about_to_sleep(void **state)
{
	(void)state;
	for (int i = 0; i < scaled(3); i++)
		each_wait(false, false);
}

/* --- what is there is taken ------------------------------------------------------------------ */

static int body_takes_what_is_there(void *arg)
{
	struct world *w = arg;
	prong_source s = { .queue = w->queue };
	long n;

	while (!prong_cancelled())
		;
	CHECK_OK(prong_sem_wait(&w->sem, soon()));
	CHECK_OK(prong_event_wait(&w->event, soon()));
	CHECK_OK(prong_wait(&s, 1, soon()));
	CHECK_OK(prong_queue_get(w->queue, &n, sizeof n, NULL, soon()));
	CHECK_EQ(prong_queue_get(w->queue, &n, sizeof n, NULL, soon()), PRONG_CANCELLED);
	CHECK_EQ(prong_queue_get(w->queue, &n, sizeof n, NULL, PRONG_NOW), PRONG_TIMEDOUT);
	CHECK_EQ(prong_sem_wait(&w->sem, soon()), PRONG_CANCELLED);
	return 0;
}

static void what_is_there_is_taken(void **state)
{
	struct world *w = make();
	prong_group *g = open_group();
	prong_process *p;
	long n = 1;

	(void)state;
	CHECK_OK(prong_sem_post(&w->sem, 1));
	CHECK_OK(prong_event_set(&w->event));
	CHECK_OK(prong_queue_put(w->queue, &n, sizeof n, PRONG_NOW));
	CHECK_OK(prong_process_start(&p, body_takes_what_is_there, w, 0,
				     &(prong_process_opts){ .group = g }));
	prong_group_cancel(g);
	CHECK_OK(prong_group_join(g, soon()));
	CHECK_OK(prong_group_close(g));
	drop(w);
}

/* --- locks wait ----------------------------------------------------------------------------- */

struct locks {
	prong_mutex mutex;
	prong_rwlock rwlock;
	prong_once once;
	atomic_int step;
};

static int once(void *arg)
{
	(void)arg;
	return 0;
}

static int body_locks(void *arg)
{
	struct locks *l = arg;

	while (!prong_cancelled())
		;
	atomic_store(&l->step, 1);
	CHECK_OK(prong_mutex_lock(&l->mutex, soon()));
	CHECK_OK(prong_mutex_unlock(&l->mutex));
	atomic_store(&l->step, 2);
	CHECK_OK(prong_rwlock_write(&l->rwlock, soon()));
	CHECK_OK(prong_rwlock_unlock(&l->rwlock));
	CHECK_OK(prong_once_run(&l->once, once, NULL, soon()));
	return 0;
}

static void locks_wait(void **state)
{
	struct locks *l = shared(sizeof *l);
	prong_group *g = open_group();
	struct who who;
	prong_process *p;

	(void)state;
	CHECK_OK(prong_mutex_lock(&l->mutex, soon()));
	CHECK_OK(prong_rwlock_read(&l->rwlock, soon()));
	CHECK_OK(prong_process_start(&p, body_locks, l, 0, &(prong_process_opts){ .group = g }));
	who.pid = who.tid = prong_process_pid(p);
	prong_group_cancel(g);
	CHECK(wait_for(&l->step, 1));
	CHECK(wait_until(asleep, &who, HANG_MS));
	CHECK_OK(prong_mutex_unlock(&l->mutex));
	CHECK(wait_for(&l->step, 2));
	CHECK(wait_until(asleep, &who, HANG_MS));
	CHECK_OK(prong_rwlock_unlock(&l->rwlock));
	CHECK_OK(prong_group_join(g, soon()));
	CHECK_OK(prong_group_close(g));
	prong_free(l);
}

/* --- who is not cancelled --------------------------------------------------------------------- */

static int body_waits_in_threads(void *arg)
{
	struct world *w = arg;
	prong_thread *t[3];

	for (int i = 0; i < 3; i++)
		t[i] = start_thread(body_waits, w, 0);
	for (int i = 0; i < 3; i++)
		while (prong_thread_join(t[i], NULL, soon()) == PRONG_CANCELLED)
			;
	for (int i = 0; i < 3; i++)
		prong_thread_free(t[i]);
	return 0;
}

/* A process is cancelled with all its threads, and nobody else is. */
static void all_threads_of_a_process(void **state)
{
	struct world *w = make();
	prong_group *g = open_group(), *other = open_group();
	prong_process *p;
	prong_thread *t;

	(void)state;
	w->way = GET;
	CHECK_OK(prong_process_start(&p, body_waits_in_threads, w, 0,
				     &(prong_process_opts){ .group = g }));
	CHECK_OK(prong_thread_start(&t, body_wait, &w->step_of_other, 0,
				    &(prong_thread_opts){ .group = other }));
	CHECK(wait_for(&w->up, 3));
	prong_group_cancel(g);
	CHECK_OK(prong_group_join(g, soon()));
	CHECK(!prong_cancelled());
	CHECK_EQ(prong_group_join(other, PRONG_NOW), PRONG_TIMEDOUT);
	atomic_store(&w->step_of_other, 1);
	CHECK_OK(prong_group_join(other, soon()));
	CHECK_OK(prong_group_close(other));
	CHECK_OK(prong_group_close(g));
	drop(w);
}

static int body_says_whether(void *arg)
{
	(void)arg;
	CHECK_EQ(prong_sleep(PRONG_NOW), 0);
	return prong_cancelled();
}

/* A slot that was a cancelled thread's is not cancelled for the next. */
static void the_next_owner_of_a_slot(void **state)
{
	struct world *w = make();

	(void)state;
	w->way = SLEEP;
	for (int i = 0; i < 40; i++) {
		cancel_wait(w, SLEEP, true, false);
		CHECK_EQ(end_thread(start_thread(body_says_whether, NULL, 0)), 0);
	}
	drop(w);
}

/* --- no wake is lost -------------------------------------------------------------------------- */

struct race {
	prong_sem sem;
	atomic_int up, got;
};

static int body_races(void *arg)
{
	struct race *x = arg;
	int r;

	atomic_fetch_add(&x->up, 1);
	r = prong_sem_wait(&x->sem, soon());
	if (r == 0)
		atomic_fetch_add(&x->got, 1);
	return r;
}

/* One token, two who want it, and one of them is cancelled as it comes: the other gets it, or else
   that one had it. */
static void a_wake_meets_a_cancel(void **state)
{
	struct race *x = shared(sizeof *x);
	prong_thread *t;

	(void)state;
	for (int i = 0; i < scaled(300); i++) {
		prong_group *a = open_group(), *b = open_group();

		atomic_store(&x->up, 0);
		atomic_store(&x->got, 0);
		CHECK_OK(prong_thread_start(&t, body_races, x, 0,
					    &(prong_thread_opts){ .group = a }));
		CHECK_OK(prong_thread_start(&t, body_races, x, 0,
					    &(prong_thread_opts){ .group = b }));
		CHECK(wait_for(&x->up, 2));
		if (i % 2)
			sched_yield();
		CHECK_OK(prong_sem_post(&x->sem, 1));
		prong_group_cancel(a);
		(void)!prong_group_join(a, soon());
		CHECK_OK(prong_sem_post(&x->sem, atomic_load(&x->got) ? 1 : 0));
		CHECK_OK(prong_group_join(b, soon()));
		while (prong_sem_wait(&x->sem, PRONG_NOW) == 0)
			;
		CHECK_OK(prong_group_close(a));
		CHECK_OK(prong_group_close(b));
	}
	prong_free(x);
}

static const struct CMUnitTest tests[] = {
	CASE(threads_asleep),
	CASE(threads_about_to_sleep),
	CASE(processes_asleep),
	CASE(processes_about_to_sleep),
	CASE(what_is_there_is_taken),
	CASE(locks_wait),
	CASE(all_threads_of_a_process),
	CASE(the_next_owner_of_a_slot),
	CASE(a_wake_meets_a_cancel),
};

TEST_MAIN(tests, TEST_WARM, NULL)
