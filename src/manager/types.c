/* Python's own kinds of shared object: all that create() can make. */
#include "manager/types.h"

const struct prongi_maker *const prongi_makers[] = {
	&prongi_make_queue,     &prongi_make_joinable,  &prongi_make_lifo,
	&prongi_make_priority,  &prongi_make_event,     &prongi_make_lock,
	&prongi_make_rlock,     &prongi_make_semaphore, &prongi_make_bounded,
	&prongi_make_condition, &prongi_make_barrier,   &prongi_make_list,
	&prongi_make_dict,      &prongi_make_set,       &prongi_make_namespace,
	&prongi_make_value,     &prongi_make_array,     NULL,
};
