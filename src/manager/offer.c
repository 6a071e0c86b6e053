/* What a manager offers: names, and what is made when a client asks for one. */
#include "manager/manager.h"
#include <errno.h>
#include <prong/error.h>
#include <prong/heap.h>
#include <prong/wait.h>
#include <stdio.h>
#include <stdlib.h>

struct prongi_offer *prongi_offer_find(struct prong_manager *m, const char *name)
{
	struct prongi_offer *o;

	pthread_mutex_lock(&m->lock);
	o = m->offers;
	while (o && strcmp(o->name, name) != 0)
		o = o->next;
	pthread_mutex_unlock(&m->lock);
	return o;
}

/* The one object of an offer is made when it is first asked for, for the loop alone makes objects;
   then it stays. */
static struct prongi_thing *first_asked(struct prong_manager *m, struct prongi_offer *offer)
{
	struct prongi_thing *t;

	if (prongi_thing_new(m, offer->class, offer->self, offer->name, &t))
		return NULL;
	prongi_thing_hold(t);
	offer->thing = t;
	t->queue = offer->queue;
	if (t->queue) {
		t->next_queue = m->queues;
		m->queues = t;
	}
	return t;
}

/* The arguments after the name. */
static prong_value *own_arguments(const prong_value *args)
{
	prong_value *own = prong_value_new(PRONG_TUPLE);

	for (size_t i = 1; i < prong_value_count(args); i++)
		prong_value_add(own, prong_value_dup(prong_value_at(args, i)));
	return own;
}

/* A new one, of a kind that there is. */
static struct prongi_thing *make(struct prongi_guest *g, struct prongi_offer *offer,
				 const prong_value *args)
{
	prong_call *c = &g->call;
	prong_value *own = own_arguments(args);
	struct prongi_thing *t = NULL;
	void *self = NULL;
	int r = own ? 0 : -ENOMEM;

	c->args = own;
	c->method = &offer->make;
	if (r == 0)
		r = prongi_call_bind(c) ? offer->maker->fn(c, &self) : 0;
	if (r)
		prongi_call_raise_result(c, r);
	if (!c->answered && prongi_thing_new(g->m, offer->class, self, offer->name, &t)) {
		if (offer->type->fini)
			offer->type->fini(g->m, self);
		prongi_call_raise_result(c, -ENOMEM);
	}
	c->method = NULL;
	c->args = args;
	prong_value_free(own);
	return t;
}

struct prongi_thing *prongi_offer_take(struct prongi_guest *g, struct prongi_offer *offer,
				       const prong_value *args, const prong_value *kwds)
{
	struct prongi_thing *t = offer->thing;

	if (offer->maker)
		return make(g, offer, args);

	if (prong_value_count(args) > 1 || prong_value_count(kwds)) {
		prongi_call_traceback(&g->call, "TypeError: %s() takes no arguments", offer->name);
		return NULL;
	}
	if (!t)
		t = first_asked(g->m, offer);
	if (!t)
		prongi_call_traceback(&g->call, "MemoryError: %s()", offer->name);
	return t;
}

/* 0, -EEXIST. */
static int remember(prong_manager *m, struct prongi_offer *offer, const char *what)
{
	struct prongi_offer *o;

	pthread_mutex_lock(&m->lock);
	o = m->offers;
	while (o && strcmp(o->name, offer->name) != 0)
		o = o->next;
	if (!o) {
		offer->next = m->offers;
		m->offers = offer;
	}
	pthread_mutex_unlock(&m->lock);
	return o ? prongi_fail(-EEXIST, "%s: \"%s\" is shared already", what, offer->name) : 0;
}

void prongi_offer_free(struct prongi_offer *o)
{
	if (o->class)
		prongi_class_free(o->class);
	prongi_method_free(&o->make);
	free(o);
}

/* What is offered has type; or, when that is NULL, these methods. */
static int offer(prong_manager *m, const char *name, const struct prongi_offer *what_is,
		 const char *what)
{
	struct prongi_offer *o;
	int r = prongi_manager_check(m, what);

	if (r)
		return r;
	if (!prongi_is_word(name))
		return prongi_fail(-EINVAL, "%s: \"%.80s\" is no name in Python", what,
				   name ? name : "");
	o = calloc(1, sizeof *o);
	if (!o)
		return prongi_fail(-ENOMEM, "%s: no memory", what);
	*o = *what_is;
	snprintf(o->name, sizeof o->name, "%s", name);
	if (!o->type) {
		o->own = (struct prongi_type){ .name = o->name,
					       .methods = o->methods,
					       .pooled = true };
		o->type = &o->own;
	}
	r = prongi_class_new(&o->class, o->type, what);
	if (r == 0 && o->maker)
		r = prongi_method_read(&o->make, &o->maker->make, what);
	if (r == 0)
		r = remember(m, o, what);
	if (r)
		prongi_offer_free(o);
	return r;
}

int prongi_offer_makers(prong_manager *m)
{
	int r = prongi_iterators_prepare(m);

	for (const struct prongi_maker *const *k = prongi_makers; r == 0 && *k; k++)
		r = offer(m, (*k)->make.name,
			  &(struct prongi_offer){ .type = (*k)->type, .maker = *k },
			  "manager_open");
	return r;
}

int prong_manager_share_queue(prong_manager *m, const char *name, prong_queue *q)
{
	prong_source s = { .room = q };

	if (!q || !prong_shared(q, 1) || prong_wait(&s, 1, PRONG_NOW) < 0)
		return prongi_fail(-EINVAL, "manager_share_queue: q is not a queue of the heap");
	return offer(m, name,
		     &(struct prongi_offer){ .type = &prongi_shared_queue, .self = q, .queue = q },
		     "manager_share_queue");
}

static int check_methods(const prong_method *methods)
{
	for (size_t i = 0; methods[i].name; i++) {
		if (!prongi_is_word(methods[i].name))
			return prongi_fail(-EINVAL,
					   "manager_share: \"%.80s\" is no name of a method",
					   methods[i].name);
		if (!methods[i].fn)
			return prongi_fail(-EINVAL, "manager_share: %s has no function",
					   methods[i].name);
		if (methods[i].params && strcmp(methods[i].params, "*") == 0)
			return prongi_fail(-EINVAL, "manager_share: parameters of %s: *",
					   methods[i].name);
		for (size_t k = 0; k < i; k++)
			if (strcmp(methods[i].name, methods[k].name) == 0)
				return prongi_fail(-EINVAL, "manager_share: %s is there twice",
						   methods[i].name);
	}
	return 0;
}

int prong_manager_share(prong_manager *m, const char *name, const prong_method *methods, void *self)
{
	int r;

	if (!methods)
		return prongi_fail(-EINVAL, "manager_share: there are no methods");
	r = check_methods(methods);
	if (r)
		return r;
	return offer(m, name, &(struct prongi_offer){ .methods = methods, .self = self },
		     "manager_share");
}
