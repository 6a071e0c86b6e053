/* Two at once.  The pair matrix: the victim is held at one instruction and a peer at another; then
   one of them dies, or both, or none, and what is left goes on.  The stop matrix: the victim is
   held at one instruction while others come, as a stopped process is; then it goes on.

   Nobody waits awake here, so a peer that has to wait for the victim sleeps soon.  The peer is
   recorded anew for each place of the victim. */
#include "engine.h"
#include "family/family.h"
#include <stdlib.h>

enum ending {
	THEN_REPAIR, /* the victim is killed, repaired, and the peer goes on */
	THEN_ON,     /* the victim is killed, the peer goes on as far as it can, then repair */
	BOTH_ON,     /* the peer goes on as far as it can, then the victim */
	BOTH_ON_TOO, /* the other way round */
	BOTH_DEAD,
	ENDINGS
};

static const char *const words[ENDINGS] = {
	"killed, repaired, the peer goes on", "killed, the peer goes on, repaired",
	"held, the peer goes on, then it", "held, and goes on, then the peer",
	"killed, and the peer too"
};

struct pairs {
	struct kill_trial t;
	struct row row;
	FILE *out;
	struct trace trace;  /* of the victim */
	struct death victim; /* where it is held */
};

static void begin(struct pairs *x, const struct kill_room *room, const struct kill_scenario *s,
		  FILE *out)
{
	*x = (struct pairs){ .t = { .room = room, .s = s }, .out = out,
			     .row = { .room = room->name, .scenario = s->name,
				      .began = now_ms() } };
	if (s->setup)
		s->setup();
	prongi_spins = false;
	if (options.mutant && !mutant_set(options.mutant))
		die("this program was built with a library that cannot be broken");
	x->t.image = image_save();
	trial_begin(&x->t, NULL);
	record(&x->t, trial_start(&x->t, 0), 0, &x->trace);
	trial_abandon(&x->t);
	if (x->trace.failed) {
		fprintf(out, "    %s/%s: %s\n", room->name, s->name, x->trace.failed);
		row_count(&x->row, KILL_STUCK);
		x->trace.n = 0;
	}
}

static struct row end(struct pairs *x)
{
	trace_free(&x->trace);
	x->row.ms = now_ms() - x->row.began;
	return x->row;
}

static void describe(struct pairs *x, const struct point *peer, const char *how, unsigned bad)
{
	char name[128];

	if (!bad || (x->row.bad > 5 && !options.verbose))
		return;
	row_describe(x->out, x->row.room, x->row.scenario, &x->trace.point[x->victim.point], bad);
	if (peer)
		fprintf(x->out, "        with the peer at %s, visit %u%s\n",
			symbols_name(peer->pc, name, sizeof name), peer->visit,
			peer->inside ? ", asleep there" : "");
	fprintf(x->out, "        and then: %s\n", how);
}

/* --- pairs -------------------------------------------------------------------------------- */

/* Both are where they should be: what comes of it? */
static unsigned end_pair(struct pairs *x, pid_t victim, enum ending ending)
{
	struct kill_trial *t = &x->t;
	bool ended;

	if (ending == BOTH_ON_TOO) {
		ended = trial_let_victim_go(t, victim, false);
		trial_let_go(t, KILL_PEER);
		if (!ended)
			trial_let_victim_go(t, victim, true);
		trial_repair(t);
		return trial_finish(t);
	}
	if (ending != BOTH_ON)
		trace_kill(victim);
	if (ending == BOTH_DEAD)
		kill_other(t, KILL_PEER);
	if (ending == THEN_REPAIR || ending == BOTH_DEAD)
		trial_repair(t);
	if (ending != BOTH_DEAD)
		trial_let_go(t, KILL_PEER);
	if (ending == BOTH_ON)
		trial_go_on(t, victim, &x->trace.point[x->victim.point]);
	if (ending == THEN_ON || ending == BOTH_ON)
		trial_repair(t);
	return trial_finish(t);
}

