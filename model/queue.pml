/* The swap ring of the queue: put, get, lease and acknowledge, abandon, each killed at every step.

   Follows prongi_ring_put(), swap(), behind(), prongi_help(), prongi_settle(), prongi_ring_take(),
   take_back(), take_full(), take_nothing(), keep() (src/flow/queue_ring.c); prongi_mark(),
   prongi_bump_back(), prongi_lowest_back() (src/flow/queue_back.c); lease, ack, abandon,
   sleep_once(), prongi_queue_wake() (src/flow/queue.c); prongi_adopt(), prongi_drop(),
   prongi_refill_slow() (src/flow/queue_room.c); repair_put(), repair_get(), repair_adopt(),
   give_back(), repair_seat() (src/flow/queue_repair.c).

   A ring of CELLS cells, bounded.  ROLE0 to ROLE2 say what each of three members does, N0 to N2 how
   often: PUT, GET, ACK (lease and acknowledge), LEAVE (lease and abandon), NONE; with THEN0 the first
   gets so many when it has put.  KILLS of them are
   killed between any two steps or in their sleep; BIRTHS of their seats get a new owner; the server
   is killed SERVERS times at any step of a repair.  With STOP 1 they are stopped for good instead
   of killed, and their wakes are passed on.

   Not here: growth and closing, see ring.pml; large messages; the shared hints, which only save
   steps; and the list of free blocks is one step, for it is changed by a section of the lock
   kernel.

   Shown: a message whose put has returned is taken once; none is taken twice, and none handed out
   twice without its mark; the ring hands them out in order; EMPTY and FULL are true at some moment
   of the call; at rest each block is in one place, and nobody sleeps who could go on. */
#define NONE  0
#define PUT   1
#define GET   2
#define ACK   3
#define LEAVE 4

#ifndef CELLS
#define CELLS 1
#endif
#ifndef ROLE0
#define ROLE0 PUT
#endif
#ifndef ROLE1
#define ROLE1 GET
#endif
#ifndef ROLE2
#define ROLE2 NONE
#endif
#ifndef N0
#define N0 2
#endif
#ifndef N1
#define N1 2
#endif
#ifndef N2
#define N2 0
#endif
#ifndef THEN0
#define THEN0 0
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef BIRTHS
#define BIRTHS 0
#endif
#ifndef SERVERS
#define SERVERS 0
#endif
#ifndef STOP
#define STOP 0
#endif
#ifndef MUTANT
#define MUTANT 0
#endif

#if MUTANT == 102
#define LEASE_NOW(x) true
#else
#define LEASE_NOW(x) x
#endif

#if ROLE2 == NONE
#define MEMBERS 2
#else
#define MEMBERS 3
#endif
#define BLOCKS	 (CELLS + MEMBERS + 1)
#define NO	 15	/* no block */
#define MESSAGES 8

/* States of a cell, of a block, of a hand. */
#define EMPTY  0
#define FULL   1
#define FRESH  0
#define QUEUED 1
#define LEASED 2
#define BACK   3
#define TAKEN  4
#define IDLE   0
#define OP_PUT 1
#define OP_GET 2
#define ADOPT  3

/* Words: each changes in one step. */
typedef cell_word { byte turn; byte ref; bit state }
typedef header_word { byte seq; byte who; byte tries; byte state }
typedef hand_word { byte op; byte spare; byte other }
cell_word cell[CELLS];
header_word header[BLOCKS];
hand_word hand[MEMBERS];
byte held0[MEMBERS], held1[MEMBERS];
bool back;		/* and its version: */
byte back_version;
bit mark[BLOCKS];	/* and the version of their word: */
byte mark_version;
bool ne_bit, nf_bit;
byte ne, nf;		/* versions */
bool free[BLOCKS];	/* the list */

byte message[BLOCKS];	/* what the block carries */

bool killed[MEMBERS], dead[MEMBERS], server_killed, repairing;
bool asleep_ne[MEMBERS], asleep_nf[MEMBERS];
byte kills, births, servers;

