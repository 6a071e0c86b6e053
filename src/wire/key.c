/* Keys of dicts and elements of sets: which are equal, and where they are.

   Up to eight are looked at one by one; more have an index, a hash table of positions.  The hash is
   SipHash-1-3 under a random key of this process, so nobody can choose keys that collide.

   A tuple or a frozenset as a key has a fingerprint, made once, and is compared by it alone.  To
   compare what is in it would be exponential where items are shared, and could nest.  So has long
   data: what is shared is a key as often as a few bytes of a pickle say so. */
#include "wire/value.h"
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* Up to so many need no index. */
enum {
	FEW = 8
};

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
uint64_t prongi_worked;
#endif

/* --- the hash --------------------------------------------------------------------------------- */

static uint64_t secret[4];
static pthread_once_t secret_once = PTHREAD_ONCE_INIT;

static void make_secret(void)
{
	if (getentropy(secret, sizeof secret)) {
		secret[0] = (uintptr_t)&secret;
		secret[1] = (uint64_t)prong_clock().ns_;
		secret[2] = ~secret[0];
		secret[3] = ~secret[1];
	}
}

static inline uint64_t turn(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = turn(v[1], 13) ^ v[0];
	v[0] = turn(v[0], 32);
	v[2] += v[3];
	v[3] = turn(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = turn(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = turn(v[1], 17) ^ v[2];
	v[2] = turn(v[2], 32);
}

static inline void sip_begin(uint64_t v[4], unsigned which)
{
	const uint64_t *k = secret + 2 * which;

	v[0] = k[0] ^ 0x736f6d6570736575u;
	v[1] = k[1] ^ 0x646f72616e646f6du;
	v[2] = k[0] ^ 0x6c7967656e657261u;
	v[3] = k[1] ^ 0x7465646279746573u;
}

static inline void sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
}

/* The word that holds the last n bytes, of fewer than 8. */
static inline uint64_t sip_last(unsigned tag, const void *p, size_t n)
{
	uint64_t word = 0;

	memcpy(&word, p, n);
	return word | (uint64_t)(tag << 3 | n) << 56;
}

static inline uint64_t sip_end(uint64_t v[4])
{
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Hash n bytes; which is 0 or 1: one of two hashes that have nothing to do with each other. */
static uint64_t sip(unsigned which, unsigned tag, const void *data, size_t n)
{
	const char *p = data;
	uint64_t v[4], word;

	if (n >= PRONGI_LONG)
		prongi_work(n);
	sip_begin(v, which);
	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&word, p, 8);
		sip_word(v, word);
	}
	sip_word(v, sip_last(tag, p, n));
	return sip_end(v);
}

/* Both at once, which takes hardly longer than one: neither waits for the other. */
static void sip_both(unsigned tag, const void *data, size_t n, uint64_t out[2])
{
	const char *p = data;
	uint64_t v[4], w[4], word;

	if (n >= PRONGI_LONG)
		prongi_work(n);
	sip_begin(v, 0);
	sip_begin(w, 1);
	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&word, p, 8);
		sip_word(v, word);
		sip_word(w, word);
	}
	word = sip_last(tag, p, n);
	sip_word(v, word);
	sip_word(w, word);
	out[0] = sip_end(v);
	out[1] = sip_end(w);
}

/* --- plain keys ------------------------------------------------------------------------------- */

enum tag {
	NOTHING,
	NUMBER,
	BIG,
	FRACTION,
	TEXT,
	BYTES,
	CLASS,
	OBJECT,
	ITEM,
	SET
};

static bool fits_int(double x)
{
	return x >= -0x1p63 && x < 0x1p63 && x == (double)(int64_t)x;
}

static uint64_t hash_float(const prong_value *v, unsigned which)
{
	uint8_t big[144];
	int64_t n;

	if (isnan(v->f))
		return sip(which, OBJECT, &v, sizeof v);
	if (fits_int(v->f)) {
		n = (int64_t)v->f;
		return sip(which, NUMBER, &n, sizeof n);
	}
	if (!isinf(v->f) && fabs(v->f) >= 0x1p63)
		return sip(which, BIG, big, prongi_float_big(v->f, big));
	return sip(which, FRACTION, &v->f, sizeof v->f);
}

/* Where long data has its fingerprint. */
static _Atomic uint64_t *place_of_print(const prong_value *v)
{
	if (v->flags & PRONGI_OUTSIDE)
		return ((struct prongi_outside *)(uintptr_t)v)->print;
	return (_Atomic uint64_t *)((uintptr_t)v + prongi_bare_size(v->size));
}