static void try_pair(struct pairs *x, const struct death *peer, enum ending ending)
{
	const struct point *p = &peer->trace->point[peer->point];
	unsigned bad;
	pid_t victim;

	trial_begin(&x->t, NULL);
	if (!trial_hold(&x->t, &victim, 0, &x->victim)) {
		x->row.missed++;
		trial_abandon(&x->t);
		return;
	}
	if (!trial_hold_peer(&x->t, peer)) {
		x->row.missed++;
		trace_kill(victim);
		trial_abandon(&x->t);
		return;
	}
	bad = end_pair(x, victim, ending);
	row_count(&x->row, bad);
	coverage_add(p->pc);
	coverage_add(x->trace.point[x->victim.point].pc);
	describe(x, p, words[ending], bad);
}

/* What the peer does while the victim is held. */
static bool record_peer(struct pairs *x, struct trace *out)
{
	pid_t victim;

	trial_begin(&x->t, NULL);
	if (!trial_hold(&x->t, &victim, 0, &x->victim)) {
		x->row.missed++;
		trial_abandon(&x->t);
		return false;
	}
	record(&x->t, trial_start_peer(&x->t), LEVEL_PEER, out);
	trace_kill(victim);
	trial_abandon(&x->t);
	return true;
}

/* The peer's places while the victim is held at one, about so many: in a sample with one ending
   each, in turn. */
static void peers(struct pairs *x, size_t budget)
{
	struct trace trace;
	size_t *at, n;

	if (!record_peer(x, &trace))
		return;
	n = points_sampled(&trace, budget, x->victim.point, true, &at);
	x->row.sampled += trace.n - n;
	for (size_t i = 0; i < n && !row_enough(&x->row); i++) {
		struct death peer = { &trace, at[i] };

		for (int e = 0; e < ENDINGS; e++)
			if (options.pairs || options.mutant ||
			    (size_t)e == (i + x->victim.point) % ENDINGS)
				try_pair(x, &peer, (enum ending)e);
	}
	free(at);
	trace_free(&trace);
}

struct row explore_pairs(const struct kill_room *room, const struct kill_scenario *s, FILE *out)
{
	bool whole = options.pairs || options.mutant;
	size_t budget = whole		  ? SIZE_MAX / 4
			: options.shortly ? options.share / 4
					  : 2000;
	size_t victims = 1, *at, n;
	struct pairs x;

	begin(&x, room, s, out);
	x.row.matrix = "+pairs";
	while (victims * victims < budget && victims < x.trace.n)
		victims++;
	n = points_sampled(&x.trace, victims, 0, true, &at);
	for (size_t i = 0; i < n && !row_enough(&x.row); i++) {
		x.victim = (struct death){ &x.trace, at[i] };
		peers(&x, budget / victims);
	}
	free(at);
	return end(&x);
}

/* --- stops -------------------------------------------------------------------------------- */

static void try_stop(struct pairs *x)
{
	const struct kill_scenario *s = x->t.s;
	const struct point *p = &x->trace.point[x->victim.point];
	bool alone = !s->before && !s->asleep && !s->died;
	unsigned bad;
	pid_t victim;

	trial_begin(&x->t, NULL);
	if (!trial_hold(&x->t, &victim, 0, &x->victim)) {
		x->row.missed++;
		trial_abandon(&x->t);
		return;
	}
	trial_stopped(&x->t);
	if (alone && trial_others_wait(&x->t) && x->t.room->holds && !x->t.room->holds())
		x->t.bad |= kill_because(KILL_STUCK, "others wait for who holds nothing");
	trial_go_on(&x->t, victim, p);
	trial_repair(&x->t); /* it has ended, and left its slot */
	bad = trial_finish(&x->t);
	row_count(&x->row, bad);
	coverage_add(p->pc);
	describe(x, NULL, "stopped there, and it went on", bad);
}

struct row explore_stops(const struct kill_room *room, const struct kill_scenario *s, FILE *out)
{
	size_t budget = options.shortly ? options.share / 10 : options.mutant ? 200 : SIZE_MAX / 4;
	struct pairs x;
	size_t *at, n;

	begin(&x, room, s, out);
	x.row.matrix = "+stops";
	n = points_sampled(&x.trace, budget, 0, false, &at);
	x.row.sampled += x.trace.n - n;
	for (size_t i = 0; i < n && !row_enough(&x.row); i++) {
		x.victim = (struct death){ &x.trace, at[i] };
		try_stop(&x);
	}
	free(at);
	return end(&x);
}