/* What the outside knows. */
byte next_message;
bool put_returned[MESSAGES];
byte taken[MESSAGES], unmarked[MESSAGES];
byte next_lease;	/* of the ring */
byte in_ring, available;
bool counted[BLOCKS];	/* available, though back */
bool saw_empty[MEMBERS], saw_full[MEMBERS];

inline note()
{
	if
	:: available == 0 -> saw_empty[0] = true; saw_empty[1] = true;
#if MEMBERS > 2
		saw_empty[2] = true
#endif
	:: else
	fi;
	if
	:: in_ring == CELLS -> saw_full[0] = true; saw_full[1] = true;
#if MEMBERS > 2
		saw_full[2] = true
#endif
	:: else
	fi
}

inline wake_ne()
{
	atomic { ne_bit = false; ne++ }
	atomic {
		asleep_ne[0] = false;
		asleep_ne[1] = false;
#if MEMBERS > 2
		asleep_ne[2] = false;
#endif
	}
}

inline tell_ne()
{
	if
	:: ne_bit -> wake_ne()
	:: else
	fi
}

inline wake_nf()
{
	atomic { nf_bit = false; nf++ }
	atomic {
		asleep_nf[0] = false;
		asleep_nf[1] = false;
#if MEMBERS > 2
		asleep_nf[2] = false;
#endif
	}
}

inline tell_nf()
{
	if
	:: nf_bit -> wake_nf()
	:: else
	fi
}

inline set_hand(seat, does, with, and)
{
	atomic { hand[seat].op = does; hand[seat].spare = with; hand[seat].other = and }
}

inline refill(seat)
{
	atomic {
		if
		:: hand[seat].spare == NO ->
			r = 0;
			do
			:: r < BLOCKS && !free[r] -> r++
			:: else -> break
			od;
			assert(r < BLOCKS);
			free[r] = false;
			hand[seat].spare = r;
			r = 0
		:: else
		fi
	}
}

/* Make the block, LEASED by me, the spare. */
inline adopt(seat, block)
{
	atomic {
		if
		:: hand[seat].spare != NO -> free[hand[seat].spare] = true
		:: else
		fi;
		hand[seat].op = IDLE; hand[seat].spare = NO; hand[seat].other = NO
	}
#if MUTANT != 111
	set_hand(seat, ADOPT, NO, block);
#endif
	atomic {
		header[block].state = TAKEN; header[block].who = seat; header[block].seq = 0;
		header[block].tries = 0;
		taken[message[block]]++;
		assert(taken[message[block]] <= 1)
	}
	set_hand(seat, IDLE, block, NO);
	atomic {
		if
		:: held1[seat] == block + 1 -> held1[seat] = 0
		:: else
		fi
	}
}

inline give_back(block, whose)
{
	if
	:: atomic { header[block].state == LEASED && header[block].who == whose ->
		header[block].state = BACK;
		header[block].tries++ }
	:: else
	fi;
	if
	:: header[block].state == BACK -> atomic { mark[block] = 1; mark_version++ }
	:: else
	fi
}

/* What is marked is back from now on, for the outside. */
inline bump_back()
{
	atomic {
		back = true; back_version++;
		r = 0;
		do
		:: r < BLOCKS ->
			if
			:: header[r].state == BACK && mark[r] && !counted[r] ->
				counted[r] = true; available++
			:: else
			fi;
			r++
		:: else -> break
		od;
		r = 0
	}
}

