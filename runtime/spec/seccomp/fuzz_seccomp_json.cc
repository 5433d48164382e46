#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "absl/strings/string_view.h"
#include "runtime/spec/seccomp/compile.h"
#include "runtime/spec/seccomp/profile.h"

// A profile file of the node's admin, or of a less trusted operator. What is accepted must print to something that is
// accepted again, unchanged, and must not break libseccomp.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  berth::seccomp::ProfileContext context;
  context.arch = "SCMP_ARCH_X86_64";
  context.capabilities = size == 0 ? 0 : uint64_t{data[0]} << 18;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto normal = berth::seccomp::NormalizeProfile(text, context);
  if (!normal.ok()) return 0;
  const auto again = berth::seccomp::NormalizeProfile(*normal, context);
  if (!again.ok() || *again != *normal) abort();
  if (normal->size() < 4096) {
    const auto program = berth::seccomp::CompileFilter(*normal);
    if (program.ok() && program->size() % 8 != 0) abort();
  }
  return 0;
}
