#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "runtime/network/cni_conf.h"
#include "runtime/network/invocation.h"

// The first byte says whether it is a list or a single plugin. What parses must be frozen to something that parses to
// the same, and give every plugin an input.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const absl::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto conf = berth::ParseCniConf(text, (data[0] & 1) != 0);
  if (!conf.ok()) return 0;
  const auto again = berth::ParseCniConf(conf->json, false);
  if (!again.ok() || again->json != conf->json || again->version != conf->version) std::abort();
  const berth::Json args = berth::CapabilityArgs({}, {"10.0.0.0/8"});
  for (const berth::Json& plugin : conf->plugins) {
    if (!berth::ParseJson(berth::PluginInput(*conf, plugin, args, berth::Json())).ok()) std::abort();
  }
  return 0;
}
