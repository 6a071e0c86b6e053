/* Unwinding the stack of a process that is gone, from the copy that its handler made
   (linux_crash.c) and the tables that are mapped here at the same addresses (linux_rows.c): all
   members were forked from one server.

   The copy can hold anything, for what crashes has often written where it should not: each read of
   it is checked, and nothing loops.

   Not here: files that were loaded after the fork, whose frames end the walk. */
#include "os/linux_unwind.h"

#if defined(__aarch64__)
#define CODE_MASK (((uint64_t)1 << 48) - 1) /* above are the marks that sign a pointer */
#else
#define CODE_MASK UINT64_MAX
#endif
#define REG_PLACE (PRONGI_REGS - 1)
#define DEPTH     8   /* of an expression's stack */
#define STEPS     256 /* of an expression */

/* --- one step ------------------------------------------------------------------------------ */

struct walk {
	const struct prongi_crash *c;
	uint64_t reg[PRONGI_REGS];
	bool exact; /* the place is where it was, not where a call returns to */
};

static bool read_stack(const struct walk *w, uint64_t at, uint64_t *value)
{
	uint64_t size = w->c->size < PRONGI_STACK ? w->c->size : PRONGI_STACK;

	if (size < 8 || at - w->c->base > size - 8)
		return false;
	memcpy(value, w->c->stack + (at - w->c->base), sizeof *value);
	return true;
}

struct values {
	uint64_t v[DEPTH];
	unsigned n;
	bool bad;
};

static uint64_t pop(struct values *s)
{
	s->bad |= s->n == 0;
	return s->n ? s->v[--s->n] : 0;
}

static void push(struct values *s, uint64_t v)
{
	s->bad |= s->n == DEPTH;
	if (s->n < DEPTH)
		s->v[s->n++] = v;
}

static bool constant(struct cursor *c, unsigned op, uint64_t *v)
{
	if (op >= 0x30 && op <= 0x4f) { /* lit0 ... */
		*v = op - 0x30;
		return true;
	}
	if (op < 0x08 || op > 0x11)
		return false;
	if (op >= 0x10)
		*v = op == 0x10 ? uleb(c) : (uint64_t)sleb(c);
	else if (op & 1)
		*v = (uint64_t)take_signed(c, (size_t)1 << ((op - 0x08) / 2));
	else
		*v = take(c, (size_t)1 << ((op - 0x08) / 2));
	return true;
}

static bool calculate(struct values *s, unsigned op)
{
	uint64_t b, a;

	if (op < 0x1a || (op > 0x27 && op < 0x29) || op > 0x2e)
		return false;
	b = pop(s);
	a = pop(s);
	switch (op) {
	case 0x1a:
		push(s, a & b);
		return true;
	case 0x1c:
		push(s, a - b);
		return true;
	case 0x21:
		push(s, a | b);
		return true;
	case 0x22:
		push(s, a + b);
		return true;
	case 0x24:
		push(s, b < 64 ? a << b : 0);
		return true;
	case 0x25:
		push(s, b < 64 ? a >> b : 0);
		return true;
	case 0x2a:
		push(s, (int64_t)a >= (int64_t)b);
		return true;
	default:
		return false;
	}
}

/* The few operations that such tables use; others end the walk. */
static bool evaluate(const struct walk *w, struct cursor c, uint64_t first, bool has_first,
		     uint64_t *out)
{
	struct values s = { .n = 0 };
	uint64_t v;

	if (has_first)
		push(&s, first);
	for (int i = 0; i < STEPS && c.at < c.end && !c.bad && !s.bad; i++) {
		unsigned op = (unsigned)take(&c, 1);

		if (constant(&c, op, &v)) {
			push(&s, v);
		} else if (op >= 0x70 && op <= 0x8f) { /* breg0 ... */
			v = op - 0x70 < PRONGI_REGS ? w->reg[op - 0x70] : 0;
			push(&s, v + (uint64_t)sleb(&c));
		} else if (op == 0x06) { /* deref */
			if (!read_stack(w, pop(&s), &v))
				return false;
			push(&s, v);
		} else if (op == 0x23) { /* plus_uconst */
			v = pop(&s);
			push(&s, v + uleb(&c));
		} else if (!calculate(&s, op)) {
			return false;
		}
	}
	*out = pop(&s);
	return !c.bad && !s.bad;
}

