/* The example of stream.h. */
#include <prong/prong.h>

int parse(void *line);
int next_line(void *file, const void **item, size_t *size);
void use(const void *parsed);
int read_all(prong_pool *pool, void *file);

int read_all(prong_pool *pool, void *file)
{
#include "stream.1.inc"
}
