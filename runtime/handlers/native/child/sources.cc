#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "runtime/handlers/native/child/kernel.h"
#include "runtime/handlers/native/child/setup.h"

namespace berth::native {
namespace {

// mkdir -p of a host path, the caller's own and outside of any container root.
int MakeHostDirectories(const std::string& source) {
  if (source.size() >= PATH_MAX) return -ENAMETOOLONG;
  char path[PATH_MAX];
  memcpy(path, source.c_str(), source.size() + 1);
  for (char* slash = strchr(path + 1, '/'); slash != nullptr; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    if (mkdirat(AT_FDCWD, path, 0755) < 0 && errno != EEXIST) return -errno;
    *slash = '/';
  }
  return mkdirat(AT_FDCWD, path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

// A detached copy of the source's mounts with the attributes it will have in the container.
int OpenSource(const MountStep& mount) {
  int result = kernel::CloneTree(AT_FDCWD, mount.source.c_str(), mount.recursive);
  if (result == -ENOENT && mount.make_source) {
    result = MakeHostDirectories(mount.source);
    if (result >= 0) result = kernel::CloneTree(AT_FDCWD, mount.source.c_str(), mount.recursive);
  }
  if (result < 0) return result;
  UniqueFd tree(result);
  if (mount.propagation == Propagation::kPrivate) result = kernel::SetPropagation(tree.get(), MS_PRIVATE, true);
  if (mount.propagation == Propagation::kSlave) result = kernel::SetPropagation(tree.get(), MS_SLAVE, true);
  if (result >= 0 && mount.attributes != 0) result = kernel::SetAttributes(tree.get(), mount.attributes, false);
  if (result >= 0 && mount.recursive_read_only) result = kernel::SetAttributes(tree.get(), MOUNT_ATTR_RDONLY, true);
  return result < 0 ? result : tree.Release();
}

}  // namespace

bool OpenSources(Setup& setup) {
  const std::vector<MountStep>& mounts = setup.plan().mounts;
  for (size_t i = 0; i < mounts.size(); ++i) {
    if (mounts[i].kind != MountKind::kBind) continue;
    const int tree = OpenSource(mounts[i]);
    if (tree < 0) return setup.reporter.Fail(Phase::kSource, tree, "", "", static_cast<int>(i));
    setup.job.sources[i] = tree;
  }
  return true;
}

}  // namespace berth::native
