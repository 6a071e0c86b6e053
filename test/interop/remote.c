/* A client of managers that a Python program (remote.py) drives: on standard input come requests,
   each answered on standard output, until the end.

   Each is 4 bytes of length and a pickle.  A request is a tuple, (operation, ...); an answer is
   (result, detail, value).  Objects of the manager have numbers here: ("object", n) stands for the
   n-th, as an argument and as a result, inside others as well. */
#include <errno.h>
#include <prong/net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	MOST = 256 /* objects, queues */
};

static prong_remote *there;
static prong_proxy *proxy[MOST];
static prong_queue *queue[MOST];
static int proxies, queues;

/* --- values ---------------------------------------------------------------------------------- */

static const char *text_at(const prong_value *v, size_t i)
{
	const char *text = prong_value_data(prong_value_at(v, i), NULL);

	return text ? text : "";
}

static int number_at(const prong_value *v, size_t i)
{
	int64_t n = 0;

	return prong_value_as_int(prong_value_at(v, i), &n) ? 0 : (int)n;
}

/* In milliseconds; -1: for ever, 0: now. */
static prong_time deadline_at(const prong_value *v, size_t i)
{
	int ms = number_at(v, i);

	return ms < 0 ? PRONG_FOREVER : ms ? prong_in_ms(ms) : PRONG_NOW;
}

static bool names_object(const prong_value *v)
{
	return prong_value_kind(v) == PRONG_TUPLE && prong_value_count(v) == 2 &&
	       strcmp(text_at(v, 0), "object") == 0;
}

/* A copy of arguments in which objects are what stands for them. */
static prong_value *arguments(const prong_value *v)
{
	prong_kind kind = prong_value_kind(v);
	prong_value *copy;

	if (names_object(v))
		return prong_proxy_value(proxy[number_at(v, 1)]);
	if (kind != PRONG_LIST && kind != PRONG_TUPLE && kind != PRONG_DICT)
		return prong_value_dup(v);
	copy = prong_value_new(kind);
	for (size_t i = 0; i < prong_value_count(v); i++)
		if (kind == PRONG_DICT)
			prong_value_put(copy, prong_value_dup(prong_value_key(v, i)),
					arguments(prong_value_at(v, i)));
		else
			prong_value_add(copy, arguments(prong_value_at(v, i)));
	return copy;
}

static prong_value *object(int n)
{
	return prong_args(2, prong_value_text("object"), prong_value_int(n));
}

/* What a result is for the Python program. */
static prong_value *result(const prong_value *v)
{
	prong_kind kind = prong_value_kind(v);
	prong_value *copy;
	int r = prong_proxy_of(there, v, &proxy[proxies], prong_in_ms(5000));

	if (r == 0)
		return object(proxies++);
	if (r != PRONG_MISMATCH)
		return prong_value_textf("lost: %s", prong_error_detail());
	if (kind != PRONG_LIST && kind != PRONG_TUPLE)
		return prong_value_dup(v);
	copy = prong_value_new(kind);
	for (size_t i = 0; i < prong_value_count(v); i++)
		prong_value_add(copy, result(prong_value_at(v, i)));
	return copy;
}

/* --- nine threads ---------------------------------------------------------------------------- */

struct adder {
	prong_proxy *lock, *list;
	prong_queue *q;
	int who, n;
};

static int must(int r)
{
	if (r)
		fprintf(stderr, "%s: %s\n", prong_strerror(r), prong_error_detail());
	return r;
}

/* What another thread would hear is another number. */
static int echo(const struct adder *a, int i)
{
	int want = a->who * 100000 + i;
	prong_value *v;
	int64_t n = -1;
	int r = prong_proxy_call(a->list, "__contains__", prong_args(1, prong_value_int(want)), &v,
				 prong_in_ms(20000));

	if (must(r))
		return r;
	prong_value_free(v);
	r = prong_proxy_call(a->list, "__add__", prong_args(1, prong_value_new(PRONG_LIST)), &v,
			     prong_in_ms(20000));
	if (must(r))
		return r;
	prong_value_free(v);
	must(prong_queue_put_value(a->q, prong_value_int(want), prong_in_ms(20000)));
	r = prong_queue_get_value(a->q, &v, NULL, prong_in_ms(20000));
	if (must(r))
		return r;
	r = prong_value_as_int(v, &n);
	prong_value_free(v);
	return r || n % 100000 >= a->n ? -EPROTO : 0;
}

