/* The way through a queue's rings: what a get may call empty, how a ring ends and the next begins,
   and how a closed queue is sealed; each killed at every step.

   Follows prongi_ring_put(), no_spare_there(), behind(), prongi_help(), go_on(), ring_take(),
   take_back(), take_full(), no_message_there(), take_nothing() (src/flow/queue_ring.c);
   prongi_grow() with end_ring() (queue_room.c); prongi_mark(), prongi_bump_back(),
   prongi_lowest_back() (queue_back.c); prong_queue_close() (queue_life.c); sleep_once(), abandon
   (queue.c); give_back() and the wakes of queue_repair.c.

   MEMBERS members do three things each, one after another: PUT one message, GET one, LEAVE (lease
   and abandon), CLOSE, DRAIN (get until it says CLOSED).  There are FIRST messages before.  The
   first ring has CELLS cells; with GROWS there is a second one, of twice as many.  KILLS members
   are killed between any two steps or in their sleep, the server SERVERS times at any of its own.

   What queue.pml shows is taken for granted: blocks and hands.  So a place has its own header, the
   swap is one step, and repair knows what the dead one has leased.  Not here: the shared hints,
   which only save steps.

   Shown: EMPTY and FULL are true at some moment of the call, CLOSED is so of a closed queue;
   nothing is put after somebody was told that; the rings hand messages out in order, each once; at
   rest nobody sleeps who could go on, and who drained left nothing. */
#define NOTHING 0
#define PUT	1
#define GET	2
#define LEAVE	3
#define CLOSE	4
#define DRAIN	5

#ifndef MEMBERS
#define MEMBERS 2
#endif
#ifndef FIRST
#define FIRST 0
#endif
#ifndef CELLS
#define CELLS 2
#endif
#ifndef GROWS
#define GROWS 0
#endif
#ifndef CLOSES
#define CLOSES 0
#endif
#ifndef DO0
#define DO0 NOTHING, NOTHING, NOTHING
#endif
#ifndef DO1
#define DO1 NOTHING, NOTHING, NOTHING
#endif
#ifndef DO2
#define DO2 NOTHING, NOTHING, NOTHING
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifdef ONLY
#define VICTIM(i) ((i) == ONLY)
#else
#define VICTIM(i) true
#endif
#ifndef SERVERS
#define SERVERS 0
#endif
#ifndef MUTANT
#define MUTANT 0
#endif

#define PLACES 5	/* that there can be messages at */

/* States of a cell, and of a message. */
#define EMPTY  0
#define FULL   1
#define LAST   2
#define SEALED 3
#define MOVED  4
#define FRESH  0
#define QUEUED 1
#define LEASED 2
#define BACK   3
#define TAKEN  4

#define OF(r)	  (CELLS << (r))		/* cells of ring r */
#define AT(r, k)  ((r) * CELLS + (k) % OF(r))	/* of its place k from its first: the cell */

/* Words: each changes in one step. */
typedef cell_word { byte turn; byte state }
typedef header_word { byte state; byte who; bit again }
cell_word cell[CELLS * 3];
header_word header[PLACES];
bit put_ring, get_ring;
byte base[2];
bool back;		/* and its version: */
byte back_version;
bit mark[PLACES];	/* and the version of their word: */
byte mark_version;
bool closed;
bool ne_bit, nf_bit;
byte ne, nf;		/* versions */
byte lock;		/* of growth: whose, + 1 */

bool killed[MEMBERS], dead[MEMBERS], server_killed, repairing;
bool asleep_ne[MEMBERS], asleep_nf[MEMBERS], drained[MEMBERS], over[MEMBERS];
byte kills, servers;

/* What the outside knows. */
byte available, in_ring, next_lease, next_put;
bool counted[PLACES];	/* available, though back */
bool told_closed;
bool saw_empty[MEMBERS], saw_full[MEMBERS], saw_end[MEMBERS];

inline note_one(i)
{
	saw_empty[i] = saw_empty[i] || available == 0;
	saw_full[i] = saw_full[i] || in_ring == CELLS;
	saw_end[i] = saw_end[i] || (closed && available == 0)
}

inline note()
{
	note_one(0);
	note_one(1)
#if MEMBERS > 2
	;
	note_one(2)
#endif
}

inline wake_ne()
{
	atomic {
		ne_bit = false; ne++;
		asleep_ne[0] = false; asleep_ne[1] = false;
#if MEMBERS > 2
		asleep_ne[2] = false
#endif
	}
}

