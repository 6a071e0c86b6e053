/* The example of family.h: a main(), with nothing in it yet. */
#include <err.h>
#include <prong/family.h>

#include "family.1.inc"
#include "family.2.inc"
