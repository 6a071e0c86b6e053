/* No workers: whoever submits a task runs it, at once.  To debug, and to measure what the others
   cost. */
#include "pool/pool.h"

const struct prongi_kind prongi_sequential = { .name = "sequential" };
