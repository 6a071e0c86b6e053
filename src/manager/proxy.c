/* prong_proxy: an object of a manager, and calls of its methods.

   Not here: proxies as values (proxy_value.c). */
#include "manager/protocol.h"
#include "manager/remote.h"
#include <errno.h>
#include <prong/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC     UINT64_C(0x79786f7270727270)
#define WHAT_MOST 100 /* bytes of "dict.get", for people */

/* --- objects ---------------------------------------------------------------------------- */

void prongi_referent_fini(struct prongi_referent *o)
{
	free(o->type);
	free(o->ident);
	prong_value_free(o->methods);
	*o = (struct prongi_referent){ 0 };
}

/* What "create" returned: (ident, methods). */
static int read_object(const prong_value *v, const char *type, struct prongi_referent *o)
{
	const prong_value *ident = prong_value_at(v, 0), *methods = prong_value_at(v, 1);
	const char *text = prongi_text(ident);

	if (prong_value_kind(v) != PRONG_TUPLE || prong_value_count(v) != 2 || !text)
		return -EPROTO;
	o->ident = strdup(text);
	o->type = strdup(type);
	o->methods = prong_value_kind(methods) == PRONG_TUPLE ? prong_value_dup(methods) : NULL;
	if (o->ident && o->type)
		return 0;
	prongi_referent_fini(o);
	return -ENOMEM;
}

/* args with the type as its first: in all their forms. */
static prong_value *with_type(const char *type, prong_value *args, const char *what, int *r)
{
	/* As a request of its own: (type, "", args, keywords). */
	prong_value *request = prongi_remote_request(prong_value_text(type), "", args, what, r);
	prong_value *tuple, *both;
	const prong_value *given;

	if (*r)
		return NULL;
	tuple = prong_args(1, prong_value_text(type));
	given = prong_value_at(request, 2);
	for (size_t i = 0; i < prong_value_count(given); i++)
		prong_value_add(tuple, prong_value_dup(prong_value_at(given, i)));
	both = prong_value_new(PRONG_LIST);
	prong_value_add(both, tuple);
	prong_value_add(both, prong_value_dup(prong_value_at(request, 3)));
	prong_value_free(request);
	return both;
}

int prongi_referent_make(prong_remote *there, const char *name, prong_value *args,
			 struct prongi_referent *out, const char *what, prong_time deadline)
{
	struct prongi_answer a;
	prong_value *made, *both;
	int r;

	both = with_type(name, args, what, &r);
	if (r)
		return r;
	r = prongi_remote_refer(there, PRONGI_CREATE, both, &a, &out->era, what, deadline);
	if (r == 0)
		r = prongi_remote_judge(there, &a, &made, what);
	if (r)
		return r;
	r = read_object(made, name, out);
	prong_value_free(made);
	return r ? prongi_fail(r, "%.60s: %s", what,
			       r == -ENOMEM ? "no memory" : "what came is no object's name")
		 : 0;
}

bool prongi_referent_has(const struct prongi_referent *o, const char *method)
{
	for (size_t i = 0; i < prong_value_count(o->methods); i++) {
		const char *name = prongi_text(prong_value_at(o->methods, i));

		if (name && strcmp(name, method) == 0)
			return true;
	}
	return !o->methods;
}

/* --- proxies ---------------------------------------------------------------------------- */

int prongi_proxy_check(const prong_proxy *p, const char *what)
{
	if (!p || p->magic != MAGIC)
		return prongi_fail(-EINVAL, "%s: not a proxy", what);
	return prongi_remote_check(p->there, what);
}

int prongi_proxy_new(prong_remote *there, struct prongi_referent *o, prong_proxy **out)
{
	prong_proxy *p = calloc(1, sizeof *p);

	if (!p)
		return -ENOMEM;
	p->magic = MAGIC;
	p->there = there;
	p->o = *o;
	atomic_store_explicit(&p->told, o->era, memory_order_relaxed);
	prongi_remote_keep(there);
	*out = p;
	return 0;
}

int prong_remote_make(prong_remote *there, const char *name, prong_value *args, prong_proxy **out,
		      prong_time deadline)
{
	struct prongi_referent o;
	struct prongi_link *l;
	int r = prongi_remote_check(there, "remote_make");

	if (r == 0 && (!name || !out))
		r = prongi_fail(-EINVAL, "remote_make: %s is NULL",
				name ? "a place for the proxy" : "the name");
	if (r == 0)
		r = prongi_link_mine(there, &l, "remote_make");
	if (r) {
		prong_value_free(args);
		return r;
	}
	r = prongi_referent_make(there, name, args, &o, name, deadline);
	if (r)
		return r;
	r = prongi_proxy_new(there, &o, out);
	if (r) {
		prongi_remote_forget(there, o.ident, o.era);
		prongi_referent_fini(&o);
		return prongi_fail(r, "remote_make: no memory");
	}
	return 0;
}

void prong_proxy_free(prong_proxy *p)
{
	if (!p || prongi_proxy_check(p, "proxy_free"))
		return;
	prongi_remote_forget(p->there, p->o.ident, p->o.era);
	p->magic = 0;
	prongi_referent_fini(&p->o);
	prongi_remote_let_go(p->there);
	free(p);
}

/* --- calls ------------------------------------------------------------------------------ */

/* When a connection was lost since the last call, say so once: the object may be another one's. */
static int check_era(prong_proxy *p, const char *what)
{
	uint64_t era = atomic_load_explicit(&p->there->era, memory_order_relaxed);

	if (atomic_exchange_explicit(&p->told, era, memory_order_relaxed) == era)
		return 0;
	return prongi_fail(-ECONNRESET, "%.60s: the manager was lost in the meantime", what);
}

static int call(prong_proxy *p, struct prongi_link *l, prong_value *request,
		struct prongi_answer *a, const char *what, prong_time deadline)
{
	int r = prongi_link_begin(l, what, deadline);

	if (r) {
		prong_value_free(request);
		return r;
	}
	r = check_era(p, what);
	if (r) {
		prong_value_free(request);
		prongi_link_end(l);
		return r;
	}
	r = prongi_link_ask(l, request, a, NULL, what, deadline);
	if (r == -ECONNRESET) /* so its caller is told */
		atomic_store_explicit(&p->told,
				      atomic_load_explicit(&p->there->era, memory_order_relaxed),
				      memory_order_relaxed);
	prongi_link_end(l);
	return r;
}

int prong_proxy_call(prong_proxy *p, const char *method, prong_value *args, prong_value **out,
		     prong_time deadline)
{
	struct prongi_answer a;
	struct prongi_link *l;
	prong_value *request;
	char what[WHAT_MOST];
	int r = prongi_proxy_check(p, "proxy_call");

	if (r == 0 && !method)
		r = prongi_fail(-EINVAL, "proxy_call: the method is NULL");
	if (r == 0)
		r = prongi_link_mine(p->there, &l, "proxy_call");
	if (r) {
		prong_value_free(args);
		return r;
	}
	snprintf(what, sizeof what, "%s.%s", p->o.type, method);
	request = prongi_remote_request(prong_value_text(p->o.ident), method, args, what, &r);
	if (r)
		return r;
	r = call(p, l, request, &a, what, deadline);
	if (r)
		return r;
	if (prongi_answer_unknown(&a, p->o.ident)) {
		prong_value_free(a.item);
		return prongi_fail(-ESTALE, "%.60s: the manager does not know the object", what);
	}
	return prongi_remote_judge(p->there, &a, out, what);
}
