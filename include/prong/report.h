/* How a process, a thread or a task ended, and who it was: one struct for the three, so that
   what tells people about it is written once.  It holds no pointers: copy it, keep it, put it
   into the heap.

   A process that was started with .trace, and a worker of a pool, leaves its stack when a signal
   kills it.  The report has the addresses; the functions' names are looked up when its text is
   written, in whatever member does that.

   Example:
	prong_report r;
	char text[2048];

	prong_process_report(p, &r);
	if (r.outcome) {
		prong_report_text(&r, text, sizeof text);
		fprintf(stderr, "%s\n", text);
	}                                                                     */
#ifndef PRONG_REPORT_H
#define PRONG_REPORT_H

#include <prong/error.h>

PRONG_BEGIN_DECLS

#define PRONG_FRAMES 32 /* that a report keeps of a stack */

typedef struct prong_report {
	int outcome;           /* 0, PRONG_RUNNING, PRONG_FAILED, PRONG_CRASHED, PRONG_CANCELLED or
				  PRONG_OVERRUN */
	int code;              /* what its function returned, or passed to exit() */
	int signal;            /* what killed it; 0: none */
	int pid;               /* of the process that it was, or ran in; 0: it never ran, or, of a
				  task, that is not known any more (future.h) */
	bool core;             /* it left a core dump */
	bool server_lost;      /* it was killed because its server was */
	bool has_address;      /* address below is known */
	uint8_t reserved0_[1];
	uint32_t attempt;      /* of a task, 1 the first time it runs; else 0 */
	uint64_t index;        /* of a task in a map or a stream; else 0 */
	uint64_t address;      /* what a SIGSEGV or SIGBUS was about, or where the signal arose */
	int64_t elapsed_ns;    /* from start to end; until now while it runs; of a task, its last
				  attempt; 0: not known */
	uint64_t peak_rss;     /* bytes, of its process; 0 while it runs, or when it is not known */
	uint64_t frame[PRONG_FRAMES]; /* its stack: where it was, where that was called, ... */
	uint32_t frames;       /* how many of them there are; 0: the stack is not known */
	uint32_t reserved1_;
	uint64_t reserved_[8];
	char name[64];         /* of the process, thread or task, cut where it is longer */
	char worker[64];       /* of the thread or process that ran the task; else "" */
	char message[256];     /* what the task said last; else "" */
} prong_report;

/* Write r as sentences into buf, cut to size bytes with its NUL, such as
      Process-3 (pid 411) was killed by signal 11 (Segmentation fault) at address 0x0
        #0 count_file+0x1e (identifiers)
        #1 work+0x44 (identifiers)
   Without a stack that is one line.  Return the length that the whole text has, as snprintf()
   does. */
PRONG_API size_t prong_report_text(const prong_report *r, char *buf, size_t size);

PRONG_END_DECLS
#endif
