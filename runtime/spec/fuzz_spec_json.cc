#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "absl/strings/string_view.h"
#include "runtime/spec/oci_json.h"

// config.json as recovery finds it. What can be read can be written and read again, unchanged.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto spec = berth::oci::FromJson(absl::string_view(reinterpret_cast<const char*>(data), size));
  if (!spec.ok()) return 0;
  const auto text = berth::oci::ToJson(*spec);
  if (!text.ok()) abort();
  const auto again = berth::oci::FromJson(*text);
  if (!again.ok() || !(*again == *spec)) abort();
  return 0;
}
