#include "runtime/handlers/native/child/overlay.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/fd.h"
#include "base/syscall.h"
#include "runtime/handlers/native/child/kernel.h"
#include "runtime/handlers/native/child/text.h"

namespace berth::native {
namespace {

// fsconfig takes strings of 255 bytes; overlay gives ':', ',' and '\' a meaning. Directories with such names are passed
// as the number of an open descriptor, resolved relative to our own fd directory of the trusted proc.
constexpr size_t kMaxValue = 255;

bool NeedsNumber(const std::string& path) {
  return path.size() > kMaxValue || path.find_first_of(":,\\") != std::string::npos;
}

bool AnyNeedsNumber(const RootPlan& root) {
  for (const std::string& lower : root.lower_dirs) {
    if (NeedsNumber(lower)) return true;
  }
  return NeedsNumber(root.upper_dir) || NeedsNumber(root.work_dir);
}

// The overlay's builder; `numbered`: every directory by number.
class Overlay {
 public:
  Overlay(int context, bool numbered) : context_(context), numbered_(numbered) {}

  int SetDirectory(const char* key, const std::string& path) {
    if (!numbered_) return kernel::FsString(context_, key, path.c_str());
    char number[kNumberSize];
    const int result = Open(path, number);
    return result < 0 ? result : kernel::FsString(context_, key, number);
  }

  // lowerdir+ (Linux 6.8) has no limit for the list as a whole; older kernels take one string of 255 bytes, so the
  // directories go by number: enough for 80 layers.
  int SetLowers(const std::vector<std::string>& lowers) {
    int result = 0;
    for (size_t i = 0; i < lowers.size() && result >= 0; ++i) {
      result = SetDirectory("lowerdir+", lowers[i]);
      if (i == 0 && result == -EINVAL) return SetLowersAsOneString(lowers);
    }
    return result;
  }

 private:
  int SetLowersAsOneString(const std::vector<std::string>& lowers) {
    char list[kMaxValue + 1] = {};
    for (const std::string& lower : lowers) {
      char number[kNumberSize];
      const int result = Open(lower, number);
      if (result < 0) return result;
      if (strlen(list) + strlen(number) + 1 > kMaxValue) return -E2BIG;
      if (list[0] != '\0') AppendText(list, sizeof list, ":");
      AppendText(list, sizeof list, number);
    }
    return kernel::FsString(context_, "lowerdir", list);
  }

  // Leaves the descriptor open: the number must stay valid until the mount is made. The child's close_range ends it.
  static int Open(const std::string& path, char* number) {
    const int fd = openat(AT_FDCWD, path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -errno;
    FormatNumber(number, fd);
    return 0;
  }

  int context_;
  bool numbered_;
};

int EnterOwnFdDirectory(int proc) {
  char path[32];
  FormatOwnProcPath(proc, path, sizeof path, "/fd");
  const UniqueFd directory(
      sys::OpenAt2(proc, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0,
                   RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV));
  if (!directory) return directory.get();
  return fchdir(directory.get()) < 0 ? -errno : 0;
}

// What a distribution may have turned on for the whole node and a container's root must not depend on. EINVAL: compiled
// out.
int TurnOff(int context, const char* option) {
  const int result = kernel::FsString(context, option, "off");
  return result == -EINVAL ? 0 : result;
}

int SetOptions(int context, const RootPlan& root) {
  int result = kernel::FsString(context, "source", "overlay");
  for (const char* option : {"index", "metacopy", "nfs_export"}) {
    if (result >= 0) result = TurnOff(context, option);
  }
  if (result >= 0 && root.volatile_upper && !root.upper_dir.empty()) result = kernel::FsFlag(context, "volatile");
  if (result >= 0 && !root.mount_label.empty()) result = kernel::FsString(context, "context", root.mount_label.c_str());
  return result;
}

int BindSingleLayer(const RootPlan& root, Reporter& reporter) {
  UniqueFd layer(kernel::CloneTree(AT_FDCWD, root.lower_dirs[0].c_str(), false));
  int result = layer.get();
  if (result >= 0) result = kernel::SetPropagation(layer.get(), MS_PRIVATE, false);
  if (result >= 0) result = kernel::SetAttributes(layer.get(), MOUNT_ATTR_RDONLY, false);
  if (result >= 0) return layer.Release();
  reporter.Fail(Phase::kOverlay, result, "layer", root.lower_dirs[0].c_str());
  return -1;
}

// Sets `what` to the step at hand.
int BuildOverlay(int context, const RootPlan& root, const char** what) {
  Overlay overlay(context, AnyNeedsNumber(root));
  *what = "options";
  int result = SetOptions(context, root);
  if (result < 0) return result;
  *what = "lower directories";
  result = overlay.SetLowers(root.lower_dirs);
  if (result >= 0 && !root.upper_dir.empty()) {
    *what = root.upper_dir.c_str();
    result = overlay.SetDirectory("upperdir", root.upper_dir);
    if (result >= 0) result = overlay.SetDirectory("workdir", root.work_dir);
  }
  if (result < 0) return result;
  *what = "creating";
  result = kernel::FsCreate(context);
  return result < 0 ? result : kernel::FsMount(context, 0);
}

}  // namespace

int BuildRoot(const RootPlan& root, int proc, Reporter& reporter) {
  if (root.upper_dir.empty() && root.lower_dirs.size() == 1) return BindSingleLayer(root, reporter);
  const UniqueFd context(kernel::FsOpen("overlay"));
  int result = context.get();
  const char* what = "fsopen";
  if (result >= 0) result = EnterOwnFdDirectory(proc);
  if (result >= 0) result = BuildOverlay(context.get(), root, &what);
  if (result >= 0) return result;
  reporter.FailFs(Phase::kOverlay, result, context.get(), "overlay:", what);
  return -1;
}

}  // namespace berth::native