/* prongi_help() for the cell c, seen as ct, cr, full, for the place of seq; yes: look again. */
inline help(c, place)
{
	atomic {
		h_state = header[cr].state; h_who = header[cr].who;
		yes = !(h_state == QUEUED && header[cr].seq == place)
	}
	if
	:: atomic { !yes -> yes = !(cell[c].turn == ct && cell[c].ref == cr &&
				    cell[c].state == FULL) }
#if MUTANT != 104
	:: yes && h_state == LEASED ->
		atomic { h_state = hand[h_who].op; spare = hand[h_who].spare;
			 yes = (hand[h_who].other == cr && h_state == OP_GET) }
		atomic {
			if
			:: yes && cell[c].turn == ct && cell[c].ref == cr && cell[c].state == FULL ->
				cell[c].turn = ct + 1; cell[c].ref = spare; cell[c].state = EMPTY
			:: else
			fi;
			yes = true; spare = NO
		}
	:: yes && h_state != LEASED
#else
	:: yes -> yes = (h_state != LEASED)
#endif
	fi;
	atomic { h_state = 0; h_who = 0 }
}

proctype member(byte me; byte role; byte times)
{
	byte at;		/* put_at or get_at */
	byte ct, cr, cs;	/* what a cell held */
	byte ref, seq, spare, h_state, h_who, r, v, low, version;
	bool yes, listening, ring, ok;

born:
	{
		do
		:: role == PUT && times > 0 ->
			times--;
			refill(me);
			atomic { message[hand[me].spare] = next_message; next_message++;
				 saw_full[me] = false; note() }
put_again:
			atomic {
				ct = cell[at % CELLS].turn; cr = cell[at % CELLS].ref;
				cs = cell[at % CELLS].state;
				if
				:: ct < at / CELLS -> assert(cs == FULL); goto put_behind
				:: ct == at / CELLS && cs == EMPTY -> goto put_swap
				:: else -> ct = 0; cr = 0; cs = 0; at++; goto put_again
				fi
			}
put_behind:
			help(at % CELLS, at - CELLS);
			atomic {
				ct = 0; cr = 0; cs = 0;
				if
				:: yes -> yes = false; goto put_again
				:: else
				fi;
				if
				:: listening
				:: else -> goto put_listen
				fi
			}
			assert(saw_full[me]);
			atomic {
				asleep_nf[me] = (nf == v && nf_bit);
				listening = false; v = 0
			}
end_asleep_nf:		!asleep_nf[me];
put_listen:
			atomic {
				/* What a call with a deadline would return now. */
				assert(saw_full[me]);
				saw_full[me] = false;
				note();
				nf_bit = true; v = nf; listening = true;
				goto put_again
			}
put_swap:
#if MUTANT == 101
			atomic { hand[me].op = OP_PUT; hand[me].other = cr }
#endif
			atomic {
				ref = hand[me].spare;
				header[ref].seq = at; header[ref].who = me; header[ref].tries = 0;
				header[ref].state = QUEUED
			}
#if MUTANT != 100 && MUTANT != 101
			atomic { hand[me].op = OP_PUT; hand[me].other = cr }
#endif
			atomic {
				if
				:: cell[at % CELLS].turn == ct && cell[at % CELLS].ref == cr &&
				   cell[at % CELLS].state == EMPTY ->
					cell[at % CELLS].ref = ref;
					cell[at % CELLS].state = FULL;
					in_ring++; available++;
					note();
					r = message[ref]
				:: else -> ct = 0; cr = 0; cs = 0; ref = 0; goto put_again
				fi
			}
			set_hand(me, IDLE, cr, NO);
			tell_ne();
			atomic { put_returned[r] = true; at++; ct = 0; cr = 0; cs = 0; ref = 0; r = 0;
				 listening = false; v = 0 }

		:: role != PUT && times > 0 ->
			atomic { times--; saw_empty[me] = false; note() }
get_again:
			atomic {
				version = back_version;
				if
				:: back -> goto get_back
				:: else
				fi
			}
			atomic {
				ct = cell[at % CELLS].turn; cr = cell[at % CELLS].ref;
				cs = cell[at % CELLS].state;
				assert(ct >= at / CELLS);
				if
				:: ct > at / CELLS -> ct = 0; cr = 0; cs = 0; version = 0; at++;
					goto get_again
				:: ct == at / CELLS && cs == FULL -> version = 0; goto get_full
				:: else -> ct = 0; cr = 0; cs = 0
				fi
			}
			/* take_nothing() */
#if MUTANT != 107
			atomic {
				if
				:: back_version != version || back -> version = 0; goto get_again
				:: else
				fi
			}
#endif
			atomic { hand[me].op = IDLE; hand[me].other = NO; version = 0;
				if
				:: listening
				:: else -> goto get_listen
				fi
			}
			assert(saw_empty[me]);
			atomic {
				asleep_ne[me] = (ne == v && ne_bit);
				listening = false; v = 0
			}
end_asleep_ne:		!asleep_ne[me];
get_listen:
			atomic {
				assert(saw_empty[me]);
				saw_empty[me] = false;
				note();
				ne_bit = true; v = ne; listening = true;
				goto get_again
			}
get_back:
			/* lowest(): the marks as they were, then each header */
			atomic { r = 0; low = NO; h_who = mark_version;
				do
				:: r < BLOCKS -> h_state = h_state | (mark[r] << r); r++
				:: else -> break
				od;
				r = 0
			}
			do
			:: atomic { r < BLOCKS && !((h_state >> r) & 1) -> r++ }
			:: atomic { r < BLOCKS && ((h_state >> r) & 1) && header[r].state == BACK ->
				if
				:: low == NO || header[r].seq < seq ->
					low = r; seq = header[r].seq; cs = header[r].tries
				:: else
				fi;
				r++ }
			:: atomic { r < BLOCKS && ((h_state >> r) & 1) && header[r].state != BACK ->
				ok = true }
				atomic {
					if
					:: ok && mark_version == h_who -> mark[r] = 0
					:: else
					fi;
					ok = false; r++
				}
			:: atomic { r == BLOCKS -> r = 0; h_state = 0; h_who = 0; break }
			od;
			if
			:: low == NO ->
				atomic {
					if
					:: back && back_version == version -> back = false
					:: else
					fi;
					version = 0; seq = 0; cs = 0; low = 0
				}
				goto get_again
			:: else
			fi;
#if MUTANT != 106
			set_hand(me, IDLE, hand[me].spare, NO);
#endif
			held0[me] = low + 1;
			atomic {
				version = 0;
				if
				:: header[low].state == BACK && header[low].seq == seq &&
				   header[low].tries == cs ->
					header[low].state = LEASED; header[low].who = me;
					if
					:: counted[low] -> counted[low] = false; available--; note()
					:: else /* its return was not complete */
					fi;
					ref = low; ring = false;
					seq = 0; cs = 0; low = 0;
					goto got
				:: else -> seq = 0; cs = 0; low = 0; goto get_again
				fi
			}
get_full:
			refill(me);
			atomic {
				seq = at;
				if
				:: header[cr].state == QUEUED && header[cr].seq == at ->
					h_who = header[cr].who; goto get_lease
				:: else
				fi
			}
			help(at % CELLS, at);
			atomic { yes = false; ct = 0; cr = 0; cs = 0; seq = 0; goto get_again }
get_lease:
			held0[me] = cr + 1;
#if MUTANT != 103
			atomic { hand[me].op = OP_GET; hand[me].other = cr }
#endif
			atomic {
				if
				:: LEASE_NOW(header[cr].state == QUEUED && header[cr].seq == at &&
					     header[cr].who == h_who) ->
					header[cr].state = LEASED; header[cr].who = me;
					header[cr].tries = 0;
					unmarked[message[cr]]++;
					assert(unmarked[message[cr]] <= 1);
					assert(seq == next_lease);
					next_lease++;
					in_ring--; available--; note();
					h_who = 0
				:: else -> ct = 0; cr = 0; cs = 0; seq = 0; h_who = 0; goto get_again
				fi
			}
			/* prongi_settle() */
			atomic {
				if
				:: cell[at % CELLS].turn == ct && cell[at % CELLS].ref == cr &&
				   cell[at % CELLS].state == FULL ->
					cell[at % CELLS].turn = ct + 1;
					cell[at % CELLS].ref = hand[me].spare;
					cell[at % CELLS].state = EMPTY
				:: else
				fi;
				at++; ref = cr; ring = true; seq = 0; ct = 0; cr = 0; cs = 0
			}
got:
			if
			:: role == GET ->
				tell_nf();
				if
				:: ring ->
					atomic {
						header[ref].state = TAKEN; header[ref].who = me;
						header[ref].seq = 0;
						taken[message[ref]]++;
						assert(taken[message[ref]] <= 1)
					}
					set_hand(me, IDLE, ref, NO)
				:: else -> adopt(me, ref)
				fi
			:: else ->
				held1[me] = ref + 1;
				if
				:: ring -> set_hand(me, IDLE, NO, NO)
				:: else
				fi;
				tell_nf();
				if
				:: role == ACK || header[ref].tries > 0 -> adopt(me, ref)
				:: else ->
					atomic { header[ref].state = BACK; header[ref].tries++ }
					atomic { mark[ref] = 1; mark_version++ }
#if MUTANT != 112
					bump_back();
#endif
					held1[me] = 0;
					tell_ne()
				fi
			fi;
			atomic { ref = 0; ring = false; listening = false; v = 0 }
		:: atomic { times == 0 ->
			if
			:: me == 0 && role == PUT && THEN0 > 0 -> role = GET; times = THEN0; at = 0
			:: else -> goto end
			fi }
		od
	} unless {
		killed[me]
	};
	atomic {
		at = 0; ct = 0; cr = 0; cs = 0; ref = 0; seq = 0; spare = 0; h_state = 0; h_who = 0;
		r = 0; v = 0; low = 0; version = 0; yes = false; listening = false; ring = false;
		ok = false
	}
#if STOP
	goto end;
#endif
	!dead[me];
	atomic {
		if
		:: births < BIRTHS -> births++; killed[me] = false
		:: else -> goto end
		fi
	};
	goto born;
end:
	skip
}

