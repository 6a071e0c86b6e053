/* Pipes: making them, giving an end away, closing.  What goes through them is in pipe_send.c,
   pipe_recv.c and pipe_fd.c; how both sides sleep and take turns in pipe_lane.c.

   Who owns an end is one word, the ref of a process record, so that an end is closed at the moment
   in which its owner is: nobody has to go through a list when a process dies.  Memory is another
   matter.  The last who closes takes the pipe apart; what is left behind by owners that ended is
   found by whoever makes the next pipes, two looks for each.

   An end may be freed while threads are in calls on it, here or in other processes.  They are woken
   and told that it is closed, and the pipe is not taken apart before they have left: whoever has a
   turn at a lane, or waits for one, says so in the lane's mutexes and in his slot, and so does who
   is in prong_wait().  The last of them takes it apart.

   Lock: the pipes' lock, a kernel lock, protects the list, the owners and who takes what apart.  A
   decision and its consequence are one section.  Nothing else is held when it is taken. */
#include "flow/outer.h"
#include "flow/pipe.h"
#include <errno.h>

#define P	   (&prongi_heap->pipes)
#define BUFFER	   ((size_t)64 << 10)
#define BUFFER_MIN ((size_t)1 << 10)
#define BUFFER_MAX ((size_t)64 << 20)
#define SWEEP_ALL  10000

static struct prongi_pipe *pipe_at(uint64_t at)
{
	return (struct prongi_pipe *)(uintptr_t)at;
}

static struct prongi_pipe *pipe_of(const struct prong_conn *c)
{
	const struct prong_conn *first = c < c->other ? c : c->other;

	return pipe_at((uintptr_t)first - offsetof(struct prongi_pipe, end));
}

int prongi_conn_check(const struct prong_conn *c, const char *what)
{
	int r = prongi_enter();

	if (r)
		return r;
	if (!prongi_word_valid((uintptr_t)c) || !prongi_word_valid((uintptr_t)(c + 1)) ||
	    atomic_load_explicit(&c->kind, memory_order_relaxed) != PRONGI_CONN)
		return prongi_fail(-EINVAL, "%s: not a connection, or freed", what);
	return 0;
}

bool prongi_conn_gone(const struct prong_conn *c, struct prongi_awaited *a)
{
	/* seq_cst: pairs with the nudge in give(): who reads the old owner after he has said that
	   he sleeps is woken. */
	uint64_t owner = atomic_load_explicit(&c->owner, memory_order_seq_cst);

	if (a)
		a->word = NULL;
	if (prongi_me && owner == prongi_process_ref(prongi_me))
		return false;
	return !prongi_process_lives(owner, a);
}

bool prongi_conn_closed(const struct prong_conn *c)
{
	if (!prongi_conn_gone(c, NULL))
		return false;
	/* Its last owner may have died as he gave it away.  Once the lock is free that is done, or
	   never will be. */
	prongi_begin(&P->lock);
	prongi_end(&P->lock);
	return prongi_conn_gone(c, NULL);
}

/* --- under the pipes' lock ----------------------------------------------------------------- */

static bool both_gone(const struct prongi_pipe *p)
{
	return prongi_conn_gone(&p->end[0], NULL) && prongi_conn_gone(&p->end[1], NULL);
}

static bool held(const prong_mutex *m)
{
	uint64_t owner = atomic_load_explicit((const prongi_word *)(uintptr_t)&m->word_,
					      memory_order_relaxed);

	return prongi_owner(owner) && !prongi_owner_dead(owner);
}

/* Another thread frees one of the ends, or gives it away; or it died there, and its repairer may
   have to wake who sleeps. */
static bool closing(const struct prongi_pipe *p)
{
	uint32_t n = prongi_slots_used();

	for (uint32_t i = 0; i < n; i++) {
		const struct prongi_slot *slot = &prongi_heap->slot[i];
		/* relaxed: it is stored before a section, and seen in a later one. */
		uint64_t at = atomic_load_explicit(&slot->closing, memory_order_relaxed);

		if (slot != prongi_self.slot && at - (uintptr_t)p < sizeof *p)
			return true;
	}
	return false;
}

/* A living thread is in a call on one of the ends. */
static bool busy(const struct prongi_pipe *p)
{
	if (closing(p))
		return true;
	for (int i = 0; i < 2; i++)
		if (held(&p->lane[i].sending) || held(&p->lane[i].receiving))
			return true;
	return prongi_is_awaited(p, sizeof *p) || prongi_lock_is_awaited(p, sizeof *p);
}

/* The calling thread takes p apart, if nobody who lives does, or is in a call.  What he was at, if
   he died, is put right by then: he had a section of this lock, or one of the allocator's, see
   drain. */
