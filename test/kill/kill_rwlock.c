/* The rwlock: readers see it whole or are told, writers are alone, nobody waits for the dead. */
#include "referee.h"
#include <prong/rwlock.h>

static bool whole(void)
{
	return atomic_load(&world->a) + atomic_load(&world->b) == WORLD_TOTAL;
}

static unsigned verdict(int r)
{
	return r == 0 ? 0 : r == PRONG_TIMEDOUT ? KILL_STUCK : KILL_TORN;
}

static unsigned read_at(prong_time deadline, int gate)
{
	int r = prong_rwlock_read(&world->rwlock, deadline);

	if (r && r != PRONG_OWNERDEAD)
		return verdict(r);
	if (in_time(deadline))
		return KILL_STUCK;
	if (gate >= 0)
		kill_gate(gate);
	if (r == 0 && (atomic_load(&world->inside) || !whole()))
		return KILL_TORN;
	return verdict(prong_rwlock_unlock(&world->rwlock));
}

static unsigned write_at(prong_time deadline, int gate)
{
	int r = prong_rwlock_write(&world->rwlock, deadline);

	if (in_time(deadline))
		return KILL_STUCK;
	if (r == PRONG_OWNERDEAD) {
		atomic_store(&world->inside, 0);
		atomic_store(&world->b, WORLD_TOTAL - atomic_load(&world->a));
		r = prong_rwlock_consistent(&world->rwlock);
	}
	if (r)
		return verdict(r);
	if (atomic_exchange(&world->inside, prongi_self.id) || !whole())
		return KILL_TORN;
	if (gate >= 0)
		kill_gate(gate);
	atomic_fetch_sub(&world->a, 1);
	atomic_fetch_add(&world->b, 1);
	if (atomic_exchange(&world->inside, 0) != prongi_self.id)
		return KILL_TORN;
	return verdict(prong_rwlock_unlock(&world->rwlock));
}

static unsigned reader(void)
{
	return read_at(world_deadline(), -1);
}

static unsigned writer(void)
{
	return write_at(world_deadline(), -1);
}

static unsigned reader_stays(void)
{
	return read_at(world_deadline(), 1);
}

static unsigned writer_stays(void)
{
	return write_at(world_deadline(), 1);
}

static unsigned check(void)
{
	return world_check() | (unsigned)atomic_load(&kill_control->note[NOTE_BAD]) |
	       (whole() ? 0 : KILL_TORN) | (world->inside ? KILL_TORN : 0);
}

/* --- the victim ------------------------------------------------------------------------------ */

static void read_alone(void)
{
	note_bad(read_at(PRONG_FOREVER, -1));
}

static void write_alone(void)
{
	note_bad(write_at(PRONG_FOREVER, -1));
}

static void read_gated(void)
{
	note_bad(read_at(PRONG_FOREVER, 0));
}

static void write_gated(void)
{
	note_bad(write_at(PRONG_FOREVER, 0));
}

static void read_twice_gated(void)
{
	if (prong_rwlock_read(&world->rwlock, PRONG_FOREVER))
		note_bad(KILL_TORN);
	kill_gate(0);
	if (prong_rwlock_read(&world->rwlock, PRONG_NOW) ||
	    prong_rwlock_unlock(&world->rwlock) || prong_rwlock_unlock(&world->rwlock))
		note_bad(KILL_TORN);
}

static void write_not_now(void)
{
	if (prong_rwlock_write(&world->rwlock, PRONG_NOW) != PRONG_TIMEDOUT)
		note_bad(KILL_TORN);
}

static prong_time soon;

static void set_soon(void)
{
	prongi_spins = false; /* so that it soon sleeps, stepped or not */
	soon = prong_in_ms(15);
}

static void write_too_late(void)
{
	if (prong_rwlock_write(&world->rwlock, soon) != PRONG_TIMEDOUT)
		note_bad(KILL_TORN);
}

static unsigned reads(void)
{
	return read_at(PRONG_FOREVER, -1);
}

static unsigned writes(void)
{
	return write_at(PRONG_FOREVER, -1);
}