inline wake_nf()
{
	atomic {
		nf_bit = false; nf++;
		asleep_nf[0] = false; asleep_nf[1] = false;
#if MEMBERS > 2
		asleep_nf[2] = false
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

inline tell_nf()
{
	if
	:: nf_bit -> wake_nf()
	:: else
	fi
}

/* --- steps that several take --------------------------------------------------------------- */

/* What the cell of the place becomes when its message is taken. */
inline take_out(c)
{
	cell[c].turn++;
#if MUTANT == 1
	cell[c].state = EMPTY
#else
	cell[c].state = (cell[c].state == LAST -> MOVED : EMPTY)
#endif
}

/* Whatever the cell has become meanwhile, LAST or done by a helper. */
inline settle(c, t)
{
	atomic {
		if
		:: cell[c].turn == t && (cell[c].state == FULL || cell[c].state == LAST) -> take_out(c)
		:: else
		fi
	}
}

/* yes: look again. */
inline help(c, t, s, q)
{
	if
	:: atomic { header[q].state == QUEUED ->
		yes = (cell[c].turn != t || cell[c].state != s) }
	:: atomic { header[q].state == LEASED -> yes = true }
		atomic {
			if
			:: cell[c].turn == t && cell[c].state == s -> take_out(c)
			:: else
			fi
		}
	:: atomic { header[q].state != QUEUED && header[q].state != LEASED -> yes = true }
	fi
}

/* What is marked by then counts as there. */
inline bump_back()
{
	atomic {
		back = true; back_version++;
		c = 0;
		do
		:: c < PLACES ->
			if
			:: header[c].state == BACK && mark[c] && !counted[c] ->
				counted[c] = true; available++
			:: else
			fi;
			c++
		:: else -> break
		od;
		c = 0;
		note()
	}
}

/* seq: the place, as look() says it; c, at, turn: where its cell lies; ct, cs: what it holds. */
inline look(word, from)
{
#if GROWS
	ring = word;
#endif
	atomic {
		at = (from > base[ring] -> from - base[ring] : 0);
		seq = base[ring] + at;
		c = AT(ring, at);
		turn = at / OF(ring);
		ct = cell[c].turn; cs = cell[c].state
	}
}

inline next_marked()
{
	do
	:: c < PLACES && !((turn >> c) & 1) -> c++
	:: else -> break
	od
}

inline forget()
{
	c = 0; at = 0; turn = 0; ct = 0; cs = 0; seq = 0; yes = false; ring = 0
}

/* --- members ------------------------------------------------------------------------------- */

proctype member(byte me; byte op; byte op2; byte op3)
{
	byte put_at, get_at, c, at, turn, ct, cs, seq, low, v, version;
	bit ring, marks;
	bool yes, listening, again;

	{
		listening = false;
next:
		if
		:: atomic { op == NOTHING -> over[me] = true; goto end }
		:: op == CLOSE -> goto close
		:: op == PUT ->
			atomic { saw_full[me] = false; note() }
			goto put
		:: else ->
			atomic { saw_empty[me] = false; saw_end[me] = false; note() }
			goto get
		fi;

		/* --- close ----------------------------------------------------------------- */
close:
		atomic { closed = true; note() }
#if MUTANT != 5
		tell_ne();
		tell_nf();
#endif
		goto done;

		/* --- put ------------------------------------------------------------------- */
put:
		if
		:: closed -> goto done
		:: else
		fi;
		look(put_ring, put_at);
		if
		:: atomic { ct == turn && cs == EMPTY ->
			if
			:: cell[c].turn == ct && cell[c].state == EMPTY ->
				assert(!told_closed);
				assert(seq == next_put && header[seq].state == FRESH);
				next_put++;
				cell[c].state = FULL;
				header[seq].state = QUEUED; header[seq].who = me;
				available++; in_ring++;
				note();
				put_at = seq + 1;
				forget()
			:: else -> forget(); goto put
			fi
		}
			tell_ne();
			goto done
		:: atomic { ct == turn && cs == SEALED -> assert(told_closed || closed); goto done }
		:: ct == turn && cs == MOVED ->
			atomic { put_ring = 1; forget() }
			goto put
		:: ct < turn && cs == LAST ->
			atomic { put_ring = 1; forget() }
			goto put
		:: ct < turn && cs == FULL -> goto behind
		:: atomic { else -> assert(ct == turn || ct > turn); put_at = seq + 1; forget();
			goto put }
		fi;
behind:
		help(c, ct, cs, seq - OF(ring));
		atomic {
			if
			:: yes -> forget(); goto put
			:: !yes && GROWS && ring == 0 -> goto grow
			:: else -> forget()
			fi
		}
		atomic {
			if
			:: !listening ->
				saw_full[me] = false;
				note();
				nf_bit = true; v = nf; listening = true;
				goto put
			:: else -> assert(saw_full[me]); asleep_nf[me] = (nf == v && nf_bit);
				listening = false; v = 0
			fi
		}
end_asleep_nf:	!asleep_nf[me];
		goto put;

grow:
		atomic { lock == 0 -> lock = me + 1 }
		if
		:: atomic { cell[c].turn != ct || cell[c].state != cs -> yes = true }
		:: else ->
#if MUTANT != 2
			base[1] = seq;
#endif
			atomic {
				if
				:: cell[c].turn == ct && cell[c].state == cs -> cell[c].state = LAST
				:: else
				fi
			}
#if MUTANT == 2
			base[1] = seq;
#endif
		fi;
		atomic { lock = 0; forget(); goto put }

		/* --- get ------------------------------------------------------------------- */
get:
		atomic {
			version = back_version;
			if
			:: back -> goto get_back
			:: else
			fi
		}
		look(get_ring, get_at);
		if
		:: ct == turn && (cs == FULL || cs == LAST) -> goto get_full
		:: atomic { ct > turn -> version = 0; get_at = seq + 1; forget(); goto get }
		:: ct == turn && cs == MOVED ->
			atomic { get_ring = 1; version = 0; forget() }
			goto get
		:: ct == turn && (cs == EMPTY || cs == SEALED)
		fi;
		/* take_nothing() */
#if MUTANT == 6
		if
		:: back_version != version || back -> goto get_again
		:: else
		fi;
		again = closed;
#else
#if CLOSES
		again = closed;
#endif
		atomic {
			if
			:: MUTANT != 3 && (back_version != version || back) -> goto get_again
			:: cs == SEALED -> goto get_end
			:: cs != SEALED && !again -> goto get_nothing
			:: else
			fi
		}
#endif
#if MUTANT == 6
		if
		:: cs == SEALED -> goto get_end
		:: cs != SEALED && !again -> goto get_nothing
		:: else
		fi;
#endif
		atomic {
			if
			:: cell[c].turn == ct && cell[c].state == EMPTY ->
#if MUTANT != 4
				cell[c].state = SEALED
#endif
			:: else -> goto get_again
			fi
		}
#if MUTANT != 7
		tell_ne();
		tell_nf();
#endif
get_end:
		atomic {
			assert(closed && saw_end[me]);
			told_closed = true;
			drained[me] = (op == DRAIN);
			goto done
		}
get_again:
		atomic { version = 0; again = false; forget(); goto get }
get_nothing:
		atomic {
			version = 0; again = false;
			forget();
			if
			:: !listening ->
				saw_empty[me] = false;
				note();
				ne_bit = true; v = ne; listening = true;
				goto get
			:: else ->
				assert(saw_empty[me]);
				asleep_ne[me] = (ne == v && ne_bit);
				listening = false; v = 0
			fi
		}
end_asleep_ne:	!asleep_ne[me];
		goto get;

get_full:
		if
		:: atomic { header[seq].state != QUEUED -> skip }
			help(c, ct, cs, seq);
			atomic { version = 0; forget(); goto get }
		:: atomic { header[seq].state == QUEUED ->
			assert(seq == next_lease);
			next_lease++;
			header[seq].state = LEASED; header[seq].who = me;
			available--; in_ring--;
			note();
			version = 0 }
		fi;
		settle(c, ct);
		get_at = seq + 1;
		goto got;

get_back:
		/* prongi_lowest_back(): the marks as they were, then each header */
		atomic {
			c = 0;
			do
			:: c < PLACES -> turn = turn | (mark[c] << c); c++
			:: else -> break
			od;
			c = 0; low = PLACES; ct = mark_version
		}
look_at_marks:
		do
		:: atomic {
			next_marked();
			if
			:: c == PLACES -> c = 0; turn = 0; ct = 0; break
			:: c < PLACES && header[c].state == BACK ->
				if
				:: low == PLACES -> low = c; marks = header[c].again
				:: else
				fi;
				c++
			:: c < PLACES && header[c].state != BACK -> goto unmark
			fi
		}
		od;
		atomic {
			if
			:: low == PLACES ->
				if
				:: back && back_version == version -> back = false
				:: else
				fi;
				low = 0; version = 0;
				goto get
			:: else -> version = 0
			fi
		}
		atomic {
			if
			:: header[low].state == BACK && header[low].again == marks ->
				header[low].state = LEASED; header[low].who = me;
				if
				:: counted[low] -> counted[low] = false; available--; note()
				:: else /* its return was not complete */
				fi;
				seq = low; low = 0; marks = 0
			:: else -> low = 0; marks = 0; goto get
			fi
		}
unmark:
		atomic {
			if
			:: mark_version == ct -> mark[c] = 0
			:: else
			fi;
			c++;
			goto look_at_marks
		}
got:
		tell_nf();
		if
		:: op == LEAVE ->
			atomic { header[seq].state = BACK; header[seq].again = 1 - header[seq].again }
			atomic { mark[seq] = 1; mark_version++ }
			bump_back();
			tell_ne()
		:: else ->
			header[seq].state = TAKEN
		fi;
done:
		atomic {
			listening = false; v = 0;
			forget();
			if
			:: op == DRAIN && !drained[me] -> skip
			:: else -> op = op2; op2 = op3; op3 = NOTHING
			fi
		}
		goto next
	} unless {
		killed[me]
	};
	atomic { listening = false; v = 0; low = 0; version = 0; marks = 0; again = false; forget();
		put_at = 0; get_at = 0 }
end:
	skip
}

/* --- the server ---------------------------------------------------------------------------- */

/* What s may have had in hand. */
inline next_of(s)
{
	do
	:: q < PLACES && !(header[q].who == s &&
			   (header[q].state == BACK || header[q].state == LEASED)) -> q++
	:: else -> break
	od
}

active proctype server()
{
	byte s, q, c, t;

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
				repairing = true
			}
			atomic {
				if
				:: lock == s + 1 -> lock = 0
				:: else
				fi
			}
			do
			:: atomic {
				next_of(s);
				if
				:: q == PLACES -> q = 0; break
				:: q < PLACES && header[q].state == BACK -> goto server_mark
				:: q < PLACES && header[q].state == LEASED ->
					if
					:: base[1] == 0 || q < base[1] ->
						c = AT(0, q); t = q / OF(0)
					:: else ->
						c = AT(1, q - base[1]); t = (q - base[1]) / OF(1)
					fi
				fi
			}
				settle(c, t);
				atomic { header[q].state = BACK; header[q].again = 1 - header[q].again;
					c = 0; t = 0 }
server_mark:			atomic { mark[q] = 1; mark_version++; q++ }
			od;
			bump_back();
#if MUTANT != 8
			wake_ne();
			wake_nf();
#endif
			atomic { dead[s] = false; repairing = false; s = 0; c = 0; q = 0 }
		od
	} unless {
		atomic { server_killed -> server_killed = false; s = 0; q = 0; c = 0; t = 0 }
	}
	od
}

inline kill(i)
{
	kills < KILLS && VICTIM(i) && !killed[i] && !over[i] ->
		kills++; killed[i] = true; dead[i] = true;
		asleep_ne[i] = false; asleep_nf[i] = false
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

/* At rest: nothing else can happen. */
active proctype rest()
{
	byte i, k;

end:	timeout;
	d_step {
		i = 0;
		do
		:: i < MEMBERS ->
			assert(!asleep_ne[i] || (available == 0 && !closed));
			assert(!asleep_nf[i] || (in_ring == CELLS && !GROWS && !closed));
			k = 0;
			do
			:: k < PLACES ->
				assert(!drained[i] || header[k].state != QUEUED);
				k++
			:: else -> break
			od;
			i++
		:: else -> break
		od
	}
}

init {
	byte i;

	atomic {
		i = 0;
		do
		:: i < FIRST ->
			cell[i].state = FULL; header[i].state = QUEUED;
			i++
		:: else -> break
		od;
		available = FIRST; in_ring = FIRST; next_put = FIRST;
		i = 0;
		run member(0, DO0);
		run member(1, DO1);
#if MEMBERS > 2
		run member(2, DO2);
#endif
	}
}
