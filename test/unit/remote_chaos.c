/* A client of a manager over a line that is cut, split and held up at each byte, either way: of the
   proofs of the key, of requests and of answers.  Whatever the line does, each call has its own
   answer or an error, in time, is carried out once at the most, and the client goes on.

   Every so many bytes as a test; at every one with PRONG_TEST_SCALE=100. */
#include "line.h"
#include "peer.h"

enum {
	CALLS = 3,
	SHORT_MS = 25,
	STEP = 101
};

static bool all; /* bytes */

/* --- a session ------------------------------------------------------------------------------- */

struct session {
	struct line *l;
	int failures, asked;
	bool over; /* what was to happen has, and was noticed */
};

static prong_time limit(const struct session *s)
{
	return s->l->mode == LINE_HOLD && !s->over ? prong_in_ms(SHORT_MS * (1 + s->failures))
						   : soon();
}

/* Whether it has to be tried again. */
static bool failed(struct session *s, int r)
{
	if (r == 0)
		return false;
	s->failures++;
	s->over = atomic_load(&s->l->happened);
	if (s->l->mode == LINE_HOLD && r == PRONG_TIMEDOUT)
		return true;
	CHECK_EQ(s->l->mode, LINE_CUT);
	CHECK_EQ(r, -ECONNRESET);
	CHECK(s->failures <= 2); /* that call, and that the proxy may be another's */
	return true;
}

static void ask(struct session *s, prong_proxy *x, int n)
{
	prong_value *v = NULL;
	int64_t got = -1;
	int r;

	do {
		s->asked++;
		r = prong_proxy_call(x, "echo", prong_args(1, prong_value_int(n)), &v, limit(s));
	} while (failed(s, r));
	CHECK_OK(prong_value_as_int(prong_value_at(v, 0), &got));
	CHECK_EQ(got, n);
	prong_value_free(v);
}

/* Return false when nothing happened: k is beyond the end. */
static bool play(void *ctx, enum line_mode mode, enum line_dir dir, size_t k)
{
	const prong_auth auth = raw_auth();
	struct peer p;
	struct line l;
	struct session s = { .l = &l };
	prong_remote *there = NULL;
	prong_proxy *x = NULL;
	bool happened;

	(void)ctx;
	peer_begin(&p, NULL);
	line_begin(&l, p.address, mode, dir, k);
	while (failed(&s, prong_remote_open(&there, l.address, &auth, limit(&s))))
		;
	while (failed(&s, prong_remote_make(there, "thing", prong_args(0), &x, limit(&s))))
		;
	for (int i = 0; i < CALLS; i++)
		ask(&s, x, i);
	if (mode == LINE_HOLD) /* to let go of x would wait for a second, now and then */
		prong_remote_close(there);
	prong_proxy_free(x);
	if (mode != LINE_HOLD)
		prong_remote_close(there);
	line_end(&l);
	peer_end(&p);
	happened = atomic_load(&l.happened);
	CHECK(atomic_load(&p.calls) <= s.asked);
	if (mode == LINE_SPLIT)
		CHECK_EQ(atomic_load(&p.references), 0);
	return happened;
}

static void at_any_byte(enum line_mode mode)
{
	const size_t step = all ? 1 : slowness() > 1 ? 3 * STEP : STEP;

	print_message("%d places\n", line_along(mode, step, play, NULL));
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
