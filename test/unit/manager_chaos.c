/* A manager behind a line that is cut, split and held up at each byte of a session, either way: of
   the proofs of the key, of requests and of answers; and a client that makes objects there, calls
   one, puts on a queue and gets from it, takes a lock and lets go.

   Whatever the line does: each call ends in time, with its answer or an error that says so; none
   is carried out more often than it was sent; a message that was put is got, once, by this client
   or by the next; the lock is free for the next; and the manager is left with the connections,
   descriptors, threads, references and bytes that it had.

   Every so many bytes as a test; at every one with PRONG_TEST_SCALE=100. */
#include "line.h"

#include <malloc.h>
#include <prong/carry.h>
#include <prong/manager.h>
#include <prong/remote.h>

enum {
	CALLS = 3,
	PUTS = 2,
	TRIES = 64, /* of one session, at most */
	SHORT_MS = 25,
	STEP = 211,
	SLACK = 256 << 10 /* bytes that malloc() may have more */
};

static bool all; /* bytes */

/* --- what is served ------------------------------------------------------------------------ */

static atomic_int done[TRIES]; /* how often each call was carried out */

static int add(prong_call *call)
{
	int64_t i = prong_call_int(call, "i");

	if (i < 0 || i >= TRIES)
		return prong_call_raise(call, "ValueError", "%d", (int)i);
	atomic_fetch_add(&done[i], 1);
	return prong_call_return(call, prong_value_int(7 * i));
}

static const prong_method counter[] = {
	{ "add", "i: int", add, NULL },
	{ NULL, NULL, NULL, NULL },
};

/* The manager, and a client that is directly there. */
struct scene {
	prong_manager *m;
	prong_queue *tasks;
	prong_remote *there;
	prong_queue *q;
	prong_proxy *lock;
	int fds, threads;
	size_t bytes;
};

static int descriptors(void)
{
	int fds[256];

	return open_fds(fds, 256);
}

static int threads(void)
{
	char line[128];
	FILE *f = fopen("/proc/self/status", "re");
	int n = 0;

	CHECK(f != NULL);
	while (fgets(line, sizeof line, f) && sscanf(line, "Threads: %d", &n) != 1)
		;
	fclose(f);
	return n;
}

static void begin(struct scene *s)
{
	const prong_manager_opts opts = { .auth = raw_auth(), .types = true, .linger_ms = 20 };
	const prong_auth auth = raw_auth();

	*s = (struct scene){ 0 };
	CHECK_OK(prong_queue_new(&s->tasks, NULL));
	CHECK_OK(prong_manager_open(&s->m, "tcp://127.0.0.1:0", &opts));
	CHECK_OK(prong_manager_share(s->m, "counter", counter, NULL));
	CHECK_OK(prong_manager_share_queue(s->m, "tasks", s->tasks));
	s->fds = descriptors() + 4; /* both ends of the direct client's connections */
	s->threads = threads();
	CHECK_OK(prong_remote_open(&s->there, prong_manager_address(s->m), &auth, soon()));
	CHECK_OK(prong_remote_queue(s->there, "tasks", &s->q, soon()));
	CHECK_OK(prong_remote_make(s->there, "Lock", prong_args(0), &s->lock, soon()));
}

static void finish(struct scene *s)
{
	prong_proxy_free(s->lock);
	CHECK_OK(prong_queue_free(s->q));
	prong_remote_close(s->there);
	prong_manager_close(s->m);
	CHECK_OK(prong_queue_free(s->tasks));
}

/* --- a session ------------------------------------------------------------------------------- */

struct session {
	struct line *l;
	prong_remote *there;
	prong_proxy *counter, *lock;
	prong_queue *q; /* or, on a line that holds things up, with times of our own: */
	prong_proxy *far_queue;
	prong_time deadline; /* of the call that is tried */
	int failures, calls, puts;
	bool over;           /* what was to happen has, and was noticed */
	bool was_put[TRIES]; /* for sure */
	int got[TRIES];
};

static prong_time limit(struct session *s)
{
	const bool hold = s->l->mode == LINE_HOLD && !s->over;

	s->deadline = hold ? prong_in_ms((int64_t)SHORT_MS * (1 + s->failures)) : soon();
	return s->deadline;
}

