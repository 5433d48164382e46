#include "imagesvc/unpack/layer_tree.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/files.h"
#include "base/status.h"

namespace berth {
namespace {

constexpr int kMaxLinks = 40;  // as the kernel: MAXSYMLINKS
constexpr size_t kNodeCost = sizeof(LayerTree::Node) + 64;

void PushParts(absl::string_view path, std::vector<std::string>& stack) {
  const std::vector<absl::string_view> parts = absl::StrSplit(path, '/', absl::SkipEmpty());
  for (auto it = parts.rbegin(); it != parts.rend(); ++it) stack.emplace_back(*it);
}

size_t DepthOf(const LayerTree::Node& node) {
  size_t depth = 0;
  for (const LayerTree::Node* at = node.parent; at != nullptr; at = at->parent) ++depth;
  return depth;
}

}  // namespace

LayerTree::LayerTree(UniqueFd root, uint64_t memory_limit) : memory_left_(memory_limit) {
  root_.fd = std::make_shared<UniqueFd>(std::move(root));
}

LayerTree::Node* LayerTree::Child(Node& dir, absl::string_view name) {
  const auto it = dir.children.find(std::string_view(name.data(), name.size()));
  return it == dir.children.end() ? nullptr : it->second.get();
}

absl::StatusOr<LayerTree::Node*> LayerTree::Resolve(const std::vector<absl::string_view>& parts, Maker make,
                                                    void* context) {
  Node* at = &root_;
  // The common case first: no link on the way.
  size_t done = 0;
  for (; done < parts.size(); ++done) {
    Node* const next = Child(*at, parts[done]);
    if (next == nullptr || next->is_link) break;
    at = next;
  }
  std::vector<std::string> todo(parts.rbegin(), parts.rbegin() + static_cast<std::ptrdiff_t>(parts.size() - done));
  for (int links = 0; !todo.empty();) {
    const std::string name = std::move(todo.back());
    todo.pop_back();
    if (name == ".") continue;
    if (name == "..") {
      if (at->parent != nullptr) at = at->parent;
      continue;
    }
    Node* next = Child(*at, name);
    if (next == nullptr) {
      if (make == nullptr)
        return absl::NotFoundError(absl::StrCat("no directory ", absl::CHexEscape(name), " in this layer"));
      ASSIGN_OR_RETURN(next, make(context, *at, name));
    }
    if (!next->is_link) {
      at = next;
      continue;
    }
    if (++links > kMaxLinks) return absl::InvalidArgumentError("too many symbolic links on the way");
    if (next->target[0] == '/') at = &root_;
    PushParts(next->target, todo);
  }
  return at;
}

absl::StatusOr<LayerTree::Node*> LayerTree::Add(Node& parent, absl::string_view name, size_t extra) {
  const size_t cost = kNodeCost + name.size() + extra;
  if (cost > memory_left_) return absl::ResourceExhaustedError("too many directories and links in one layer");
  memory_left_ -= cost;
  auto node = std::make_unique<Node>();
  node->parent = &parent;
  node->name = std::string(name);
  Node* const raw = node.get();
  parent.children[raw->name] = std::move(node);
  return raw;
}

absl::StatusOr<LayerTree::Node*> LayerTree::AddDirectory(Node& parent, absl::string_view name) {
  // Links can lead deeper than any path in the archive does.
  if (DepthOf(parent) >= 512) return absl::InvalidArgumentError("a directory tree deeper than 512");
  return Add(parent, name, 0);
}

absl::Status LayerTree::AddLink(Node& parent, absl::string_view name, absl::string_view target) {
  ASSIGN_OR_RETURN(Node* const node, Add(parent, name, target.size()));
  node->is_link = true;
  node->target = std::string(target);
  return absl::OkStatus();
}

void LayerTree::Forget(Node& node) {
  memory_left_ += kNodeCost + node.name.size() + node.target.size();
  if (node.fd != nullptr) open_.erase(node.open_at);
  for (auto& [name, child] : node.children) Forget(*child);
}

void LayerTree::Erase(Node& parent, absl::string_view name) {
  const auto it = parent.children.find(std::string_view(name.data(), name.size()));
  if (it == parent.children.end()) return;
  Forget(*it->second);
  parent.children.erase(it);
}

void LayerTree::Remember(Node& dir, UniqueFd fd) {
  dir.fd = std::make_shared<UniqueFd>(std::move(fd));
  open_.push_front(&dir);
  dir.open_at = open_.begin();
  if (open_.size() <= kMaxOpen) return;
  open_.back()->fd.reset();
  open_.pop_back();
}

absl::StatusOr<std::shared_ptr<UniqueFd>> LayerTree::Open(Node& dir) {
  // From the nearest ancestor that is open, downwards.
  std::vector<Node*> closed;
  Node* at = &dir;
  for (; at->fd == nullptr; at = at->parent) closed.push_back(at);
  if (at != &root_) open_.splice(open_.begin(), open_, at->open_at);
  std::shared_ptr<UniqueFd> fd = at->fd;
  for (auto it = closed.rbegin(); it != closed.rend(); ++it) {
    ASSIGN_OR_RETURN(UniqueFd next, OpenAt(fd->get(), (*it)->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    Remember(**it, std::move(next));
    fd = (*it)->fd;
  }
  return fd;
}

std::string LayerTree::PathOf(const Node& node) {
  if (node.parent == nullptr) return "";
  const std::string parent = PathOf(*node.parent);
  return parent.empty() ? node.name : absl::StrCat(parent, "/", node.name);
}

}  // namespace berth
