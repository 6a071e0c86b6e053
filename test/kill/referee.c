/* The referee: see referee.h. */
#include "referee.h"
#include "trace.h"
#include <time.h>

#define STILL_MS 5

static uint64_t over(void)
{
	return atomic_load(&kill_control->note[NOTE_OVER]);
}

static bool repaired(void)
{
	return atomic_load(&world_slot(0)->id) == 0;
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
}

unsigned referee(uint64_t n, const prongi_word *moves, bool (*right)(void), void (*help)(void))
{
	int64_t since = now_ms();
	uint64_t last = 0, last_over = 0;

	kill_gate(REFEREE_GATE);
	while (over() < n) {
		uint64_t v = atomic_load(moves);

		if (v != last || over() != last_over || !repaired())
			since = now_ms();
		last = v;
		last_over = over();
		if (now_ms() - since > STILL_MS && right()) {
			atomic_fetch_add(&kill_control->note[NOTE_HELPED], 1);
			help();
			since = now_ms();
		}
		if (now_ms() - since > kill_patience_ms)
			return 0; /* those who are stuck say so themselves */
		nap();
	}
	return 0;
}
