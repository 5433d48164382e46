#include "runtime/handlers/native/parent/hierarchies.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/fd.h"

namespace berth::native {
namespace {

std::vector<std::string> Split(const std::string& text, char by) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(by, begin), text.size());
    out.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

std::vector<std::string> Sorted(std::vector<std::string> list) {
  std::sort(list.begin(), list.end());
  return list;
}

constexpr char kNamed[] = "name=";

}  // namespace

int Hierarchies::Find(const std::vector<std::string>& directories, int proc) {
  const UniqueFd file(openat(proc, "self/cgroup", O_RDONLY | O_CLOEXEC));
  if (!file) return -errno;
  std::string text;
  char block[4096];
  ssize_t size = 0;
  while ((size = read(file.get(), block, sizeof block)) > 0) text.append(block, static_cast<size_t>(size));
  return size < 0 ? -errno : Parse(directories, text);
}

int Hierarchies::Parse(const std::vector<std::string>& directories, const std::string& proc_cgroup) {
  controllers_.clear();
  for (const std::string& line : Split(proc_cgroup, '\n')) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second != std::string::npos) controllers_.push_back(line.substr(first + 1, second - first - 1));
  }
  for (const std::string& directory : directories) {
    if (!FindOne(directory)) return -ENODEV;
  }
  return 0;
}

bool Hierarchies::FindOne(const std::string& directory) {
  const std::vector<std::string> wanted = Sorted(Split(directory, ','));
  for (const std::string& controllers : controllers_) {
    CgroupHierarchy found = {.directory = Keep(directory)};
    const std::vector<std::string> present = Sorted(Split(controllers, ','));
    if (controllers == kNamed + directory) {
      found.controllers = "";
      found.name = Keep(directory);
    } else if (controllers.empty() && directory == "unified") {
      found.controllers = nullptr;
    } else if (!controllers.empty() && present == wanted) {
      found.controllers = Keep(controllers);
    } else if (wanted.size() == 1 && std::binary_search(present.begin(), present.end(), directory)) {
      found.link_to = Keep(controllers);
    } else {
      continue;
    }
    list_.push_back(found);
    return true;
  }
  return false;
}

}  // namespace berth::native
