/* Each thread has a student of its own, which no function is passed.
   cc -std=c11 07-thread-local.c $(pkg-config --cflags --libs prong) -o 07-thread-local */
#include <prong/prong.h>
#include <stdio.h>
#include "must.h"

struct student {
	char name[32];
};

static prong_local the_student = { .size = sizeof(struct student) };

static struct student *student(void)
{
	struct student *s = prong_local_get(&the_student);

	if (!s)
		errx(1, "no memory for a student");
	return s;
}

static void process_student(void)
{
	printf("Hello, %s (in %s)\n", student()->name, prong_thread_name(NULL));
}

static int process_thread(void *name)
{
	snprintf(student()->name, sizeof student()->name, "%s", (char *)name);
	process_student();
	return 0;
}

int main(void)
{
	prong_thread *a, *b;

	must(prong_open(NULL), "open");
	must(prong_thread_start(&a, process_thread, "Alice", sizeof "Alice",
				&(prong_thread_opts){ .name = "Thread-A" }),
	     "start");
	must(prong_thread_start(&b, process_thread, "Bob", sizeof "Bob",
				&(prong_thread_opts){ .name = "Thread-B" }),
	     "start");
	must(prong_thread_join(a, NULL, PRONG_FOREVER), "join");
	must(prong_thread_join(b, NULL, PRONG_FOREVER), "join");
	prong_thread_free(a);
	prong_thread_free(b);
}
