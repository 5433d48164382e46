#pragma once

#include <string>

#include "imagesvc/registry/registry_client.h"
#include "imagesvc/registry/url.h"

namespace berth {

// The proxy to reach `url` by; empty for none. Loopback hosts are never proxied. `no_proxy` holds, by commas: "*"; host
// names ("example.com" with its sub-domains, ".example.com" the sub-domains only); addresses; networks ("10.0.0.0/8");
// each host or address may end in ":port".
std::string ChooseProxy(const ProxyOptions& options, const Url& url);

}  // namespace berth
