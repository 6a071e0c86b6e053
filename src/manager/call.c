/* Calls: what a method asks of its arguments, and how it answers. */
#include "manager/types.h"
#include <errno.h>
#include <math.h>
#include <prong/error.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_MOST 1024

/* --- answers ---------------------------------------------------------------------------- */

struct prongi_out *prongi_call_begin(prong_call *c, const char *kind)
{
	prongi_say_begin(&c->out, c->protocol, kind);
	return &c->out;
}

/* Text that only people read. */
static void say_ascii(prong_call *c, char *text)
{
	for (char *p = text; *p; p++)
		*p = *p & '\x80' ? '?' : *p;
	prongi_say_text(&c->out, c->protocol, text, strlen(text));
	prongi_say_end(&c->out);
}

/* What cannot be written is said instead. */
static void say_unserializable(prong_call *c, int r)
{
	char text[TEXT_MOST];

	snprintf(text, sizeof text, "%s: %s", prong_strerror(r), prong_error_detail());
	prongi_say_begin(&c->out, c->protocol, PRONGI_UNSERIALIZABLE);
	say_ascii(c, text);
}

/* It counts against the manager's memory until it is sent: a client may not read. */
int prongi_call_charge(prong_call *c)
{
	struct prong_manager *m = c->guest ? c->guest->m : NULL;
	const size_t size = c->out.n, most = m ? m->memory_max : 0;

	if (!m || size <= PRONGI_REPLY_FREE)
		return 0;
	if (size > most || m->memory > most - size) {
		prongi_say_free(&c->out);
		return prongi_fail(-ENOMEM, "the server has no more than %zu bytes", most);
	}
	m->memory += size;
	c->charged = size;
	return 0;
}

int prongi_call_give(prong_call *c)
{
	prongi_say_end(&c->out);
	if (c->out.r == -ENOMEM)
		return prongi_fail(-ENOMEM, "no memory for the answer");
	if (c->out.r)
		say_unserializable(c, c->out.r);
	else if (prongi_call_charge(c))
		return -ENOMEM;
	c->answered = true;
	return 0;
}

int prongi_call_end(prong_call *c)
{
	if (prongi_call_give(c))
		say_unserializable(c, -ENOMEM);
	c->answered = true;
	return 0;
}

static int answer_value(prong_call *c, const char *kind, prong_value *v)
{
	struct prongi_out *o = prongi_call_begin(c, kind);

	prongi_say_value(o, c->protocol, v);
	prong_value_free(v);
	return prongi_call_end(c);
}

int prongi_call_none(prong_call *c)
{
	return answer_value(c, PRONGI_RETURN, prong_value_new(PRONG_NONE));
}

int prongi_call_item(prong_call *c, const struct prongi_item *item)
{
	prongi_say_item(prongi_call_begin(c, PRONGI_RETURN), c->protocol, item);
	return prongi_call_end(c);
}

/* Text that was cut may end in the middle of a character. */
static prong_value *text_of(const char *text)
{
	prong_value *v = prong_value_text(text);
	char ascii[TEXT_MOST];
	size_t n = 0;

	if (v)
		return v;
	for (; text[n] && n < sizeof ascii - 1; n++)
		ascii[n] = text[n] & '\x80' ? '?' : text[n];
	ascii[n] = 0;
	return prong_value_text(ascii);
}

int prongi_call_traceback(prong_call *c, const char *format, ...)
{
	char text[TEXT_MOST];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	prongi_call_begin(c, PRONGI_TRACEBACK);
	say_ascii(c, text);
	c->answered = true;
	return 0;
}

int prongi_call_raise_value(prong_call *c, const char *type, prong_value *arg)
{
	char name[2 * PRONGI_NAME_MOST];
	prong_value *args = prong_value_new(PRONG_TUPLE), *exception;

	snprintf(name, sizeof name, "%s%s", strchr(type, '.') ? "" : "builtins.", type);
	if (arg)
		prong_value_add(args, arg);
	exception = prong_value_object(name, args, NULL);
	if (!exception)
		return prongi_call_traceback(c, "%s, which is no name of an exception", type);
	return answer_value(c, PRONGI_ERROR, exception);
}

