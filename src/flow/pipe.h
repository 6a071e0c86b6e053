/* What lies in the heap for a pipe, and the parts of its code.

   A pipe has two ends and, for each direction, a lane: a ring of bytes for one sender and one
   receiver, who are made one by a mutex each.  All that makes it safe against death is this: a
   message counts from the one store that moves the tail, and is gone from the one that moves the
   head.  What is written before that is nobody's.

   Positions are in units of 16 bytes and go up for ever; the ring's index is their low bits.  In
   the two words that others sleep on they stand above 8 bits of signs:

      { position 56, turn 6, 0, SLEEPER 1 }

   SLEEPER  must be set while somebody sleeps on the word; may be set when nobody does.  Whoever
	    moves the word clears it, and wakes all.  So a move to which nobody listens costs one
	    exchange and no system call.
   turn     changes when a sleeper must look again although the position has not moved. */
#ifndef PRONGI_PIPE_H
#define PRONGI_PIPE_H

#include "family/family.h"
#include <prong/conn.h>
#include <prong/mutex.h>

#define PRONGI_UNIT    16
#define PRONGI_SLEEPER ((uint64_t)1)

/* How a record begins, at a position: { size 62, kind 2 }, and then the bytes, round the ring; or,
   of a large message, the block's address. */
enum prongi_record { PRONGI_SMALL = 0, PRONGI_LARGE = 1 };

/* Of what is on its way beside the ring: a descriptor, by a socket that lives for one.  The word is
   { 0 32, turn 29, phase 3 }, and its low half is slept on. */
enum prongi_offer {
	PRONGI_OFFER_NONE = 0, /* the sender may make one */
	PRONGI_OFFER_MADE,     /* the sender is ready; may take it back */
	PRONGI_OFFER_ASKED,    /* the receiver listens at the address; may take that back */
	PRONGI_OFFER_SENT      /* it is in the receiver's socket, who says NONE when he has it,
				  or MADE when he could not take it */
};

struct prongi_lane {
	/* The sender's.  What is not said otherwise is read and written under `sending' alone. */
	_Alignas(128) prongi_word tail; /* end of the last whole record.  Moved by the sender; signs
					   by everybody */
	prong_mutex sending;
	prongi_word sender;    /* id of the thread that had `sending' last */
	prongi_word head_seen; /* position of the head, once */
	prongi_word out;       /* block of the large message that I am about to send, or have just
				  sent: that is so when the tail is beyond out_at */
	prongi_word out_at;
	uint32_t sender_misses; /* waits awake that came to nothing, in a row */

	/* The receiver's.  Under `receiving'. */
	_Alignas(128) prongi_word head; /* begin of the first record.  Moved by the receiver */
	prong_mutex receiving;
	prongi_word receiver;
	prongi_word tail_seen;
	prongi_word in;    /* block of the message that I am taking, when the head is at in_at, or
			      have taken, when it is beyond */
	prongi_word in_at;
	uint32_t receiver_misses;

	/* For a descriptor on its way. */
	_Alignas(128) prongi_word offer; /* by CAS of both */
	_Atomic int32_t offerer, asker;	 /* their processes' numbers.  Each before its CAS */
	unsigned char address[16];	 /* of the receiver's listener.  He, before his CAS */

	uint64_t units; /* of the ring, a power of two.  Read-only */
	char *ring;	/* read-only */
};

struct prong_conn {
	prongi_word kind;  /* PRONGI_CONN until it is freed.  Under the pipes' lock; read by all */
	prongi_word owner; /* ref of a process; 0: closed.  Under the pipes' lock; read by all */
	struct prongi_lane *out, *in; /* NULL: not that way.  Read-only */
	struct prong_conn *other;     /* read-only */
};

/* In the heap, in one block with its rings.  All pipes are in a list, so that somebody finds those
   whose owners have ended without a word. */
struct prongi_pipe {
	prongi_word next, prev; /* under the pipes' lock */
	prongi_word reaper;	/* id of the thread that takes it apart.  Under the pipes' lock */
	uint64_t block;		/* of the heap, that this lies in.  Read-only */
	struct prong_conn end[2];
	struct prongi_lane lane[2]; /* [0]: from end 1 to end 0 */
};

#define PRONGI_CONN ((uint64_t)0x6e6e6f63676e7270) /* "prngconn" */

static inline uint64_t prongi_position(uint64_t word)
{
	return word >> 8;
}

