/* Reports as sentences for people. */
#include "os/os.h"
#include <prong/report.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What has been written, and how long it would be whole. */
struct text {
	char *buf;
	size_t size, used;
};

static void put(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *t, const char *format, ...)
{
	size_t room = t->used < t->size ? t->size - t->used : 0;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(room ? t->buf + t->used : NULL, room, format, args);
	va_end(args);
	t->used += n < 0 ? 0 : (size_t)n;
}

/* "Process-3 (pid 411)", or "task "b.h" in Pool-1-2 (pid 411), attempt 1". */
static void put_who(struct text *t, const prong_report *r)
{
	put(t, r->attempt ? "task \"%.63s\"" : "%.63s", r->name);
	if (r->worker[0])
		put(t, " in %.63s", r->worker);
	if (r->pid)
		put(t, " (pid %d)", r->pid);
	if (r->attempt)
		put(t, ", attempt %u,", r->attempt);
}

static void put_signal(struct text *t, const prong_report *r)
{
	const char *words = strsignal(r->signal);

	put(t, " by signal %d (%s)", r->signal, words ? words : "unknown");
	if (r->has_address)
		put(t, " at address 0x%llx", (unsigned long long)r->address);
	if (r->core)
		put(t, ", core dumped");
}

static void put_how(struct text *t, const prong_report *r)
{
	if (r->outcome == PRONG_RUNNING) {
		put(t, " is running");
	} else if (r->server_lost) {
		put(t, " was killed because the family's server was lost");
	} else if (r->outcome == PRONG_OVERRUN) {
		put(t, " ran longer than it may, and was stopped");
	} else if (r->outcome == PRONG_CANCELLED) {
		put(t, r->signal ? " was cancelled, and killed" : " was cancelled");
		if (r->signal)
			put_signal(t, r);
		else if (r->code)
			put(t, ", and returned %d", r->code);
	} else if (r->signal) {
		put(t, " was killed");
		put_signal(t, r);
	} else if (r->code || r->outcome == PRONG_FAILED) {
		put(t, " returned %d", r->code);
	} else if (r->outcome) {
		put(t, ": %s", prong_strerror(r->outcome));
	} else {
		put(t, " ended well");
	}
}

static void put_stack(struct text *t, const prong_report *r)
{
	char name[PRONG_FRAMES][PRONGI_PLACE];
	uint32_t n = r->frames < PRONG_FRAMES ? r->frames : PRONG_FRAMES;

	if (!n)
		return;
	prongi_os_symbols(r->frame, n, name);
	for (uint32_t i = 0; i < n; i++)
		put(t, "\n  #%u %s", i, name[i]);
	if (n == PRONG_FRAMES)
		put(t, "\n  ...");
}

size_t prong_report_text(const prong_report *r, char *buf, size_t size)
{
	struct text t = { buf, buf ? size : 0, 0 };

	if (t.size)
		buf[0] = '\0';
	if (!r)
		return 0;
	put_who(&t, r);
	put_how(&t, r);
	if (r->message[0])
		put(&t, ": %.255s", r->message);
	put_stack(&t, r);
	return t.used;
}