int prong_call_raise(prong_call *call, const char *type, const char *format, ...)
{
	char text[TEXT_MOST];
	va_list args;

	if (!call || !type || !format)
		return prongi_fail(-EINVAL, "call_raise: a pointer is NULL");
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return prongi_call_raise_value(call, type, text_of(text));
}

int prong_call_return(prong_call *call, prong_value *result)
{
	if (!call) {
		prong_value_free(result);
		return prongi_fail(-EINVAL, "call_return: the call is NULL");
	}
	if (!result)
		return prong_call_raise(call, "MemoryError", "no memory for the result");
	return answer_value(call, PRONGI_RETURN, result);
}

/* --- running ---------------------------------------------------------------------------- */

/* It did not answer. */
int prongi_call_raise_result(prong_call *c, int r)
{
	prong_value *args;

	if (r == -ENOMEM)
		return prong_call_raise(c, "MemoryError", "%s", prong_error_detail());
	if (r == 0)
		return prong_call_raise(c, "RuntimeError", "%s() did not answer",
					c->method->is->name);
	if (r > 0)
		return prong_call_raise(c, "RuntimeError", "%s: %s", prong_strerror(r),
					prong_error_detail());
	args = prong_value_new(PRONG_TUPLE);
	prong_value_add(args, prong_value_int(-r));
	prong_value_add(
		args, text_of(prong_error_detail()[0] ? prong_error_detail() : prong_strerror(r)));
	return answer_value(c, PRONGI_ERROR, prong_value_object("builtins.OSError", args, NULL));
}

bool prongi_call_bind(prong_call *c)
{
	char why[200];

	if (c->method->raw ||
	    !prongi_bind(c->method, c->args, c->kwds, c->arg, &c->given, why, sizeof why))
		return true;
	prong_call_raise(c, "TypeError", "%s", why);
	return false;
}

int prongi_call_run(prong_call *c)
{
	int r;

	if (!c->parked && !prongi_call_bind(c))
		return 0;
	r = c->method->is->fn(c);
	if (r == PRONGI_PARK && !c->mistaken)
		return r;
	if (c->mistaken)
		return prong_call_raise(c, "RuntimeError",
					"%s() reads a parameter that it does not have",
					c->method->is->name);
	return c->answered ? 0 : prongi_call_raise_result(c, r);
}

void prongi_call_clear(prong_call *c)
{
	prong_value_free(c->request);
	c->request = NULL;
	c->thing = NULL;
	c->method = NULL;
	c->answered = c->mistaken = c->parked = c->late = false;
	c->stage = c->verdict = 0;
	c->number = 0;
	c->deadline = PRONG_FOREVER;
	if (c->charged)
		c->guest->m->memory -= c->charged;
	c->charged = 0;
	prongi_say_free(&c->out);
}

/* --- arguments -------------------------------------------------------------------------- */

void *prong_call_self(prong_call *call)
{
	return call ? call->self : NULL;
}

/* The argument; *right: it is one of these kinds, or the method is mistaken. */
static const prong_value *argument(prong_call *c, const char *name, unsigned kinds, bool *right)
{
	const struct prongi_method *m = c ? c->method : NULL;
	unsigned i = 0;

	*right = false;
	if (!m || !name)
		return NULL;
	while (i < m->n && strcmp(m->param[i].name, name) != 0)
		i++;
	*right = i < m->n && (kinds & 1u << m->param[i].want);
	if (!*right) {
		c->mistaken = true;
		return NULL;
	}
	return c->arg[i];
}

int64_t prong_call_int(prong_call *call, const char *name)
{
	bool right;
	const prong_value *v = argument(call, name, 1u << PRONGI_WANT_INT, &right);
	int64_t n;

	return prong_value_as_int(v, &n) ? 0 : n;
}

double prong_call_float(prong_call *call, const char *name)
{
	bool right;
	const prong_value *v = argument(call, name, 1u << PRONGI_WANT_FLOAT, &right);
	double x;

	return prong_value_as_float(v, &x) ? 0 : x;
}

