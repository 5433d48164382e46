#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "imagesvc/image_service.h"
#include "runtime/spec/build_spec.h"

namespace berth {

// What specs need to know of images (users and groups), read once per image; the most recently used few are kept.
// Thread-safe.
class ImageFactsCache {
 public:
  absl::StatusOr<std::shared_ptr<const ImageFacts>> Get(const Image& image, const RootfsRecipe& root);

 private:
  static constexpr size_t kKept = 32;
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<const ImageFacts>> facts_ GUARDED_BY(mutex_);
  std::list<std::string> recent_ GUARDED_BY(mutex_);  // least recently added first
};

}  // namespace berth
