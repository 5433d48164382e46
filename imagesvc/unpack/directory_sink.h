#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/fd.h"
#include "imagesvc/unpack/layer_tree.h"
#include "imagesvc/unpack/tar_entry.h"

namespace berth {

struct DirectorySinkOptions {
  uint64_t tree_memory = uint64_t{256} << 20;  // for directories and links of one layer
  uint64_t disk_reserve = uint64_t{64} << 20;  // bytes that stay free on the file system: metadata must still fit
  bool may_own = true;                         // false only in fuzzing without root: owners and devices are left out
};

struct AppliedLayer {
  uint64_t entries = 0;
  uint64_t disk_bytes = 0;  // blocks of 4 KiB that files and directories take
  uint64_t inodes = 0;
  uint64_t xattrs_dropped = 0;             // the file system has no such attributes
  bool root_explicit = false;              // the root has an entry; otherwise its attributes are not the layer's
  std::vector<std::string> implicit_dirs;  // made because something lies in them: their attributes are not the layer's
};

// Makes an overlayfs lower directory of one layer (OCI image-spec "layer.md"): whiteouts become 0:0 character devices,
// opaque markers trusted.overlay.opaque, each in constant time and wherever they stand in the archive. The directory
// must be new, empty and ours alone. Needs root. Everything happens by descriptor; see LayerTree. One thread.
//
// An entry replaces an earlier one of its name, except that a directory keeps its content; hardlinks lead to entries of
// the same layer. Directories get modes and times in Finish, until when they are 0700.
class DirectorySink final : public TarSink {
 public:
  DirectorySink(UniqueFd root, DirectorySinkOptions options);

  absl::Status OnEntry(const TarEntry& entry) override;
  absl::Status OnData(absl::string_view bytes) override;
  absl::Status OnEntryEnd() override;

  absl::StatusOr<AppliedLayer> Finish();

 private:
  using Node = LayerTree::Node;
  struct Parent {
    Node* node = nullptr;
    std::shared_ptr<UniqueFd> fd;
    std::string name;  // the last component
  };

  static absl::StatusOr<Node*> MakeImplicit(void* self, Node& dir, absl::string_view name);

  absl::Status OnRoot(const TarEntry& entry);
  absl::StatusOr<Parent> OpenParent(const std::vector<absl::string_view>& parts, bool make);
  absl::Status Apply(const Parent& parent, const TarEntry& entry);
  absl::Status Whiteout(const Parent& parent, const std::string& hidden);
  absl::Status MarkOpaque(Node& dir);
  absl::Status Directory(const Parent& parent, const TarEntry& entry);
  absl::StatusOr<Node*> MakeDirectory(Node& dir, int dir_fd, const std::string& name, bool replace);
  absl::Status SetDirectory(Node& dir, const TarEntry& entry);
  absl::Status StartFile(const Parent& parent, const TarEntry& entry);
  absl::Status Hardlink(const Parent& parent, const TarEntry& entry);
  absl::Status Symlink(const Parent& parent, const TarEntry& entry);
  absl::Status Special(const Parent& parent, const TarEntry& entry);
  // Removes what stands at the name.
  absl::Status Clear(const Parent& parent);
  absl::Status CheckSpace();
  absl::Status FinishDirectory(Node& dir);

  const DirectorySinkOptions options_;
  LayerTree tree_;
  AppliedLayer applied_;
  UniqueFd file_;  // the file being written
  TarEntry file_entry_;
  uint64_t unchecked_bytes_ = 0;
  std::string last_dir_;  // the parent path of the entry before, and where it led
  Node* last_node_ = nullptr;
};

}  // namespace berth