static int add(void *arg)
{
	const struct adder *a = arg;
	int r = 0;

	for (int i = 0; i < a->n && r == 0; i++) {
		r = must(prong_proxy_call(a->lock, "acquire", prong_args(0), NULL,
					  prong_in_ms(20000)));
		if (r == 0)
			r = echo(a, i);
		if (r == 0)
			r = must(prong_proxy_call(a->list, "append",
						  prong_args(1, prong_value_int(a->who)), NULL,
						  prong_in_ms(20000)));
		if (r == 0)
			r = must(prong_proxy_call(a->lock, "release", prong_args(0), NULL,
						  prong_in_ms(20000)));
	}
	return r ? 1 : 0;
}

/* Nine threads, with a lock, a list and a queue. */
static int nine(const prong_value *v)
{
	struct adder a = { proxy[number_at(v, 1)], proxy[number_at(v, 2)], queue[number_at(v, 3)],
			   0, number_at(v, 4) };
	prong_thread *t[9];
	int code, r = 0;

	for (a.who = 0; a.who < 9 && r == 0; a.who++)
		r = prong_thread_start(&t[a.who], add, &a, sizeof a, NULL);
	for (int i = 0; i < a.who; i++) {
		if (prong_thread_join(t[i], &code, PRONG_FOREVER) || code)
			r = PRONG_FAILED;
		prong_thread_free(t[i]);
	}
	return r;
}

/* --- operations ------------------------------------------------------------------------------ */

static int open_it(const prong_value *v)
{
	size_t size = 0;
	const char *key = prong_value_data(prong_value_at(v, 2), &size);
	const prong_auth auth = { .key = key, .key_size = size, .old_python = number_at(v, 3) };

	return prong_remote_open(&there, text_at(v, 1), &auth, deadline_at(v, 4));
}

static int store_proxy(int r, prong_value **out)
{
	if (r == 0)
		*out = object(proxies++);
	return r;
}

static int store_queue(int r, prong_value **out)
{
	if (r == 0)
		*out = prong_value_int(queues++);
	return r;
}

static int get_bytes(const prong_value *v, prong_value **out)
{
	char data[1000];
	size_t n = 0;
	int r = prong_queue_get(queue[number_at(v, 1)], data, (size_t)number_at(v, 2), &n,
				deadline_at(v, 3));

	if (r == 0)
		*out = prong_value_bytes(PRONG_BYTES, data, n);
	return r;
}

static int put_bytes(const prong_value *v)
{
	size_t size;
	const char *data = prong_value_data(prong_value_at(v, 2), &size);

	return prong_queue_put(queue[number_at(v, 1)], data, size, deadline_at(v, 3));
}

static int work_on_queue(const prong_value *v, const char *op, prong_value **out)
{
	prong_queue *q = queue[number_at(v, 1)];
	prong_message m;

	if (strcmp(op, "qput") == 0)
		return prong_queue_put_value(q, arguments(prong_value_at(v, 2)), deadline_at(v, 3));
	if (strcmp(op, "qget") == 0)
		return prong_queue_get_value(q, out, NULL, deadline_at(v, 2));
	if (strcmp(op, "qput_bytes") == 0)
		return put_bytes(v);
	if (strcmp(op, "qget_bytes") == 0)
		return get_bytes(v, out);
	if (strcmp(op, "qsize") == 0) {
		*out = prong_value_int((int64_t)prong_queue_size(q));
		return 0;
	}
	if (strcmp(op, "qlease") == 0)
		return prong_queue_lease(q, &m, PRONG_NOW);
	if (strcmp(op, "qjoin") == 0)
		return prong_queue_join(q, deadline_at(v, 2));
	if (strcmp(op, "qclose") == 0)
		return prong_queue_close(q);
	return prong_queue_free(q);
}

