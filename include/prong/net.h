/* prong over a network, in reading order: what libprong-net has beside libprong.

   The library needs libprong, and OpenSSL for the proof of keys and TLS.  Its version is always
   that of libprong: two that do not belong together are not loaded.  Nothing here needs an open
   family, except where it says so. */
#ifndef PRONG_NET_H
#define PRONG_NET_H

#include <prong/prong.h>
#include <prong/value.h>
#include <prong/read.h>
#include <prong/object.h>
#include <prong/codec.h>
#include <prong/listener.h>
#include <prong/carry.h>
#include <prong/remote.h>
#include <prong/proxy.h>
#include <prong/call.h>
#include <prong/manager.h>

PRONG_BEGIN_DECLS

/* Return the version of libprong-net that runs. */
PRONG_API const char *prong_net_version(void);

PRONG_END_DECLS
#endif
