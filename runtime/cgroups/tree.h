#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/fd.h"

namespace berth {

// Absolute, without empty, "." or ".." components or control characters; "/" is the root.
absl::Status CheckCgroupPath(absl::string_view path);

// What a kernel does with a directory and a plain file system does not: tests give it.
struct FakeKernel {
  std::function<void(int dir, const std::string& path)> made;
  std::function<void(int dir)> removing;
};

// One mounted cgroup hierarchy, held by its root's descriptor: everything is resolved beneath it, never by a path from
// "/". Immutable; thread-safe.
class CgroupTree {
 public:
  // `controllers`: what it controls ("cpu", "cpuacct" when both are mounted together; "name=systemd" has none).
  CgroupTree(std::string name, bool v2, std::set<std::string> controllers, UniqueFd root,
             std::shared_ptr<FakeKernel> fake);

  const std::string& name() const { return name_; }  // the directory below the mount root; "" for the pure v2 tree
  bool v2() const { return v2_; }
  bool Has(const std::string& controller) const { return controllers_.count(controller) > 0; }
  const std::set<std::string>& controllers() const { return controllers_; }

  // NOT_FOUND when it does not exist.
  absl::StatusOr<UniqueFd> Open(const std::string& path) const;
  // Makes `path` and what is missing above it; `made` gets what was new, outermost first. Returns the directory.
  // `each(parent, dir)` is called for every component, top down, new or not, before the next one is made.
  using EachComponent = std::function<absl::Status(int parent, int dir, bool last)>;
  absl::StatusOr<UniqueFd> Make(const std::string& path, std::vector<std::string>* made,
                                const EachComponent& each = nullptr) const;
  // rmdir of `path` alone; OK when absent. An EBUSY that the kernel gives for a moment after the last exit is waited
  // out.
  absl::Status RemoveOne(const std::string& path) const;
  // rmdir of `path` and everything below it.
  absl::Status RemoveAll(const std::string& path) const;
  // Processes of `path` and below; empty when absent.
  absl::StatusOr<std::set<pid_t>> Pids(const std::string& path) const;

 private:
  absl::StatusOr<UniqueFd> MakeOnce(const std::string& path, std::vector<std::string>* made,
                                    const EachComponent& each) const;
  absl::Status RemoveBelow(int parent, const std::string& name, int depth) const;
  absl::Status Rmdir(int parent, const std::string& name) const;

  std::string name_;
  bool v2_;
  std::set<std::string> controllers_;
  UniqueFd root_;
  std::shared_ptr<FakeKernel> fake_;
};

// Removes `made` (as Make filled it), innermost first; what others use by now stays.
void RemoveMade(const CgroupTree& tree, const std::vector<std::string>& made);

// Interface files below a cgroup's directory. Errors carry the key's name; a missing key is NOT_FOUND.
absl::StatusOr<UniqueFd> OpenKey(int dir, const std::string& key, int flags);
absl::StatusOr<std::string> ReadKey(int dir, const std::string& key);  // without the final newline
absl::Status WriteKey(int dir, const std::string& key, absl::string_view value);
bool HasKey(int dir, const std::string& key);

}  // namespace berth
