/* Objects: instances of Python classes, which C does not know and never runs.

   What a pickle says of an object is how to make it: call this class with these arguments, give
   it this state, these items.  Here that is a value like any other, which can be read, changed in
   nothing, and encoded again, so that the next Python makes the very object.  The class need
   not be known to any program on the way.

   Exceptions are objects too: "builtins.ValueError", called with the arguments that it shows.

   Names are Python 3's.  What protocol 2 calls "exceptions.ValueError" or "Queue.Empty" is
   translated, both ways, as Python 3 does.

   Example:
	prong_value *args = prong_value_new(PRONG_TUPLE);
	prong_value_add(args, prong_value_text("no such task"));
	return prong_value_object("builtins.KeyError", args, NULL);           */
#ifndef PRONG_OBJECT_H
#define PRONG_OBJECT_H

#include <prong/value.h>

PRONG_BEGIN_DECLS

/* Make an object of the class, named as for prong_value_bytes().  With a tuple args, Python is to
   call the class with them.  With args NULL, it is to make an instance without calling __init__,
   as it does for instances of ordinary classes.  state, when not NULL, is for its __setstate__, or
   a dict of its attributes.  Takes args and state over.
   NULL: memory is short, the name is none, or args is no tuple. */
PRONG_API prong_value *prong_value_object(const char *name, prong_value *args,
					  prong_value *state);

/* Return the name, "module.name", of a class, or of the class of an object: or of the function
   that is to be called to make it.  NULL for other values, and where it is not said by a name. */
PRONG_API const char *prong_value_class(const prong_value *v);

/* Return what is called to make an object: a class, by its name, or any value, such as an object
   that Python could call.  NULL for other values. */
PRONG_API const prong_value *prong_value_callable(const prong_value *v);

/* Return the tuple of arguments that an object is made with, the dict of those that have names,
   and its state; NULL when there is none.  The items that it was given are those of
   prong_value_at() and prong_value_key(). */
PRONG_API const prong_value *prong_value_args(const prong_value *v);
PRONG_API const prong_value *prong_value_kwargs(const prong_value *v);
PRONG_API const prong_value *prong_value_state(const prong_value *v);

/* Return a list of the calls that change an object after it is made, for what they do: objects,
   with the changed one as their first argument.  NULL when there is none. */
PRONG_API const prong_value *prong_value_changes(const prong_value *v);

PRONG_END_DECLS
#endif