/* Whether it has to be tried again. */
static bool failed(struct session *s, int r)
{
	CHECK(prong_ns_between(s->deadline, prong_clock()) < (int64_t)2000000000 * slowness());
	if (r == 0)
		return false;
	s->failures++;
	s->over = atomic_load(&s->l->happened);
	if (s->l->mode == LINE_HOLD && r == PRONG_TIMEDOUT)
		return true;
	CHECK(s->l->mode == LINE_CUT || (s->l->mode == LINE_HOLD && s->failures > 1));
	CHECK_EQ(r, -ECONNRESET);
	if (s->l->mode == LINE_CUT)
		CHECK(s->failures <= 4); /* that call, and that a proxy may be another's */
	return true;
}

static void count(struct session *s)
{
	prong_value *v = NULL;
	int64_t got = -1;
	int i, r;

	do {
		i = s->calls++;
		CHECK(i < TRIES);
		r = prong_proxy_call(s->counter, "add", prong_args(1, prong_value_int(i)), &v,
				     limit(s));
	} while (failed(s, r));
	CHECK_OK(prong_value_as_int(v, &got));
	CHECK_EQ(got, 7 * i);
	CHECK_EQ(atomic_load(&done[i]), 1);
	prong_value_free(v);
}

static int try_put(struct session *s, prong_value *v)
{
	if (s->q)
		return prong_queue_put_value(s->q, v, limit(s));
	return prong_proxy_call(s->far_queue, "put", prong_args(1, v), NULL, limit(s));
}

/* What failed may have been put all the same, so it is not put again. */
static void put(struct session *s)
{
	int i, r;

	do {
		i = s->puts++;
		CHECK(i < TRIES);
		r = try_put(s, prong_value_int(i));
	} while (failed(s, r));
	s->was_put[i] = true;
}

static void note(struct session *s, prong_value *v)
{
	int64_t i = -1;

	CHECK_OK(prong_value_as_int(v, &i));
	prong_value_free(v);
	CHECK(i >= 0 && i < s->puts);
	s->got[i]++;
}

static void get(struct session *s)
{
	prong_value *v = NULL;
	int r;

	do
		r = s->q ? prong_queue_get_value(s->q, &v, NULL, limit(s))
			 : prong_proxy_call(s->far_queue, "get", prong_args(0), &v, limit(s));
	while (failed(s, r));
	note(s, v);
}

static bool is_true(prong_value *v)
{
	int64_t yes = 0;

	CHECK_OK(prong_value_as_int(v, &yes));
	prong_value_free(v);
	return yes;
}

/* When it cannot be released, its connection is lost, and the lock free by that. */
static void use_the_lock(struct session *s)
{
	prong_value *v = NULL;

	while (failed(s, prong_proxy_call(s->lock, "acquire", prong_args(0), &v, limit(s))))
		;
	CHECK(is_true(v));
	(void)failed(s, prong_proxy_call(s->lock, "release", prong_args(0), NULL, limit(s)));
}

static void reach(struct session *s, const prong_value *lock)
{
	const prong_auth auth = raw_auth();
	const bool hold = s->l->mode == LINE_HOLD;
	int r;

	while (failed(s, prong_remote_open(&s->there, s->l->address, &auth, limit(s))))
		;
	while (failed(s,
		      prong_remote_make(s->there, "counter", prong_args(0), &s->counter, limit(s))))
		;
	do
		r = hold ? prong_remote_make(s->there, "tasks", prong_args(0), &s->far_queue,
					     limit(s))
			 : prong_remote_queue(s->there, "tasks", &s->q, limit(s));
	while (failed(s, r));
	while (failed(s, prong_proxy_of(s->there, lock, &s->lock, limit(s))))
		;
}

static void leave(struct session *s)
{
	const bool hold = s->l->mode == LINE_HOLD;

	if (hold) /* to let go of something would wait for a second, now and then */
		prong_remote_close(s->there);
	prong_proxy_free(s->lock);
	prong_proxy_free(s->far_queue);
	prong_proxy_free(s->counter);
	if (s->q)
		CHECK_OK(prong_queue_free(s->q));
	if (!hold)
		prong_remote_close(s->there);
}

/* --- what is left ---------------------------------------------------------------------------- */

/* All that came over the line have gone. */
static bool is_quiet(void *arg)
{
	const struct scene *s = arg;
	prong_manager_stats st;

	prong_manager_stat(s->m, &st);
	return st.clients == 2 && st.waiting == 0 && st.memory == 0 && st.door.waiting == 0 &&
	       descriptors() == s->fds && threads() == s->threads;
}

