#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "base/files.h"
#include "imagesvc/pull/archive.h"
#include "imagesvc/pull/importer.h"

namespace {

class Count final : public berth::BlobSink {
 public:
  absl::Status Write(absl::string_view bytes) override {
    total += bytes.size();
    return absl::OkStatus();
  }
  uint64_t total = 0;
};

}  // namespace

// Any bytes as an archive: what is read of it names images whose layers are inside the archive, each of the size it
// says.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const berth::UniqueFd fd(memfd_create("fuzz", MFD_CLOEXEC));
  if (!berth::WriteAll(fd.get(), absl::string_view(reinterpret_cast<const char*>(data), size)).ok()) std::abort();
  if (lseek(fd.get(), 0, SEEK_SET) != 0) std::abort();
  static const berth::UniqueFd temp = *berth::OpenAt(AT_FDCWD, "/tmp", O_RDONLY | O_DIRECTORY);
  berth::Call call;
  berth::Archive::Limits limits;
  limits.max_bytes = uint64_t{16} << 20;
  absl::StatusOr<berth::Archive> read = berth::Archive::Read(fd.get(), temp.get(), limits, call);
  if (!read.ok()) return 0;
  const auto archive = std::make_shared<const berth::Archive>(*std::move(read));
  berth::Platform host;
  host.os = "linux";
  host.architecture = "amd64";
  const auto images = berth::ReadImages(archive, "", host);
  if (!images.ok()) return 0;
  for (const berth::ImportedImage& image : *images) {
    if (image.names.empty() || image.plan.layers.size() != image.plan.config.diff_ids.size()) std::abort();
    for (const berth::LayerBlob& layer : image.plan.layers) {
      Count count;
      if (layer.stream(count, call).ok() && count.total != layer.size_bytes) std::abort();
    }
  }
  return 0;
}
