/* The pipe that the rows of conn play with: see conn_world.c. */
#ifndef KILL_CONN_WORLD_H
#define KILL_CONN_WORLD_H

#include "flow/pipe.h"
#include "world.h"

#define BUFFER 1024
#define SMALL  24
#define LARGE  400 /* above a quarter of the buffer */

/* Notes: messages received; what the victim found; how many the setup sent. */
enum { RECEIVED, BAD, FIRST };

void conn_open(void);
void conn_repair(void);

/* True when this other was killed. */
bool conn_peer_died(int other);

/* Its ends, and the process that an actor is. */
prong_conn *conn_a(void);
prong_conn *conn_b(void);
struct prong_process *conn_process(int actor);

/* The actor's process has ended, as the server notes it. */
void conn_process_ends(int actor);

/* Let so many messages of one unit through, to `b' or to `a'.  Be one who may. */
void conn_pass(bool to_b, int units);

/* After the pipe was made: take all that is left of the heap. */
void conn_fill_heap(void);

/* Count the blocks of the heap: what there are more at the end has leaked.  Making a pipe does. */
void conn_count_blocks(void);

/* A pipe whose end `a' belongs to an actor, and `b' to other 0.  Be that one. */
void conn_make(int owner);

/* The same for setups: to the victim; to one that lives; both to other 0, so that it sleeps without
   looking up now and then for the server's sake. */
void conn_make_for_victim(void);
void conn_make_for_thread(void);
void conn_make_for_one(void);

/* Send and receive messages that are numbered, and of one byte's value. */
int conn_send(prong_conn *c, uint64_t number, size_t size, prong_time deadline);
int conn_recv(prong_conn *c, uint64_t *number, prong_time deadline);

/* The number that the bytes say, or UINT64_MAX. */
uint64_t conn_number(const char *text, size_t size);

/* In the victim. */
void conn_note_bad(unsigned bad);

/* Others 0, and 1, come before the victim. */
void conn_placed(struct kill_trial *t);
void conn_both_placed(struct kill_trial *t);

/* Make other pipes, with which what the dead have left goes; close `b' before. */
unsigned conn_sweep(void);
unsigned conn_end_b(void);

/* What is wrong at the end; also with the number of messages received. */
unsigned conn_check(void);
unsigned conn_check_received(void);

#endif