static uint64_t hash_long(const prong_value *v, unsigned tag, unsigned which)
{
	_Atomic uint64_t *print = place_of_print(v);
	_Atomic uint8_t *marks = &((prong_value *)(uintptr_t)v)->marks;
	uint64_t fresh[2];

	/* acquire: pairs with the release below, which makes the print visible. */
	if (atomic_load_explicit(marks, memory_order_acquire) & PRONGI_KEY)
		return atomic_load_explicit(&print[which], memory_order_relaxed);
	sip_both(tag, prongi_bytes(v), v->size, fresh);
	for (unsigned i = 0; i < 2; i++)
		atomic_store_explicit(&print[i], fresh[i], memory_order_relaxed);
	/* release: pairs with the acquire above. */
	atomic_fetch_or_explicit(marks, PRONGI_KEY, memory_order_release);
	return fresh[which];
}

static uint64_t hash_data(const prong_value *v, unsigned tag, unsigned which)
{
	return v->size < PRONGI_LONG ? sip(which, tag, prongi_bytes(v), v->size)
				     : hash_long(v, tag, which);
}

static uint64_t hash_plain(const prong_value *v, unsigned which)
{
	switch ((prong_kind)v->kind) {
	case PRONG_BOOL:
	case PRONG_INT:
		if (v->flags & PRONGI_BIG)
			return hash_data(v, BIG, which);
		return sip(which, NUMBER, &v->i, sizeof v->i);
	case PRONG_FLOAT:
		return hash_float(v, which);
	case PRONG_TEXT:
		return hash_data(v, TEXT, which);
	case PRONG_BYTES:
		return hash_data(v, BYTES, which);
	case PRONG_CLASS:
		return hash_data(v, CLASS, which);
	case PRONG_OBJECT:
		return sip(which, OBJECT, &v, sizeof v);
	default:
		return sip(which, NOTHING, "", 0);
	}
}

static bool equal_int_float(const prong_value *n, double x)
{
	uint8_t big[144];

	if (!(n->flags & PRONGI_BIG))
		return fits_int(x) && (int64_t)x == n->i;
	if (isnan(x) || isinf(x) || fabs(x) < 0x1p63)
		return false;
	return prongi_float_big(x, big) == n->size && !memcmp(big, prongi_bytes(n), n->size);
}

static bool is_int(const prong_value *v)
{
	return v->kind == PRONG_INT || v->kind == PRONG_BOOL;
}

static bool same_bytes(const prong_value *a, const prong_value *b)
{
	if (a->size != b->size)
		return false;
	if (a->size >= PRONGI_LONG)
		prongi_work(a->size / 16);
	return !memcmp(prongi_bytes(a), prongi_bytes(b), a->size);
}

bool prongi_equal_plain(const prong_value *a, const prong_value *b)
{
	if (a == b)
		return true;
	if (is_int(a) && is_int(b)) {
		if ((a->flags | b->flags) & PRONGI_BIG)
			return (a->flags & b->flags & PRONGI_BIG) && same_bytes(a, b);
		return a->i == b->i;
	}
	if (is_int(a) && b->kind == PRONG_FLOAT)
		return equal_int_float(a, b->f);
	if (a->kind == PRONG_FLOAT && is_int(b))
		return equal_int_float(b, a->f);
	if (a->kind == PRONG_FLOAT && b->kind == PRONG_FLOAT)
		return a->f == b->f;
	if ((a->kind == PRONG_BYTES || a->kind == PRONG_BYTEARRAY) &&
	    (b->kind == PRONG_BYTES || b->kind == PRONG_BYTEARRAY))
		return same_bytes(a, b);
	if (a->kind != b->kind || a->kind == PRONG_OBJECT)
		return false;
	return a->kind == PRONG_NONE || same_bytes(a, b);
}

/* --- tuples and frozensets -------------------------------------------------------------------- */

static void print_set(const struct prongi_table *t, struct prongi_print *out)
{
	uint64_t all[3] = { t->sum[0], t->sum[1], t->items.v.count };

	for (unsigned i = 0; i < 2; i++)
		out->p[i] = sip(i, SET, all, sizeof all);
	out->loose = t->loose;
	prongi_set_mark(&t->items.v, PRONGI_KEY);
}

