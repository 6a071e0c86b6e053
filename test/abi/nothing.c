/* nothing LIBRARY MAP...: call each function that the maps list with nothing: NULL, 0, and a
   deadline that has passed.  Each answers, and none of them crashes or blocks.  Once without a
   family, and once in it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS 20 /* and the longest that a call takes is to open a family */

typedef long function(long, long, long, long, long, long);
typedef int opener(const void *opts);

static int tried, failed;

static void call_in_child(function *f)
{
	pid_t pid = fork();
	const struct rlimit none = { 0, 0 };

	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &none);
		alarm(SECONDS);
		f(0, 0, 0, 0, 0, 0);
		_exit(0);
	}
	if (pid < 0) {
		perror("fork");
		exit(1);
	}
}

static void try(const char *name, function *f, const char *when)
{
	int status;

	call_in_child(f);
	if (wait(&status) < 0) {
		perror("wait");
		exit(1);
	}
	tried++;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	failed++;
	fprintf(stderr, "%s with nothing, %s: ended with %#x\n", name, when, (unsigned)status);
}

static void try_all(const char *const *maps, const char *when)
{
	char line[200], name[100];

	for (; *maps; maps++) {
		FILE *map = fopen(*maps, "r");

		if (!map) {
			perror(*maps);
			exit(1);
		}
		while (fgets(line, sizeof line, map)) {
			function *f;

			if (sscanf(line, " prong_%80[a-z0-9_];", name + 6) != 1)
				continue;
			memcpy(name, "prong_", 6);
			*(void **)&f = dlsym(RTLD_DEFAULT, name);
			if (f)
				try(name, f, when);
		}
		fclose(map);
	}
}

int main(int argc, char **argv)
{
	opener *open_family;

	if (argc < 3 || !dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL)) {
		fprintf(stderr, "nothing: %s\n", argc < 3 ? "no library, or map" : dlerror());
		return 1;
	}
	*(void **)&open_family = dlsym(RTLD_DEFAULT, "prong_open");
	try_all((const char *const *)argv + 2, "without a family");
	if (!open_family || open_family(NULL)) {
		fputs("nothing: cannot open the family\n", stderr);
		return 1;
	}
	try_all((const char *const *)argv + 2, "in a family");
	printf("%d calls, %d failed\n", tried, failed);
	return failed || tried < 200;
}
