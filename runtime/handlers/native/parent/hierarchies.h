#pragma once

#include <deque>
#include <string>
#include <vector>

#include "runtime/handlers/native/child/job.h"

namespace berth::native {

// Turns directory names of /sys/fs/cgroup ("memory", "cpu,cpuacct", "systemd", "unified", the link "cpu") into what
// mounting each takes, from a /proc/<pid>/cgroup of `man 7 cgroups`.
class Hierarchies {
 public:
  // 0, -ENODEV for a name no hierarchy has, or another -errno.
  int Find(const std::vector<std::string>& directories, int proc);
  int Parse(const std::vector<std::string>& directories, const std::string& proc_cgroup);
  // Points into this object.
  const std::vector<CgroupHierarchy>& list() const { return list_; }

 private:
  bool FindOne(const std::string& directory);

  const char* Keep(const std::string& text) { return kept_.emplace_back(text).c_str(); }

  std::vector<std::string> controllers_;  // of each line: "cpu,cpuacct", "name=systemd", "" for v2
  std::deque<std::string> kept_;
  std::vector<CgroupHierarchy> list_;
};

}  // namespace berth::native