/* The caller's register n, given the frame's address. */
static bool restore(const struct walk *w, const struct row *r, unsigned n, uint64_t base,
		    uint64_t *out)
{
	uint64_t at = base + (uint64_t)r->reg[n].value;

	switch (r->reg[n].rule) {
	case AT:
		return read_stack(w, at, out);
	case IS:
		*out = at;
		return true;
	case IN:
		*out = (uint64_t)r->reg[n].value < PRONGI_REGS ? w->reg[r->reg[n].value] : 0;
		return true;
	case AT_EXPRESSION:
		return evaluate(w, r->reg[n].expression, base, true, &at) && read_stack(w, at, out);
	case IS_EXPRESSION:
		return evaluate(w, r->reg[n].expression, base, true, out);
	default:
		*out = w->reg[n];
		return true;
	}
}

static bool frame_address(const struct walk *w, const struct row *r, uint64_t *out)
{
	if (r->by_expression)
		return evaluate(w, r->expression, 0, false, out);
	if (r->base >= PRONGI_REGS)
		return false;
	*out = w->reg[r->base] + (uint64_t)r->offset;
	return true;
}

/* Come to the caller's frame by its row. */
static bool apply(struct walk *w, const struct frame_row *f)
{
	const struct row *r = &f->row;
	struct walk next = *w;
	uint64_t base;

	if (!frame_address(w, r, &base))
		return false;
	if (f->return_register >= PRONGI_REGS || r->reg[f->return_register].rule == UNDEFINED)
		return false; /* the first function of the thread */
	for (unsigned n = 0; n < PRONGI_REGS; n++)
		if (n != PRONGI_REG_SP && !restore(w, r, n, base, &next.reg[n]))
			next.reg[n] = 0; /* nobody may need it */
	next.reg[PRONGI_REG_SP] = base;
	if (r->reg[PRONGI_REG_SP].rule != SAME &&
	    !restore(w, r, PRONGI_REG_SP, base, &next.reg[PRONGI_REG_SP]))
		return false;
	next.reg[REG_PLACE] = next.reg[f->return_register] & CODE_MASK;
	next.exact = f->signal;
	*w = next;
	return true;
}

/* The first place is in no file.  If the fault was about it, it was called through a wild pointer,
   and the caller's place is where the call left it. */
static bool step_back(struct walk *w)
{
	if (!w->c->has_address || w->c->address != w->reg[REG_PLACE])
		return false;
#if defined(__x86_64__)
	w->reg[PRONGI_REG_SP] += 8;
	w->exact = false;
	return read_stack(w, w->reg[PRONGI_REG_SP] - 8, &w->reg[REG_PLACE]);
#else
	w->exact = false;
	w->reg[REG_PLACE] = w->reg[30] & CODE_MASK;
	return true;
#endif
}

uint32_t prongi_os_unwind(const struct prongi_crash *c, uint64_t *frame, uint32_t most)
{
	struct walk w = { .c = c, .exact = true };
	struct frame_row f;
	uint32_t n = 0;
	uint64_t sp, bottom = c->first_thread && c->bottom ? c->bottom : UINT64_MAX;

	memcpy(w.reg, c->reg, sizeof w.reg);
	do {
		uint64_t place = w.reg[REG_PLACE];

		prongi_frame_row(place - !w.exact, c->modules, &f);
		if (n && (!place || !f.known))
			break; /* no caller, or none that can be told */
		frame[n++] = f.known ? place : place | PRONGI_UNKNOWN;
		sp = w.reg[PRONGI_REG_SP];
		if (!(f.known ? f.found && apply(&w, &f) : step_back(&w)))
			break;
		if (sp < bottom && w.reg[PRONGI_REG_SP] > bottom && n > 1) {
			n--; /* who called the process's function is no business of its */
			break;
		}
	} while (n < most && (w.reg[PRONGI_REG_SP] > sp || n == 1 || w.exact));
	return n;
}