static bool claim(struct prongi_pipe *p)
{
	uint64_t reaper = prongi_get(&p->reaper);

	if ((reaper && !prongi_owner_dead(reaper)) || busy(p))
		return false;
	prongi_set(&p->reaper, prongi_self.id);
	return true;
}

static void link_in(struct prongi_pipe *p)
{
	uint64_t next = prongi_get(&P->first);

	prongi_set(&p->next, next);
	prongi_set(&p->prev, 0);
	if (next)
		prongi_set(&pipe_at(next)->prev, (uintptr_t)p);
	prongi_set(&P->first, (uintptr_t)p);
}

static void link_out(struct prongi_pipe *p)
{
	uint64_t next = prongi_get(&p->next), prev = prongi_get(&p->prev);

	prongi_set(prev ? &pipe_at(prev)->next : &P->first, next);
	if (next)
		prongi_set(&pipe_at(next)->prev, prev);
	if (prongi_get(&P->cursor) == (uintptr_t)p)
		prongi_set(&P->cursor, next);
}

/* --- taking apart -------------------------------------------------------------------------- */

/* p is the calling thread's alone.  Whoever dies in here is followed by the next who claims it. */
static void take_apart(struct prongi_pipe *p)
{
	prongi_word *spare = &prongi_self.slot->spare;

	for (int i = 0; i < 2; i++)
		if (p->lane[i].units)
			prongi_lane_drain(&p->lane[i]);
	prongi_begin(&P->lock);
	link_out(p);
	prongi_set(spare, p->block);
	prongi_commit();
	prongi_end(&P->lock);
	prong_free_at((void **)spare);
}

/* The next pipe of the list, if both its owners have ended. */
static struct prongi_pipe *find_orphan(void)
{
	struct prongi_pipe *p;
	uint64_t at;

	prongi_begin(&P->lock);
	at = prongi_get(&P->cursor);
	p = pipe_at(at ? at : prongi_get(&P->first));
	if (p)
		prongi_set(&P->cursor, prongi_get(&p->next));
	if (p && !(both_gone(p) && claim(p)))
		p = NULL;
	prongi_commit();
	prongi_end(&P->lock);
	return p;
}

/* p may be gone already, so its address is looked for in the list. */
void prongi_pipe_left(const struct prongi_pipe *left)
{
	struct prongi_pipe *p;

	prongi_begin(&P->lock);
	p = pipe_at(prongi_get(&P->first));
	while (p && p != left)
		p = pipe_at(prongi_get(&p->next));
	if (p && !(both_gone(p) && claim(p)))
		p = NULL;
	prongi_commit();
	prongi_end(&P->lock);
	if (p)
		take_apart(p);
}

const struct prongi_pipe *prongi_conn_freed_pipe(const struct prong_conn *c)
{
	return prongi_conn_freed(c) ? pipe_of(c) : NULL;
}

void prongi_conn_leave(const struct prong_conn *c, prong_mutex *side)
{
	const struct prongi_pipe *freed = prongi_conn_freed_pipe(c);

	prong_mutex_unlock(side);
	if (freed)
		prongi_pipe_left(freed);
}

static void sweep(unsigned looks)
{
	while (looks--) {
		struct prongi_pipe *p = find_orphan();

		if (p)
			take_apart(p);
	}
}

/* --- making -------------------------------------------------------------------------------- */

static int check_opts(const prong_pipe_opts *opts, size_t *buffer)
{
	*buffer = opts->buffer ? opts->buffer : BUFFER;
	for (size_t i = 0; i < sizeof opts->reserved_ / sizeof *opts->reserved_; i++)
		if (opts->reserved_[i])
			return prongi_fail(-EINVAL, "pipe: a reserved option is set");
	if (*buffer > BUFFER_MAX)
		return prongi_fail(-EINVAL, "pipe: a buffer of %zu bytes, above 64 MiB", *buffer);
	if (*buffer < BUFFER_MIN)
		*buffer = BUFFER_MIN;
	while (*buffer & (*buffer - 1))
		*buffer += *buffer & -*buffer;
	return 0;
}

static void fill(struct prongi_pipe *p, size_t buffer, bool one_way)
{
	char *ring = (char *)(p + 1);

	for (int i = 0; i < (one_way ? 1 : 2); i++) {
		p->lane[i].units = buffer / PRONGI_UNIT;
		p->lane[i].ring = ring + (size_t)i * buffer;
		p->end[i].in = &p->lane[i];
		p->end[!i].out = &p->lane[i];
	}
	for (int i = 0; i < 2; i++) {
		p->end[i].other = &p->end[!i];
		atomic_store_explicit(&p->end[i].kind, PRONGI_CONN, memory_order_relaxed);
		atomic_store_explicit(&p->end[i].owner, prongi_process_ref(prongi_me),
				      memory_order_relaxed);
	}
}

