#include "imagesvc/unpack/directory_sink.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/status.h"
#include "imagesvc/unpack/attributes.h"
#include "imagesvc/unpack/entry_path.h"

namespace berth {
namespace {

constexpr uint64_t kBlock = 4096;
constexpr uint64_t kSpaceCheckEvery = uint64_t{64} << 20;

bool IsWhiteout(const struct stat& st) { return S_ISCHR(st.st_mode) && st.st_rdev == 0; }

absl::Status SetOpaque(int dir) {
  return fsetxattr(dir, "trusted.overlay.opaque", "y", 1, 0) == 0 ? absl::OkStatus()
                                                                  : ErrnoStatus(errno, "marking opaque");
}

}  // namespace

DirectorySink::DirectorySink(UniqueFd root, DirectorySinkOptions options)
    : options_(options), tree_(std::move(root), options.tree_memory) {
  applied_.inodes = 1;
  applied_.disk_bytes = kBlock;
  tree_.root().implicit = true;
}

absl::Status DirectorySink::OnEntry(const TarEntry& entry) {
  ++applied_.entries;
  ASSIGN_OR_RETURN(const std::vector<absl::string_view> parts, SplitEntryPath(entry.path));
  if (parts.empty()) return OnRoot(entry);
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    if (absl::StartsWith(parts[i], ".wh.")) return absl::InvalidArgumentError("a whiteout used as a directory");
  }
  absl::string_view hidden;
  ASSIGN_OR_RETURN(const NameKind kind, ClassifyName(parts.back(), &hidden));
  ASSIGN_OR_RETURN(const Parent parent, OpenParent(parts, true));
  switch (kind) {
    case NameKind::kOpaque:
      return MarkOpaque(*parent.node);
    case NameKind::kWhiteout:
      return Whiteout(parent, std::string(hidden));
    case NameKind::kPlain:
      return Apply(parent, entry);
  }
  return absl::InternalError("unreachable");
}

absl::Status DirectorySink::OnRoot(const TarEntry& entry) {
  if (entry.type != TarType::kDirectory) return absl::InvalidArgumentError("the root of a layer must be a directory");
  return SetDirectory(tree_.root(), entry);
}

absl::StatusOr<DirectorySink::Parent> DirectorySink::OpenParent(const std::vector<absl::string_view>& parts,
                                                                bool make) {
  Parent parent;
  parent.name = std::string(parts.back());
  // Members of one directory follow each other: most entries have the parent of the entry before.
  const absl::string_view dir(parts.front().data(), static_cast<size_t>(parts.back().data() - parts.front().data()));
  if (last_node_ != nullptr && dir == last_dir_) {
    parent.node = last_node_;
  } else {
    const std::vector<absl::string_view> above(parts.begin(), parts.end() - 1);
    ASSIGN_OR_RETURN(parent.node, tree_.Resolve(above, make ? &MakeImplicit : nullptr, this));
    last_node_ = parent.node;
    last_dir_ = std::string(dir);
  }
  ASSIGN_OR_RETURN(parent.fd, tree_.Open(*parent.node));
  return parent;
}

absl::StatusOr<LayerTree::Node*> DirectorySink::MakeImplicit(void* self, Node& dir, absl::string_view name) {
  DirectorySink& sink = *static_cast<DirectorySink*>(self);
  ASSIGN_OR_RETURN(const std::shared_ptr<UniqueFd> fd, sink.tree_.Open(dir));
  ASSIGN_OR_RETURN(Node* const made, sink.MakeDirectory(dir, fd->get(), std::string(name), false));
  made->implicit = true;
  return made;
}

absl::Status DirectorySink::Apply(const Parent& parent, const TarEntry& entry) {
  switch (entry.type) {
    case TarType::kDirectory:
      return Directory(parent, entry);
    case TarType::kFile:
      return StartFile(parent, entry);
    case TarType::kHardlink:
      return Hardlink(parent, entry);
    case TarType::kSymlink:
      return Symlink(parent, entry);
    case TarType::kCharDevice:
    case TarType::kBlockDevice:
    case TarType::kFifo:
      return Special(parent, entry);
  }
  return absl::InternalError("unreachable");
}

// A whiteout hides what lower layers have. What this layer has at the name stays (layer.md): a file hides the lower one
// by itself, a directory must not be merged with the lower one.
absl::Status DirectorySink::Whiteout(const Parent& parent, const std::string& hidden) {
  Node* const here = LayerTree::Child(*parent.node, hidden);
  if (here != nullptr && !here->is_link) return MarkOpaque(*here);
  if (mknodat(parent.fd->get(), hidden.c_str(), S_IFCHR, makedev(0, 0)) == 0) {
    ++applied_.inodes;
    return absl::OkStatus();
  }
  return errno == EEXIST ? absl::OkStatus() : ErrnoStatus(errno, "making a whiteout");
}

absl::Status DirectorySink::MarkOpaque(Node& dir) {
  ASSIGN_OR_RETURN(const std::shared_ptr<UniqueFd> fd, tree_.Open(dir));
  return SetOpaque(fd->get());
}

