/* Counted writers: who was started to write into a queue, and whether one of them is left.

   There is no count, which a death could tear.  Who lives is written in the tables anyway, so the
   answer is read off them:
      a process    counts while its record is RUNNING;
      a thread     counts while its slot has the queue in `writes';
      a starter    stands for what it starts, from before until after: `starts' in its slot.
   And the queue keeps one bit, "there was one", set before the first of them runs.  It stands in
   the word that readers sleep on: whoever slept there without knowing must look again, and who
   sets the bit and is killed before the wake has told so in its slot.

   A writer moves from its starter's slot to a place of its own while a reader goes through the
   tables.  So slots are read before records, since a process RUNS before its starter lets go; and
   for the rest there is the word `ends', which changes when one is about to be started, when a
   thread has taken its place, and when anybody has ended: a reader that found nobody looks whether
   it is still what it was.

   Not here: what a reader does with the answer, see the queue. */
#include "family/family.h"
#include <errno.h>
#include <limits.h>

#define E (&prongi_heap->server.ends)

static struct prongi_queue_head *queue_at(uint64_t at)
{
	return (struct prongi_queue_head *)(uintptr_t)at;
}

static _Atomic uint32_t *bell_of(uint64_t at)
{
	return (_Atomic uint32_t *)(uintptr_t)(at + PRONGI_QUEUE_BELL);
}

static bool is_queue(uint64_t at)
{
	return prongi_word_valid(at) && prongi_word_valid(at + sizeof(prongi_word)) &&
	       atomic_load_explicit(&queue_at(at)->kind, memory_order_relaxed) == PRONGI_QUEUE;
}

int prongi_writes_check(struct prong_queue *const queue[PRONGI_WRITES], const char *what)
{
	for (int i = 0; i < PRONGI_WRITES; i++)
		if (queue[i] && (!prongi_heap || !is_queue((uintptr_t)queue[i])))
			return prongi_fail(-EINVAL, "%s: writes[%d] is not a queue", what, i);
	return 0;
}

/* --- writing ------------------------------------------------------------------------------- */

static bool any(struct prong_queue *const queue[PRONGI_WRITES])
{
	return queue[0] || queue[1] || queue[2] || queue[3];
}

static void store(prongi_word to[PRONGI_WRITES], struct prong_queue *const queue[PRONGI_WRITES])
{
	for (int i = 0; i < PRONGI_WRITES; i++)
		atomic_store_explicit(&to[i], (uintptr_t)queue[i], memory_order_relaxed);
	/* seq_cst: pairs with the looks at the word in prongi_queue_writers(): a reader that missed
	   us finds the word changed. */
	atomic_fetch_add_explicit(E, 1, memory_order_seq_cst);
}

void prongi_writes_begin(struct prong_queue *const queue[PRONGI_WRITES])
{
	if (any(queue))
		store(prongi_self.slot->starts, queue);
}

bool prongi_writes_any(const prongi_word writes[PRONGI_WRITES])
{
	for (int i = 0; i < PRONGI_WRITES; i++)
		if (atomic_load_explicit(&writes[i], memory_order_relaxed))
			return true;
	return false;
}

void prongi_writes_end(void)
{
	prongi_word *starts = prongi_self.slot->starts;

	if (!prongi_writes_any(starts))
		return;
	for (int i = 0; i < PRONGI_WRITES; i++)
		/* release: pairs with the acquire in named_in(): what was started has its place. */
		atomic_store_explicit(&starts[i], 0, memory_order_release);
	prongi_ends_tell(); /* it may have been refused, or have ended already */
}

/* Who sleeps there without knowing that there are counted writers has to look again.  A server has
   no slot to tell its death from: but whom it was starting is then started anew. */
static void mark(uint64_t at)
{
	if (prongi_self.slot && !PRONGI_MUTANT(144))
		atomic_store_explicit(&prongi_self.slot->wake_lock, at + PRONGI_QUEUE_BELL,
				      memory_order_relaxed);
	prongi_then();
	/* seq_cst: pairs with prongi_queue_listen(). */
	atomic_fetch_or_explicit(bell_of(at), PRONGI_WRITTEN, memory_order_seq_cst);
	prongi_os_wake(bell_of(at), INT_MAX, true);
}

void prongi_writes_mark(const prongi_word writes[PRONGI_WRITES])
{
	for (int i = 0; i < PRONGI_WRITES; i++) {
		uint64_t at = atomic_load_explicit(&writes[i], memory_order_relaxed);

		if (at && is_queue(at))
			mark(at);
	}
	prongi_then();
}

void prongi_writes_mine(struct prong_queue *const queue[PRONGI_WRITES])
{
	if (!any(queue))
		return;
	store(prongi_self.slot->writes, queue);
	prongi_writes_mark(prongi_self.slot->writes);
}

/* --- reading ------------------------------------------------------------------------------- */

static bool named_in(const prongi_word *words, uint64_t q)
{
	for (int i = 0; i < PRONGI_WRITES; i++)
		/* acquire: pairs with the release in prongi_writes_end(). */
		if (atomic_load_explicit(&words[i], memory_order_acquire) == q)
			return true;
	return false;
}

static bool slot_writes(const struct prongi_slot *slot, uint64_t q)
{
	/* acquire: pairs with the release in settle(), slot.c. */
	uint64_t id = atomic_load_explicit(&slot->id, memory_order_acquire);

	return id && !(id & (PRONGI_DEAD | PRONGI_CLAIMED)) &&
	       (named_in(slot->writes, q) || named_in(slot->starts, q));
}

static bool somebody_writes(uint64_t q)
{
	uint32_t slots = prongi_slots_used(), processes;

	for (uint32_t i = 0; i < slots; i++)
		if (slot_writes(&prongi_heap->slot[i], q))
			return true;
	processes = atomic_load_explicit(&prongi_heap->processes_used, memory_order_relaxed);
	for (uint32_t i = 0; i < processes; i++)
		if (prongi_phase_of(&prongi_heap->process[i]) == PRONGI_RUNNING &&
		    named_in(prongi_heap->process[i].writes, q))
			return true;
	return false;
}

enum prongi_writers prongi_queue_writers(const struct prongi_queue_head *q)
{
	uint32_t before, after;

	if (!(atomic_load_explicit(bell_of((uintptr_t)q), memory_order_relaxed) & PRONGI_WRITTEN))
		return PRONGI_WRITERS_NEVER;
	do {
		/* seq_cst: pairs with the changes of the word, and with those of the tables. */
		before = atomic_load_explicit(E, memory_order_seq_cst);
		if (somebody_writes((uintptr_t)q))
			return PRONGI_WRITERS_SOME;
		after = atomic_load_explicit(E, memory_order_seq_cst);
	} while (before != after);
	return PRONGI_WRITERS_GONE;
}

/* --- telling ------------------------------------------------------------------------------- */

/* Always with the wake, which costs little where ends are rare: a teller that is killed between the
   two has a process that ends, and is told of in its turn; or is a server, and its successor begins
   with this. */
void prongi_ends_tell(void)
{
	/* seq_cst: pairs with prongi_queue_writers(), and with whoever sleeps on the word. */
	atomic_fetch_add_explicit(E, 1, memory_order_seq_cst);
	prongi_os_wake(E, INT_MAX, true);
}
