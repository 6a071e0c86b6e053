/* What a killed process leaves is some of its stores: those up to the instruction where it died.
   in_order() keeps the compiler from moving any from one side of it to the other.  The processor
   needs no more: what a dead process had done, it had done wholly, and who comes next gets it by
   the mutex. */
#ifndef IDENTIFIERS_ORDER_H
#define IDENTIFIERS_ORDER_H

#include <stdatomic.h>

static inline void in_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

#endif
