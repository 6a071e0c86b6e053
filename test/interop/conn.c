/* One end of connections whose other end a Python program has (conn.py).  What comes is sent back.

      conn listen ADDRESS KEY [old] [values [first]]     accept until standard input ends
      conn connect ADDRESS KEY [old] [values [first]]    connect once

   With "values" each message is one, which is read and written anew; with "first" three are sent
   before anything came: TimeoutError('first'), queue.Queue, None.  KEY is in hexadecimal.
   A listener first prints its address.  Each connection, at its end, and each failure is a line:
   "done 3" after three messages, or a word for what went wrong. */
#include <errno.h>
#include <poll.h>
#include <prong/net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	KEY_MOST = 65536,
	PATIENCE_MS = 60000
};

static void tell(const char *what)
{
	printf("%s\n", what);
	fflush(stdout);
}

static const char *word(int r)
{
	switch (r) {
	case PRONG_TIMEDOUT:
		return "late";
	case PRONG_CLOSED:
		return "closed";
	case -EKEYREJECTED:
		return "key";
	case -EPROTONOSUPPORT:
		return "old";
	case -EPROTO:
		return "protocol";
	case -ECONNRESET:
		return "hung up";
	}
	return prong_error_detail();
}

static size_t unhex(unsigned char *out, const char *text)
{
	size_t n = 0;

	for (; text[0] && text[1] && n < KEY_MOST; text += 2)
		out[n++] = (unsigned char)strtoul((char[]){ text[0], text[1], 0 }, NULL, 16);
	return n;
}

static bool values; /* not bytes */
static bool first;

static int echo_value(prong_conn *c)
{
	prong_value *v;
	int r = prong_conn_recv_value(c, &v, NULL, prong_in_ms(PATIENCE_MS));

	return r ? r : prong_conn_send_value(c, v, prong_in_ms(PATIENCE_MS));
}

static int say(prong_conn *c, prong_value *v)
{
	return prong_conn_send_value(c, v, prong_in_ms(PATIENCE_MS));
}

static int say_first(prong_conn *c)
{
	prong_value *args = prong_value_new(PRONG_TUPLE);
	int r = prong_value_add(args, prong_value_text("first"));

	r = r ? r : say(c, prong_value_object("builtins.TimeoutError", args, NULL));
	r = r ? r : say(c, prong_value_bytes(PRONG_CLASS, "queue.Queue", 11));
	return r ? r : say(c, prong_value_new(PRONG_NONE));
}

static int echo(prong_conn *c)
{
	void *data;
	size_t size;
	int r;

	if (values)
		return echo_value(c);
	r = prong_conn_recv_take(c, &data, &size, prong_in_ms(PATIENCE_MS));
	if (r)
		return r;
	r = prong_conn_send(c, data, size, prong_in_ms(PATIENCE_MS));
	prong_free(data);
	return r;
}

static void serve(prong_conn *c)
{
	int n = 0, r = first ? say_first(c) : 0;

	while (r == 0 && (r = echo(c)) == 0)
		n++;
	if (r == PRONG_CLOSED)
		printf("done %d\n", n);
	else
		printf("%s\n", prong_error_detail());
	fflush(stdout);
	prong_conn_free(c);
}

/* What became of those who were not let in. */
static void tell_losses(prong_listener *l, prong_listener_stats *before)
{
	prong_listener_stats now;

	prong_listener_stat(l, &now);
	for (; before->wrong_key < now.wrong_key; before->wrong_key++)
		tell("key");
	for (; before->old_python < now.old_python; before->old_python++)
		tell("old");
	for (; before->no_client < now.no_client; before->no_client++)
		tell("protocol");
	for (; before->hung_up < now.hung_up; before->hung_up++)
		tell("hung up");
}

static int listen_at(const char *address, const prong_auth *auth)
{
	struct pollfd end = { .fd = 0, .events = POLLIN }, knock = { .events = POLLIN };
	prong_source s[2] = { { .fd = &end }, { .fd = &knock } };
	prong_listener_stats stats = { 0 };
	prong_listener *l;
	prong_conn *c;

	if (prong_listener_open(&l, address, auth)) {
		tell(prong_error_detail());
		return 1;
	}
	tell(prong_listener_address(l));
	knock.fd = prong_listener_fd(l);
	while (prong_wait(s, 2, prong_in_ms(PATIENCE_MS)) == 0 && !s[0].ready) {
		if (prong_listener_accept(l, &c, PRONG_NOW) == 0)
			serve(c);
		tell_losses(l, &stats);
	}
	prong_listener_close(l);
	return 0;
}

static int dial(const char *address, const prong_auth *auth)
{
	prong_conn *c;
	int r = prong_connect(&c, address, auth, prong_in_ms(PATIENCE_MS));

	if (r)
		tell(word(r));
	else
		serve(c);
	return 0;
}

int main(int argc, char **argv)
{
	static unsigned char key[KEY_MOST];
	prong_auth auth = { .key = key };

	if (argc < 4 || prong_open(NULL))
		return 2;
	for (int i = 4; i < argc; i++) {
		auth.old_python |= strcmp(argv[i], "old") == 0;
		values |= strcmp(argv[i], "values") == 0;
		first |= strcmp(argv[i], "first") == 0;
	}
	auth.key_size = unhex(key, argv[3]);
	return strcmp(argv[1], "listen") == 0 ? listen_at(argv[2], &auth) : dial(argv[2], &auth);
}
