/* A prong_call is one call of a method of an object written in C, by a program that may be
   anywhere and written in Python.

   An object is a table of methods.  Each says its parameters as Python would: names, what kind
   each must be, and what it is when the caller does not give it.  The caller gives them by position
   or by keyword.  What does not fit is answered with the TypeError that Python would raise, before
   the method is called: so a method never sees an argument that is missing or of a wrong kind.

      "x: float, unit = 'm', times: int = 1"

   Kinds are int (which fits into 64 bits), float (an int will do), bool, str, bytes, list, dict;
   without one, any value.  A default is a number, a quoted text, None, True or False; a parameter
   with a kind may be None only if that is its default.

   Example:
	static int scale(prong_call *call)
	{
		const double *unit = prong_call_self(call);
		double x = prong_call_float(call, "x");

		if (x < 0)
			return prong_call_raise(call, "ValueError", "%g is below 0", x);
		return prong_call_return(call, prong_value_float(x * *unit));
	}
	static const prong_method ruler[] = {
		{ "scale", "x: float", scale, "Return x in units." },
		{ NULL, NULL, NULL, NULL }
	};                                                                    */
#ifndef PRONG_CALL_H
#define PRONG_CALL_H

#include <prong/value.h>

PRONG_BEGIN_DECLS

typedef struct prong_call prong_call;

typedef struct prong_method {
	const char *name;
	const char *params;           /* NULL: none; at most 8 */
	int (*fn)(prong_call *call);  /* ends with prong_call_return() or _raise() */
	const char *doc;              /* for people; may be NULL */
} prong_method;

/* Return the object that was shared. */
PRONG_API void *prong_call_self(prong_call *call);

/* Return an argument by the name that the table gives it.  Text and values live as long as the
   call.  What is None is 0, false or NULL; of prong_call_value(), NULL is a value that is None.
   A name that the table does not have, or that has another kind there, is a mistake of the
   program: these return 0 then, and the caller gets a RuntimeError, whatever the method answers. */
PRONG_API int64_t prong_call_int(prong_call *call, const char *name);
PRONG_API double prong_call_float(prong_call *call, const char *name);
PRONG_API bool prong_call_bool(prong_call *call, const char *name);
PRONG_API const char *prong_call_text(prong_call *call, const char *name);
PRONG_API const prong_value *prong_call_value(prong_call *call, const char *name);

/* Answer with result, which is taken over, and return 0.  NULL is a MemoryError. */
PRONG_API int prong_call_return(prong_call *call, prong_value *result);

/* Answer with an exception and a text, and return 0.  type is the name of one of Python's own, as
   "ValueError", or of another with its module, as "queue.Empty".

   A method that returns anything but 0 without an answer raises OSError with that -errno, and
   RuntimeError for a positive condition, both with prong_error_detail(). */
PRONG_API int prong_call_raise(prong_call *call, const char *type, const char *format, ...)
	PRONG_PRINTF(3, 4);

PRONG_END_DECLS
#endif
