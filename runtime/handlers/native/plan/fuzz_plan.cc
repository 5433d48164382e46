#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "runtime/handlers/native/plan/plan.h"

// The first byte picks the message. What decodes must encode to bytes that decode to the same encoding again.
namespace berth::native {
namespace {

template <typename Plan>
void Check(const char* bytes, size_t size) {
  Plan plan;
  std::string error;
  if (!Decode(bytes, size, &plan, &error)) {
    if (error.empty()) abort();
    return;
  }
  const std::string canonical = Encode(plan);
  Plan again;
  if (!Decode(canonical.data(), canonical.size(), &again, &error)) abort();
  if (Encode(again) != canonical) abort();
}

}  // namespace
}  // namespace berth::native

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const char* bytes = reinterpret_cast<const char*>(data) + 1;
  switch (data[0] % 3) {
    case 0:
      berth::native::Check<berth::native::ContainerPlan>(bytes, size - 1);
      break;
    case 1:
      berth::native::Check<berth::native::ExecPlan>(bytes, size - 1);
      break;
    default:
      berth::native::Check<berth::native::SandboxPlan>(bytes, size - 1);
      break;
  }
  return 0;
}