bool prong_call_bool(prong_call *call, const char *name)
{
	bool right;
	const prong_value *v = argument(call, name, 1u << PRONGI_WANT_BOOL, &right);
	int64_t n;

	return prong_value_as_int(v, &n) == 0 && n;
}

const char *prong_call_text(prong_call *call, const char *name)
{
	bool right;

	return prong_value_data(argument(call, name, 1u << PRONGI_WANT_TEXT, &right), NULL);
}

const prong_value *prongi_call_argument(prong_call *c, const char *name)
{
	bool right;

	return argument(c, name, ~0u, &right);
}

const prong_value *prong_call_value(prong_call *call, const char *name)
{
	const prong_value *v = prongi_call_argument(call, name);

	return prong_value_kind(v) == PRONG_NONE ? NULL : v;
}

bool prongi_truth(const prong_value *v)
{
	size_t n = 0;
	double x;

	switch (prong_value_kind(v)) {
	case PRONG_NONE:
		return false;
	case PRONG_BOOL:
	case PRONG_FLOAT:
		return prong_value_as_float(v, &x) == 0 && x != 0;
	case PRONG_INT: {
		int64_t i;

		return prong_value_as_int(v, &i) != 0 || i;
	}
	case PRONG_TEXT:
	case PRONG_BYTES:
	case PRONG_BYTEARRAY:
		prong_value_data(v, &n);
		return n > 0;
	case PRONG_LIST:
	case PRONG_TUPLE:
	case PRONG_DICT:
	case PRONG_SET:
	case PRONG_FROZENSET:
		return prong_value_count(v) > 0;
	case PRONG_CLASS:
	case PRONG_OBJECT:
		break;
	}
	return true;
}

bool prongi_call_truth(prong_call *c, const char *name)
{
	return prongi_truth(prong_call_value(c, name));
}

/* --- waiting ---------------------------------------------------------------------------- */

/* A number of seconds, from now, as a deadline.  False: v is no number. */
static bool deadline_of(const prong_value *v, bool negative, prong_time *out)
{
	double s;

	if (prong_value_as_float(v, &s) || isnan(s) || (s < 0 && !negative))
		return false;
	*out = PRONG_FOREVER;
	if (s < 1e9)
		out->ns_ = prong_clock().ns_ + (int64_t)(s > 0 ? s * 1e9 : 0);
	return true;
}

bool prongi_call_until(prong_call *c, const char *name)
{
	const prong_value *v = prong_call_value(c, name);

	if (c->parked || !v || deadline_of(v, true, &c->deadline))
		return true;
	prong_call_raise(c, "TypeError", "'%s' must be a number or None", name);
	return false;
}

bool prongi_call_timeout(prong_call *c, const char *name)
{
	const prong_value *v = prong_call_value(c, name);

	if (c->parked || !v)
		return true;
	if (deadline_of(v, false, &c->deadline))
		return true;
	if (prong_value_kind(v) != PRONG_FLOAT && prong_value_kind(v) != PRONG_INT)
		prong_call_raise(c, "TypeError", "'%s' must be a number or None", name);
	else
		prong_call_raise(c, "ValueError", "'%s' must be a non-negative number", name);
	return false;
}

int prongi_call_blocking(prong_call *c, int (*attempt)(prong_call *c, bool block))
{
	bool block = prongi_call_truth(c, "block");

	if (block && !prongi_call_timeout(c, "timeout"))
		return 0;
	return attempt(c, block);
}

void prongi_call_park(prong_call *c)
{
	struct prongi_thing *t = c->thing;

	c->parked = true;
	c->next = NULL;
	c->prev = t->last;
	if (t->last)
		t->last->next = c;
	else
		t->first = c;
	t->last = c;
	t->want[c->stage & 3]++;
	c->guest->m->waiting++;
}

void prongi_call_unpark(prong_call *c)
{
	struct prongi_thing *t = c->thing;

	if (!c->parked)
		return;
	c->parked = false;
	if (c->next)
		c->next->prev = c->prev;
	else
		t->last = c->prev;
	if (c->prev)
		c->prev->next = c->next;
	else
		t->first = c->next;
	t->want[c->stage & 3]--;
	c->guest->m->waiting--;
}
