/* Requests: what a connection may ask for, one for control or many for calls.

   A request that cannot be read, or names what is not there, is answered by text that Python shows
   as a RemoteError; the connection stays as it is. */
#include "manager/manager.h"
#include <errno.h>
#include <prong/error.h>
#include <stdio.h>
#include <stdlib.h>

typedef int control(struct prongi_guest *g, const prong_value *args, const prong_value *kwds);

/* --- control ---------------------------------------------------------------------------- */

static int dummy(struct prongi_guest *g, const prong_value *args, const prong_value *kwds)
{
	(void)args;
	(void)kwds;
	return prongi_call_none(&g->call);
}

static int is_unknown(prong_call *c, const prong_value *ident)
{
	char text[80];

	prong_value_print(ident, text, sizeof text);
	return prongi_call_traceback(c, "KeyError: %s: there is no such object", text);
}

/* The object that the first argument names; or the call is answered. */
static struct prongi_thing *named(struct prongi_guest *g, const prong_value *args)
{
	const prong_value *ident = prong_value_at(args, 0);
	struct prongi_thing *t = prongi_thing_find(g->m, ident);

	if (!t)
		is_unknown(&g->call, ident);
	return t;
}

static int incref(struct prongi_guest *g, const prong_value *args, const prong_value *kwds)
{
	struct prongi_thing *t = named(g, args);

	(void)kwds;
	if (!t)
		return 0;
	prongi_claim(g, t);
	return prongi_call_none(&g->call);
}

static int decref(struct prongi_guest *g, const prong_value *args, const prong_value *kwds)
{
	struct prongi_thing *t = named(g, args);

	(void)kwds;
	if (!t)
		return 0;
	if (t->refs == 0)
		return prongi_call_traceback(&g->call, "AssertionError: nobody refers to it");
	prongi_unclaim(g, t);
	return prongi_call_none(&g->call);
}

static int get_methods(struct prongi_guest *g, const prong_value *args, const prong_value *kwds)
{
	const prong_value *state = prong_value_state(prong_value_at(args, 0));
	struct prongi_thing *t = prongi_thing_find(g->m, prong_value_at(state, 2));

	(void)kwds;
	if (!t)
		return prongi_call_traceback(&g->call, "KeyError: there is no such object");
	return prongi_call_item(&g->call, &t->class->names);
}

static int number_of_objects(struct prongi_guest *g, const prong_value *args,
			     const prong_value *kwds)
{
	(void)args;
	(void)kwds;
	return prong_call_return(&g->call, prong_value_int((int64_t)g->m->live));
}

static void describe(const struct prongi_thing *t, char *buf, size_t size)
{
	if (t->class->type->repr)
		t->class->type->repr(t->self, buf, size);
	else
		snprintf(buf, size, "<%s object>", t->class->type->name);
}

static int debug_info(struct prongi_guest *g, const prong_value *args, const prong_value *kwds)
{
	struct prongi_out text = { .limit = 1 << 20 };
	char line[200], what[100], ident[17];

	(void)args;
	(void)kwds;
	for (uint32_t i = 0; i < g->m->thing_room; i++) {
		const struct prongi_thing *t = g->m->thing[i];

		if (!t || !t->refs)
			continue;
		describe(t, what, sizeof what);
		prongi_thing_text(t, ident);
		snprintf(line, sizeof line, "%s  %s:       refcount=%llu\n    %s",
			 text.n ? "\n" : "", ident, (unsigned long long)t->refs, what);
		prongi_out_text(&text, line);
	}
	prongi_say_text(prongi_call_begin(&g->call, PRONGI_RETURN), g->call.protocol, text.data,
			text.n);
	free(text.data);
	return prongi_call_end(&g->call);
}

static int shut_down(struct prongi_guest *g, const prong_value *args, const prong_value *kwds)
{
	(void)args;
	(void)kwds;
	if (g->m->no_shutdown)
		return prongi_call_traceback(
			&g->call, "PermissionError: this server is not ended by clients");
	/* release: pairs with the load in prong_manager_wait() */
	atomic_store_explicit(&g->m->over, 1, memory_order_release);
	prongi_os_wake(&g->m->over, INT32_MAX, false);
	return prongi_call_none(&g->call);
}

static int accept_connection(struct prongi_guest *g, const prong_value *args,
			     const prong_value *kwds)
{
	size_t size = 0;
	const char *name = prong_value_data(prong_value_at(args, 0), &size);

	(void)kwds;
	g->calls = true;
	g->last = false;
	if (!prongi_client_come(g, name, size))
		return prongi_call_none(&g->call);
	return prong_call_return(&g->call, prong_value_text(PRONGI_OURS));
}

static int create(struct prongi_guest *g, const prong_value *args, const prong_value *kwds)
{
	const char *name = prong_value_data(prong_value_at(args, 0), NULL);
	struct prongi_offer *offer = name ? prongi_offer_find(g->m, name) : NULL;
	struct prongi_thing *t;
	char ident[17];

	if (!offer)
		return prongi_call_traceback(&g->call, "KeyError: nothing is shared as '%.60s'",
					     name ? name : "");
	t = prongi_offer_take(g, offer, args, kwds);
	if (!t)
		return 0;
	prongi_claim(g, t);
	prongi_thing_text(t, ident);
	prongi_call_begin(&g->call, PRONGI_RETURN);
	prongi_say_text(&g->call.out, g->call.protocol, ident, 16);
	prongi_say_item(&g->call.out, g->call.protocol, &t->class->names);
	prongi_out_byte(&g->call.out, '\x86');
	return prongi_call_end(&g->call);
}

