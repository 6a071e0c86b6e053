/* The parameters of methods: read once, from text as Python has it, and bound to the arguments of
   each call as Python does it. */
#include "manager/manager.h"
#include <ctype.h>
#include <errno.h>
#include <prong/error.h>
#include <stdio.h>
#include <stdlib.h>

struct reader {
	const char *at;
	const char *what; /* the function and the method, for messages */
	struct prongi_method *m;
};

static const char *const kinds[] = {
	[PRONGI_WANT_BOOL] = "bool", [PRONGI_WANT_INT] = "int",     [PRONGI_WANT_FLOAT] = "float",
	[PRONGI_WANT_TEXT] = "str",  [PRONGI_WANT_BYTES] = "bytes", [PRONGI_WANT_LIST] = "list",
	[PRONGI_WANT_DICT] = "dict",
};

static bool starts_word(char c)
{
	return isalpha((unsigned char)c) || c == '_';
}

static bool in_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

bool prongi_is_word(const char *name)
{
	size_t n = 0;

	if (!name || !starts_word(*name))
		return false;
	while (in_word(name[n]))
		n++;
	return !name[n] && n < PRONGI_NAME_MOST;
}

/* --- reading ---------------------------------------------------------------------------- */

static int refuse(const struct reader *r, const char *why)
{
	return prongi_fail(-EINVAL, "%s: parameters of %.60s: %s at \"%.20s\"", r->what,
			   r->m->is->name, why, r->at);
}

static bool skip(struct reader *r, char c)
{
	while (*r->at == ' ')
		r->at++;
	if (*r->at != c || !c)
		return false;
	r->at++;
	while (*r->at == ' ')
		r->at++;
	return true;
}

static int read_word(struct reader *r, char out[PRONGI_NAME_MOST])
{
	size_t n = 0;

	if (!starts_word(*r->at))
		return refuse(r, "no name");
	while (in_word(r->at[n]) && n < PRONGI_NAME_MOST - 1)
		n++;
	if (in_word(r->at[n]))
		return refuse(r, "a name too long");
	memcpy(out, r->at, n);
	out[n] = 0;
	r->at += n;
	return 0;
}

static int read_kind(struct reader *r, struct prongi_param *p)
{
	char word[PRONGI_NAME_MOST];
	int e = read_word(r, word);

	if (e)
		return e;
	for (size_t i = 1; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(word, kinds[i]) == 0) {
			p->want = (enum prongi_want)i;
			return 0;
		}
	return refuse(r, "no kind that there is, before");
}

static int read_text(struct reader *r, struct prongi_param *p)
{
	const char quote = *r->at++, *end = strchr(r->at, quote);

	if (!end)
		return refuse(r, "text without its end");
	p->otherwise = prong_value_bytes(PRONG_TEXT, r->at, (size_t)(end - r->at));
	r->at = end + 1;
	return p->otherwise ? 0 : prongi_fail(-ENOMEM, "%s: no memory", r->what);
}

static int read_number(struct reader *r, struct prongi_param *p)
{
	size_t n = strspn(r->at, "+-.0123456789eE");

	if (!n || prong_decode(&p->otherwise, PRONG_JSON, r->at, n, NULL))
		return refuse(r, "no default that there may be");
	r->at += n;
	return 0;
}

static int read_default(struct reader *r, struct prongi_param *p)
{
	char word[PRONGI_NAME_MOST];
	int e;

	p->optional = true;
	if (*r->at == '\'' || *r->at == '"')
		return read_text(r, p);
	if (!starts_word(*r->at))
		return read_number(r, p);
	e = read_word(r, word);
	if (e || strcmp(word, "None") == 0)
		return e;
	if (strcmp(word, "True") != 0 && strcmp(word, "False") != 0)
		return refuse(r, "no default that there may be, before");
	p->otherwise = prong_value_bool(word[0] == 'T');
	return 0;
}

static bool fits(enum prongi_want want, const prong_value *v);

static int read_param(struct reader *r)
{
	struct prongi_method *m = r->m;
	struct prongi_param *p = &m->param[m->n];
	int e;

	if (m->n == PRONGI_PARAMS)
		return refuse(r, "more than 8");
	m->n++;
	e = read_word(r, p->name);
	for (unsigned i = 0; e == 0 && i + 1 < m->n; i++)
		if (strcmp(m->param[i].name, p->name) == 0)
			e = refuse(r, "the same name again, before");
	if (e == 0 && skip(r, ':'))
		e = read_kind(r, p);
	if (e == 0 && skip(r, '='))
		e = read_default(r, p);
	else if (e == 0 && m->n > 1 && m->param[m->n - 2].optional)
		e = refuse(r, "one without a default after one that has it, before");
	if (e == 0 && p->otherwise && !fits(p->want, p->otherwise))
		e = refuse(r, "the default is of another kind, before");
	return e;
}

