#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "runtime/network/attachment_cache.h"
#include "runtime/network/cni_result.h"

// A plugin's output, in each of the roles it can have.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  if (berth::ParseCniError(text, 1, text).ok()) std::abort();
  (void)berth::ParseCniVersions(text).ok();
  (void)berth::DecodeAttachment(text).ok();
  for (const char* version : {"0.3.1", "1.0.0"}) {
    const auto result = berth::ParseCniResult(text, version);
    if (!result.ok()) continue;
    const auto again = berth::ParseCniResult(result->json.dump(), version);
    if (!again.ok() || again->ips != result->ips || again->json != result->json) std::abort();
  }
  return 0;
}
