/* Linked into the examples as they are tested, so that they run in the checking mode.  A program
   says so by prong_family_opts.check. */
#include <stdbool.h>

extern const bool prongi_check_always;
const bool prongi_check_always = true;