/* A pipe, all zero, in a block that the calling thread's slot keeps. */
static int allocate(struct prongi_pipe **out, size_t size)
{
	prongi_word *spare = &prongi_self.slot->spare;
	const size_t align = _Alignof(struct prongi_pipe);
	int r = prong_alloc_to((void **)spare, size + align);
	uint64_t at;

	if (r == -ENOMEM) {
		sweep(SWEEP_ALL); /* there may be large messages in orphans */
		r = prong_alloc_to((void **)spare, size + align);
	}
	if (r)
		return r;
	at = atomic_load_explicit(spare, memory_order_relaxed);
	*out = pipe_at((at + align - 1) / align * align);
	(*out)->block = at;
	return 0;
}

int prong_pipe(prong_conn **a, prong_conn **b, const prong_pipe_opts *opts)
{
	static const prong_pipe_opts defaults;
	struct prongi_pipe *p;
	size_t buffer;
	int r;

	if (!a || !b)
		return prongi_fail(-EINVAL, "pipe: a place for an end is NULL");
	if (!opts)
		opts = &defaults;
	r = check_opts(opts, &buffer);
	if (r == 0)
		r = prongi_enter();
	if (r == 0)
		r = allocate(&p, sizeof *p + buffer * (opts->one_way ? 1 : 2));
	if (r)
		return r;
	fill(p, buffer, opts->one_way);
	prongi_begin(&P->lock);
	link_in(p);
	prongi_set(&prongi_self.slot->spare, 0);
	prongi_commit();
	prongi_end(&P->lock);
	sweep(2);
	*a = &p->end[0];
	*b = &p->end[1];
	return 0;
}

/* --- owners -------------------------------------------------------------------------------- */

/* Those at the other end, asleep for what c was to do, look again. */
static void nudge(struct prong_conn *c)
{
	if (c->out)
		prongi_lane_nudge(&c->out->tail);
	if (c->in)
		prongi_lane_nudge(&c->in->head);
}

/* Those at c itself: it is freed. */
static void nudge_own(struct prong_conn *c)
{
	if (c->out) {
		prongi_lane_nudge(&c->out->head);
		prongi_lane_nudge_offer(c->out);
	}
	if (c->in) {
		prongi_lane_nudge(&c->in->tail);
		prongi_lane_nudge_offer(c->in);
	}
}

/* Owner is 0 to close c, and for good then; the last who does takes the pipe apart.  The nudges
   come before the lock is free, for after that the pipe may be gone.  Who dies before he has done
   them has said so. */
static void change_owner(struct prong_conn *c, uint64_t owner, bool freed)
{
	struct prongi_pipe *p = pipe_of(c);
	prongi_word *at = &prongi_self.slot->closing;
	bool mine = false;

	if (!PRONGI_MUTANT(146))
		atomic_store_explicit(at, (uintptr_t)c, memory_order_relaxed);
	prongi_then(); /* before anybody can know of it */
	prongi_begin(&P->lock);
	prongi_set(&c->owner, owner);
	if (freed) {
		prongi_set(&c->kind, 0);
		mine = prongi_conn_gone(c->other, NULL) && claim(p);
	}
	prongi_commit();
	nudge(c);
	if (freed && !mine)
		nudge_own(c);
	prongi_then();
	atomic_store_explicit(at, 0, memory_order_relaxed);
	prongi_end(&P->lock);
	if (mine)
		take_apart(p);
}

/* By the rules of family/repair.c: it may be done again, and by who has no slot. */
static void wake_for_the_dead(struct prongi_slot *slot, uint64_t dead)
{
	uint64_t at = atomic_load_explicit(&slot->closing, memory_order_relaxed);
	struct prong_conn *c = (struct prong_conn *)(uintptr_t)at;

	if (!dead || !prongi_word_valid(at) || !prongi_word_valid((uintptr_t)(c + 1) - 8))
		return;
	nudge(c);
	nudge_own(c);
}

__attribute__((constructor)) static void add_hook(void)
{
	prongi_repair_add(wake_for_the_dead);
}

int prong_conn_give(prong_conn *c, prong_process *p)
{
	int r = prongi_outer(c) ? prongi_outer_cannot("conn_give")
				: prongi_conn_check(c, "conn_give");

	if (r)
		return r;
	if (!prongi_process_valid(p))
		return prongi_fail(-EINVAL, "conn_give: not a process's handle, or freed");
	change_owner(c, prongi_process_ref(p), false);
	if (!prongi_conn_gone(c, NULL))
		return 0;
	return prongi_fail(-ESRCH, "conn_give: %s has ended", p->name);
}

void prong_conn_free(prong_conn *c)
{
	const struct prongi_outer *o = prongi_outer(c);

	if (o)
		prongi_outer_free(o);
	if (o || !c || prongi_enter())
		return;
	prongi_bell_forget(c);
	if (prongi_conn_check(c, "conn_free"))
		return;
	change_owner(c, 0, true);
}
