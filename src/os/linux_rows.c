/* The tables that compilers put beside all code, for unwinding (.eh_frame and its sorted index):
   which row of them is about a place.  They are this process's own, and are read within the mapping
   that has them.

   Programs that are linked statically have no index: there the tables are found by the file, and
   gone through from the start.

   Not here: code without tables. */
#define _GNU_SOURCE
#include "os/linux_unwind.h"
#include <link.h>

#define DEPTH 8 /* of remembered rows */

static struct cursor part(struct cursor *c, uint64_t n)
{
	struct cursor p = { c->at, c->at, c->bad };

	if (c->bad || n > (uint64_t)(c->end - c->at)) {
		c->bad = p.bad = true;
		return p;
	}
	p.end = c->at += n;
	return p;
}

/* A pointer as encoded: DW_EH_PE_... */
static uint64_t pointer(struct cursor *c, unsigned encoding, uint64_t data)
{
	uint64_t here = (uintptr_t)c->at, v;

	switch (encoding & 0xf) {
	case 0x0:
	case 0x4:
	case 0xc:
		v = take(c, 8);
		break;
	case 0x1:
		v = uleb(c);
		break;
	case 0x2:
		v = take(c, 2);
		break;
	case 0x3:
		v = take(c, 4);
		break;
	case 0x9:
		v = (uint64_t)sleb(c);
		break;
	case 0xa:
		v = (uint64_t)take_signed(c, 2);
		break;
	case 0xb:
		v = (uint64_t)take_signed(c, 4);
		break;
	default:
		c->bad = true;
		return 0;
	}
	return v + ((encoding & 0x70) == 0x10 ? here : (encoding & 0x70) == 0x30 ? data : 0);
}

/* --- finding the table of a place ------------------------------------------------------------ */

struct table {
	uint64_t place;
	uint32_t left;            /* files to look at */
	bool known;               /* the place is in one of them */
	struct cursor index, all; /* .eh_frame_hdr, and the mapping that it is in */
	struct cursor list;       /* without an index: .eh_frame */
};

/* The part of a mapping from the address on. */
static bool mapping_at(const struct dl_phdr_info *info, uint64_t at, struct cursor *out)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uint64_t start = info->dlpi_addr + p->p_vaddr;

		if (p->p_type != PT_LOAD || at - start >= p->p_filesz)
			continue;
		out->at = (const unsigned char *)(uintptr_t)start;
		out->end = out->at + p->p_filesz;
		out->bad = false;
		return true;
	}
	return false;
}

/* All descriptions, one after the other. */
static void find_list(const struct dl_phdr_info *info, struct table *t)
{
	uint64_t at, size;

	if (!prongi_section(info->dlpi_name, ".eh_frame", &at, &size) ||
	    !mapping_at(info, info->dlpi_addr + at, &t->all))
		return;
	t->list = t->all;
	t->list.at = (const unsigned char *)(uintptr_t)(info->dlpi_addr + at);
	if (size < (uint64_t)(t->list.end - t->list.at))
		t->list.end = t->list.at + size;
}

static int look_at_file(struct dl_phdr_info *info, size_t size, void *to)
{
	struct table *t = to;
	struct cursor code;

	(void)size;
	if (t->left-- == 0)
		return 1;
	if (!mapping_at(info, t->place, &code))
		return 0;
	t->known = true;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uint64_t at = info->dlpi_addr + p->p_vaddr;

		if (p->p_type != PT_GNU_EH_FRAME || !mapping_at(info, at, &t->all))
			continue;
		t->index = t->all;
		t->index.at = (const unsigned char *)(uintptr_t)at;
	}
	if (!t->index.at)
		find_list(info, t);
	return 1;
}

/* A cursor at an address of the mapping with all tables. */
static struct cursor cursor_at(const struct table *t, uint64_t at)
{
	struct cursor c = t->all;

	c.bad = at < (uintptr_t)c.at || at > (uintptr_t)c.end;
	if (!c.bad)
		c.at = (const unsigned char *)(uintptr_t)at;
	return c;
}

/* The description that may cover the place, by the sorted index; 0: none. */
static uint64_t description(struct table *t)
{
	struct cursor c = t->index;
	uint64_t base = (uintptr_t)c.at, low = 0, high;
	unsigned version = (unsigned)take(&c, 1), frame = (unsigned)take(&c, 1);
	unsigned count = (unsigned)take(&c, 1), table = (unsigned)take(&c, 1);
	const unsigned char *first;

	if (version != 1 || table != 0x3b)
		return 0;
	pointer(&c, frame, base);
	high = pointer(&c, count, base);
	first = c.at;
	if (c.bad || high == 0 || high > (uint64_t)(c.end - c.at) / 8)
		return 0;
	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;

		c.at = first + 8 * middle;
		if (base + (uint64_t)take_signed(&c, 4) <= t->place)
			low = middle;
		else
			high = middle;
	}
	c.at = first + 8 * low + 4;
	return base + (uint64_t)take_signed(&c, 4);
}

