/* What the harness must notice when it is broken: one store, fence or check of the library at a
   time.  The library has the places marked with PRONGI_MUTANT(number). */
#include "engine.h"

extern int prongi_mutant __attribute__((weak)); /* only in a library built with PRONGI_MUTANTS */

const struct mutant mutants[] = {
	{ 1, "the commit is never stored",
	  { "lock/section-two-asleep", "heap/free_at-between" } },
	{ 2, "the lock's journal is cleared before the wake",
	  { "lock/section-two-asleep-third" } },
	{ 3, "repair does not wake where the dead one slept",
	  { "mutex/lock-asleep-third" } },
	{ 4, "the commit is never taken back",
	  { "lock/three-sections" } },
	{ 5, "repair does not wake where the dead one unlocked",
	  { "mutex/unlock-two-asleep-third" } },
	{ 6, "repair gives the lock up before it replays",
	  { "lock/section-asleep" } },
	{ 7, "repair wakes only on a lock that is still owned",
	  { "lock/section-two-asleep-third" } },
	{ 8, "a wait is not announced",
	  { "mutex/unlock-two", "mutex/lock-asleep-first" } },
	{ 9, "an unlock does not say where it owes a wake",
	  { "mutex/unlock-two-asleep-third" } },
	{ 10, "repair does not look for who waits for the dead one",
	  { "mutex/unlock-two-asleep" } },
	{ 12, "the lock's journal is written after the lock",
	  { "lock/section-nothing" } },
	{ 13, "repair frees a mutex as if nobody waited",
	  { "mutex/unlock-two-asleep-third" } },
	{ 14, "repair wakes only on a mutex that is still owned",
	  { "mutex/unlock-two-asleep" } },
	{ 16, "the commit is stored after what it commits",
	  { "lock/three-sections" } },
	{ 17, "a mutex of a dead owner is waited for",
	  { "mutex/owner-dead-consistent" } },
	{ 28, "an unlock forgets that an owner has died",
	  { "mutex/owner-dead-unlocked" } },
	{ 29, "repair does not replay",
	  { "lock/section-two-asleep", "heap/realloc_at-moved" } },
	{ 70, "repair clears the journals before the wakes",
	  { "lock/section-asleep-first", "mutex/unlock-two-asleep-third" } },
	{ 71, "repair clears the journals before it looks for who waits",
	  { "mutex/unlock-two-asleep" } },
	{ 72, "repair frees a mutex as if nobody had died",
	  { "mutex/unlock-two-asleep", "mutex/owner-dies-asleep" } },
	{ 73, "who takes a mutex from the dead does not mark it",
	  { "mutex/owner-dead" } },
	{ 74, "alloc_to stores the caller's pointer by itself, not with the section",
	  { "heap/alloc_to-at-the-end", "heap/alloc_to-a-hole-that-fits" } },
	{ 75, "the claim of a slot does not name the process",
	  { "slot/claim" } },
	{ 76, "the claim of a record does not name the process",
	  { "process/start-by-a-process", "process/start-join" } },
	{ 77, "records that the dead was filling are not freed",
	  { "process/start-by-a-process", "process/start-join" } },
	{ 78, "the children of a dead starter are not ended",
	  { "process/start-signal", "process/start-a-daemon" } },
	{ 79, "a repairer leaves alone what another had begun",
	  { "lock/section-asleep", "mutex/unlock-two-asleep" } },
	{ 80, "the guard goes on without a root",
	  { "process/start-by-main" } },
	{ 81, "a new server is made for one that never came up",
	  { "process/open-server", "process/close-server" } },
	{ 82, "how a process ended counts before it is written down",
	  { "process/server-at-an-end" } },
	{ 85, "nobody wakes a ready child whose starter died before it could",
	  { "process/start-by-a-process" } },
	{ 86, "a new server forgets who ran under the last",
	  { "process/guard-server-killed", "process/server-at-an-end" } },
	{ 87, "the guard does not write down how orphans ended",
	  { "process/server-at-an-end" } },
	{ 88, "a starter is not told that its ready child was killed",
	  { "process/child-while" } },
	{ 0, NULL, { NULL } }
};

bool mutant_set(int number)
{
	if (!&prongi_mutant)
		return false;
	prongi_mutant = number;
	return true;
}
