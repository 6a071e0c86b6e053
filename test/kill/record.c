/* Recording: what a process executes between its markers, instruction by instruction. */
#include "engine.h"
#include <stdlib.h>
#include <string.h>

/* How often each pc was met since the last sleep: a hash table, refilled after each. */
struct visits {
	struct {
		uint64_t pc;
		uint32_t n;
	} *slot;
	size_t size, used;
};

void visits_clear(struct visits *v)
{
	if (v->size)
		memset(v->slot, 0, v->size * sizeof *v->slot);
	v->used = 0;
}

static void visits_grow(struct visits *v)
{
	struct visits old = *v;

	v->size = old.size ? old.size * 2 : 1024;
	v->used = 0;
	v->slot = calloc(v->size, sizeof *v->slot);
	if (!v->slot)
		die("no memory for a trace");
	for (size_t i = 0; i < old.size; i++)
		if (old.slot[i].n)
			visits_add(v, old.slot[i].pc, old.slot[i].n);
	free(old.slot);
}

uint32_t visits_add(struct visits *v, uint64_t pc, uint32_t n)
{
	size_t i;

	if (v->used * 2 >= v->size)
		visits_grow(v);
	for (i = pc * 0x9e3779b97f4a7c15u >> 20 & (v->size - 1); v->slot[i].n;
	     i = (i + 1) & (v->size - 1))
		if (v->slot[i].pc == pc)
			return v->slot[i].n += n;
	v->slot[i].pc = pc;
	v->used++;
	return v->slot[i].n = n;
}

struct visits *visits_new(void)
{
	struct visits *v = calloc(1, sizeof *v);

	if (!v)
		die("no memory for a trace");
	return v;
}

void visits_free(struct visits *v)
{
	free(v->slot);
	free(v);
}

void trace_add(struct trace *out, struct point p)
{
	if (out->n == out->room) {
		out->room = out->room ? out->room * 2 : 256;
		out->point = realloc(out->point, out->room * sizeof *out->point);
		if (!out->point)
			die("no memory for a trace");
	}
	out->point[out->n++] = p;
}

/* The process is about to sleep in the system call at p: that is a point too, right before. */
static bool add_nap(struct trace *out, struct visits *visits, struct point p)
{
	if (out->naps == KILL_NAPS) {
		out->failed = "it sleeps too often";
		return false;
	}
	p.inside = true;
	out->nap[out->naps++] = p;
	trace_add(out, p);
	visits_clear(visits);
	return true;
}

/* Let pid, about to execute p, do so.  False: it cannot. */
static bool advance(struct kill_trial *t, pid_t pid, int level, struct trace *out,
		    struct visits *visits, struct point p)
{
	if (!trace_is_syscall(pid, p.pc)) {
		struct trace_event e;

		trace_step(pid, 0);
		e = trace_wait(pid, 10000, false);
		if (e.rest != TRACE_TRAP)
			out->failed = "it crashed";
		return e.rest == TRACE_TRAP;
	}
	switch (trial_cross(t, pid, level, out->naps, level == LEVEL_PEER)) {
	case CROSSED:
		return true;
	case SLEPT:
		if (level == LEVEL_PEER) { /* for the victim, which does not move */
			add_nap(out, visits, p);
			return false;
		}
		if (level)
			out->failed = "repair slept";
		return !level && add_nap(out, visits, p);
	default:
		out->failed = "it did not come back from a system call";
		return false;
	}
}

void record(struct kill_trial *t, pid_t pid, int level, struct trace *out)
{
	struct visits *visits = visits_new();
	bool crossed = true;

	*out = (struct trace){ .failed = NULL };
	for (uint32_t steps = 0;; steps++) {
		uint64_t pc = trace_pc(pid);
		const uint8_t *code = (const uint8_t *)(uintptr_t)pc; /* the same here */
		struct point p = { .pc = pc, .naps = (uint16_t)out->naps, .steps = steps,
				   .crossed = crossed,
				   .reaches = trace_instruction_reaches(code, 15) };

		p.visit = visits_add(visits, p.pc, 1);
		p.key = trial_key(t, crossed);
		crossed = trace_is_syscall(pid, p.pc);
		trace_add(out, p);
		if (p.pc == (uintptr_t)&kill_end || !advance(t, pid, level, out, visits, p))
			break;
	}
	trace_kill(pid);
	visits_free(visits);
}

void trace_free(struct trace *trace)
{
	free(trace->point);
	trace->point = NULL;
}
