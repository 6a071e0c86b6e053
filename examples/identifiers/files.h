/* The names of all files below a directory. */
#ifndef IDENTIFIERS_FILES_H
#define IDENTIFIERS_FILES_H

#include <stdbool.h>
#include <stddef.h>

/* Names one after the other, each ended by a NUL. */
struct names {
	char *text;
	size_t size, cap;
	size_t n;
	bool fifos; /* list these too; set by the caller */
};

/* Find the files below dir, or dir itself when it is a file.  A link to a file counts as one,
   and so does a link to nothing; a link to a directory is not followed.  A directory that cannot
   be read is listed as well, so that whoever reads the list finds out why.
   Return 0; an errno when dir itself cannot be read. */
int names_find(struct names *out, const char *dir);

/* Give the memory back. */
void names_fini(struct names *n);

#endif
