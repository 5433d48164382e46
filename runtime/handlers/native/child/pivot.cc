#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/handlers/native/child/kernel.h"
#include "runtime/handlers/native/child/root_path.h"
#include "runtime/handlers/native/child/setup.h"

namespace berth::native {
namespace {

int EnterRoot(const Setup& setup) {
  if (fchdir(setup.root.get()) < 0) return -errno;
  int result = kernel::PivotToCwd();
  if (result < 0) return result;
  // The old root is now stacked on the new one; leave through its descriptor, as "." means the new one.
  if (fchdir(setup.ns_root.get()) < 0) return -errno;
  result = kernel::DetachCwd();
  if (result < 0) return result;
  return fchdir(setup.root.get()) < 0 ? -errno : 0;
}

// "/" must be the mount we built and nothing on top of it.
int VerifyRoot(const Setup& setup) {
  const UniqueFd slash(OpenSlash());
  if (!slash) return slash.get();
  uint64_t ours = 0;
  uint64_t found = 0;
  int result = kernel::MountId(setup.root.get(), &ours);
  if (result >= 0) result = kernel::MountId(slash.get(), &found);
  if (result < 0) return result;
  return ours == found ? 0 : -EBUSY;
}

}  // namespace

bool MakeWorkingDirectory(Setup& setup) {
  const ProcessPlan& process = setup.plan().process;
  if (!process.make_cwd) return true;
  const UniqueFd made(ResolveOrMakeInRoot(setup.root.get(), process.cwd.c_str(), Symlinks::kFollow, Make::kDirectory));
  // What exists but may not be entered by us now (a remote disk) is for the process itself to try.
  if (made || made.get() == -EACCES) return true;
  return setup.reporter.Fail(Phase::kCwdMake, made.get(), process.cwd.c_str());
}

bool FreezeRoot(Setup& setup) {
  if (!setup.plan().root.read_only) return true;
  const int result = kernel::SetAttributes(setup.root.get(), MOUNT_ATTR_RDONLY, false);
  return result >= 0 || setup.reporter.Fail(Phase::kReadOnlyRoot, result);
}

bool Pivot(Setup& setup) {
  int result = EnterRoot(setup);
  if (result >= 0) result = VerifyRoot(setup);
  return result >= 0 || setup.reporter.Fail(Phase::kPivot, result);
}

}  // namespace berth::native
