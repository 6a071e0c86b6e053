/* What a stranger's program takes from the headers of libprong-net, in C11 and in C++17. */
#include <prong/net.h>
#include <stdio.h>

int main(void)
{
	printf("prong-net %s\n", prong_net_version());
	return 0;
}
