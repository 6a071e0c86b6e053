/* Objects of a manager by what they are: calls of their methods, and what the answers mean.

   Who waits asks for a slice of time and asks again, as a far queue's get does: a manager of
   Python's does not notice that a client has died, and gives it what it waited for. */
#include "manager/remote.h"
#include <errno.h>
#include <prong/error.h>
#include <prong/proxy.h>
#include <string.h>

#define PAUSE_MS      1 /* between two looks at a lock that cannot wait; doubled each time */
#define PAUSE_MOST_MS 64

/* --- calls ------------------------------------------------------------------------------ */

static int check(const prong_proxy *p, const char *method, const void *out, const char *what)
{
	int r = prongi_proxy_check(p, what);

	if (r)
		return r;
	if (!out)
		return prongi_fail(-EINVAL, "%s: a place for the result is NULL", what);
	if (!prongi_referent_has(&p->o, method))
		return prongi_fail(PRONG_MISMATCH, "%s: a %.40s has no %s", what, p->o.type,
				   method);
	return 0;
}

/* Call method, and store its result.  args are taken over. */
static int ask(prong_proxy *p, const char *method, prong_value *args, prong_value **out,
	       const char *what, prong_time deadline)
{
	int r = check(p, method, out, what);

	if (r) {
		prong_value_free(args);
		return r;
	}
	return prong_proxy_call(p, method, args, out, deadline);
}

/* The same where the result says nothing. */
static int tell(prong_proxy *p, const char *method, prong_value *args, const char *what,
		prong_time deadline)
{
	prong_value *v = NULL;
	int r = ask(p, method, args, &v, what, deadline);

	prong_value_free(v);
	return r;
}

/* True when the call that returned r raised this. */
static bool was_raised(const prong_proxy *p, int r, const char *name)
{
	struct prongi_answer a = { PRONGI_IS_ERROR, NULL };

	if (r != PRONG_RAISED)
		return false;
	a.item = (prong_value *)(uintptr_t)prongi_link_raised(p->there);
	return prongi_answer_raises(&a, name);
}

/* Where nothing is under a key, or at an index. */
static int nothing_there(const prong_proxy *p, int r, const char *what)
{
	if (was_raised(p, r, "KeyError") || was_raised(p, r, "IndexError"))
		return prongi_fail(PRONG_EMPTY, "%s: the %.40s has no such %s", what, p->o.type,
				   was_raised(p, r, "KeyError") ? "key" : "index");
	return r;
}

/* --- waiting ---------------------------------------------------------------------------- */

static int no_word(const prong_proxy *p, const char *what)
{
	return prongi_fail(-ETIMEDOUT,
			   "%s: no word from the manager of the %.40s a second after the deadline",
			   what, p->o.type);
}

/* One slice: 0, PRONG_TIMEDOUT (the manager said no). */
static int try(prong_proxy *p, const char *method, prong_value *args, const char *what,
	       prong_time deadline)
{
	prong_value *v = NULL;
	int64_t yes = 0;
	int r = ask(p, method, args, &v, what, prongi_word_by(deadline));

	if (r == PRONG_TIMEDOUT)
		return no_word(p, what);
	if (r)
		return r;
	r = prong_value_as_int(v, &yes);
	prong_value_free(v);
	if (r)
		return prongi_fail(-EPROTO, "%s: the answer is neither yes nor no", what);
	return yes ? 0 : prongi_fail(PRONG_TIMEDOUT, "%s: not until the deadline", what);
}

/* A lock of Python 2, which cannot wait for a time: look again and again. */
static int poll_lock(prong_proxy *p, const char *what, prong_time deadline)
{
	int pause_ms = PAUSE_MS, r;

	for (;;) {
		prong_time next = prong_in_ms(pause_ms);

		r = try(p, "acquire", prong_args(1, prong_value_bool(false)), what, deadline);
		if (r != PRONG_TIMEDOUT || prong_clock().ns_ >= deadline.ns_)
			return r;
		r = prong_sleep(next.ns_ < deadline.ns_ ? next : deadline);
		if (r)
			return prongi_fail(r, "%s: the caller is cancelled", what);
		pause_ms = pause_ms < PAUSE_MOST_MS ? 2 * pause_ms : PAUSE_MOST_MS;
	}
}

