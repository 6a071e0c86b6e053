/* An object written in C, which Python programs use without any binding: they know BaseManager
   alone (python/11-python-calls-c.py).

      11-python-calls-c serve [tcp://127.0.0.1:5000]

   Without arguments it calls itself from another process.

   cc -std=c11 11-python-calls-c.c $(pkg-config --cflags --libs prong-net) -o 11-python-calls-c */
#include "must.h"
#include <math.h>
#include <prong/net.h>
#include <stdio.h>
#include <string.h>

/* A real program reads its key from a file that others cannot. */
static const prong_manager_opts opts = {
	.auth = { .key = "a key of sixteen", .key_size = 16, .old_python = true }
};

struct vector {
	size_t n;
	double x[1000];
};

static int append(prong_call *call)
{
	struct vector *v = prong_call_self(call);
	double x = prong_call_float(call, "x");

	if (v->n == 1000)
		return prong_call_raise(call, "OverflowError", "a vector holds 1000 numbers");
	if (isnan(x))
		return prong_call_raise(call, "ValueError", "x is not a number");
	v->x[v->n++] = x;
	return prong_call_return(call, prong_value_new(PRONG_NONE));
}

static int sum(prong_call *call)
{
	const struct vector *v = prong_call_self(call);
	double scale = prong_call_float(call, "scale"), s = 0;

	for (size_t i = 0; i < v->n; i++)
		s += v->x[i] * scale;
	return prong_call_return(call, prong_value_float(s));
}

static const prong_method vector_methods[] = {
	{ "append", "x: float", append, "Put x at the end." },
	{ "sum", "scale: float = 1.0", sum, "Return the sum of all numbers times scale." },
	{ NULL, NULL, NULL, NULL }
};

/* --- one who calls, in another process ------------------------------------------------------- */

static void call(prong_remote *there, prong_proxy *v, const char *method, prong_value *args)
{
	prong_value *result = NULL;
	char text[200];
	int r = prong_proxy_call(v, method, args, &result, prong_in_ms(10000));

	if (r != PRONG_RAISED)
		must(r, method);
	prong_value_print(r ? prong_remote_raised(there) : result, text, sizeof text);
	printf("%s: %s\n", method, text);
	prong_value_free(result);
}

static int customer(void *address)
{
	prong_remote *there;
	prong_proxy *v;

	must(prong_remote_open(&there, address, &opts.auth, prong_in_ms(10000)), "remote");
	must(prong_remote_make(there, "Vector", prong_args(0), &v, prong_in_ms(10000)), "Vector");
	call(there, v, "append", prong_args(1, prong_value_int(3)));
	call(there, v, "append", prong_args(1, prong_value_float(4.5)));
	call(there, v, "append", prong_args(1, prong_value_text("five")));
	call(there, v, "sum", prong_args(1, prong_value_int(2)));
	prong_proxy_free(v);
	prong_remote_close(there);
	return 0;
}

static void show(prong_manager *m)
{
	const char *address = prong_manager_address(m);
	prong_process *p;
	int code;

	fflush(stdout);
	must(prong_process_start(&p, customer, address, strlen(address) + 1, NULL), "start");
	must(prong_process_join(p, &code, PRONG_FOREVER), "join");
	must(code, "customer");
	prong_process_free(p);
}

int main(int argc, char **argv)
{
	bool serve = argc > 1 && strcmp(argv[1], "serve") == 0;
	const char *address = !serve     ? "tcp://127.0.0.1:0"
			      : argc > 2 ? argv[2]
					 : "tcp://127.0.0.1:5000";
	static struct vector v;
	prong_manager *m;

	must(prong_open(NULL), "open");
	must(prong_manager_open(&m, address, &opts), "manager");
	must(prong_manager_share(m, "Vector", vector_methods, &v), "share");
	if (serve) {
		printf("serving at %s\n", prong_manager_address(m));
		fflush(stdout);
		must(prong_manager_wait(m, PRONG_FOREVER), "wait");
	} else {
		show(m);
	}
	prong_manager_close(m);
	return 0;
}
