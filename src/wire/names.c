/* Modules and names that Python 3 renamed.  In pickles of protocols 0 to 2 they have the names that
   Python 2 knows; Python 3 translates when it writes and reads those, and so is it here: then
   either can be the next to read. */
#include "wire/codec.h"

enum {
	BOTH,
	TO_NEW
};

static const struct {
	const char *old, *new;
	int way;
} modules[] = {
	{ "__builtin__", "builtins", BOTH },
	{ "copy_reg", "copyreg", BOTH },
	{ "Queue", "queue", BOTH },
	{ "SocketServer", "socketserver", BOTH },
	{ "ConfigParser", "configparser", BOTH },
	{ "repr", "reprlib", BOTH },
	{ "Tkinter", "tkinter", BOTH },
	{ "Tkconstants", "tkinter.constants", BOTH },
	{ "Tix", "tkinter.tix", BOTH },
	{ "ttk", "tkinter.ttk", BOTH },
	{ "Tkdnd", "tkinter.dnd", BOTH },
	{ "tkFont", "tkinter.font", BOTH },
	{ "tkFileDialog", "tkinter.filedialog", BOTH },
	{ "tkSimpleDialog", "tkinter.simpledialog", BOTH },
	{ "tkColorChooser", "tkinter.colorchooser", BOTH },
	{ "tkCommonDialog", "tkinter.commondialog", BOTH },
	{ "tkMessageBox", "tkinter.messagebox", BOTH },
	{ "Dialog", "tkinter.dialog", BOTH },
	{ "ScrolledText", "tkinter.scrolledtext", BOTH },
	{ "markupbase", "_markupbase", BOTH },
	{ "_winreg", "winreg", BOTH },
	{ "thread", "_thread", BOTH },
	{ "dummy_thread", "_dummy_thread", BOTH },
	{ "dbhash", "dbm.bsd", BOTH },
	{ "dumbdbm", "dbm.dumb", BOTH },
	{ "dbm", "dbm.ndbm", BOTH },
	{ "gdbm", "dbm.gnu", BOTH },
	{ "anydbm", "dbm", BOTH },
	{ "xmlrpclib", "xmlrpc.client", BOTH },
	{ "SimpleXMLRPCServer", "xmlrpc.server", BOTH },
	{ "httplib", "http.client", BOTH },
	{ "htmlentitydefs", "html.entities", BOTH },
	{ "HTMLParser", "html.parser", BOTH },
	{ "Cookie", "http.cookies", BOTH },
	{ "cookielib", "http.cookiejar", BOTH },
	{ "BaseHTTPServer", "http.server", BOTH },
	{ "test.test_support", "test.support", BOTH },
	{ "commands", "subprocess", BOTH },
	{ "urlparse", "urllib.parse", BOTH },
	{ "robotparser", "urllib.robotparser", BOTH },
	{ "urllib2", "urllib.request", BOTH },
	{ "_abcoll", "collections.abc", BOTH },
	{ "exceptions", "builtins", TO_NEW },
	{ "cPickle", "pickle", TO_NEW },
	{ "_elementtree", "xml.etree.ElementTree", TO_NEW },
	{ "FileDialog", "tkinter.filedialog", TO_NEW },
	{ "SimpleDialog", "tkinter.simpledialog", TO_NEW },
	{ "DocXMLRPCServer", "xmlrpc.server", TO_NEW },
	{ "SimpleHTTPServer", "http.server", TO_NEW },
	{ "CGIHTTPServer", "http.server", TO_NEW },
	{ "UserDict", "collections", TO_NEW },
	{ "UserList", "collections", TO_NEW },
	{ "UserString", "collections", TO_NEW },
	{ "whichdb", "dbm", TO_NEW },
	{ "StringIO", "io", TO_NEW },
	{ "cStringIO", "io", TO_NEW },
};

