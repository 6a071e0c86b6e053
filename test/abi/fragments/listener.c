/* The example of listener.h: one who greets. */
#include <prong/listener.h>
#include <stdio.h>

int greet(const unsigned char key[32]);

int greet(const unsigned char secret[32])
{
	unsigned char key[32];

	for (int i = 0; i < 32; i++)
		key[i] = secret[i];
#include "listener.1.inc"
	prong_conn_free(c);
	prong_listener_close(l);
	return r;
}
