/* What the rows of the queue have in common: one queue, the oracle of what was put and got, and the
   walk over all blocks when all is over. */
#ifndef KILL_KILL_QUEUE_H
#define KILL_KILL_QUEUE_H

#include "flow/queue.h"
#include "trace.h"
#include "world.h"
#include <string.h>

/* Messages are numbers below 64.  Those of the beginning are 1 and up; the victim puts VICTIMS; the
   others put from OTHERS up; who steps in for a put that did not happen puts STEPPED_IN. */
#define VICTIMS	   40
#define OTHERS	   41
#define LATES	   44
#define STEPPED_IN 50

#define CAPACITY 4

extern prong_queue *queue;

/* Notes in the control block. */
enum { GOT = 2, GOT_TWICE, PUT, VICTIM_GOT, MUST_COME_BACK };

/* The queue of the row, in which the victim's, others' and late one's slots have seats. */
void queue_make(const prong_queue_opts *opts);

/* Put messages 1 to n as somebody else would, after so many had gone through. */
void queue_fill(int through, int n);

/* The victim has its seat. */
void queue_victim_sits(void);

/* Take all that is left of the heap. */
void queue_fill_heap(void);

/* A message of that number, in that many bytes. */
void queue_put_one(int value, size_t size);

/* In the victim. */
void queue_note(unsigned bad);

/* Take one in the time that a survivor has, or what there is.  They return what is wrong. */
unsigned queue_get_one(prong_time deadline, bool *empty);
unsigned queue_drain(void);

/* Put one, in the time that a survivor has; and get all there is. */
unsigned queue_put_in_time(int value);
unsigned queue_turn(int value);

/* Other 0: take all, and a turn; and the late one.  Other 0 sleeps before, or when the victim
   does. */
unsigned queue_other(void);
unsigned queue_late(void);
void queue_first_sleeps(struct kill_trial *t);
void queue_first_comes(struct kill_trial *t, int nth);

/* After a death: the block that was in the victim's hands must come back. */
void queue_died(struct kill_trial *t);

/* The same; and when the queue is empty, or full, do what the sleeper waits for. */
void queue_died_feed(struct kill_trial *t);
void queue_died_drain(struct kill_trial *t);

/* The blocks of the heap that are in use: to be called before there is a queue; and whether there
   are more than so many besides, when there is none any more. */
void queue_count_blocks(void);
unsigned queue_leaked(uint64_t allowed);

/* The same after the queue was freed by the next owner of the victim's slot. */
unsigned queue_leaked_with_it(void);

/* What is wrong with the queue when all is over: a check for each kind of operation. */
unsigned queue_check_blocks(void);
unsigned queue_check_put(void);
unsigned queue_check_get(void);
unsigned queue_check_all(void);

#endif
