/* Proxies as values: what stands for an object of a manager among the arguments and results of
   calls.

   It is the object that Python pickles a proxy as: RebuildProxy called with the proxy's class, a
   token, and more.  The token names the object, and says where its manager is, as the one who sent
   it sees that.  Here the caller says which manager is meant, and that address is ignored: so it
   holds through forwarded ports, too. */
#include "manager/protocol.h"
#include "manager/remote.h"
#include <errno.h>
#include <prong/error.h>
#include <stdlib.h>
#include <string.h>

/* --- reading ---------------------------------------------------------------------------- */

static const char *text_at(const prong_value *v, size_t i)
{
	return prongi_text(prong_value_at(v, i));
}

/* True when v is an object of that class with so many of something. */
static bool is(const prong_value *v, const char *class)
{
	const char *name = prong_value_class(v);

	return prong_value_kind(v) == PRONG_OBJECT && name && strcmp(name, class) == 0;
}

static bool is_token(const prong_value *v)
{
	const prong_value *state = prong_value_state(v);

	return is(v, PRONGI_TOKEN) && prong_value_count(state) == 3 && text_at(state, 0) &&
	       text_at(state, 2);
}

const prong_value *prongi_value_token(const prong_value *v)
{
	const prong_value *token = prong_value_at(prong_value_args(v), 1);

	return is(v, PRONGI_REBUILD_PROXY) && is_token(token) ? token : NULL;
}

static int read_object(const prong_value *v, struct prongi_referent *o)
{
	const prong_value *token = prong_value_state(prongi_value_token(v));
	const prong_value *methods =
		prong_value_find(prong_value_at(prong_value_args(v), 3), "exposed");

	o->type = strdup(text_at(token, 0));
	o->ident = strdup(text_at(token, 2));
	o->methods = prong_value_kind(methods) == PRONG_TUPLE ? prong_value_dup(methods) : NULL;
	if (o->type && o->ident)
		return 0;
	prongi_referent_fini(o);
	return -ENOMEM;
}

/* Have the manager count the object for us, if it has not. */
static int count(prong_remote *there, const struct prongi_referent *o, const char *what,
		 prong_time deadline)
{
	struct prongi_answer a;
	int r;

	if (prongi_remote_counted(there, o->ident))
		return 0;
	r = prongi_remote_refer(there, PRONGI_INCREF, prong_args(1, prong_value_text(o->ident)),
				&a, NULL, what, deadline);
	if (r)
		return r;
	if (prongi_answer_unknown(&a, o->ident)) {
		prong_value_free(a.item);
		return prongi_fail(-ESTALE, "%.60s: the manager does not know the object", what);
	}
	return prongi_remote_judge(there, &a, NULL, what);
}

int prong_proxy_of(prong_remote *there, const prong_value *v, prong_proxy **out,
		   prong_time deadline)
{
	struct prongi_referent o;
	struct prongi_link *l;
	int r = prongi_remote_check(there, "proxy_of");

	if (r)
		return r;
	if (!out)
		return prongi_fail(-EINVAL, "proxy_of: a place for the proxy is NULL");
	if (!prongi_value_token(v))
		return prongi_fail(PRONG_MISMATCH, "proxy_of: the value stands for no object");
	r = prongi_link_mine(there, &l, "proxy_of");
	if (r)
		return r;
	r = read_object(v, &o);
	if (r)
		return prongi_fail(r, "proxy_of: no memory");
	o.era = atomic_load_explicit(&there->era, memory_order_relaxed);
	r = count(there, &o, "proxy_of", deadline);
	if (r == 0 && prongi_proxy_new(there, &o, out)) {
		prongi_remote_forget(there, o.ident, o.era);
		r = prongi_fail(-ENOMEM, "proxy_of: no memory");
	}
	if (r)
		prongi_referent_fini(&o);
	return r;
}

/* --- making ----------------------------------------------------------------------------- */

/* The class of Python's proxies for a type of SyncManager; others have AutoProxy, which wants to be
   told the methods. */
static const char *class_of(const char *type)
{
	static const char *const classes[][2] = {
		{ "Array", ".ArrayProxy" },
		{ "Barrier", ".BarrierProxy" },
		{ "BoundedSemaphore", ".AcquirerProxy" },
		{ "Condition", ".ConditionProxy" },
		{ "Event", ".EventProxy" },
		{ "Iterator", ".IteratorProxy" },
		{ "Lock", ".AcquirerProxy" },
		{ "Namespace", ".NamespaceProxy" },
		{ "Pool", ".PoolProxy" },
		{ "RLock", ".AcquirerProxy" },
		{ "Semaphore", ".AcquirerProxy" },
		{ "Value", ".ValueProxy" },
		{ "dict", ".DictProxy" },
		{ "list", ".ListProxy" },
	};

	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
		if (strcmp(type, classes[i][0]) == 0)
			return classes[i][1];
	return NULL;
}

static prong_value *named(const char *class)
{
	char name[60] = PRONGI_MODULE;

	strcat(name, class);
	return prong_value_bytes(PRONG_CLASS, name, strlen(name));
}

static prong_value *rebuild(const char *type, prong_value *token, prong_value *methods)
{
	const char *class = class_of(type);
	prong_value *keywords = prong_value_new(PRONG_DICT);

	if (class)
		prong_value_free(methods);
	else if (methods)
		prong_value_put(keywords, prong_value_text("exposed"), methods);
	return prong_value_object(PRONGI_REBUILD_PROXY,
				  prong_args(4, named(class ? class : ".AutoProxy"), token,
					     prong_value_text(PRONGI_SERIALIZER), keywords),
				  NULL);
}

/* An address as Python has it: ("10.0.0.7", 5000), or a path. */
static prong_value *python_address(const char *text)
{
	const char *host = strstr(text, "://"), *colon = strrchr(text, ':');
	size_t n;

	if (!host)
		return prong_value_text(colon ? colon + 1 : text);
	host += 3;
	n = (size_t)(colon - host);
	if (*host == '[') {
		host++;
		n -= 2;
	}
	return prong_args(2, prong_value_bytes(PRONG_TEXT, host, n),
			  prong_value_int(strtol(colon + 1, NULL, 10)));
}

prong_value *prong_proxy_value(const prong_proxy *p)
{
	prong_value *state;

	if (prongi_proxy_check(p, "proxy_value"))
		return NULL;
	state = prong_args(3, prong_value_text(p->o.type), python_address(p->there->peer),
			   prong_value_text(p->o.ident));
	return rebuild(p->o.type, prong_value_object(PRONGI_TOKEN, NULL, state),
		       prong_value_dup(p->o.methods));
}

int prongi_value_of_answer(const prong_value *item, prong_value **out)
{
	const prong_value *token = prong_value_at(item, 1), *methods = prong_value_at(item, 0);
	prong_value *v;

	if (prong_value_kind(item) != PRONG_TUPLE || prong_value_count(item) != 2 ||
	    !is_token(token))
		return -EPROTO;
	if (prong_value_kind(methods) != PRONG_TUPLE)
		methods = NULL;
	v = rebuild(text_at(prong_value_state(token), 0), prong_value_dup(token),
		    prong_value_dup(methods));
	if (!prongi_value_token(v)) { /* something is missing in it */
		prong_value_free(v);
		return -ENOMEM;
	}
	*out = v;
	return 0;
}
