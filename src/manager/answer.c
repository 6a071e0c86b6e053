/* Requests and answers as values.

   Not here: what sends them. */
#include "manager/protocol.h"
#include "manager/remote.h"
#include "wire/value.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *prongi_text(const prong_value *v)
{
	return prong_value_kind(v) == PRONG_TEXT ? prong_value_data(v, NULL) : NULL;
}

int prongi_answer_read(const prong_value *message, struct prongi_answer *out)
{
	static const struct {
		const char *word;
		enum prongi_answer_kind kind;
	} kinds[] = {
		{ PRONGI_RETURN, PRONGI_IS_RETURN },
		{ PRONGI_ERROR, PRONGI_IS_ERROR },
		{ PRONGI_TRACEBACK, PRONGI_IS_COMPLAINT },
		{ PRONGI_UNSERIALIZABLE, PRONGI_IS_COMPLAINT },
		{ PRONGI_PROXY, PRONGI_IS_PROXY },
	};
	const char *word = prongi_text(prong_value_at(message, 0));

	if (prong_value_kind(message) != PRONG_TUPLE || prong_value_count(message) != 2 || !word)
		return -EPROTO;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(word, kinds[i].word) == 0) {
			out->kind = kinds[i].kind;
			out->item = prong_value_dup(prong_value_at(message, 1));
			return 0;
		}
	return -EPROTO;
}

bool prongi_answer_raises(const struct prongi_answer *a, const char *name)
{
	const char *class = prong_value_class(a->item), *dot;

	if (a->kind != PRONGI_IS_ERROR || !class)
		return false;
	dot = strrchr(class, '.');
	return strcmp(dot ? dot + 1 : class, name) == 0;
}

/* The line of a complaint that says what: the last, "KeyError: '7f52c0'", for the rest is about the
   server's own program.  Some end with a line of dashes. */
static void last_line(const char *text, char *line, size_t size)
{
	size_t end = strlen(text), begin;

	while (end && strchr("\n -", text[end - 1]))
		end--;
	begin = end;
	while (begin && text[begin - 1] != '\n')
		begin--;
	snprintf(line, size, "%.*s", (int)(end - begin), text + begin);
}

/* Of an unknown method Python says so, and last that it has no other of that name. */
static void complaint_line(const char *text, char *line, size_t size)
{
	const char *found = strstr(text, "\nAttributeError: ");

	if (found)
		snprintf(line, size, "%.*s", (int)strcspn(found + 1, "\n"), found + 1);
	else
		last_line(text, line, size);
}

bool prongi_answer_unknown(const struct prongi_answer *a, const char *ident)
{
	const char *text = prongi_text(a->item);
	char line[200];

	if (a->kind != PRONGI_IS_COMPLAINT || !text)
		return false;
	last_line(text, line, sizeof line);
	return strncmp(line, "KeyError: ", 10) == 0 && strstr(line, ident) != NULL;
}

/* An exception's name, and what it says. */
static void print_exception(const prong_value *v, char *text, size_t size)
{
	const char *class = prong_value_class(v);
	const prong_value *args = prong_value_args(v), *first = prong_value_at(args, 0);
	size_t n;

	if (!class) {
		prong_value_print(v, text, size);
		return;
	}
	if (strncmp(class, "builtins.", 9) == 0)
		class += 9;
	n = (size_t)snprintf(text, size, "%s%s", class, first ? ": " : "");
	if (n >= size || !first)
		return;
	if (prong_value_count(args) == 1 && prongi_text(first) && strcmp(class, "KeyError") != 0)
		snprintf(text + n, size - n, "%s", prongi_text(first));
	else
		prong_value_print(prong_value_count(args) == 1 ? first : args, text + n, size - n);
}

int prongi_answer_explain(const struct prongi_answer *a, const char *what)
{
	const char *complaint = prongi_text(a->item);
	char text[150];

	if (a->kind == PRONGI_IS_COMPLAINT && complaint)
		complaint_line(complaint, text, sizeof text);
	else
		print_exception(a->item, text, sizeof text);
	return prongi_fail(PRONG_RAISED, "%.60s: %s", what, text);
}

/* --- requests --------------------------------------------------------------------------- */

/* Take args apart into a tuple and a dict, new references.  False: they are something else. */
static bool take_apart(const prong_value *args, prong_value **tuple, prong_value **dict)
{
	const prong_value *t = args, *d = args;

	if (prong_value_kind(args) == PRONG_LIST && prong_value_count(args) == 2) {
		t = prong_value_at(args, 0);
		d = prong_value_at(args, 1);
		if (prong_value_kind(t) != PRONG_TUPLE || prong_value_kind(d) != PRONG_DICT)
			return false;
	}
	if (prong_value_kind(t) != PRONG_TUPLE && prong_value_kind(d) != PRONG_DICT)
		return false;
	*tuple = prong_value_kind(t) == PRONG_TUPLE ? prong_value_dup(t)
						    : prong_value_new(PRONG_TUPLE);
	*dict = prong_value_kind(d) == PRONG_DICT ? prong_value_dup(d)
						  : prong_value_new(PRONG_DICT);
	return true;
}

prong_value *prongi_remote_request(prong_value *first, const char *name, prong_value *args,
				   const char *what, int *r)
{
	prong_value *request = prong_value_new(PRONG_TUPLE), *tuple = NULL, *dict = NULL;

	*r = -ENOMEM;
	if (args && !(args->flags & PRONGI_SPOILT) && !take_apart(args, &tuple, &dict))
		*r = -EINVAL;
	prong_value_add(request, first);
	prong_value_add(request, prong_value_text(name));
	prong_value_add(request, tuple);
	prong_value_add(request, dict);
	prong_value_free(args);
	if (!request || !tuple || !dict) {
		prong_value_free(request);
		prongi_fail(*r, "%.60s: %s", what,
			    *r == -ENOMEM ? "no memory"
					  : "the arguments are neither a tuple nor a dict, nor a "
					    "list of both");
		return NULL;
	}
	*r = 0;
	return request;
}

prong_value *prong_args(size_t n, ...)
{
	prong_value *tuple = prong_value_new(PRONG_TUPLE);
	va_list list;

	va_start(list, n);
	for (size_t i = 0; i < n; i++)
		prong_value_add(tuple, va_arg(list, prong_value *));
	va_end(list);
	return tuple;
}
