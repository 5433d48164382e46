#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/fd.h"

namespace berth {

// A directory being unpacked into, as its one writer knows it: every directory and symlink made so far, in memory.
// Paths are resolved here, links included and never above the root; the kernel is only ever given one name below the
// descriptor of a directory we made ourselves, so no link on disk is ever followed. Owned by one DirectorySink; one
// thread.
class LayerTree {
 public:
  struct Node {
    Node* parent = nullptr;
    std::string name;
    bool is_link = false;
    std::string target;  // links
    // Directories: what waits for the end, when nothing is created in them any more.
    bool implicit = false;  // no entry of its own (yet): made because something lies in it
    uint32_t mode = 0755;
    bool has_mtime = false;
    int64_t mtime_s = 0;
    uint32_t mtime_ns = 0;
    std::map<std::string, std::unique_ptr<Node>, std::less<>> children;
    // Its place in the list of open directories.
    std::shared_ptr<UniqueFd> fd;
    std::list<Node*>::iterator open_at;
  };

  // `memory_limit`: bytes all nodes may take, roughly; beyond it Make* is RESOURCE_EXHAUSTED.
  LayerTree(UniqueFd root, uint64_t memory_limit);

  Node& root() { return root_; }
  static Node* Child(Node& dir, absl::string_view name);

  // Where `parts` leads, through links, at most 40 of them; with `make`, missing directories are made (mode 0700 until
  // Finish sets it) through `maker`. NOT_FOUND when a part is missing and nothing makes it. "..", which links may
  // contain, stops at the root.
  using Maker = absl::StatusOr<Node*> (*)(void* context, Node& dir, absl::string_view name);
  absl::StatusOr<Node*> Resolve(const std::vector<absl::string_view>& parts, Maker make, void* context);

  absl::StatusOr<Node*> AddDirectory(Node& parent, absl::string_view name);
  absl::Status AddLink(Node& parent, absl::string_view name, absl::string_view target);
  void Erase(Node& parent, absl::string_view name);

  // A descriptor of the directory, kept open for a while; the holder keeps it open for longer.
  absl::StatusOr<std::shared_ptr<UniqueFd>> Open(Node& dir);

  static std::string PathOf(const Node& node);

 private:
  static constexpr size_t kMaxOpen = 96;

  absl::StatusOr<Node*> Add(Node& parent, absl::string_view name, size_t extra);
  void Remember(Node& dir, UniqueFd fd);
  void Forget(Node& node);

  Node root_;
  uint64_t memory_left_;
  std::list<Node*> open_;  // most recent first; never the root
};

}  // namespace berth
