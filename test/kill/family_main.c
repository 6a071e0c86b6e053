/* What main and its processes do in a trial with a whole family: see family_trial.h. */
#include "family_trial.h"
#include "trace.h"
#include <fcntl.h>
#include <unistd.h>

int family_member(void *arg)
{
	(void)arg;
	family_set_note(FAMILY_MEMBER, (uint64_t)getpid());
	kill_gate(FAMILY_GATE_MEMBER);
	kill_begin();
	family_now->operation();
	kill_end();
	return 7;
}

static int seven(void *arg)
{
	(void)arg;
	return 7;
}

/* Records in use; and blocks that freed records keep until they are used again. */
static uint64_t records(uint64_t *parked)
{
	uint64_t n = 0;

	*parked = 0;
	for (uint32_t i = 0; i < prongi_heap->processes_used; i++) {
		const struct prong_process *p = &prongi_heap->process[i];
		bool used = prongi_phase(p->state) != PRONGI_FREE;

		n += used;
		*parked += !used && p->block;
	}
	return n;
}

void family_baseline(void)
{
	prong_family_stats s;
	uint64_t parked;

	prong_family_stat(&s);
	family_set_note(FAMILY_SLOTS, s.threads);
	family_set_note(FAMILY_BLOCKS, s.blocks);
	family_set_note(FAMILY_RECORDS, records(&parked));
}

/* Wait until main is alone. */
static unsigned alone(void)
{
	int64_t until = now_ms() + kill_patience_ms;

	for (;;) {
		prong_family_stats s;

		prong_family_stat(&s);
		if (s.processes == 1)
			return 0;
		if (now_ms() > until)
			return kill_because(KILL_LEAKED, "%u processes are left", s.processes);
		family_nap();
	}
}

/* Wait until the children that are forked ahead are there again. */
static unsigned ready(void)
{
	int64_t until = now_ms() + kill_patience_ms;

	for (int k = 0; k < PRONGI_READY; k++)
		while ((prongi_heap->server.ready[k] & 3) != PRONGI_READY_WAITS) {
			if (now_ms() > until)
				return kill_because(KILL_LEAKED, "no ready child comes back");
			family_nap();
		}
	return 0;
}

/* Start one more.  Where its server has just been killed, it may be reported as lost with that. */
static unsigned starts(void)
{
	prong_report report = { .outcome = PRONG_RUNNING };

	for (int i = 0; i < 3; i++) {
		prong_process *p;
		int r = prong_process_start(&p, seven, NULL, 0, NULL);

		if (r)
			return kill_because(KILL_STUCK, "next start: %s", prong_error_detail());
		r = prong_process_join(p, NULL, prong_in_ms(kill_patience_ms));
		prong_process_report(p, &report);
		prong_process_free(p);
		if (r)
			return kill_because(KILL_STUCK, "next join: %s", prong_error_detail());
		if (report.code == 7)
			return 0;
		if (!report.server_lost)
			break;
	}
	return kill_because(KILL_LOST, "next process: code %d, signal %d", report.code,
			    report.signal);
}

unsigned family_healthy(void)
{
	prong_family_stats s;
	uint64_t parked, used;
	unsigned bad = alone();

	if (!bad)
		bad = starts();
	if (!bad)
		bad = alone();
	if (!bad)
		bad = ready();
	if (bad)
		return bad;
	prong_family_stat(&s);
	used = records(&parked);
	if (s.threads == family_note(FAMILY_SLOTS) &&
	    s.blocks - parked <= family_note(FAMILY_BLOCKS) && used == family_note(FAMILY_RECORDS))
		return 0;
	return kill_because(KILL_LEAKED, "slots %u, blocks %llu of which %llu parked, records %llu",
			    s.threads, (unsigned long long)s.blocks, (unsigned long long)parked,
			    (unsigned long long)used);
}

/* Where the standard streams lead decides how a process is started; here always to the same. */
static void plain_streams(void)
{
	int fd = open("/dev/null", O_RDWR);

	for (int i = 0; i < (options.wait ? 2 : 3); i++)
		dup2(fd, i);
	close(fd);
}

int family_main(void *arg)
{
	const struct family_scenario *f = family_now;
	unsigned bad = 0;

	(void)arg;
	plain_streams();
	if (!f->early && prong_open(NULL))
		return KILL_STUCK;
	if (!f->early)
		family_baseline();
	if (f->before)
		bad |= f->before();
	family_set_note(FAMILY_STAGE, 1);
	kill_gate(FAMILY_GATE_MAIN);
	family_set_note(FAMILY_GOING, 1);
	if (f->victim == VICTIM_MAIN) {
		kill_begin();
		f->operation();
		kill_end();
	} else if (f->victim != VICTIM_MEMBER) {
		bad |= f->operation();
	}
	family_set_note(FAMILY_STAGE, 2);
	kill_gate(FAMILY_GATE_AFTER);
	return (int)(f->after ? bad | f->after() : bad);
}