/* Other 2 died writing and is repaired; nobody waited, so the lock is still in its name. */
static void writer_died_before(void)
{
	world_become(3);
	if (prong_rwlock_write(&world->rwlock, PRONG_NOW))
		note_bad(KILL_TORN);
	atomic_fetch_sub(&world->a, 1); /* half done */
	prongi_repair(world_slot(3));
	world_become(-1);
}

/* Misuse, which changes nothing. */
static void misuse(void)
{
	prong_rwlock *l = &world->rwlock;

	if (!prong_rwlock_unlock(l) || !prong_rwlock_consistent(l) ||
	    prong_rwlock_read(l, PRONG_NOW) || prong_rwlock_write(l, PRONG_NOW) != PRONG_DEADLOCK ||
	    prong_rwlock_unlock(l) || prong_rwlock_write(l, PRONG_NOW) ||
	    prong_rwlock_read(l, PRONG_NOW) != PRONG_DEADLOCK || prong_rwlock_unlock(l))
		note_bad(KILL_TORN);
}

static void first_has_it(struct kill_trial *t)
{
	kill_place(t, 0);
}

static void two_have_it(struct kill_trial *t)
{
	kill_place(t, 0);
	kill_place(t, 1);
}

/* A writer and then a reader sleep, when the victim has it. */
static void two_come(struct kill_trial *t, int nth)
{
	if (nth)
		return;
	kill_place(t, 0);
	kill_place(t, 1);
	kill_open(0);
}

static void second_comes(struct kill_trial *t, int nth)
{
	if (nth)
		return;
	kill_place(t, 1);
	kill_pass(t, 1, 0);
}

static void second_waits(struct kill_trial *t, int nth)
{
	if (nth == 0)
		kill_place(t, 1);
}

static const struct kill_scenario scenarios[] = {
	{ .name = "read", .victim = read_alone, .other = { writer }, .late = reader,
	  .peer = writes, .check = check },
	{ .name = "write", .victim = write_alone, .other = { reader }, .late = writer,
	  .peer = reads, .check = check },
	{ .rare = true, .name = "write-beside-a-write", .victim = write_alone,
	  .other = { reader }, .late = writer, .peer = writes, .check = check },
	{ .name = "owner-dead-consistent", .setup = writer_died_before, .victim = write_alone,
	  .other = { writer }, .late = reader, .peer = writes, .check = check },
	{ .rare = true, .name = "owner-dead-read", .setup = writer_died_before,
	  .victim = read_alone, .other = { writer }, .late = reader, .peer = writes,
	  .check = check },
	{ .rare = true, .alone = true, .name = "misuse", .victim = misuse, .other = { writer },
	  .late = writer, .check = check },
	{ .name = "read-two-asleep", .victim = read_gated, .asleep = two_come,
	  .other = { writer, reader }, .late = writer, .check = check },
	{ .name = "read-again-two-asleep", .victim = read_twice_gated, .asleep = two_come,
	  .other = { writer, reader }, .late = writer, .check = check },
	{ .name = "write-two-asleep", .victim = write_gated, .asleep = two_come,
	  .other = { reader, writer }, .late = writer, .check = check },
	{ .name = "read-asleep", .before = first_has_it, .victim = read_alone,
	  .asleep = second_comes, .other = { writer_stays, writer }, .late = writer,
	  .check = check },
	{ .name = "write-asleep-for-reader", .before = first_has_it, .victim = write_alone,
	  .asleep = second_comes, .other = { reader_stays, reader }, .late = writer,
	  .check = check },
	{ .name = "write-asleep-for-writer", .before = first_has_it, .victim = write_alone,
	  .asleep = second_comes, .other = { writer_stays, writer }, .late = writer,
	  .check = check },
	{ .name = "write-not-now", .before = two_have_it, .victim = write_not_now,
	  .other = { reader_stays, reader_stays, writer }, .late = writer, .check = check },
	{ .name = "write-timed-out", .before = first_has_it, .prepare = set_soon,
	  .victim = write_too_late, .asleep = second_waits,
	  .other = { reader_stays, reader, writer }, .late = writer, .check = check },
	{ .name = NULL }
};

const struct kill_room room_rwlock = {
	.name = "rwlock", .open = world_open, .become = world_become, .repair = world_repair,
	.stopped = world_stopped, .scenarios = scenarios, .files = "rwlock.c prong_rwlock_",
};