/* --- a description --------------------------------------------------------------------------- */

struct frame_info {
	uint64_t begin, size; /* of the code that it is about */
	uint64_t code_unit;
	int64_t data_unit;
	uint64_t return_register;
	unsigned encoding; /* of its pointers */
	bool has_extra, signal;
	struct cursor common, own; /* instructions: of many, and its alone */
};

static bool read_augmentation(struct cursor *c, struct frame_info *f, const unsigned char *text)
{
	struct cursor extra;

	if (!*text)
		return true;
	if (*text++ != 'z')
		return false;
	f->has_extra = true;
	extra = part(c, uleb(c));
	for (; *text; text++) {
		if (*text == 'R')
			f->encoding = (unsigned)take(&extra, 1);
		else if (*text == 'P')
			pointer(&extra, (unsigned)take(&extra, 1) & 0x7f, 0);
		else if (*text == 'L')
			take(&extra, 1);
		else if (*text == 'S')
			f->signal = true;
		else if (*text != 'B' && *text != 'G')
			return false;
	}
	return !extra.bad;
}

static bool read_common(const struct table *t, uint64_t at, struct frame_info *f)
{
	struct cursor c = cursor_at(t, at), body = part(&c, take(&c, 4));
	const unsigned char *text;
	unsigned version;

	if (take(&body, 4) != 0 || body.bad)
		return false;
	version = (unsigned)take(&body, 1);
	text = body.at;
	while (take(&body, 1) != 0 && !body.bad)
		;
	if (body.bad || (version != 1 && version != 3))
		return false;
	f->code_unit = uleb(&body);
	f->data_unit = sleb(&body);
	f->return_register = version == 1 ? take(&body, 1) : uleb(&body);
	if (!read_augmentation(&body, f, text))
		return false;
	f->common = body;
	return !body.bad;
}

/* The description at the address, if it is one and is about the place. */
static bool read_description(struct table *t, uint64_t at, struct frame_info *f)
{
	uint64_t back;
	struct cursor c, body;

	memset(f, 0, sizeof *f);
	c = cursor_at(t, at);
	body = part(&c, take(&c, 4));
	at = (uintptr_t)body.at;
	back = take(&body, 4);
	if (body.bad || !back || !read_common(t, at - back, f))
		return false;
	f->begin = pointer(&body, f->encoding, 0);
	f->size = pointer(&body, f->encoding & 0xf, 0);
	if (f->has_extra)
		part(&body, uleb(&body));
	f->own = body;
	return !body.bad && t->place - f->begin < f->size;
}

static bool find_in_list(struct table *t, struct frame_info *f)
{
	while (t->list.at && !t->list.bad && t->list.at < t->list.end) {
		uint64_t at = (uintptr_t)t->list.at;
		uint64_t size = take(&t->list, 4);

		if (size == 0 || read_description(t, at, f))
			return size != 0;
		part(&t->list, size);
	}
	return false;
}

static bool find_description(struct table *t, struct frame_info *f)
{
	uint64_t at = t->index.at ? description(t) : 0;

	return at ? read_description(t, at, f) : find_in_list(t, f);
}

/* --- the instructions that make a row -------------------------------------------------------- */

static void set(struct row *r, uint64_t n, enum rule rule, int64_t value)
{
	if (n >= PRONGI_REGS)
		return;
	r->reg[n].rule = rule;
	r->reg[n].value = value;
}

static void set_expression(struct row *r, struct cursor *c, enum rule rule)
{
	uint64_t n = uleb(c);
	struct cursor expression = part(c, uleb(c));

	set(r, n, rule, 0);
	if (n < PRONGI_REGS)
		r->reg[n].expression = expression;
}

struct machine {
	const struct frame_info *f;
	struct row row, initial, kept[DEPTH];
	unsigned depth;
	uint64_t place;
};

static void copy_rule(struct machine *m, uint64_t n)
{
	if (n < PRONGI_REGS)
		m->row.reg[n] = m->initial.reg[n];
}

static void base_is(struct row *r, uint64_t reg, int64_t offset)
{
	r->by_expression = false;
	r->base = reg;
	r->offset = offset;
}

/* The instructions for the frame's address.  False: it is none of them. */
static bool run_base(struct machine *m, struct cursor *c, unsigned op)
{
	struct row *r = &m->row;
	int64_t unit = m->f->data_unit;

	switch (op) {
	case 0x0c: /* def_cfa */
		r->base = uleb(c);
		base_is(r, r->base, (int64_t)uleb(c));
		return true;
	case 0x0d: /* def_cfa_register */
		base_is(r, uleb(c), r->offset);
		return true;
	case 0x0e: /* def_cfa_offset */
		r->offset = (int64_t)uleb(c);
		return true;
	case 0x0f: /* def_cfa_expression */
		r->by_expression = true;
		r->expression = part(c, uleb(c));
		return true;
	case 0x12: /* def_cfa_sf */
		r->base = uleb(c);
		base_is(r, r->base, sleb(c) * unit);
		return true;
	case 0x13: /* def_cfa_offset_sf */
		r->offset = sleb(c) * unit;
		return true;
	default:
		return false;
	}
}

