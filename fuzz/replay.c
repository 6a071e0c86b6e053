/* Run a fuzzer once over each file of the directories that are given: where there is no libFuzzer,
   and as a test.  Prints how many there were. */
#include "fuzz.h"
#include <dirent.h>
#include <err.h>

static void replay(const char *directory, const char *name)
{
	char path[1024];
	uint8_t *data = NULL;
	size_t size = 0, n;
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", directory, name);
	file = fopen(path, "rb");
	if (!file)
		err(1, "%s", path);
	do {
		data = realloc(data, size + 4096);
		if (!data)
			err(1, "memory");
		n = fread(data + size, 1, 4096, file);
		size += n;
	} while (n > 0);
	fclose(file);
	data = realloc(data, size ? size : 1); /* so that a sanitizer sees what is read beyond it */
	LLVMFuzzerTestOneInput(data, size);
	free(data);
}

int main(int argc, char **argv)
{
	struct dirent *entry;
	int count = 0;
	DIR *dir;

	for (int i = 1; i < argc; i++) {
		dir = opendir(argv[i]);
		if (!dir)
			err(1, "%s", argv[i]);
		while ((entry = readdir(dir)))
			if (entry->d_name[0] != '.') {
				replay(argv[i], entry->d_name);
				count++;
			}
		closedir(dir);
	}
	printf("%d inputs\n", count);
	return count == 0;
}