active proctype server()
{
	byte s, spare, other, ref, c, r;
	bool in;

	do
	:: {
		do
		:: true ->
end_idle:		atomic {
				if
				:: dead[0] -> s = 0
				:: dead[1] -> s = 1
#if MEMBERS > 2
				:: dead[2] -> s = 2
#endif
				fi;
				repairing = true;
				spare = hand[s].spare; other = hand[s].other
			}
#if !STOP
			if
			:: hand[s].op == OP_PUT ->
				atomic {
					in = !(header[spare].state == QUEUED && header[spare].who == s);
					ref = header[spare].seq
				}
				if
				:: !in ->
					c = ref % CELLS;
					atomic {
						in = (cell[c].ref == spare && cell[c].state == FULL)
					}
#if MUTANT != 113
					atomic {
						in = in || !(header[spare].state == QUEUED &&
							     header[spare].who == s &&
							     header[spare].seq == ref)
					}
#endif
				:: else
				fi;
				if
				:: in -> set_hand(s, IDLE, other, NO)
				:: else -> set_hand(s, IDLE, spare, NO)
				fi
			:: hand[s].op == OP_GET ->
				if
				:: header[other].state == LEASED && header[other].who == s ->
					c = header[other].seq % CELLS;
#if MUTANT != 114
					atomic {
						if
						:: cell[c].ref == other && cell[c].state == FULL ->
							cell[c].turn = cell[c].turn + 1;
							cell[c].ref = spare;
							cell[c].state = EMPTY
						:: else
						fi
					}
#endif
					set_hand(s, IDLE, NO, NO)
				:: header[other].state == TAKEN && header[other].who == s ->
					set_hand(s, IDLE, other, NO)
				:: else -> set_hand(s, IDLE, spare, NO)
				fi
			:: hand[s].op == ADOPT ->
				if
				:: header[other].state == TAKEN && header[other].who == s ->
					set_hand(s, IDLE, other, NO)
				:: else -> set_hand(s, IDLE, NO, NO)
				fi
			:: else
			fi;
			atomic { spare = 0; other = 0; in = false; c = 0; ref = 0 }
#if MUTANT != 115
			if
			:: held0[s] -> ref = held0[s] - 1; give_back(ref, s)
			:: else
			fi;
			if
			:: held1[s] -> ref = held1[s] - 1; give_back(ref, s)
			:: else
			fi;
#endif
#if MUTANT != 109
			bump_back();
#endif
#endif /* STOP */
#if MUTANT != 110
			wake_ne();
			wake_nf();
#endif
#if !STOP
			atomic { held0[s] = 0; held1[s] = 0 } /* by the seat's next owner */
#endif
			atomic { dead[s] = false; repairing = false; s = 0; ref = 0 }
		od
	} unless {
		atomic {
			server_killed -> server_killed = false;
			s = 0; spare = 0; other = 0; ref = 0; c = 0; in = false; r = 0
		}
	}
	od
}

