/* The checking mode: three mistakes that have no result of their own are reported, each by one line
   on the standard error stream and by an error of the call.

     An object outside the heap that two processes use: each has its own copy of it, so a lock locks
     nobody out.  Known by its address: either it is a variable of the program or of a library, or
     the calling process was forked from one that had used it before.
     A pointer to what is the starter's alone in the argument of a process.
     A block that is freed while somebody sleeps in it or holds a lock in it, or used after it was
     freed.

   For that, one table in the heap remembers the objects that were used last.  Its entries are
   hints, changed without a lock: a race, a death or a full table loses a report and no more.  So
   nothing here must be believed but by who looks for a mistake.

   Not here: what costs nothing to see is always checked, by each call itself.  What a queue
   carries is not looked at: threads may send each other what they like. */
#include "family/check.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define TABLE	 (prongi_heap->checked)
#define NEAR	 16 /* entries that are looked at from where an address belongs */
#define FREED	 ((uint64_t)1)
#define IS_LOCK	 ((uint64_t)2)

#if defined(PRONG_CHECK)
#define ALWAYS true
#else
#define ALWAYS false
#endif

bool prongi_checking;
__attribute__((weak)) const bool prongi_check_always = ALWAYS;

/* Of a process that is a copy: whose, since when, and how deep its stack was.  Written in
   prongi_check_forked(), before the program goes on. */
static struct {
	uint64_t from;
	int64_t when;
	uintptr_t depth;
} copy;

