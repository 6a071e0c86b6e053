/* Linked into the examples as they are tested, so that they run in the checking mode.  A program
   says so by prong_family_opts.check. */
#include <stdbool.h>

extern const bool prongi_check_always;
const bool prongi_check_always = true;

/* Where a sanitizer is linked in, crashes stay what they are. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "handle_segv=0";
}
const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
	return "handle_segv=0";
}