static const struct {
	struct prongi_name old, new;
	int way;
} names[] = {
	{ { "__builtin__", "xrange" }, { "builtins", "range" }, BOTH },
	{ { "__builtin__", "reduce" }, { "functools", "reduce" }, BOTH },
	{ { "__builtin__", "intern" }, { "sys", "intern" }, BOTH },
	{ { "__builtin__", "unichr" }, { "builtins", "chr" }, BOTH },
	{ { "__builtin__", "unicode" }, { "builtins", "str" }, BOTH },
	{ { "__builtin__", "basestring" }, { "builtins", "str" }, TO_NEW },
	{ { "__builtin__", "long" }, { "builtins", "int" }, TO_NEW }, /* not back: most are int */
	{ { "itertools", "izip" }, { "builtins", "zip" }, BOTH },
	{ { "itertools", "imap" }, { "builtins", "map" }, BOTH },
	{ { "itertools", "ifilter" }, { "builtins", "filter" }, BOTH },
	{ { "itertools", "ifilterfalse" }, { "itertools", "filterfalse" }, BOTH },
	{ { "itertools", "izip_longest" }, { "itertools", "zip_longest" }, BOTH },
	{ { "UserDict", "IterableUserDict" }, { "collections", "UserDict" }, BOTH },
	{ { "UserList", "UserList" }, { "collections", "UserList" }, BOTH },
	{ { "UserString", "UserString" }, { "collections", "UserString" }, BOTH },
	{ { "_socket", "fromfd" }, { "socket", "fromfd" }, BOTH },
	{ { "socket", "_socketobject" }, { "socket", "SocketType" }, TO_NEW },
	{ { "_multiprocessing", "Connection" },
	  { "multiprocessing.connection", "Connection" },
	  BOTH },
	{ { "multiprocessing.process", "Process" },
	  { "multiprocessing.context", "Process" },
	  BOTH },
	{ { "multiprocessing.forking", "Popen" }, { "multiprocessing.popen_fork", "Popen" }, BOTH },
	{ { "multiprocessing", "AuthenticationError" },
	  { "multiprocessing.context", "AuthenticationError" },
	  BOTH },
	{ { "multiprocessing", "BufferTooShort" },
	  { "multiprocessing.context", "BufferTooShort" },
	  BOTH },
	{ { "multiprocessing", "ProcessError" },
	  { "multiprocessing.context", "ProcessError" },
	  BOTH },
	{ { "multiprocessing", "TimeoutError" },
	  { "multiprocessing.context", "TimeoutError" },
	  BOTH },
	{ { "urllib", "ContentTooShortError" }, { "urllib.error", "ContentTooShortError" }, BOTH },
	{ { "urllib", "getproxies" }, { "urllib.request", "getproxies" }, BOTH },
	{ { "urllib", "pathname2url" }, { "urllib.request", "pathname2url" }, BOTH },
	{ { "urllib", "url2pathname" }, { "urllib.request", "url2pathname" }, BOTH },
	{ { "urllib", "urlcleanup" }, { "urllib.request", "urlcleanup" }, BOTH },
	{ { "urllib", "urlopen" }, { "urllib.request", "urlopen" }, BOTH },
	{ { "urllib", "urlretrieve" }, { "urllib.request", "urlretrieve" }, BOTH },
	{ { "urllib", "quote" }, { "urllib.parse", "quote" }, BOTH },
	{ { "urllib", "quote_plus" }, { "urllib.parse", "quote_plus" }, BOTH },
	{ { "urllib", "unquote" }, { "urllib.parse", "unquote" }, BOTH },
	{ { "urllib", "unquote_plus" }, { "urllib.parse", "unquote_plus" }, BOTH },
	{ { "urllib", "urlencode" }, { "urllib.parse", "urlencode" }, BOTH },
	{ { "urllib2", "HTTPError" }, { "urllib.error", "HTTPError" }, BOTH },
	{ { "urllib2", "URLError" }, { "urllib.error", "URLError" }, BOTH },
	{ { "exceptions", "StandardError" }, { "builtins", "Exception" }, TO_NEW },
};