static uint64_t load(const prongi_word *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void store(prongi_word *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

int prongi_check_begin(void)
{
	if (prongi_os_heap_commit(TABLE, sizeof TABLE))
		return -ENOMEM;
	prongi_checking = true;
	prongi_self.fast = 0; /* its calls shall come by from now on */
	return 0;
}

void prongi_check_forked(void)
{
	uint64_t from;

	if (!prongi_checking || !prongi_me)
		return;
	from = prongi_process_ref(prongi_me);
	if (copy.from == from) /* a server's child: a copy of what the server is a copy of */
		return;
	copy.from = from;
	copy.when = prongi_os_now();
	copy.depth = (uintptr_t)__builtin_frame_address(0);
}

/* --- telling -------------------------------------------------------------------------------- */

/* One line: the mistake, who made it and where. */
static int tell(int result, const char *call, const void *caller, const char *mistake)
{
	char line[640], where[128], name[32];
	int n;

	prongi_os_describe(caller, where, sizeof where);
	prongi_os_thread_name(name, sizeof name);
	n = snprintf(line, sizeof line,
		     "prong: check: %s: %s (process \"%s\" %d, thread \"%s\" %d, called at %s)\n",
		     call, mistake, prongi_me->name, prongi_os_pid(), name,
		     prongi_os_tid(), where);
	if (n >= (int)sizeof line) {
		n = sizeof line - 1;
		line[n - 1] = '\n';
	}
	if (write(2, line, (size_t)n)) {
	}
	return prongi_fail(result, "%s: %s", call, mistake);
}

/* The name of the process that ref names. */
static const char *name_of(uint64_t ref)
{
	const struct prong_process *p = prongi_process_by_ref(ref);

	return p ? p->name : "one that has ended";
}

/* --- the table of objects --------------------------------------------------------------------- */

/* The entry of the object at the address; a new one, when it has none, instead of the oldest near
   by. */
static struct prongi_checked *entry_of(uint64_t at)
{
	size_t n = sizeof TABLE / sizeof *TABLE, first = (at / 8 * 0x9e3779b97f4a7c15u) >> 40;
	struct prongi_checked *oldest = NULL;

	for (size_t i = 0; i < NEAR; i++) {
		struct prongi_checked *e = &TABLE[(first + i) % n];

		if (load(&e->at) == at)
			return e;
		if (!oldest || load(&e->since) < load(&oldest->since))
			oldest = e;
	}
	store(&oldest->user, 0);
	store(&oldest->flags, 0);
	store(&oldest->at, at);
	return oldest;
}

static void remember(struct prongi_checked *e, uint64_t me, bool lock)
{
	store(&e->since, (uint64_t)prongi_os_now());
	store(&e->user, me);
	store(&e->flags, lock ? IS_LOCK : 0);
}

/* True when the calling process has the object only as a copy of what user has used. */
static bool copied(const struct prongi_checked *e, uint64_t at)
{
	bool below = at < copy.depth && copy.depth - at < ((uint64_t)1 << 20);

	return copy.from && load(&e->user) == copy.from &&
	       (int64_t)load(&e->since) < copy.when && !below;
}

static int check_private(uint64_t at, bool lock, const char *call, const void *caller)
{
	uint64_t me = prongi_process_ref(prongi_me), user;
	struct prongi_checked *e = entry_of(at);
	char mistake[320];

	user = load(&e->user);
	if (user && user != me && (copied(e, at) || prongi_os_is_variable((const void *)at))) {
		snprintf(mistake, sizeof mistake,
			 "the object at %p is not in the heap, and process \"%s\" has used its own "
			 "copy of it: they do not see each other; allocate it with prong_alloc()",
			 (const void *)at, name_of(user));
		return tell(-EFAULT, call, caller, mistake);
	}
	if (user != me)
		remember(e, me, lock);
	return 0;
}

int prongi_check_object(const void *object, bool lock, const char *call, const void *caller)
{
	uint64_t at = (uintptr_t)object;
	struct prongi_checked *e;
	char mistake[200];

	if (!prongi_me || !object || at % sizeof(uint64_t))
		return 0; /* the call itself sees to that */
	if (!prongi_inside(object))
		return check_private(at, lock, call, caller);
	e = entry_of(at);
	if (load(&e->flags) & FREED) {
		snprintf(mistake, sizeof mistake,
			 "the object at %p lies in a block that process \"%s\" has freed; free it "
			 "when nobody uses it any more",
			 object, name_of(load(&e->user)));
		return tell(-EFAULT, call, caller, mistake);
	}
	if (!load(&e->user))
		remember(e, prongi_process_ref(prongi_me), lock);
	return 0;
}

/* --- blocks that are freed -------------------------------------------------------------------- */

static bool within(uint64_t at, const void *p, size_t size)
{
	return at - (uintptr_t)p < size;
}

/* A living thread of slot sleeps, or is about to, on a word in the block, or reads under a lock
   there. */
static bool needs(const struct prongi_slot *slot, const void *p, size_t size)
{
	uint64_t id = load(&slot->id);
	bool does = within(load(&slot->wait_lock), p, size) ||
		    within(load(&slot->wait_obj), p, size) || within(load(&slot->bar), p, size);

	for (int i = 0; i < PRONGI_READS; i++)
		does = does || within(load(&slot->reads[i]) & ~PRONGI_LEAVES, p, size);
	return (does && id && !(id & PRONGI_FLAGS)) || prongi_slot_awaits(slot, p, size);
}

static int busy(const void *p, uint32_t slot, const char *does, const char *call,
		const void *caller)
{
	const struct prongi_slot *s = &prongi_heap->slot[slot];
	uint32_t process = atomic_load_explicit(&s->process, memory_order_relaxed);
	char mistake[240];

	snprintf(mistake, sizeof mistake,
		 "the block at %p is in use: thread %u of process \"%s\" %s; it was not freed", p,
		 atomic_load_explicit(&s->tid, memory_order_relaxed),
		 process < PRONGI_PROCESSES ? prongi_heap->process[process].name : "?", does);
	return tell(-EBUSY, call, caller, mistake);
}

int prongi_check_free(const void *p, size_t size, const char *call, const void *caller)
{
	uint32_t slots = prongi_slots_used();

	for (uint32_t i = 0; i < slots; i++)
		if (needs(&prongi_heap->slot[i], p, size))
			return busy(p, i, "waits at an object in it, or reads", call, caller);
	for (size_t i = 0; i < sizeof TABLE / sizeof *TABLE; i++) {
		struct prongi_checked *e = &TABLE[i];
		uint64_t at = load(&e->at), word;

		if (!within(at, p, size) || !(load(&e->flags) & IS_LOCK))
			continue;
		word = load((prongi_word *)(uintptr_t)at);
		if (prongi_owner(word) && !prongi_owner_dead(word))
			return busy(p, prongi_slot_index(word), "holds a lock in it", call, caller);
	}
	for (size_t i = 0; i < sizeof TABLE / sizeof *TABLE; i++)
		if (within(load(&TABLE[i].at), p, size)) {
			store(&TABLE[i].user, prongi_process_ref(prongi_me));
			store(&TABLE[i].flags, FREED);
		}
	return 0;
}

void prongi_check_alloc(const void *p, size_t size)
{
	for (size_t i = 0; i < sizeof TABLE / sizeof *TABLE; i++)
		if (within(load(&TABLE[i].at), p, size)) {
			store(&TABLE[i].at, 0);
			store(&TABLE[i].flags, 0);
			store(&TABLE[i].since, 0);
			store(&TABLE[i].user, 0);
		}
}

/* --- arguments -------------------------------------------------------------------------------- */

int prongi_check_argument(const void *arg, size_t size, const char *call, const void *caller)
{
	size_t skip = -(uintptr_t)arg % sizeof(uint64_t), which;
	char mistake[320], what[96];
	uint64_t word;

	if (!prongi_checking || !arg || size < skip + sizeof(uint64_t))
		return 0;
	arg = (const char *)arg + skip;
	size = (size - skip) / sizeof(uint64_t);
	if (!prongi_os_find_private(arg, size, &which, what, sizeof what))
		return 0;
	memcpy(&word, (const char *)arg + which * sizeof word, sizeof word);
	snprintf(mistake, sizeof mistake,
		 "byte %zu of the argument begins the address %#llx in %s of the caller: the new "
		 "process has something else there; put it in the heap, or the bytes themselves in "
		 "the argument", which * sizeof word + skip, (unsigned long long)word, what);
	return tell(-EFAULT, call, caller, mistake);
}
