/* The example of proxy.h. */
#include <prong/net.h>

int proxy_example(prong_proxy *lock, prong_proxy *settings, prong_proxy *changed);
int proxy_example(prong_proxy *lock, prong_proxy *settings, prong_proxy *changed)
{
	int r, r2 = 0;
#include "proxy.1.inc"
	return r ? r : r2;
}