/* Of builtins, those that Python 2 has in its module exceptions; or what comes nearest. */
static const struct {
	const char *new, *old;
} exceptions[] = {
	{ "ArithmeticError", NULL },
	{ "AssertionError", NULL },
	{ "AttributeError", NULL },
	{ "BaseException", NULL },
	{ "BlockingIOError", "OSError" },
	{ "BrokenPipeError", "OSError" },
	{ "BufferError", NULL },
	{ "BytesWarning", NULL },
	{ "ChildProcessError", "OSError" },
	{ "ConnectionAbortedError", "OSError" },
	{ "ConnectionError", "OSError" },
	{ "ConnectionRefusedError", "OSError" },
	{ "ConnectionResetError", "OSError" },
	{ "DeprecationWarning", NULL },
	{ "EOFError", NULL },
	{ "EnvironmentError", NULL },
	{ "Exception", NULL },
	{ "FileExistsError", "OSError" },
	{ "FileNotFoundError", "OSError" },
	{ "FloatingPointError", NULL },
	{ "FutureWarning", NULL },
	{ "GeneratorExit", NULL },
	{ "IOError", NULL },
	{ "ImportError", NULL },
	{ "ImportWarning", NULL },
	{ "IndentationError", NULL },
	{ "IndexError", NULL },
	{ "InterruptedError", "OSError" },
	{ "IsADirectoryError", "OSError" },
	{ "KeyError", NULL },
	{ "KeyboardInterrupt", NULL },
	{ "LookupError", NULL },
	{ "MemoryError", NULL },
	{ "ModuleNotFoundError", "ImportError" },
	{ "NameError", NULL },
	{ "NotADirectoryError", "OSError" },
	{ "NotImplementedError", NULL },
	{ "OSError", NULL },
	{ "OverflowError", NULL },
	{ "PendingDeprecationWarning", NULL },
	{ "PermissionError", "OSError" },
	{ "ProcessLookupError", "OSError" },
	{ "RecursionError", "RuntimeError" },
	{ "ReferenceError", NULL },
	{ "RuntimeError", NULL },
	{ "RuntimeWarning", NULL },
	{ "StopIteration", NULL },
	{ "SyntaxError", NULL },
	{ "SyntaxWarning", NULL },
	{ "SystemError", NULL },
	{ "SystemExit", NULL },
	{ "TabError", NULL },
	{ "TimeoutError", "OSError" },
	{ "TypeError", NULL },
	{ "UnboundLocalError", NULL },
	{ "UnicodeDecodeError", NULL },
	{ "UnicodeEncodeError", NULL },
	{ "UnicodeError", NULL },
	{ "UnicodeTranslateError", NULL },
	{ "UnicodeWarning", NULL },
	{ "UserWarning", NULL },
	{ "ValueError", NULL },
	{ "Warning", NULL },
	{ "ZeroDivisionError", NULL },
};

#define LENGTH(array) (sizeof(array) / sizeof(*(array)))

static bool is(const char *word, const char *p, size_t n)
{
	return strncmp(word, p, n) == 0 && !word[n];
}

bool prongi_name_new(const char *module, size_t module_size, const char *name, size_t name_size,
		     struct prongi_name *out)
{
	for (size_t i = 0; i < LENGTH(names); i++) {
		if (is(names[i].old.module, module, module_size) &&
		    is(names[i].old.name, name, name_size)) {
			*out = names[i].new;
			return true;
		}
	}
	for (size_t i = 0; i < LENGTH(modules); i++) {
		if (is(modules[i].old, module, module_size)) {
			*out = (struct prongi_name){ modules[i].new, NULL };
			return true;
		}
	}
	return false;
}

static bool old_exception(const char *name, size_t n, bool nearest, struct prongi_name *out)
{
	for (size_t i = 0; i < LENGTH(exceptions); i++) {
		if (is(exceptions[i].new, name, n) && (nearest || !exceptions[i].old)) {
			*out = (struct prongi_name){ "exceptions", exceptions[i].old };
			return true;
		}
	}
	return false;
}

bool prongi_name_old(const char *module, size_t module_size, const char *name, size_t name_size,
		     bool nearest, struct prongi_name *out)
{
	if (is("builtins", module, module_size) && old_exception(name, name_size, nearest, out))
		return true;
	for (size_t i = 0; i < LENGTH(names); i++) {
		if (names[i].way == BOTH && is(names[i].new.module, module, module_size) &&
		    is(names[i].new.name, name, name_size)) {
			*out = names[i].old;
			return true;
		}
	}
	for (size_t i = 0; i < LENGTH(modules); i++) {
		if (modules[i].way == BOTH && is(modules[i].new, module, module_size)) {
			*out = (struct prongi_name){ modules[i].old, NULL };
			return true;
		}
	}
	return false;
}
