/* The key of a manager is in a file that others cannot read, for everyone sees what a program is
   given with its name.  Without a file it is the tutorial's, which is good for a tutorial. */
#include "must.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static inline const char *key_from(const char *file)
{
	static char key[256];
	FILE *f = file ? fopen(file, "r") : NULL;

	if (!file)
		return "abc";
	must(f ? 0 : -errno, file);
	must(fgets(key, sizeof key, f) ? 0 : -ENODATA, file);
	key[strcspn(key, "\n")] = '\0';
	fclose(f);
	return key;
}