/* Each call was carried out once at the most; each message is somewhere, once. */
static void account(struct scene *s, struct session *now)
{
	prong_value *v;
	int r;

	while ((r = prong_queue_get_value(s->q, &v, NULL, PRONG_NOW)) == 0)
		note(now, v);
	CHECK_EQ(r, PRONG_TIMEDOUT);
	for (int i = 0; i < now->puts; i++)
		CHECK(now->got[i] == 1 || (now->got[i] == 0 && !now->was_put[i]));
	for (int i = 0; i < TRIES; i++)
		CHECK(atomic_exchange(&done[i], 0) <= (i < now->calls));
}

static void the_lock_is_free(struct scene *s)
{
	prong_value *v = NULL;

	CHECK_OK(prong_proxy_call(s->lock, "acquire", prong_args(1, prong_value_bool(false)), &v,
				  soon()));
	CHECK(is_true(v));
	CHECK_OK(prong_proxy_call(s->lock, "release", prong_args(0), NULL, soon()));
}

/* To all objects. */
static int64_t references(struct scene *s)
{
	static const char word[] = "refcount=";
	prong_value *v = NULL;
	const char *at;
	int64_t n = 0;

	CHECK_OK(prong_remote_ask(s->there, "debug_info", prong_args(0), &v, soon()));
	at = prong_value_data(v, NULL);
	while (at && (at = strstr(at, word)) != NULL) {
		at += sizeof word - 1;
		n += atoll(at);
	}
	prong_value_free(v);
	return n;
}

/* The direct client's are left: to the queue, and to the lock. */
static bool two_are_left(void *arg)
{
	return references(arg) == 2;
}

static void look_around(struct scene *s, struct session *now)
{
	CHECK(wait_until(is_quiet, s, HANG_MS * slowness()));
	account(s, now);
	the_lock_is_free(s);
	CHECK(wait_until(two_are_left, s, HANG_MS * slowness()));
	CHECK_EQ(prong_queue_size(s->tasks), 0);
}

/* --- all of it ------------------------------------------------------------------------------- */

/* Return false when nothing happened: k is beyond the end. */
static bool play(void *ctx, enum line_mode mode, enum line_dir dir, size_t k)
{
	struct scene *s = ctx;
	struct line l;
	struct session now = { .l = &l };
	prong_value *lock = prong_proxy_value(s->lock);

	line_begin(&l, prong_manager_address(s->m), mode, dir, k);
	reach(&now, lock);
	for (int i = 0; i < CALLS; i++)
		count(&now);
	for (int i = 0; i < PUTS; i++)
		put(&now);
	get(&now);
	use_the_lock(&now);
	leave(&now);
	line_end(&l);
	prong_value_free(lock);
	look_around(s, &now);
	return atomic_load(&l.happened);
}

static size_t allocated(void)
{
	return mallinfo2().uordblks;
}

/* What is needed once is there after a session. */
static void warm_up(struct scene *s)
{
	CHECK(!play(s, LINE_SPLIT, LINE_TO_SERVER, SIZE_MAX));
	s->bytes = allocated();
}

static void at_any_byte(enum line_mode mode)
{
	const size_t usual = (size_t)STEP * (mode == LINE_HOLD ? 2 : 1) * (slowness() > 1 ? 3 : 1);
	const size_t step = all ? 1 : usual;
	struct scene s;
	int n;

	begin(&s);
	warm_up(&s);
	n = line_along(mode, step, play, &s);
	CHECK(n >= 2);
	CHECK(allocated() < s.bytes + SLACK);
	print_message("%d places; %lld bytes more\n", n,
		      (long long)allocated() - (long long)s.bytes);
	finish(&s);
}

static void cut_at_any_byte(void **state)
{
	(void)state;
	at_any_byte(LINE_CUT);
}

static void split_at_any_byte(void **state)
{
	(void)state;
	at_any_byte(LINE_SPLIT);
}

static void held_at_any_byte(void **state)
{
	(void)state;
	at_any_byte(LINE_HOLD);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		CASE(cut_at_any_byte),
		CASE(split_at_any_byte),
		CASE(held_at_any_byte),
	};

	all = full_numbers();
	test_begin(argc, argv, TEST_OPENED, NULL);
	return test_end(cmocka_run_group_tests(tests, NULL, NULL));
}
