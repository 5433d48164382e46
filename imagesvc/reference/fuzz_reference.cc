#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "imagesvc/reference/reference.h"

// What parses must print to something that parses to the same, in both spellings.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto reference = berth::ParseReference(text);
  if (!reference.ok()) return 0;
  const auto canonical = berth::ParseReference(reference->ToString());
  const auto familiar = berth::ParseReference(reference->FamiliarString());
  if (!canonical.ok() || !familiar.ok() || !(*canonical == *reference) || !(*familiar == *reference)) std::abort();
  return 0;
}