/* The print of what is no tuple; or of one that is known. */
static int print_known(const prong_value *v, struct prongi_print *out)
{
	const struct prongi_tuple *t = (const struct prongi_tuple *)v;

	switch ((prong_kind)v->kind) {
	case PRONG_LIST:
	case PRONG_DICT:
	case PRONG_SET:
	case PRONG_BYTEARRAY:
		return prongi_fail(-EINVAL, "value: a list, dict, set or bytearray is no key");
	case PRONG_FROZENSET:
		print_set((const struct prongi_table *)v, out);
		return 0;
	case PRONG_TUPLE:
		for (unsigned i = 0; i < 2; i++)
			out->p[i] = atomic_load_explicit(&t->print[i], memory_order_relaxed);
		out->loose = atomic_load_explicit(&t->loose, memory_order_relaxed);
		return 0;
	default:
		for (unsigned i = 0; i < 2; i++)
			out->p[i] = hash_plain(v, i);
		out->loose = v->kind == PRONG_OBJECT || (v->kind == PRONG_FLOAT && isnan(v->f));
		return 0;
	}
}

/* A tuple whose items are known. */
static int print_tuple(const prong_value *v)
{
	struct prongi_tuple *t = (struct prongi_tuple *)(uintptr_t)v;
	uint64_t chain[2] = { 0, 0 };
	struct prongi_print one;
	bool loose = false;

	for (uint32_t i = 0; i < v->count; i++) {
		int r = print_known(t->items.item[i], &one);

		if (r)
			return r;
		for (unsigned k = 0; k < 2; k++) {
			uint64_t link[2] = { chain[k], one.p[k] };

			chain[k] = sip(k, ITEM, link, sizeof link);
		}
		loose = loose || one.loose;
	}
	for (unsigned k = 0; k < 2; k++)
		atomic_store_explicit(&t->print[k], chain[k], memory_order_relaxed);
	atomic_store_explicit(&t->loose, loose, memory_order_relaxed);
	/* release: pairs with the acquire in is_known(), which makes the print visible. */
	atomic_fetch_or_explicit(&t->items.v.marks, PRONGI_KEY, memory_order_release);
	return 0;
}

static bool is_known(const prong_value *v)
{
	return v->kind != PRONG_TUPLE ||
	       /* acquire: pairs with the release in print_tuple(). */
	       atomic_load_explicit(&v->marks, memory_order_acquire) & PRONGI_KEY;
}

struct frame {
	const prong_value *v;
	uint32_t next;
};

/* Open v: its items come before it.  A shared one must not be open already. */
static int open_tuple(struct prongi_stack *s, struct prongi_marks *open, const prong_value *v)
{
	struct frame *f = prongi_push(s);
	uint32_t *mark;

	if (!f)
		return -ENOMEM;
	f->v = v;
	f->next = 0;
	if (!prongi_has_mark(v, PRONGI_SHARED))
		return 0;
	mark = prongi_marks_at(open, v, 0);
	if (!mark)
		return -ENOMEM;
	if (*mark)
		return prongi_fail(-EINVAL, "value: a tuple that is part of itself is no key");
	*mark = 1;
	return 0;
}

static int print_tuples(struct prongi_stack *s, struct prongi_marks *open, const prong_value *v)
{
	int r = open_tuple(s, open, v);

	while (!r && s->n > 0) {
		struct frame *f = (struct frame *)(void *)s->top + s->n - 1;
		const prong_value *item = NULL;

		while (!item && f->next < f->v->count) {
			item = prongi_items(f->v)->item[f->next++];
			if (is_known(item))
				item = NULL;
		}
		if (item) {
			r = open_tuple(s, open, item);
		} else {
			r = print_tuple(f->v);
			s->n--;
		}
	}
	return r;
}

int prongi_key_print(const prong_value *v, struct prongi_print *out)
{
	struct prongi_stack stack = { .size = sizeof(struct frame) };
	struct prongi_marks open = { 0 };
	int r = 0;

	pthread_once(&secret_once, make_secret);
	if (!is_known(v)) {
		r = print_tuples(&stack, &open, v);
		prongi_stack_free(&stack);
		prongi_marks_free(&open);
	}
	return r ? r : print_known(v, out);
}

/* --- the index -------------------------------------------------------------------------------- */

/* Two that are long and equally so, of which one may be compared again and again. */
static bool same_shared(const prong_value *a, const prong_value *key)
{
	return prongi_is_long(a) && prongi_is_long(key) && a->kind == key->kind &&
	       a->size == key->size &&
	       (prongi_has_mark(a, PRONGI_SHARED) || prongi_has_mark(key, PRONGI_SHARED));
}

static bool same_print(const struct prongi_print *a, const struct prongi_print *b)
{
	return a->p[0] == b->p[0] && a->p[1] == b->p[1];
}

/* print is that of key, when key is a tuple or frozenset. */
static bool same_key(const prong_value *a, const prong_value *key, const struct prongi_print *print)
{
	struct prongi_print one, other;

	if (a == key)
		return true;
	if (same_shared(a, key))
		return !prongi_key_print(a, &one) && !prongi_key_print(key, &other) &&
		       same_print(&one, &other);
	if (key->kind != PRONG_TUPLE && key->kind != PRONG_FROZENSET)
		return prongi_equal_plain(a, key);
	if (a->kind != key->kind || print_known(a, &other))
		return false;
	return same_print(&other, print);
}

