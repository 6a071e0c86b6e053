/* Finds the identifiers in C source text. */
#ifndef IDENTIFIERS_SCAN_H
#define IDENTIFIERS_SCAN_H

#include <stddef.h>
#include "words.h"

/* Add each identifier in the size bytes at text to w.  Comments, literals, numbers, the names of
   directives and of headers are none; keywords are, as they are for the preprocessor.  Text that
   is no C gives some words or others, but always the same. */
void scan(struct words *w, const char *text, size_t size);

#endif