absl::Status DirectorySink::Directory(const Parent& parent, const TarEntry& entry) {
  Node* dir = LayerTree::Child(*parent.node, parent.name);
  if (dir == nullptr || dir->is_link) {
    ASSIGN_OR_RETURN(dir, MakeDirectory(*parent.node, parent.fd->get(), parent.name, true));
  }
  return SetDirectory(*dir, entry);
}

absl::StatusOr<LayerTree::Node*> DirectorySink::MakeDirectory(Node& dir, int dir_fd, const std::string& name,
                                                              bool replace) {
  bool over_whiteout = false;
  if (mkdirat(dir_fd, name.c_str(), 0700) != 0) {
    if (errno != EEXIST) return ErrnoStatus(errno, "making a directory");
    struct stat st;
    if (fstatat(dir_fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return ErrnoStatus(errno, "stat");
    over_whiteout = IsWhiteout(st);
    if (!over_whiteout && !replace) {
      return absl::InvalidArgumentError(absl::StrCat("its parent ", absl::CHexEscape(name), " is not a directory"));
    }
    tree_.Erase(dir, name);
    last_node_ = nullptr;  // it may have been reached through a link of this name
    if (unlinkat(dir_fd, name.c_str(), 0) != 0) return ErrnoStatus(errno, "replacing a file by a directory");
    if (mkdirat(dir_fd, name.c_str(), 0700) != 0) return ErrnoStatus(errno, "making a directory");
  }
  ASSIGN_OR_RETURN(Node* const made, tree_.AddDirectory(dir, name));
  ++applied_.inodes;
  applied_.disk_bytes += kBlock;
  if (over_whiteout) RETURN_IF_ERROR(MarkOpaque(*made));
  return made;
}

absl::Status DirectorySink::SetDirectory(Node& dir, const TarEntry& entry) {
  ASSIGN_OR_RETURN(const std::shared_ptr<UniqueFd> fd, tree_.Open(dir));
  if (options_.may_own && fchown(fd->get(), entry.uid, entry.gid) != 0) return ErrnoStatus(errno, "chown");
  RETURN_IF_ERROR(SetXattrs(fd->get(), "", entry, &applied_.xattrs_dropped));
  dir.implicit = false;
  dir.mode = entry.mode;
  dir.has_mtime = true;
  dir.mtime_s = entry.mtime_s;
  dir.mtime_ns = entry.mtime_ns;
  return absl::OkStatus();
}

absl::Status DirectorySink::Clear(const Parent& parent) {
  Node* const known = LayerTree::Child(*parent.node, parent.name);
  const bool is_dir = known != nullptr && !known->is_link;
  tree_.Erase(*parent.node, parent.name);
  if (is_dir) {
    last_node_ = nullptr;  // it may have been in there
    return RemoveTreeAt(parent.fd->get(), parent.name);
  }
  if (known != nullptr) last_node_ = nullptr;  // a link that led somewhere
  if (unlinkat(parent.fd->get(), parent.name.c_str(), 0) != 0) return ErrnoStatus(errno, "replacing");
  return absl::OkStatus();
}

absl::Status DirectorySink::StartFile(const Parent& parent, const TarEntry& entry) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  file_.Reset(openat(parent.fd->get(), parent.name.c_str(), kFlags, 0600));
  if (!file_.valid() && errno == EEXIST) {
    RETURN_IF_ERROR(Clear(parent));
    file_.Reset(openat(parent.fd->get(), parent.name.c_str(), kFlags, 0600));
  }
  if (!file_.valid()) return ErrnoStatus(errno, "making a file");
  file_entry_ = entry;
  ++applied_.inodes;
  applied_.disk_bytes += (entry.size + kBlock - 1) / kBlock * kBlock;
  return absl::OkStatus();
}

absl::Status DirectorySink::OnData(absl::string_view bytes) {
  if (!file_.valid()) return absl::OkStatus();  // data of a member that became something else: a whiteout
  unchecked_bytes_ += bytes.size();
  if (unchecked_bytes_ >= kSpaceCheckEvery) RETURN_IF_ERROR(CheckSpace());
  return WriteAll(file_.get(), bytes);
}

absl::Status DirectorySink::CheckSpace() {
  unchecked_bytes_ = 0;
  struct statvfs fs;
  if (fstatvfs(tree_.root().fd->get(), &fs) != 0) return ErrnoStatus(errno, "statvfs");
  const uint64_t free_bytes = uint64_t{fs.f_bavail} * fs.f_frsize;
  if (free_bytes >= options_.disk_reserve) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the disk is full: ", free_bytes, " bytes left, ", options_.disk_reserve, " are kept in reserve"));
}

absl::Status DirectorySink::OnEntryEnd() {
  if (!file_.valid()) return absl::OkStatus();
  const UniqueFd file = std::move(file_);
  if (!options_.may_own) return absl::OkStatus();
  return SetFileAttributes(file.get(), file_entry_, &applied_.xattrs_dropped);
}

absl::Status DirectorySink::Hardlink(const Parent& parent, const TarEntry& entry) {
  if (absl::StartsWith(entry.link_target, "/")) return absl::InvalidArgumentError("a hard link to an absolute path");
  ASSIGN_OR_RETURN(const std::vector<absl::string_view> parts, SplitEntryPath(entry.link_target), "hard link");
  if (parts.empty()) return absl::InvalidArgumentError("a hard link to the root");
  ASSIGN_OR_RETURN(const Parent source, OpenParent(parts, false), "hard link");
  if (source.node == parent.node && source.name == parent.name)
    return absl::InvalidArgumentError("a hard link to itself");
  struct stat from;
  if (fstatat(source.fd->get(), source.name.c_str(), &from, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return absl::InvalidArgumentError("a hard link to what is not in this layer");
    return ErrnoStatus(errno, "hard link");
  }
  if (S_ISDIR(from.st_mode) || IsWhiteout(from))
    return absl::InvalidArgumentError("a hard link to a directory or a whiteout");
  struct stat to;
  if (fstatat(parent.fd->get(), parent.name.c_str(), &to, AT_SYMLINK_NOFOLLOW) == 0) {
    if (to.st_ino == from.st_ino && to.st_dev == from.st_dev) return absl::OkStatus();
    // The source may lie below the directory that goes: then it is gone, and linking says so.
    RETURN_IF_ERROR(Clear(parent));
  } else if (errno != ENOENT) {
    return ErrnoStatus(errno, "hard link");
  }
  if (linkat(source.fd->get(), source.name.c_str(), parent.fd->get(), parent.name.c_str(), 0) != 0) {
    return ErrnoStatus(errno, "hard link");
  }
  if (!S_ISLNK(from.st_mode)) return absl::OkStatus();
  Node* const link = LayerTree::Child(*source.node, source.name);
  if (link == nullptr) return absl::InternalError("a link unknown to the tree");
  return tree_.AddLink(*parent.node, parent.name, std::string(link->target));
}

absl::Status DirectorySink::Symlink(const Parent& parent, const TarEntry& entry) {
  if (entry.link_target.empty()) return absl::InvalidArgumentError("a symbolic link to nothing");
  int made = symlinkat(entry.link_target.c_str(), parent.fd->get(), parent.name.c_str());
  if (made != 0 && errno == EEXIST) {
    RETURN_IF_ERROR(Clear(parent));
    made = symlinkat(entry.link_target.c_str(), parent.fd->get(), parent.name.c_str());
  }
  if (made != 0) return ErrnoStatus(errno, "making a symbolic link");
  ++applied_.inodes;
  RETURN_IF_ERROR(tree_.AddLink(*parent.node, parent.name, entry.link_target));
  if (!options_.may_own) return absl::OkStatus();
  return SetNodeAttributes(parent.fd->get(), parent.name, entry, &applied_.xattrs_dropped);
}

absl::Status DirectorySink::Special(const Parent& parent, const TarEntry& entry) {
  const dev_t device = makedev(entry.dev_major, entry.dev_minor);
  mode_t kind = S_IFIFO;
  if (entry.type == TarType::kCharDevice) kind = S_IFCHR;
  if (entry.type == TarType::kBlockDevice) kind = S_IFBLK;
  if (kind == S_IFCHR && device == 0)
    return absl::InvalidArgumentError("a 0:0 character device: that is a whiteout on disk");
  if (!options_.may_own) return absl::OkStatus();
  int made = mknodat(parent.fd->get(), parent.name.c_str(), kind | 0600, device);
  if (made != 0 && errno == EEXIST) {
    RETURN_IF_ERROR(Clear(parent));
    made = mknodat(parent.fd->get(), parent.name.c_str(), kind | 0600, device);
  }
  if (made != 0) return ErrnoStatus(errno, "making a device or fifo");
  ++applied_.inodes;
  return SetNodeAttributes(parent.fd->get(), parent.name, entry, &applied_.xattrs_dropped);
}

absl::Status DirectorySink::FinishDirectory(Node& dir) {
  for (const auto& [name, child] : dir.children) {
    if (!child->is_link) RETURN_IF_ERROR(FinishDirectory(*child));
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<UniqueFd> fd, tree_.Open(dir));
  if (fchmod(fd->get(), dir.mode) != 0) return ErrnoStatus(errno, "chmod of a directory");
  if (dir.has_mtime) {
    const timespec times[2] = {{0, UTIME_OMIT}, {dir.mtime_s, static_cast<long>(dir.mtime_ns)}};
    if (futimens(fd->get(), times) != 0) return ErrnoStatus(errno, "setting times of a directory");
  }
  if (dir.implicit && dir.parent != nullptr) applied_.implicit_dirs.push_back(LayerTree::PathOf(dir));
  return absl::OkStatus();
}

absl::StatusOr<AppliedLayer> DirectorySink::Finish() {
  if (file_.valid()) return absl::FailedPreconditionError("a file is still being written");
  RETURN_IF_ERROR(FinishDirectory(tree_.root()));
  applied_.root_explicit = !tree_.root().implicit;
  return applied_;
}

}  // namespace berth