static unsigned stride_of(const struct prongi_table *t)
{
	return t->items.v.kind == PRONG_DICT ? 2 : 1;
}

/* The slot with key, or the empty one where it would be. */
static size_t probe(const struct prongi_table *t, const prong_value *key,
		    const struct prongi_print *print)
{
	size_t mask = t->items.slots - 1, i = print->p[0] & mask;
	unsigned stride = stride_of(t);

	for (; t->index[i]; i = (i + 1) & mask) {
		size_t at = ((uint32_t)t->index[i] - 1) * (size_t)stride;

		if (t->index[i] >> 32 == (uint32_t)print->p[0] &&
		    same_key(t->items.item[at], key, print))
			break;
	}
	return i;
}

/* What there is to know of key before it is looked for. */
static int print_for(const struct prongi_table *t, const prong_value *key,
		     struct prongi_print *print)
{
	bool plain = key->kind < PRONG_LIST || key->kind > PRONG_FROZENSET;

	if (!plain || key->kind == PRONG_BYTEARRAY || t->items.v.kind == PRONG_FROZENSET)
		return prongi_key_print(key, print);
	print->loose = key->kind == PRONG_OBJECT || (key->kind == PRONG_FLOAT && isnan(key->f));
	if (t->items.slots || t->items.v.count >= FEW) {
		pthread_once(&secret_once, make_secret);
		print->p[0] = hash_plain(key, 0);
	}
	return 0;
}

static size_t find(const struct prongi_table *t, const prong_value *key,
		   const struct prongi_print *print)
{
	unsigned stride = stride_of(t);

	if (t->items.slots) {
		uint64_t entry = t->index[probe(t, key, print)];

		return entry ? (uint32_t)entry - 1 : SIZE_MAX;
	}
	for (uint32_t i = 0; i < t->items.v.count; i++)
		if (same_key(t->items.item[stride * (size_t)i], key, print))
			return i;
	return SIZE_MAX;
}

int prongi_key_find(const struct prongi_table *t, const prong_value *key, size_t *found)
{
	struct prongi_print print;
	int r = print_for(t, key, &print);

	if (!r)
		*found = find(t, key, &print);
	return r;
}

static void enter(struct prongi_table *t, uint64_t entry)
{
	size_t mask = t->items.slots - 1, i = (entry >> 32) & mask;

	while (t->index[i])
		i = (i + 1) & mask;
	t->index[i] = entry;
}

/* An index of twice the size, or the first, with all that is there. */
static int grow(struct prongi_group *g, struct prongi_table *t)
{
	uint32_t old_slots = t->items.slots, slots = old_slots ? old_slots * 2 : 4 * FEW;
	uint64_t *old = t->index, *index;
	struct prongi_print print;

	if (!slots)
		return prongi_fail(-E2BIG, "value: too many keys");
	index = prongi_regrow(g, NULL, 0, 0, slots * sizeof *index);
	if (!index)
		return -ENOMEM;
	memset(index, 0, slots * sizeof *index);
	t->index = index;
	t->items.slots = slots;
	for (uint32_t i = 0; i < old_slots; i++)
		if (old[i])
			enter(t, old[i]);
	if (old_slots)
		prongi_release(g, old, old_slots * sizeof *old);
	for (uint32_t i = 0; !old_slots && i < t->items.v.count; i++) {
		int r = prongi_key_print(t->items.item[stride_of(t) * (size_t)i], &print);

		if (r)
			return r;
		enter(t, (print.p[0] << 32) | (i + 1));
	}
	return 0;
}

int prongi_key_add(struct prongi_group *g, struct prongi_table *t, const prong_value *key,
		   size_t *found)
{
	uint32_t count = t->items.v.count, slots = t->items.slots;
	struct prongi_print print;
	int r = print_for(t, key, &print);

	if (r)
		return r;
	*found = find(t, key, &print);
	if (*found != SIZE_MAX)
		return 0;
	if (slots ? count >= slots / 3 * 2 : count >= FEW)
		r = grow(g, t);
	if (r)
		return r;
	if (t->items.slots)
		enter(t, (print.p[0] << 32) | (count + 1));
	t->loose = t->loose || print.loose;
	if (t->items.v.kind == PRONG_FROZENSET)
		for (unsigned i = 0; i < 2; i++)
			t->sum[i] += print.p[i];
	return 0;
}
