/* What other cases take from bench/connection.c. */
#ifndef BENCH_CONNECTION_H
#define BENCH_CONNECTION_H

#include "bench.h"

/* n messages of 64 bytes there and back over loopback TCP, by bare sockets, between processors 0
   and 1: pushes us of each. */
void bench_tcp_echo(unsigned n, struct bench_out *out);

/* The Pythons that are measured: shell words, and why one is not here, or NULL. */
#define BENCH_PYTHON_IN_PATH "python3"
/* The newest of pyenv's, of the versions that end in digits alone. */
#define BENCH_PYTHON_NEWEST \
	"$(ls -d \"${PYENV_ROOT:-$HOME/.pyenv}\"/versions/3.*[0-9]/bin/python 2>/dev/null |" \
	" sort -V | tail -n 1)"
const char *bench_no_python(void);
const char *bench_no_newest(void);

#endif