/* Those for one register. */
static bool run_register(struct machine *m, struct cursor *c, unsigned op)
{
	struct row *r = &m->row;
	int64_t unit = m->f->data_unit;
	uint64_t n;

	switch (op) {
	case 0x05: /* offset_extended */
		n = uleb(c);
		set(r, n, AT, (int64_t)uleb(c) * unit);
		return true;
	case 0x06: /* restore_extended */
		copy_rule(m, uleb(c));
		return true;
	case 0x07: /* undefined */
		set(r, uleb(c), UNDEFINED, 0);
		return true;
	case 0x08: /* same_value */
		set(r, uleb(c), SAME, 0);
		return true;
	case 0x09: /* register */
		n = uleb(c);
		set(r, n, IN, (int64_t)uleb(c));
		return true;
	case 0x10: /* expression */
		set_expression(r, c, AT_EXPRESSION);
		return true;
	case 0x11: /* offset_extended_sf */
		n = uleb(c);
		set(r, n, AT, sleb(c) * unit);
		return true;
	case 0x14: /* val_offset */
		n = uleb(c);
		set(r, n, IS, (int64_t)uleb(c) * unit);
		return true;
	case 0x15: /* val_offset_sf */
		n = uleb(c);
		set(r, n, IS, sleb(c) * unit);
		return true;
	case 0x16: /* val_expression */
		set_expression(r, c, IS_EXPRESSION);
		return true;
	default:
		return false;
	}
}

static bool run_other(struct machine *m, struct cursor *c, unsigned op)
{
	switch (op) {
	case 0x00: /* nop */
	case 0x2d: /* negate_ra_state, or a register window */
		return true;
	case 0x0a: /* remember_state */
		if (m->depth == DEPTH)
			return false;
		m->kept[m->depth++] = m->row;
		return true;
	case 0x0b: /* restore_state */
		if (m->depth == 0)
			return false;
		m->row = m->kept[--m->depth];
		return true;
	case 0x2e: /* args_size */
		uleb(c);
		return true;
	default:
		return false;
	}
}

/* How far the code moves on, when op says so; 0 when it is another. */
static uint64_t advance(const struct machine *m, struct cursor *c, unsigned op)
{
	if (op >> 6 == 1)
		return (op & 0x3f) * m->f->code_unit;
	if (op >= 0x02 && op <= 0x04)
		return take(c, (size_t)1 << (op - 2)) * m->f->code_unit;
	return 0;
}

static bool is_advance(unsigned op)
{
	return op >> 6 == 1 || (op >= 0x02 && op <= 0x04);
}

/* Run instructions as far as they are about the place. */
static bool run(struct machine *m, struct cursor c, uint64_t at)
{
	while (c.at < c.end && !c.bad) {
		unsigned op = (unsigned)take(&c, 1);

		if (op == 0x01) { /* set_loc */
			at = pointer(&c, m->f->encoding, 0);
			if (at > m->place)
				return true;
		} else if (is_advance(op)) {
			at += advance(m, &c, op);
			if (at > m->place)
				return true;
		} else if (op >> 6 == 2) {
			set(&m->row, op & 0x3f, AT, (int64_t)uleb(&c) * m->f->data_unit);
		} else if (op >> 6 == 3) {
			copy_rule(m, op & 0x3f);
		} else if (!run_base(m, &c, op) && !run_register(m, &c, op) &&
			   !run_other(m, &c, op)) {
			return false;
		}
	}
	return !c.bad;
}

/* --- the calls ------------------------------------------------------------------------------ */

void prongi_frame_row(uint64_t place, uint32_t files, struct frame_row *out)
{
	struct table t = { .place = place, .left = files };
	struct frame_info f;
	struct machine m;

	memset(out, 0, sizeof *out);
	dl_iterate_phdr(look_at_file, &t);
	out->known = t.known;
	if (!find_description(&t, &f))
		return;
	memset(&m, 0, sizeof m);
	m.f = &f;
	m.place = place;
	if (!run(&m, f.common, 0))
		return;
	m.initial = m.row;
	out->found = run(&m, f.own, f.begin);
	out->signal = f.signal;
	out->return_register = f.return_register;
	out->row = m.row;
}

uint32_t prongi_os_modules(void)
{
	struct table t = { .left = UINT32_MAX };

	dl_iterate_phdr(look_at_file, &t);
	return UINT32_MAX - t.left;
}
