/* Which libprong-net this is. */
#include <prong/net.h>

const char *prong_net_version(void)
{
	return PRONG_VERSION;
}
