/* Two programs talk over a network, and either may be in Python: one listens, the other connects;
   lines from the keyboard go there, lines from there to the screen.  Without arguments it shows
   that to itself.

      17-talk listen tcp://127.0.0.1:5000       17-talk connect tcp://127.0.0.1:5000

   In Python:
      c = multiprocessing.connection.Client(('127.0.0.1', 5000), authkey=b'a key of sixteen')
      c.send_bytes(b'hello'); c.recv_bytes()

   cc -std=c11 17-talk.c $(pkg-config --cflags --libs prong-net) -o 17-talk */
#include "must.h"
#include <poll.h>
#include <prong/net.h>
#include <stdio.h>
#include <string.h>

/* A real program reads its key from a file that others cannot. */
static const prong_auth auth = { .key = "a key of sixteen", .key_size = 16, .old_python = true };

/* One line that came, to the screen.  False at the end. */
static bool hear(prong_conn *c)
{
	char line[1024];
	size_t n;
	int r = prong_conn_recv(c, line, sizeof line, &n, PRONG_FOREVER);

	if (r == PRONG_CLOSED)
		return false;
	must(r, "recv");
	printf("they: %.*s\n", (int)n, line);
	return true;
}

static void talk(prong_conn *c)
{
	struct pollfd keyboard = { .fd = 0, .events = POLLIN };
	prong_source s[] = { { .conn = c }, { .fd = &keyboard } };
	char line[1024];

	for (;;) {
		must(prong_wait(s, 2, PRONG_FOREVER), "wait");
		if (s[0].ready && !hear(c))
			break;
		if (s[1].ready && !fgets(line, sizeof line, stdin))
			break;
		if (s[1].ready)
			must(prong_conn_send(c, line, strcspn(line, "\n"), PRONG_FOREVER), "send");
	}
	prong_conn_free(c);
}

static int caller(void *address)
{
	prong_conn *c;

	must(prong_connect(&c, address, &auth, prong_in_ms(5000)), "connect");
	must(prong_conn_send(c, "hello, are you there?", 21, PRONG_FOREVER), "send");
	while (hear(c))
		;
	prong_conn_free(c);
	return 0;
}

static void show(prong_listener *l)
{
	prong_conn *c;
	prong_process *p;

	must(prong_process_start(&p, caller, prong_listener_address(l),
				 strlen(prong_listener_address(l)) + 1, NULL), "start");
	must(prong_listener_accept(l, &c, prong_in_ms(5000)), "accept");
	hear(c);
	must(prong_conn_send(c, "yes", 3, PRONG_FOREVER), "send");
	prong_conn_free(c);
	must(prong_process_join(p, NULL, PRONG_FOREVER), "join");
	prong_process_free(p);
}

int main(int argc, char **argv)
{
	prong_listener *l;
	prong_conn *c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	must(prong_open(NULL), "open");
	if (argc == 3 && strcmp(argv[1], "connect") == 0) {
		must(prong_connect(&c, argv[2], &auth, prong_in_ms(5000)), "connect");
		talk(c);
		return 0;
	}
	must(prong_listener_open(&l, argc == 3 ? argv[2] : "tcp://127.0.0.1:0", &auth), "listen");
	if (argc == 3) {
		must(prong_listener_accept(l, &c, PRONG_FOREVER), "accept");
		talk(c);
	} else {
		show(l);
	}
	prong_listener_close(l);
}
