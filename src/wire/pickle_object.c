/* Reading pickles: classes, objects, and what is done to objects after they are made. */
#include "wire/pickle.h"
#include <errno.h>

static int need(const struct prongi_reader *s, size_t n)
{
	return s->n - s->fence >= n ? 0 : prongi_reader_bad(s, "the stack is too short");
}

/* Python 2's str.  Python 3 says unicode in these protocols when it means its own. */
static bool is_old_str(const struct prongi_reader *s, const char *module, size_t module_size,
		       const char *name, size_t name_size)
{
	return s->protocol < 3 && module_size == 11 && !memcmp(module, "__builtin__", 11) &&
	       name_size == 3 && !memcmp(name, "str", 3);
}

/* Python would look this class up, whatever becomes of it. */
static int note(struct prongi_reader *s, const prong_value *v)
{
	const char *name = prong_value_class(v);
	size_t n = v->size - (size_t)(name - prongi_bytes(v)), found;
	struct prongi_outside text = {
		.v = { .kind = PRONG_TEXT, .flags = PRONGI_STATIC | PRONGI_OUTSIDE, .size = n },
		.data = name
	};
	struct prongi_group *g = prongi_group_of(s->names);
	prong_value *copy;
	int r = prongi_key_find((const struct prongi_table *)s->names, &text.v, &found);

	if (r || found != SIZE_MAX)
		return r;
	copy = prongi_data(g, PRONG_TEXT, name, n);
	return copy ? prongi_insert(g, s->names, copy, NULL) : -ENOMEM;
}

/* Names are Python 3's, whatever the protocol calls them; and one module has a name that only some
   versions know. */
int prongi_reader_class(struct prongi_reader *s, const char *module, size_t module_size,
			const char *name, size_t name_size)
{
	bool ascii, old = is_old_str(s, module, module_size, name, name_size);
	struct prongi_name other;
	prong_value *v;

	if (!prongi_is_name(module, module_size, name, name_size) ||
	    !prongi_is_text(module, module_size, &ascii) ||
	    !prongi_is_text(name, name_size, &ascii))
		return prongi_reader_bad(s, "the name of a class that is none");
	if (s->protocol < 3 && prongi_name_new(module, module_size, name, name_size, &other)) {
		module = other.module;
		module_size = strlen(module);
		if (other.name) {
			name = other.name;
			name_size = strlen(name);
		}
	}
	if (module_size == 6 && !memcmp(module, "_queue", 6))
		module = "queue", module_size = 5;
	v = prongi_class(s->g, module, module_size, name, name_size);
	if (v && old)
		v->flags |= PRONGI_OLD;
	if (v && s->names && note(s, v))
		return -ENOMEM;
	return prongi_reader_push(s, v);
}

static int op_stack_global(struct prongi_reader *s)
{
	const prong_value *module, *name;
	int r = need(s, 2);

	if (r)
		return r;
	name = s->stack[--s->n];
	module = s->stack[--s->n];
	if (name->kind != PRONG_TEXT || module->kind != PRONG_TEXT)
		return prongi_reader_bad(s, "the name of a class that is no text");
	return prongi_reader_class(s, prongi_bytes(module), module->size, prongi_bytes(name),
				   name->size);
}

static int push_object(struct prongi_reader *s, prong_value *v)
{
	int r = v ? prongi_reader_grown(s, v) : -ENOMEM;

	return r ? r : prongi_reader_push(s, v);
}

static int op_reduce(struct prongi_reader *s)
{
	prong_value *callable, *args, *v = NULL;
	int r = need(s, 2);

	if (r)
		return r;
	args = s->stack[--s->n];
	callable = s->stack[--s->n];
	if (args->kind != PRONG_TUPLE)
		return prongi_reader_bad(s, "arguments that are no tuple");
	r = prongi_reader_call(s, callable, args, &v);
	if (!r && !v)
		v = prongi_object(s->g, PRONGI_CALL, callable, args, NULL);
	if (r)
		return r;
	return v && !prongi_is_collection(v) ? prongi_reader_push(s, v) : push_object(s, v);
}