/* Units that a message takes in the lane.  A large one takes room in proportion although it does
   not lie there, so that only so much of the heap is under way. */
static inline uint64_t prongi_lane_span(const struct prongi_lane *l, size_t size)
{
	if (size >= l->units * PRONGI_UNIT / 2)
		return l->units / 2;
	return (size + sizeof(uint64_t) + PRONGI_UNIT - 1) / PRONGI_UNIT;
}

/* True when c, on which the caller is in a call, has been freed meanwhile. */
static inline bool prongi_conn_freed(const struct prong_conn *c)
{
	/* seq_cst: pairs with the nudges in change_owner(): who reads that it is not, after he has
	   said that he sleeps, is woken. */
	return atomic_load_explicit(&c->kind, memory_order_seq_cst) != PRONGI_CONN;
}

/* The end of a call on c: let the lane's side go.  If c was freed, the pipe may have to go too. */
void prongi_conn_leave(const struct prong_conn *c, prong_mutex *side);

/* The pipe of c if that is freed, else NULL; and when the caller needs the memory no more. */
const struct prongi_pipe *prongi_conn_freed_pipe(const struct prong_conn *c);
void prongi_pipe_left(const struct prongi_pipe *p);

/* 0, or why c cannot be used.  Enters the family. */
int prongi_conn_check(const struct prong_conn *c, const char *what);

/* True when the owner of c has ended, or it was closed.  Else *a is to be slept on beside the
   lane's word, unless its word is NULL: then the caller itself is the owner.  A change of the owner
   shows in the lane's words. */
bool prongi_conn_gone(const struct prong_conn *c, struct prongi_awaited *a);

/* The same for good: also when c was being given away by one who died. */
bool prongi_conn_closed(const struct prong_conn *c);

/* Wake all who sleep on the word of a lane, and make them look again. */
void prongi_lane_nudge(prongi_word *word);

/* Whoever waits for a descriptor to change hands in the lane looks again. */
void prongi_lane_nudge_offer(struct prongi_lane *l);

/* Move the word to the position, and wake who sleeps on it. */
void prongi_lane_move(prongi_word *word, uint64_t position);

/* What one side of a lane waits for: that ready(lane, *word, arg) is true. */
struct prongi_lane_wait {
	const struct prong_conn *c; /* the waiter's end */
	struct prongi_lane *l;
	prongi_word *word;  /* of l, that the other side moves */
	bool (*ready)(const struct prongi_lane *l, uint64_t word, uint64_t arg);
	uint64_t arg;
	uint32_t *misses; /* counts waits awake that came to nothing */
};

/* Block until it is.  0; PRONG_TIMEDOUT; PRONG_CLOSED: the other end was gone before, or c is
   freed. */
int prongi_lane_await(const struct prongi_lane_wait *w, prong_time deadline);

/* Have a lane's side for oneself: 0 or PRONG_TIMEDOUT.  What a dead predecessor was at is put right
   first. */
int prongi_lane_send_begin(struct prongi_lane *l, prong_time deadline);
int prongi_lane_recv_begin(struct prongi_lane *l, prong_time deadline);

/* Let everything go that is under way; the caller alone has the lane. */
void prongi_lane_drain(struct prongi_lane *l);

/* For a receive: hold the lane, with something to receive in it; or the result, and not hold it.
   0: the next is a message; -EBADMSG: a descriptor (pipe_recv.c). */
int prongi_lane_recv_check(const struct prong_conn *c, const char *what);
int prongi_lane_recv_next(const struct prong_conn *c, prong_time deadline);

/* Explain the result of a receive, and return it. */
int prongi_lane_recv_fail(int r, const char *what);

/* Receive the next message, if there is one, and let it go (pipe_recv.c). */
bool prongi_lane_skip(struct prongi_lane *l);

/* --- for prong_wait() ------------------------------------------------------------------------ */

/* True when a receive would not block. */
bool prongi_conn_ready(const struct prong_conn *c);

/* What to sleep on until that may be so; at most two words.  Then ask again, then sleep. */
size_t prongi_conn_arm(const struct prong_conn *c, struct prongi_awaited *a);

/* It is so: on what to sleep until it may not be so any more. */
size_t prongi_conn_arm_taken(const struct prong_conn *c, struct prongi_awaited *a);

/* The descriptor of c in this process, if it has one, is closed (bell.c).  c may have been freed by
   another process: with a descriptor its memory is there all the same. */
void prongi_bell_forget(const struct prong_conn *c);

#endif
