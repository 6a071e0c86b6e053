/* How a process ended, and who it was. */
#ifndef PRONG_REPORT_H
#define PRONG_REPORT_H

#include <prong/error.h>

PRONG_BEGIN_DECLS

typedef struct prong_report {
	int outcome;           /* 0, PRONG_RUNNING, PRONG_FAILED or PRONG_CRASHED */
	int code;              /* what its function returned, or passed to exit() */
	int signal;            /* what killed it; 0: none */
	int pid;               /* its number */
	bool core;             /* it left a core dump */
	bool server_lost;      /* it was killed because its server was */
	uint8_t reserved0_[6];
	int64_t elapsed_ns;    /* from start to end; until now while it runs */
	uint64_t peak_rss;     /* bytes; 0 while it runs, or when it is not known */
	uint64_t reserved_[8];
	char name[64];         /* cut where it is longer */
} prong_report;

/* Write r as one line into buf, cut to size bytes with its NUL, such as
      Process-3 (pid 411) was killed by signal 11 (Segmentation fault), core dumped
   Return the length that the whole text has, as snprintf() does. */
PRONG_API size_t prong_report_text(const prong_report *r, char *buf, size_t size);

PRONG_END_DECLS
#endif