inline kill(i)
{
	kills < KILLS && !killed[i] ->
		kills++;
		killed[i] = true;
		dead[i] = true;
		asleep_ne[i] = false;
		asleep_nf[i] = false
}

active proctype killer()
{
	do
	:: atomic { kill(0) }
	:: atomic { kill(1) }
#if MEMBERS > 2
	:: atomic { kill(2) }
#endif
	:: atomic { servers < SERVERS && repairing -> servers++; server_killed = true }
	:: break
	od
}

/* How many places the block i is in. */
inline places(i)
{
	n = 0; k = 0;
	do
	:: k < CELLS ->
		n = n + (cell[k].ref == i); k++
	:: else -> break
	od;
	k = 0;
	do
	:: k < MEMBERS ->
		n = n + (hand[k].spare == i); k++
	:: else -> break
	od;
	n = n + free[i] + (header[i].state == BACK) + (header[i].state == LEASED)
}

/* At rest: nothing else can happen. */
active proctype rest()
{
	byte i, k, n, m;

end:	timeout;
	d_step {
		i = 0;
		do
		:: i < MEMBERS ->
			assert(!asleep_ne[i] || available == 0);
			assert(!asleep_nf[i] || in_ring == CELLS);
			i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < BLOCKS ->
#if !STOP /* else a helper may have given away what the hand still names */
			places(i);
			assert(n == 1);
			assert(header[i].state != BACK || (!asleep_ne[0] && !asleep_ne[1]));
#if MEMBERS > 2
			assert(header[i].state != BACK || !asleep_ne[2]);
#endif
#endif
			i++
		:: else -> break
		od;
		m = 0;
		do
		:: m < next_message ->
			n = taken[m]; i = 0;
			do
			:: i < BLOCKS ->
				n = n + (message[i] == m && (header[i].state == BACK ||
					(STOP && header[i].state == LEASED) || (header[i].state == QUEUED &&
					cell[header[i].seq % CELLS].ref == i &&
					cell[header[i].seq % CELLS].state == FULL)));
				i++
			:: else -> break
			od;
			assert(n <= 1);
			assert(n == 1 || !put_returned[m]);
			m++
		:: else -> break
		od
	}
}

init {
	byte i;

	atomic {
		i = 0;
		do
		:: i < BLOCKS ->
			message[i] = MESSAGES - 1;
			if
			:: i < CELLS -> cell[i].ref = i
			:: i >= CELLS && i < CELLS + MEMBERS ->
				hand[i - CELLS].spare = i; hand[i - CELLS].other = NO
			:: else -> free[i] = true
			fi;
			i++
		:: else -> break
		od;
		i = 0;
		run member(0, ROLE0, N0);
		run member(1, ROLE1, N1);
#if MEMBERS > 2
		run member(2, ROLE2, N2);
#endif
	}
}
