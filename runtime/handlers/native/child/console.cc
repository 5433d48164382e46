#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/handlers/native/child/kernel.h"
#include "runtime/handlers/native/child/pty.h"
#include "runtime/handlers/native/child/root_path.h"
#include "runtime/handlers/native/child/setup.h"

namespace berth::native {
namespace {

// In our own /dev the file is made; in a bound one nothing ever is.
int FindConsole(const Setup& setup) {
  if (setup.dev) return ResolveOrMakeInRoot(setup.root.get(), "/dev/console", Symlinks::kRefuse, Make::kFile);
  return ResolveInRoot(setup.root.get(), "/dev/console", Symlinks::kRefuse);
}

bool MountConsole(Setup& setup, int slave) {
  const UniqueFd target(FindConsole(setup));
  if (target.get() == -ENOENT) return true;
  if (!target) return setup.reporter.Fail(Phase::kConsole, target.get(), "/dev/console");
  const UniqueFd made(kernel::CloneTreeOf(slave, false));
  int result = made.get();
  if (result >= 0) result = kernel::Attach(made.get(), target.get());
  return result >= 0 || setup.reporter.Fail(Phase::kConsole, result, "mounting /dev/console");
}

}  // namespace

bool MakeConsole(Setup& setup, UniqueFd* slave) {
  if (!setup.plan().process.terminal) return true;
  Pty pty;
  const int result = OpenPty(setup.root.get(), setup.plan().process.uid, &pty);
  if (result < 0) return setup.reporter.Fail(Phase::kConsole, result, "a pty of /dev/pts");
  if (!MountConsole(setup, pty.slave.get())) return false;
  if (!setup.reporter.SendPty(pty.master.get())) return setup.reporter.Fail(Phase::kConsole, -errno, "sending the pty");
  *slave = std::move(pty.slave);
  return true;
}

}  // namespace berth::native
