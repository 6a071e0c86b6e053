/* A manager whose clients Python programs are (manager.py).

      manager ADDRESS KEY [pool SPEC] [no_types] [small]

   KEY is in hexadecimal.  It prints its address, and then does what the lines of its standard input
   say, and prints an answer to each:

      put N       puts the int N on the queue "tasks"
      take        takes a message from "results", and prints it; or "nothing"
      tasks       how many messages wait on "tasks"
      stat NAME   one of the figures of prong_manager_stat()
      close       closes the queue "tasks"

   It ends with its input, or when a client asks for the end.  With "small", 8 clients are the most,
   and 1 MiB of values. */
#include <errno.h>
#include <poll.h>
#include <prong/net.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static prong_queue *tasks, *results, *narrow;
static prong_manager *manager;

static void must(int r, const char *what)
{
	if (r == 0)
		return;
	fprintf(stderr, "%s: %s: %s\n", what, prong_strerror(r), prong_error_detail());
	exit(1);
}

/* --- an object in C --------------------------------------------------------------------- */

struct ruler {
	double unit;
	int64_t calls;
};

static int scale(prong_call *call)
{
	struct ruler *ruler = prong_call_self(call);
	double x = prong_call_float(call, "x");

	ruler->calls++;
	if (x < 0)
		return prong_call_raise(call, "ValueError", "%g is below 0", x);
	return prong_call_return(
		call, prong_value_float(x * ruler->unit * (double)prong_call_int(call, "times")));
}

static int label(prong_call *call)
{
	const char *suffix = prong_call_text(call, "suffix");

	return prong_call_return(call, prong_value_textf("%s%s%s", prong_call_text(call, "text"),
							 prong_call_bool(call, "loud") ? "!" : "",
							 suffix ? suffix : ""));
}

static int same(prong_call *call)
{
	return prong_call_return(call, prong_value_dup(prong_call_value(call, "value")
							       ? prong_call_value(call, "value")
							       : prong_value_new(PRONG_NONE)));
}

static int calls(prong_call *call)
{
	const struct ruler *ruler = prong_call_self(call);

	return prong_call_return(call, prong_value_int(ruler->calls));
}

static int lost(prong_call *call)
{
	(void)call;
	return -ENOENT;
}

static int silent(prong_call *call)
{
	(void)call;
	return 0;
}

static int mistaken(prong_call *call)
{
	return prong_call_return(call, prong_value_int(prong_call_int(call, "y")));
}

static int crash(prong_call *call)
{
	(void)call;
	return raise(SIGKILL);
}

static int process(prong_call *call)
{
	return prong_call_return(call, prong_value_int(getpid()));
}

static const prong_method ruler_methods[] = {
	{ "scale", "x: float, times: int = 1", scale, "Return x in units." },
	{ "label", "text: str, loud: bool = False, suffix: str = None", label, NULL },
	{ "same", "value", same, "Return the value." },
	{ "calls", NULL, calls, NULL },
	{ "lost", NULL, lost, NULL },
	{ "silent", NULL, silent, NULL },
	{ "mistaken", "x: int", mistaken, NULL },
	{ "crash", NULL, crash, NULL },
	{ "process", "", process, NULL },
	{ NULL, NULL, NULL, NULL },
};

/* --- what the input says ---------------------------------------------------------------- */

static void take(void)
{
	prong_value *v;
	char text[200];

	if (prong_queue_get_value(results, &v, NULL, PRONG_NOW)) {
		puts("nothing");
		return;
	}
	prong_value_print(v, text, sizeof text);
	puts(text);
	prong_value_free(v);
}

static void stat(const char *name)
{
	prong_manager_stats s;
	const struct {
		const char *name;
		uint64_t n;
	} figures[] = {
		{ "clients", (prong_manager_stat(manager, &s), s.clients) },
		{ "objects", s.objects },
		{ "waiting", s.waiting },
		{ "calls", s.calls },
		{ "returned", s.returned },
		{ "refused", s.refused },
		{ "broken", s.broken },
		{ "memory", s.memory },
		{ "wrong_key", s.door.wrong_key },
		{ "too_slow", s.door.too_slow },
	};

	for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
		if (strcmp(figures[i].name, name) == 0)
			printf("%llu\n", (unsigned long long)figures[i].n);
}

static void obey(char *line)
{
	line[strcspn(line, "\n")] = 0;
	if (strncmp(line, "put ", 4) == 0) {
		must(prong_queue_put_value(tasks, prong_value_int(atoll(line + 4)), PRONG_NOW),
		     "put");
		puts("done");
	} else if (strcmp(line, "take") == 0) {
		take();
	} else if (strcmp(line, "tasks") == 0) {
		printf("%zu\n", prong_queue_size(tasks));
	} else if (strncmp(line, "stat ", 5) == 0) {
		stat(line + 5);
	} else if (strcmp(line, "close") == 0) {
		prong_queue_close(tasks);
		puts("done");
	} else {
		puts("what?");
	}
	fflush(stdout);
}

/* --- the program ------------------------------------------------------------------------ */

static size_t unhex(unsigned char *out, size_t most, const char *text)
{
	size_t n = 0;

	for (; text[0] && text[1] && n < most; text += 2)
		out[n++] = (unsigned char)strtoul((char[]){ text[0], text[1], 0 }, NULL, 16);
	return n;
}

static void serve(void)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };
	char line[200];

	setvbuf(stdin, NULL, _IONBF, 0);
	while (prong_manager_wait(manager, PRONG_NOW) == PRONG_TIMEDOUT)
		if (poll(&in, 1, 20) > 0) {
			if (!fgets(line, sizeof line, stdin))
				return;
			obey(line);
		}
	puts("ended");
}

int main(int argc, char **argv)
{
	static unsigned char key[256];
	prong_manager_opts opts = { .auth = { .key = key, .old_python = true }, .types = true };
	struct ruler *ruler;
	prong_pool *pool = NULL;

	if (argc < 3)
		return 2;
	must(prong_open(NULL), "open");
	opts.auth.key_size = unhex(key, sizeof key, argv[2]);
	for (int i = 3; i < argc; i++) {
		if (strcmp(argv[i], "no_types") == 0)
			opts.types = false;
		if (strcmp(argv[i], "small") == 0) {
			opts.clients_max = 8;
			opts.memory_max = 1 << 20;
		}
		if (strcmp(argv[i], "pool") == 0 && i + 1 < argc)
			must(prong_pool_open(&pool, argv[++i], NULL), "pool");
	}
	opts.pool = pool;
	ruler = prong_calloc(1, sizeof *ruler);
	if (!ruler)
		return 2;
	ruler->unit = 2.5;
	must(prong_queue_new(&tasks, NULL), "queue");
	must(prong_queue_new(&results, NULL), "queue");
	must(prong_queue_new(&narrow, &(prong_queue_opts){ .capacity = 2 }), "queue");
	must(prong_manager_open(&manager, argv[1], &opts), "manager");
	must(prong_manager_share_queue(manager, "get_tasks", tasks), "share");
	must(prong_manager_share_queue(manager, "get_results", results), "share");
	must(prong_manager_share_queue(manager, "get_narrow", narrow), "share");
	must(prong_manager_share(manager, "Ruler", ruler_methods, ruler), "share");
	printf("%s\n", prong_manager_address(manager));
	fflush(stdout);
	serve();
	prong_manager_close(manager);
	prong_pool_free(pool);
	prong_free(ruler);
	return 0;
}