static const struct {
	const char *name;
	control *fn;
	bool among_calls; /* a client of ours asks for it on a connection for calls, too */
} controls[] = {
	{ PRONGI_DUMMY, dummy, false },
	{ PRONGI_CREATE, create, true },
	{ PRONGI_INCREF, incref, true },
	{ PRONGI_DECREF, decref, true },
	{ PRONGI_GET_METHODS, get_methods, false },
	{ PRONGI_NUMBER, number_of_objects, false },
	{ PRONGI_DEBUG, debug_info, false },
	{ PRONGI_SHUTDOWN, shut_down, false },
	{ PRONGI_ACCEPT, accept_connection, false },
};

static int begin_control(struct prongi_guest *g, const char *function)
{
	g->last = !g->calls;
	for (size_t i = 0; function && i < sizeof controls / sizeof *controls; i++)
		if ((!g->calls || controls[i].among_calls) &&
		    strcmp(controls[i].name, function) == 0)
			return controls[i].fn(g, g->call.args, g->call.kwds);
	return prongi_call_traceback(&g->call, "AssertionError: '%.60s' unrecognized",
				     function ? function : "");
}

/* --- calls ------------------------------------------------------------------------------ */

/* What every object can do without showing it. */
static int fall_back(struct prongi_guest *g, struct prongi_thing *t, const char *method)
{
	char text[1000];

	if (strcmp(method, PRONGI_STR) == 0 || strcmp(method, PRONGI_REPR) == 0) {
		describe(t, text, sizeof text);
		return prong_call_return(&g->call, prong_value_text(text));
	}
	return prongi_call_traceback(
		&g->call, "AttributeError: method '%.60s' of '%s' object is not in exposed", method,
		t->class->type->name);
}

static int begin_call(struct prongi_guest *g, const prong_value *ident, const char *method)
{
	prong_call *c = &g->call;
	struct prongi_thing *t = prongi_thing_find(g->m, ident);
	const struct prongi_method *m;
	int r;

	if (!t)
		return is_unknown(c, ident);
	if (!method)
		return prongi_call_traceback(c, "TypeError: the method's name is no text");
	m = prongi_class_find(t->class, method);
	if (!m)
		return fall_back(g, t, method);
	prongi_thing_hold(t);
	c->thing = t;
	c->self = t->self;
	c->method = m;
	if (t->class->type->pooled && g->m->pool) {
		r = prongi_call_bind(c) ? prongi_job_begin(c) : 0;
		return r ? prongi_call_raise_result(c, r) : 0;
	}
	r = prongi_call_run(c);
	if (r == PRONGI_PARK && c->deadline.ns_ <= prong_clock().ns_) {
		c->late = c->parked = true; /* it has had its time */
		c->deadline = PRONG_FOREVER;
		r = prongi_call_run(c);
		c->parked = false;
	}
	if (r == PRONGI_PARK)
		prongi_call_park(c);
	return r;
}

/* The client puts its own address of the server into the token's place. */
int prongi_call_proxy(prong_call *c, struct prongi_thing *t)
{
	struct prongi_out *o = prongi_call_begin(c, PRONGI_PROXY);
	prong_value *state = prong_value_new(PRONG_TUPLE);
	prong_value *token;
	char ident[17];

	prongi_claim(c->guest, t);
	prongi_thing_text(t, ident);
	prong_value_add(state, prong_value_text(t->name));
	prong_value_add(state, prong_value_new(PRONG_NONE));
	prong_value_add(state, prong_value_text(ident));
	token = prong_value_object(PRONGI_TOKEN, NULL, state);
	prongi_say_item(o, c->protocol, &t->class->names);
	if (token)
		prongi_say_value(o, c->protocol, token);
	prongi_out_byte(o, '\x86');
	prong_value_free(token);
	if (token)
		return prongi_call_end(c);
	prongi_unclaim(c->guest, t);
	return -ENOMEM;
}

/* --- both ------------------------------------------------------------------------------- */

static int refuse(struct prongi_guest *g, const char *why)
{
	g->m->broken++;
	g->last = !g->calls;
	return prongi_call_traceback(&g->call, "%s: %s", why, prong_error_detail());
}

static int read_request(struct prongi_guest *g)
{
	const prong_limits limits = { .bytes = g->m->limits.message_max };
	const unsigned char *data = prongi_inbox_data(&g->stream.in);
	size_t size = g->stream.in.size;
	int r;

	g->call.protocol = size > 1 && data[0] == 0x80 && data[1] >= 3 ? 3 : 2;
	r = prong_decode(&g->call.request, PRONG_PICKLE, data, size, &limits);
	prongi_stream_take(&g->stream);
	return r;
}

void prongi_guest_request(struct prongi_guest *g)
{
	prong_call *c = &g->call;
	const prong_value *head, *function;

	if (read_request(g)) {
		refuse(g, "UnpicklingError");
		return;
	}
	c->args = prong_value_at(c->request, 2);
	c->kwds = prong_value_at(c->request, 3);
	if (prong_value_kind(c->request) != PRONG_TUPLE || prong_value_count(c->request) != 4 ||
	    (prong_value_kind(c->args) != PRONG_TUPLE && prong_value_kind(c->args) != PRONG_LIST) ||
	    prong_value_kind(c->kwds) != PRONG_DICT) {
		prongi_fail(0, "a request has four parts");
		refuse(g, "ValueError");
		return;
	}
	if (prong_error_detail()[0]) /* what fails from here on says so itself */
		prongi_fail(0, "%s", "");
	head = prong_value_at(c->request, 0);
	function = prong_value_at(c->request, 1);
	if (g->calls && !(g->client && prong_value_kind(head) == PRONG_NONE))
		begin_call(g, head, prong_value_data(function, NULL));
	else
		begin_control(g, prong_value_data(function, NULL));
}
