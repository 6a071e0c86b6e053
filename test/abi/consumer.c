/* What a stranger's program takes from the headers: each macro, in C11 and in C++17. */
#include <prong/prong.h>
#include <stdio.h>
#include <string.h>

static prong_mutex zero;
static prong_mutex recursive = PRONG_MUTEX_RECURSIVE;

static int lock_and_count(void *arg)
{
	int *count = (int *)arg;

	if (prong_mutex_lock(&zero, PRONG_FOREVER))
		return 1;
	++*count;
	return prong_mutex_unlock(&zero) != 0;
}

static int add(void *arg)
{
	++*(int *)arg;
	return 0;
}

static int check_version(void)
{
	char text[32];

	snprintf(text, sizeof text, "%d.%d.%d", PRONG_VERSION_MAJOR, PRONG_VERSION_MINOR,
		 PRONG_VERSION_PATCH);
	if (strcmp(text, PRONG_VERSION) == 0 && strcmp(text, prong_version()) == 0)
		return 0;
	fprintf(stderr, "version: numbers %s, header %s, library %s\n", text, PRONG_VERSION,
		prong_version());
	return 1;
}

int main(void)
{
	prong_thread *t = NULL;
	prong_process *p = NULL;
	int count = 0, result = 1;
	int *shared;

	if (check_version() || prong_open(NULL))
		return 1;
	if (prong_mutex_lock(&recursive, PRONG_NOW) || prong_mutex_lock(&recursive, PRONG_NOW))
		return 1;
	shared = (int *)prong_calloc(1, sizeof *shared);
	if (!shared || lock_and_count(&count))
		return 1;
	if (prong_thread_start(&t, lock_and_count, shared, 0, NULL))
		return 1;
	if (prong_thread_join(t, &result, PRONG_FOREVER) || result)
		return 1;
	prong_thread_free(t);
	if (prong_process_start(&p, add, shared, 0, NULL) ||
	    prong_process_join(p, &result, PRONG_FOREVER) || result)
		return 1;
	prong_process_free(p);
	printf("prong %s: %d + %d\n", prong_version(), count, *shared);
	return 0;
}