int prongi_method_read(struct prongi_method *m, const prong_method *is, const char *what)
{
	struct reader r = { .at = is->params ? is->params : "", .what = what, .m = m };
	int e = 0;

	memset(m, 0, sizeof *m);
	m->is = is;
	if (strcmp(r.at, "*") == 0) {
		m->raw = true;
		return 0;
	}
	skip(&r, 0);
	if (*r.at)
		do
			e = read_param(&r);
		while (e == 0 && skip(&r, ','));
	if (e == 0 && *r.at)
		e = refuse(&r, "something else");
	if (e)
		prongi_method_free(m);
	return e;
}

void prongi_method_free(struct prongi_method *m)
{
	for (unsigned i = 0; i < m->n; i++)
		prong_value_free(m->param[i].otherwise);
	m->n = 0;
}

/* --- binding ---------------------------------------------------------------------------- */

static bool fits(enum prongi_want want, const prong_value *v)
{
	prong_kind k = prong_value_kind(v);
	int64_t n;

	switch (want) {
	case PRONGI_ANY:
		break;
	case PRONGI_WANT_BOOL:
		return k == PRONG_BOOL;
	case PRONGI_WANT_INT:
		return prong_value_as_int(v, &n) == 0;
	case PRONGI_WANT_FLOAT:
		return k == PRONG_FLOAT || k == PRONG_INT || k == PRONG_BOOL;
	case PRONGI_WANT_TEXT:
		return k == PRONG_TEXT;
	case PRONGI_WANT_BYTES:
		return k == PRONG_BYTES || k == PRONG_BYTEARRAY;
	case PRONGI_WANT_LIST:
		return k == PRONG_LIST || k == PRONG_TUPLE;
	case PRONGI_WANT_DICT:
		return k == PRONG_DICT;
	}
	return true;
}

struct binding {
	const struct prongi_method *m;
	const prong_value **arg;
	bool given[PRONGI_PARAMS];
	char *why;
	size_t size;
};

static int by_position(struct binding *b, const prong_value *args)
{
	size_t n = prong_value_count(args);

	if (n > b->m->n) {
		snprintf(b->why, b->size, "%.60s() takes %u positional argument%s but %zu %s given",
			 b->m->is->name, b->m->n, b->m->n == 1 ? "" : "s", n,
			 n == 1 ? "was" : "were");
		return PRONG_MISMATCH;
	}
	for (size_t i = 0; i < n; i++) {
		b->arg[i] = prong_value_at(args, i);
		b->given[i] = true;
	}
	return 0;
}

static unsigned find(const struct prongi_method *m, const prong_value *key)
{
	const char *name =
		prong_value_kind(key) == PRONG_TEXT || prong_value_kind(key) == PRONG_BYTES
			? prong_value_data(key, NULL)
			: NULL;
	unsigned i = 0;

	while (i < m->n && (!name || strcmp(m->param[i].name, name) != 0))
		i++;
	return i;
}

static int by_name(struct binding *b, const prong_value *kwds)
{
	for (size_t k = 0; k < prong_value_count(kwds); k++) {
		char key[80];
		unsigned i = find(b->m, prong_value_key(kwds, k));

		prong_value_print(prong_value_key(kwds, k), key, sizeof key);
		if (i == b->m->n) {
			snprintf(b->why, b->size, "%.60s() got an unexpected keyword argument %s",
				 b->m->is->name, key);
			return PRONG_MISMATCH;
		}
		if (b->given[i]) {
			snprintf(b->why, b->size, "%.60s() got multiple values for argument %s",
				 b->m->is->name, key);
			return PRONG_MISMATCH;
		}
		b->arg[i] = prong_value_at(kwds, k);
		b->given[i] = true;
	}
	return 0;
}

/* What the parameter is not given, or of which kind it is not. */
static int complete(struct binding *b, unsigned i)
{
	const struct prongi_param *p = &b->m->param[i];

	if (!b->given[i] && !p->optional) {
		snprintf(b->why, b->size, "%.60s() missing 1 required positional argument: '%s'",
			 b->m->is->name, p->name);
		return PRONG_MISMATCH;
	}
	if (!b->given[i])
		b->arg[i] = p->otherwise;
	if (fits(p->want, b->arg[i]))
		return 0;
	if (p->optional && !p->otherwise && prong_value_kind(b->arg[i]) == PRONG_NONE)
		return 0;
	if (p->want == PRONGI_WANT_INT && prong_value_kind(b->arg[i]) == PRONG_INT)
		snprintf(b->why, b->size, "%.60s(): %s is an int that does not fit into 64 bits",
			 b->m->is->name, p->name);
	else
		snprintf(b->why, b->size, "%.60s(): %s must be %s", b->m->is->name, p->name,
			 kinds[p->want]);
	return PRONG_MISMATCH;
}

int prongi_bind(const struct prongi_method *m, const prong_value *args, const prong_value *kwds,
		const prong_value **arg, unsigned *given, char *why, size_t why_size)
{
	struct binding b = { .m = m, .arg = arg, .why = why, .size = why_size };
	int r = by_position(&b, args);

	if (r == 0)
		r = by_name(&b, kwds);
	for (unsigned i = 0; r == 0 && i < m->n; i++)
		r = complete(&b, i);
	*given = 0;
	for (unsigned i = 0; i < m->n; i++)
		*given |= (unsigned)b.given[i] << i;
	return r;
}
