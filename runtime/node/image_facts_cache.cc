#include "runtime/node/image_facts_cache.h"

#include <utility>

#include "base/status.h"
#include "runtime/spec/user_facts.h"

namespace berth {

absl::StatusOr<std::shared_ptr<const ImageFacts>> ImageFactsCache::Get(const Image& image, const RootfsRecipe& root) {
  {
    MutexLock lock(mutex_);
    const auto it = facts_.find(image.id);
    if (it != facts_.end()) return it->second;
  }
  ASSIGN_OR_RETURN(ImageFacts gathered, GatherImageFacts(root.lower_dirs, image.config));
  auto facts = std::make_shared<const ImageFacts>(std::move(gathered));
  MutexLock lock(mutex_);
  if (!facts_.emplace(image.id, facts).second) return facts;
  recent_.push_back(image.id);
  if (recent_.size() > kKept) {
    facts_.erase(recent_.front());
    recent_.pop_front();
  }
  return facts;
}

}  // namespace berth
