#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "base/fd.h"
#include "base/syscall.h"

namespace berth::native {
namespace {

// Executes `image` as "check-own-image" (executor_test_main.cc); its exit code.
int Check(int image) {
  const pid_t child = fork();
  if (child == 0) {
    char name[] = "check-own-image";
    char* argv[] = {name, nullptr};
    char* envp[] = {nullptr};
    syscall(SYS_execveat, image, "", argv, envp, AT_EMPTY_PATH);
    _exit(20);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 30;
}

// CVE-2019-5736: a container overwrote the runtime through /proc/<pid>/exe.
TEST(OwnImage, RunsAgainFromAReadOnlyMount) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const UniqueFd image(open("/proc/self/exe", O_PATH | O_CLOEXEC));
  EXPECT_EQ(Check(image.get()), 0);
}

TEST(OwnImage, ASealedMemfdIsGoodAsItIs) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  std::ifstream file("/proc/self/exe", std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const UniqueFd image(sys::MemfdSealed("image", bytes.data(), bytes.size()));
  ASSERT_TRUE(image.valid());
  EXPECT_EQ(Check(image.get()), 0);
}

}  // namespace
}  // namespace berth::native
