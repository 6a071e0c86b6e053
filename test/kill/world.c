/* The family that scenarios play in. */
#include "world.h"
#include "trace.h"
#include <string.h>
#include <sys/mman.h>

#define ACTORS	  (KILL_OTHERS + 1)
#define HEAP_SIZE ((size_t)64 << 20)

struct world *world;

static struct prongi_self self_of[ACTORS];

static void *shared_page(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("no shared memory");
	return p;
}

static void claim_slots(void)
{
	for (int i = 0; i < ACTORS; i++) {
		prongi_self = (struct prongi_self){ NULL, 0, 0 };
		if (prongi_slot_claim((uint32_t)i + 1))
			die("no slot for actor %d", i);
		self_of[i] = prongi_self;
	}
}

void world_add_blocks(size_t bytes)
{
	static size_t added;

	if (bytes > added)
		image_add(prongi_heap->first + added, bytes - added);
	added = bytes > added ? bytes : added;
}

/* The heap has no more memory than it has now: that is little, and all of it can be put back. */
uint64_t world_fill_heap(void)
{
	uint64_t committed = atomic_load(&prongi_heap->heap.committed), n = 0;

	prongi_heap->size = committed - (uintptr_t)prongi_heap;
	world_add_blocks(committed - (uintptr_t)prongi_heap->first);
	world_become(1);
	for (size_t size = 8192; size >= 16; size /= 2)
		for (; prong_alloc(size); n++)
			;
	world_become(-1);
	return n;
}

void world_memory_back(void)
{
	prongi_heap->size = HEAP_SIZE;
}

static void add_to_image(void)
{
	struct prongi_family *f = prongi_heap;

	image_add(kill_control, sizeof *kill_control);
	image_add(f, offsetof(struct prongi_family, process));
	image_add(f->process, (ACTORS + 2) * sizeof f->process[0]);
	image_add(f->slot, WORLD_SLOTS * sizeof f->slot[0]);
	world_add_blocks(WORLD_BLOCKS);
	for (int i = 0; i < WORLD_SLOTS; i++)
		image_ignore(&f->slot[i].tid);
}

void world_open(void)
{
	kill_control = shared_page(sizeof *kill_control);
	if (prongi_family_map(HEAP_SIZE) || prongi_processes_reach(ACTORS + 2))
		die("no heap");
	prongi_spins = true; /* also where there is one processor: the ways are to be the same */
	/* Its own forks are the actors: they keep the heap. */
	prongi_os_heap_inherit(prongi_heap, HEAP_SIZE, true);
	prongi_me = &prongi_heap->process[0];
	claim_slots();
	world = prong_alloc(sizeof *world);
	if (!world)
		die("no block in the heap");
	memset(world, 0, sizeof *world);
	atomic_store(&world->a, WORLD_TOTAL);
	world_become(-1);
	add_to_image();
}

void world_become(int actor)
{
	prongi_self = actor < 0 ? (struct prongi_self){ NULL, 0, 0 } : self_of[actor];
	prongi_me = &prongi_heap->process[actor + 1];
}

struct prongi_slot *world_slot(int actor)
{
	return self_of[actor].slot;
}

void world_repair(void)
{
	for (int i = 0; i < KILL_OTHERS; i++)
		if (atomic_load(&kill_control->dead) >> i & 1)
			prongi_repair(world_slot(i + 1));
	prongi_repair(world_slot(0));
}

void world_stopped(void)
{
	prongi_repair_stopped(world_slot(0));
}

bool world_holds(void)
{
	const prongi_word *locks[] = { &world->lock, &world->lock2, &prongi_heap->heap.lock,
				       (prongi_word *)&world->mutex.word_,
				       (prongi_word *)&world->mutex2.word_ };

	for (size_t i = 0; i < sizeof locks / sizeof *locks; i++)
		if (prongi_owner(*locks[i]) == self_of[0].id)
			return true;
	return false;
}

/* A slot is claimed in turn: so many may have to be claimed before it. */
void world_succeed(int actor)
{
	struct prongi_self taken[WORLD_SLOTS * 2], wanted;
	int n = 0;

	world_become(actor);
	do {
		prongi_self = (struct prongi_self){ NULL, 0, 0 };
		if (n == WORLD_SLOTS * 2 || prongi_slot_claim((uint32_t)actor + 1))
			die("the slot of actor %d is not to be had", actor);
		taken[n++] = prongi_self;
	} while (prongi_self.slot != world_slot(actor));
	wanted = prongi_self;
	while (--n > 0)
		prongi_slot_release(taken[n - 1].slot);
	prongi_self = wanted;
}

uint64_t world_blocks(void)
{
	prong_family_stats stats;

	for (int i = 0; i <= KILL_OTHERS; i++) {
		prong_free_at((void **)&world_slot(i)->spare);
		prong_free_at((void **)&world_slot(i)->offer);
	}
	prong_family_stat(&stats);
	return stats.blocks;
}

static int repair_other(void *slot)
{
	world_become(-1);
	prongi_repair(slot);
	return 0;
}

void world_repair_other(struct kill_trial *t, int i)
{
	pid_t pid = trace_fork(repair_other, world_slot(i + 1), false);

	(void)t;
	if (trace_wait(pid, kill_patience_ms, false).rest != TRACE_GONE)
		trace_kill(pid);
	atomic_fetch_and(&kill_control->dead, ~((uint64_t)1 << i));
}

/* A slot whose thread is dead must be as if it had never been used. */
static unsigned check_slot(const struct prongi_slot *slot)
{
	bool left = slot->id || slot->klock || slot->wake_lock || slot->wait_lock || slot->count ||
		    slot->wait_obj || slot->bar;

	for (int i = 0; i < PRONGI_WAKES; i++)
		left |= slot->wake_obj[i] != 0;
	for (int i = 0; i < PRONGI_READS; i++)
		left |= slot->reads[i] != 0;
	return left ? KILL_LEAKED : 0;
}

unsigned world_check(void)
{
	unsigned bad = check_slot(world_slot(0));

	if (world->lock || world->lock2 || prongi_heap->heap.lock)
		bad |= KILL_STUCK;
	return bad;
}

prong_time world_deadline(void)
{
	return prong_in_ms(kill_patience_ms);
}
