#include "runtime/handlers/native/child/cgroup_mounts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/handlers/native/child/kernel.h"

namespace berth::native {
namespace {

int MakeTmpfs(UniqueFd* context) {
  context->Reset(kernel::FsOpen("tmpfs"));
  int result = context->get();
  if (result >= 0) result = kernel::FsString(context->get(), "source", "tmpfs");
  if (result >= 0) result = kernel::FsString(context->get(), "mode", "755");
  if (result >= 0) result = kernel::FsString(context->get(), "size", "64k");
  if (result >= 0) result = kernel::FsCreate(context->get());
  return result < 0 ? result
                    : kernel::FsMount(context->get(), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

// "cpu,cpuacct": a flag each.
int SelectControllers(int context, const char* controllers) {
  char name[64];
  for (const char* begin = controllers; *begin != '\0';) {
    const char* end = strchrnul(begin, ',');
    const size_t size = static_cast<size_t>(end - begin);
    if (size >= sizeof name) return -EINVAL;
    memcpy(name, begin, size);
    name[size] = '\0';
    const int result = kernel::FsFlag(context, name);
    if (result < 0) return result;
    begin = *end == '\0' ? end : end + 1;
  }
  return 0;
}

int SelectNamed(int context, const char* name) {
  const int result = kernel::FsFlag(context, "none");
  return result < 0 ? result : kernel::FsString(context, "name", name);
}

int MakeHierarchy(const CgroupHierarchy& hierarchy, uint64_t attributes, UniqueFd* context) {
  const bool v2 = hierarchy.controllers == nullptr;
  context->Reset(kernel::FsOpen(v2 ? "cgroup2" : "cgroup"));
  int result = context->get();
  if (result >= 0) result = kernel::FsString(context->get(), "source", "cgroup");
  if (result >= 0 && !v2) {
    result = hierarchy.name != nullptr ? SelectNamed(context->get(), hierarchy.name)
                                       : SelectControllers(context->get(), hierarchy.controllers);
  }
  if (result >= 0) result = kernel::FsCreate(context->get());
  return result < 0 ? result : kernel::FsMount(context->get(), attributes);
}

int MountHierarchy(const CgroupHierarchy& hierarchy, const MountStep& mount, int tree, UniqueFd* context) {
  if (hierarchy.link_to != nullptr) return symlinkat(hierarchy.link_to, tree, hierarchy.directory) < 0 ? -errno : 0;
  if (mkdirat(tree, hierarchy.directory, 0755) < 0) return -errno;
  const UniqueFd target(openat(tree, hierarchy.directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!target) return -errno;
  const UniqueFd made(MakeHierarchy(hierarchy, mount.attributes, context));
  return made ? kernel::Attach(made.get(), target.get()) : made.get();
}

}  // namespace

int MakeCgroupMount(const ContainerJob& job, const MountStep& mount, UniqueFd* context) {
  if (job.hierarchy_count > 0) return MakeTmpfs(context);
  return MakeHierarchy(CgroupHierarchy{}, mount.attributes, context);
}

int FillCgroupMount(const ContainerJob& job, const MountStep& mount, int tree, UniqueFd* context) {
  for (size_t i = 0; i < job.hierarchy_count; ++i) {
    const int result = MountHierarchy(job.hierarchies[i], mount, tree, context);
    if (result < 0) return result;
  }
  return job.hierarchy_count == 0 ? 0 : kernel::SetAttributes(tree, MOUNT_ATTR_RDONLY, false);
}

}  // namespace berth::native
