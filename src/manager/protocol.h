/* The words of Python's managers (multiprocessing.managers) on the wire: every message
   is a pickled tuple.

   A connection is for control at first.  On it the client asks once, (None, FUNCTION, args,
   keywords), and the server answers and hangs up; but after ACCEPT it is for calls: (ident, method,
   args, keywords), and an answer to each, one after the other.  An answer is (KIND, item). */
#ifndef PRONGI_MANAGER_PROTOCOL_H
#define PRONGI_MANAGER_PROTOCOL_H

/* Kinds of answers, and what the item is. */
#define PRONGI_RETURN         "#RETURN"         /* the result */
#define PRONGI_ERROR          "#ERROR"          /* an exception that the method raised */
#define PRONGI_TRACEBACK      "#TRACEBACK"      /* text: the request is wrong, or the server is */
#define PRONGI_UNSERIALIZABLE "#UNSERIALIZABLE" /* text: the result has no pickle */
#define PRONGI_PROXY          "#PROXY"          /* (methods, token), counted for the client */

/* Functions, and their arguments. */
#define PRONGI_DUMMY       "dummy"             /* */
#define PRONGI_CREATE      "create"            /* type, its own...: returns (ident, methods) */
#define PRONGI_INCREF      "incref"            /* ident */
#define PRONGI_DECREF      "decref"            /* ident */
#define PRONGI_GET_METHODS "get_methods"       /* token */
#define PRONGI_NUMBER      "number_of_objects" /* */
#define PRONGI_DEBUG       "debug_info"        /* */
#define PRONGI_SHUTDOWN    "shutdown"          /* answered twice */
#define PRONGI_ACCEPT      "accept_connection" /* the client's name */

/* Between programs of prong's: a client's name at ACCEPT is "prong-PID-TOKEN", its token so many
   hexadecimal digits that are the same on all its connections.  A manager of ours answers with
   OURS then, where Python's says None, and takes CREATE, INCREF and DECREF on that connection, too,
   as (None, FUNCTION, args, keywords); and knows whose references they are. */
#define PRONGI_OURS         "prong"
#define PRONGI_CLIENT_TOKEN 16

/* Methods that every object has, though it does not show them. */
#define PRONGI_GETVALUE "#GETVALUE"
#define PRONGI_STR      "__str__"
#define PRONGI_REPR     "__repr__"

/* Classes and functions in pickles. */
#define PRONGI_MODULE        "multiprocessing.managers"
#define PRONGI_TOKEN         PRONGI_MODULE ".Token"        /* state: (type, address, ident) */
#define PRONGI_REBUILD_PROXY PRONGI_MODULE ".RebuildProxy" /* (class, token, "pickle", keywords) */
#define PRONGI_AUTO_PROXY    PRONGI_MODULE ".AutoProxy"
#define PRONGI_SERIALIZER    "pickle"

#endif