int prong_proxy_lock(prong_proxy *p, prong_time deadline)
{
	static const char what[] = "proxy_lock";
	int r;

	do {
		double left = prongi_seconds_left(deadline, PRONGI_SLICE_NS);

		r = try(p, "acquire",
			left > 0 ? prong_args(2, prong_value_bool(true), prong_value_float(left))
				 : prong_args(1, prong_value_bool(false)),
			what, deadline);
		if (was_raised(p, r, "TypeError"))
			return poll_lock(p, what, deadline);
	} while (r == PRONG_TIMEDOUT && prong_clock().ns_ < deadline.ns_);
	return r;
}

int prong_proxy_wait(prong_proxy *p, prong_time deadline)
{
	int r;

	do
		r = try(p, "wait",
			prong_args(1, prong_value_float(
					      prongi_seconds_left(deadline, PRONGI_SLICE_NS))),
			"proxy_wait", deadline);
	while (r == PRONG_TIMEDOUT && prong_clock().ns_ < deadline.ns_);
	return r;
}

/* --- what does not wait ----------------------------------------------------------------- */

int prong_proxy_unlock(prong_proxy *p, prong_time deadline)
{
	return tell(p, "release", prong_args(0), "proxy_unlock", deadline);
}

int prong_proxy_set(prong_proxy *p, prong_time deadline)
{
	return tell(p, "set", prong_args(0), "proxy_set", deadline);
}

int prong_proxy_clear(prong_proxy *p, prong_time deadline)
{
	return tell(p, "clear", prong_args(0), "proxy_clear", deadline);
}

int prong_proxy_get(prong_proxy *p, prong_value *key, prong_value **out, prong_time deadline)
{
	static const char what[] = "proxy_get";
	int r = ask(p, "__getitem__", prong_args(1, key), out, what, deadline);

	return nothing_there(p, r, what);
}

int prong_proxy_put(prong_proxy *p, prong_value *key, prong_value *item, prong_time deadline)
{
	static const char what[] = "proxy_put";
	int r = tell(p, "__setitem__", prong_args(2, key, item), what, deadline);

	return nothing_there(p, r, what);
}

int prong_proxy_remove(prong_proxy *p, prong_value *key, prong_time deadline)
{
	static const char what[] = "proxy_remove";
	int r = tell(p, "__delitem__", prong_args(1, key), what, deadline);

	return nothing_there(p, r, what);
}

int prong_proxy_append(prong_proxy *p, prong_value *item, prong_time deadline)
{
	return tell(p, "append", prong_args(1, item), "proxy_append", deadline);
}

int prong_proxy_count(prong_proxy *p, size_t *out, prong_time deadline)
{
	prong_value *v = NULL;
	int64_t n = -1;
	int r = check(p, "__len__", out, "proxy_count");

	if (r == 0)
		r = prong_proxy_call(p, "__len__", prong_args(0), &v, deadline);
	if (r)
		return r;
	r = prong_value_as_int(v, &n);
	prong_value_free(v);
	if (r || n < 0)
		return prongi_fail(-EPROTO, "proxy_count: the answer is no number");
	*out = (size_t)n;
	return 0;
}

/* A list has no copy() before Python 3.14, but what it gives when nothing is added to it is one. */
int prong_proxy_copy(prong_proxy *p, prong_value **out, prong_time deadline)
{
	static const char what[] = "proxy_copy";
	int r = prongi_proxy_check(p, what);

	if (r)
		return r;
	if (!prongi_referent_has(&p->o, "copy") && prongi_referent_has(&p->o, "__add__"))
		return ask(p, "__add__", prong_args(1, prong_value_new(PRONG_LIST)), out, what,
			   deadline);
	return ask(p, "copy", prong_args(0), out, what, deadline);
}
