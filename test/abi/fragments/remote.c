/* The example of remote.h. */
#include <prong/net.h>

int remote_example(prong_auth auth, int64_t *where);
int remote_example(prong_auth auth, int64_t *where)
{
	int64_t limit = 0;
#include "remote.1.inc"
	prong_value_free(found);
	prong_proxy_free(settings);
	prong_remote_close(there);
	*where = limit;
	return r;
}
