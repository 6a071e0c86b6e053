/* The pipe that the rows of kill_conn.c and kill_conn_fd.c play with.

   The actors are processes of their own here: who dies is marked so in its record, as the server
   does before it repairs.  The victim uses end `a', others end `b'.  In most scenarios the victim
   owns its end; in those called "-thread" another process does, so that the late one goes on where
   the dead one was. */
#include "conn_world.h"
#include "engine.h"
#include "heap_walk.h"
#include <prong/family.h>
#include <string.h>
#include <unistd.h>

static uint64_t blocks; /* of the heap, before the scenario made its own */

static uint64_t blocks_now(void)
{
	prong_family_stats stats;

	prong_family_stat(&stats);
	return stats.blocks;
}

void conn_count_blocks(void)
{
	blocks = blocks_now();
}

prong_conn *conn_a(void)
{
	return world->root[0];
}

prong_conn *conn_b(void)
{
	return world->root[1];
}

struct prong_process *conn_process(int actor)
{
	return &prongi_heap->process[actor + 1];
}

/* --- the world ----------------------------------------------------------------------------- */

void conn_open(void)
{
	heap_open();
	for (int i = 0; i <= KILL_OTHERS; i++)
		atomic_store(&conn_process(i)->state,
			     prongi_state_with(((uint64_t)1 << PRONGI_GEN_SHIFT) | PRONGI_ROOT,
					       PRONGI_RUNNING, 1));
	/* There is a server, to all appearances. */
	atomic_store(&prongi_heap->server.guard, (int32_t)getpid());
	atomic_store(&prongi_heap->server.state, PRONGI_SERVER_UP);
}

void conn_process_ends(int actor)
{
	if (prongi_process_step(conn_process(actor), PRONGI_RUNNING, PRONGI_DYING, 1) ||
	    prongi_phase_of(conn_process(actor)) == PRONGI_DYING)
		prongi_process_wake(conn_process(actor));
}

bool conn_peer_died(int other)
{
	return atomic_load(&kill_control->dead) >> other & 1;
}

void conn_repair(void)
{
	conn_process_ends(0);
	for (int i = 0; i < KILL_OTHERS; i++)
		if (conn_peer_died(i))
			conn_process_ends(i + 1);
	world_repair();
}

/* A pipe, whose ends belong to the victim, or another, and to other 0. */
void conn_make(int owner)
{
	world_become(1);
	blocks = blocks_now();
	if (prong_pipe((prong_conn **)&world->root[0], (prong_conn **)&world->root[1],
		       &(prong_pipe_opts){ .buffer = BUFFER }))
		_exit(1);
	if (prong_conn_give(conn_a(), conn_process(owner)))
		_exit(1);
	for (int i = 0; i < 2; i++) { /* sleep soon: awake, all points are alike */
		struct prongi_lane *l = i ? conn_a()->in : conn_a()->out;

		l->sender_misses = l->receiver_misses = 9;
	}
}

void conn_make_for_victim(void)
{
	conn_make(0);
	world_become(-1);
}

void conn_make_for_thread(void)
{
	conn_make(KILL_OTHERS);
	world_become(-1);
}

/* Both ends are other 0's: so it sleeps without looking up now and then for the server's sake. */
void conn_make_for_one(void)
{
	conn_make(1);
	world_become(-1);
}

void conn_fill_heap(void)
{
	blocks += world_fill_heap();
}

/* So many units go through the lane to `b', or to `a'. */
void conn_pass(bool to_b, int units)
{
	prong_conn *from = to_b ? conn_a() : conn_b(), *to = to_b ? conn_b() : conn_a();
	uint64_t number;

	for (int i = 0; i < units; i++)
		if (conn_send(from, 0, 1, PRONG_NOW) || conn_recv(to, &number, PRONG_NOW))
			die("nothing goes through the pipe");
}

/* --- messages: numbered, and of one byte's value ------------------------------------------- */

int conn_send(prong_conn *c, uint64_t number, size_t size, prong_time deadline)
{
	char text[LARGE];

	memset(text, (int)number + 1, size);
	return prong_conn_send(c, text, size, deadline);
}

/* The number, or what is wrong instead, as a large one. */
uint64_t conn_number(const char *text, size_t size)
{
	for (size_t i = 1; i < size; i++)
		if (text[i] != text[0])
			return UINT64_MAX;
	return (uint64_t)text[0] - 1;
}

int conn_recv(prong_conn *c, uint64_t *number, prong_time deadline)
{
	char text[LARGE];
	size_t size;
	int r = prong_conn_recv(c, text, sizeof text, &size, deadline);

	if (r == 0)
		*number = conn_number(text, size);
	return r;
}

void conn_note_bad(unsigned bad)
{
	atomic_fetch_or(&kill_control->note[BAD], bad);
}

static unsigned leaked(void)
{
	uint64_t now;

	world_become(KILL_OTHERS);
	for (int i = 0; i <= KILL_OTHERS; i++) { /* its next owner would */
		prong_free_at((void **)&world_slot(i)->spare);
		prong_free_at((void **)&world_slot(i)->awaits_more);
	}
	now = blocks_now();
	world_become(-1);
	return now == blocks ? 0
			     : kill_because(KILL_LEAKED, "%lld blocks are left",
					    (long long)(now - blocks));
}

/* What the dead have left goes with the next pipes. */
unsigned conn_sweep(void)
{
	for (int i = 0; i < 3; i++) {
		prong_conn *c, *d;

		if (prong_pipe(&c, &d, NULL))
			return kill_because(KILL_STUCK, "no pipe: %s", prong_error_detail());
		prong_conn_free(c);
		prong_conn_free(d);
	}
	return 0;
}

unsigned conn_check(void)
{
	return world_check() | leaked() | (unsigned)atomic_load(&kill_control->note[BAD]) |
	       (prongi_heap->pipes.lock ? KILL_STUCK : 0);
}

unsigned conn_check_received(void)
{
	unsigned bad = kill_check_count(atomic_load(&kill_control->note[RECEIVED]) -
					atomic_load(&kill_control->note[FIRST]));

	if (conn_peer_died(KILL_PEER))
		bad &= ~(unsigned)KILL_LOST; /* what it had just received has gone with it */
	return conn_check() | bad;
}

unsigned conn_end_b(void)
{
	prong_conn_free(conn_b());
	return conn_sweep();
}

void conn_placed(struct kill_trial *t)
{
	kill_place(t, 0);
}

void conn_both_placed(struct kill_trial *t)
{
	kill_place(t, 0);
	kill_place(t, 1);
}