static int op_new(struct prongi_reader *s, bool keywords)
{
	prong_value *callable, *args, *kwargs = NULL;
	int r = need(s, keywords ? 3 : 2);

	if (r)
		return r;
	if (keywords)
		kwargs = s->stack[--s->n];
	args = s->stack[--s->n];
	callable = s->stack[--s->n];
	if (args->kind != PRONG_TUPLE || (kwargs && kwargs->kind != PRONG_DICT))
		return prongi_reader_bad(s, "arguments that are no tuple");
	return push_object(s, prongi_object(s->g, PRONGI_NEW, callable, args, kwargs));
}

/* Instances of Python 2's old classes: the arguments are on the stack, above a mark. */
static int op_instance(struct prongi_reader *s, int op)
{
	size_t at = s->fence;
	prong_value *callable, *args, *v;
	int r = 0;

	if (s->marks == 0)
		return prongi_reader_bad(s, "a mark is missing");
	if (op == OP_INST) {
		r = prongi_reader_text(s, op); /* pushes the class */
		if (r)
			return r;
		callable = s->stack[--s->n];
	} else {
		r = need(s, 1);
		if (r)
			return r;
		callable = s->stack[at];
		at++;
	}
	args = prongi_collection(s->g, PRONG_TUPLE);
	r = args ? prongi_append(s->g, args, s->stack + at, s->n - at) : -ENOMEM;
	if (r)
		return r;
	s->n = s->mark[--s->marks];
	s->fence = s->marks ? s->mark[s->marks - 1] : 0;
	v = prongi_object(s->g, PRONGI_INSTANCE, callable, args, NULL);
	return push_object(s, v);
}

static int op_build(struct prongi_reader *s)
{
	prong_value *v, *state;
	int r = need(s, 2);

	if (r)
		return r;
	state = s->stack[--s->n];
	v = s->stack[s->n - 1];
	if (v->kind != PRONG_OBJECT || prongi_as_object(v)->state)
		return prongi_reader_bad(s, "a state for what takes none");
	prongi_as_object(v)->state = state;
	prongi_embed(prongi_items(v), state);
	return prongi_reader_grown(s, v);
}

/* Is v a call that gets the object as its first argument?  Python writes the state of some objects
   as a call whose result it drops, and never refers to that. */
static bool changes(const prong_value *v, const prong_value *object)
{
	const struct prongi_object *call = prongi_as_object(v);

	return v->kind == PRONG_OBJECT && object->kind == PRONG_OBJECT && v->how == PRONGI_CALL &&
	       !(v->flags & PRONGI_PLACED) && call->args->count > 0 &&
	       prongi_items(call->args)->item[0] == object;
}

static int op_pop(struct prongi_reader *s)
{
	struct prongi_object *x;
	prong_value *v;
	int r;

	if (s->marks > 0 && s->n == s->fence) {
		s->marks--;
		s->fence = s->marks ? s->mark[s->marks - 1] : 0;
		return 0;
	}
	r = need(s, 1);
	if (r)
		return r;
	v = s->stack[--s->n];
	if (s->n == s->fence || !changes(v, s->stack[s->n - 1]))
		return 0;
	x = prongi_as_object(s->stack[s->n - 1]);
	if (!x->setter)
		x->setter = prongi_collection(s->g, PRONG_LIST);
	r = x->setter ? prongi_append(s->g, x->setter, &v, 1) : -ENOMEM;
	if (r)
		return r;
	prongi_embed(&x->items, x->setter);
	s->inexact = true;
	return 0;
}

int prongi_reader_object(struct prongi_reader *s, int op)
{
	switch (op) {
	case OP_STACK_GLOBAL:
		return op_stack_global(s);
	case OP_REDUCE:
		return op_reduce(s);
	case OP_NEWOBJ:
	case OP_NEWOBJ_EX:
		return op_new(s, op == OP_NEWOBJ_EX);
	case OP_INST:
	case OP_OBJ:
		return op_instance(s, op);
	case OP_BUILD:
		return op_build(s);
	case OP_POP:
		return op_pop(s);
	default:
		return prongi_reader_bad(s, "no such opcode");
	}
}
