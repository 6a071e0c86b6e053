/* The server's part for the models of the one-word nouns, and the killer's: see common.pml.  Before
   this is included REPAIR_NOUN(s) says what of a noun is repaired for thread s. */
#ifndef REPAIR_NOUN
#define REPAIR_NOUN(s)
#endif

active proctype server()
{
	byte s;

	do
	:: {
		do
		:: true ->
end_idle:		atomic {
				if
				:: dead[0] -> s = 0
				:: dead[1] -> s = 1
#if THREADS > 2
				:: dead[2] -> s = 2
#endif
#if THREADS > 3
				:: dead[3] -> s = 3
#endif
				fi;
				repairing = true
			}
			REPAIR_NOUN(s)
#if MUTANT != 40
			atomic {
				if
				:: wake_obj[s] -> wake_all()
				:: else
				fi
			}
#endif
#if MUTANT != 41
			atomic {
				if
				:: wait_obj[s] -> wake_all()
				:: else
				fi
			}
#endif
			wake_obj[s] = 0;
			wait_obj[s] = 0;
			atomic { dead[s] = false; repairing = false; s = 0 }
		od
	} unless {
		atomic { server_killed -> server_killed = false; s = 0 }
	}
	od
}

inline kill(i)
{
	kills < KILLS && !killed[i] ->
		kills++; killed[i] = true; dead[i] = true; asleep[i] = false
}

active proctype killer()
{
	do
	:: atomic { kill(0) }
	:: atomic { kill(1) }
#if THREADS > 2
	:: atomic { kill(2) }
#endif
#if THREADS > 3
	:: atomic { kill(3) }
#endif
	:: atomic { servers < SERVERS && repairing -> servers++; server_killed = true }
	:: break
	od
}