/* Objects by what they are: the word after "t", the object, and what else it takes. */
static int work_on_typed(const prong_value *v, const char *op, prong_value **out)
{
	prong_proxy *p = proxy[number_at(v, 1)];
	prong_time by = deadline_at(v, prong_value_count(v) - 1);
	size_t n = 0;
	int r;

	if (strcmp(op, "tlock") == 0)
		return prong_proxy_lock(p, by);
	if (strcmp(op, "tunlock") == 0)
		return prong_proxy_unlock(p, by);
	if (strcmp(op, "twait") == 0)
		return prong_proxy_wait(p, by);
	if (strcmp(op, "tset") == 0)
		return prong_proxy_set(p, by);
	if (strcmp(op, "tclear") == 0)
		return prong_proxy_clear(p, by);
	if (strcmp(op, "tget") == 0)
		return prong_proxy_get(p, arguments(prong_value_at(v, 2)), out, by);
	if (strcmp(op, "tput") == 0)
		return prong_proxy_put(p, arguments(prong_value_at(v, 2)),
				       arguments(prong_value_at(v, 3)), by);
	if (strcmp(op, "tremove") == 0)
		return prong_proxy_remove(p, arguments(prong_value_at(v, 2)), by);
	if (strcmp(op, "tappend") == 0)
		return prong_proxy_append(p, arguments(prong_value_at(v, 2)), by);
	if (strcmp(op, "tcopy") == 0)
		return prong_proxy_copy(p, out, by);
	r = strcmp(op, "tcount") == 0 ? prong_proxy_count(p, &n, by) : -ENOSYS;
	if (r == 0)
		*out = prong_value_int((int64_t)n);
	return r;
}

static int raised(prong_value **out)
{
	*out = prong_value_dup(prong_remote_raised(there));
	if (!*out)
		*out = prong_value_new(PRONG_NONE);
	return 0;
}

static int work(const prong_value *v, const char *op, prong_value **out)
{
	prong_value *got;
	int r = 0;

	if (op[0] == 'q')
		return work_on_queue(v, op, out);
	if (op[0] == 't')
		return work_on_typed(v, op, out);
	if (strcmp(op, "open") == 0)
		return open_it(v);
	if (strcmp(op, "make") == 0)
		return store_proxy(prong_remote_make(there, text_at(v, 1),
						     arguments(prong_value_at(v, 2)),
						     &proxy[proxies], deadline_at(v, 3)),
				   out);
	if (strcmp(op, "make_queue") == 0)
		return store_queue(
			prong_remote_queue(there, text_at(v, 1), &queue[queues], deadline_at(v, 2)),
			out);
	if (strcmp(op, "call") == 0 || strcmp(op, "ask") == 0) {
		r = op[0] == 'c' ? prong_proxy_call(proxy[number_at(v, 1)], text_at(v, 2),
						    arguments(prong_value_at(v, 3)), &got,
						    deadline_at(v, 4))
				 : prong_remote_ask(there, text_at(v, 1),
						    arguments(prong_value_at(v, 2)), &got,
						    deadline_at(v, 3));
		if (r)
			return r;
		*out = result(got);
		prong_value_free(got);
		return 0;
	}
	if (strcmp(op, "raised") == 0)
		return raised(out);
	if (strcmp(op, "nine") == 0)
		return nine(v);
	if (strcmp(op, "shutdown") == 0)
		return prong_remote_shutdown(there, deadline_at(v, 1));
	if (strcmp(op, "free") == 0)
		prong_proxy_free(proxy[number_at(v, 1)]);
	else if (strcmp(op, "close") == 0)
		prong_remote_close(there);
	else
		return -ENOSYS;
	return 0;
}

/* --- frames ---------------------------------------------------------------------------------- */

static prong_value *read_request(void)
{
	unsigned char head[4];
	prong_value *v = NULL;
	size_t n;
	void *data;

	if (fread(head, 1, 4, stdin) != 4)
		return NULL;
	n = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
	data = malloc(n + 1);
	if (!data || fread(data, 1, n, stdin) != n)
		exit(1);
	if (prong_decode_take(&v, PRONG_PICKLE, data, n, NULL))
		exit(2);
	return v;
}

static void answer(prong_value *v)
{
	void *data;
	size_t n;

	if (prong_encode(v, PRONG_PICKLE_2, &data, &n, NULL))
		exit(3);
	for (int i = 0; i < 4; i++)
		putchar((int)(n >> (8 * i) & 0xff));
	fwrite(data, 1, n, stdout);
	fflush(stdout);
	free(data);
	prong_value_free(v);
}

int main(void)
{
	prong_value *v;

	if (must(prong_open(NULL)))
		return 1;
	while ((v = read_request()) != NULL) {
		prong_value *out = NULL;
		int r = work(v, text_at(v, 0), &out);

		if (!out)
			out = prong_value_new(PRONG_NONE);
		answer(prong_args(3, prong_value_int(r),
				  prong_value_text(r ? prong_error_detail() : ""), out));
		prong_value_free(v);
	}
	return 0;
}
