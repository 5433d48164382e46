#include "base/failpoint.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "base/fd.h"
#include "base/files.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

#ifdef BERTH_FAILPOINTS

TEST(Failpoint, FiresOnTheAskedHitOnlyAndCounts) {
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  UniqueFd in(fds[0]), out(fds[1]);
  ASSERT_TRUE(failpoint::Configure("a=error:2,b=error", out.get()).ok());
  EXPECT_TRUE(failpoint::Hit("a").ok());
  EXPECT_FALSE(failpoint::Hit("a").ok());
  EXPECT_TRUE(failpoint::Hit("a").ok());
  EXPECT_TRUE(failpoint::Hit("c").ok());
  out.Reset();
  EXPECT_EQ(*ReadFd(in.get(), 100), "a\n");
  ASSERT_TRUE(failpoint::Configure("", -1).ok());
}

TEST(Failpoint, KillsItsOwnProcess) {
  const pid_t child = fork();
  if (child == 0) {
    if (!failpoint::Configure("a=kill", -1).ok()) _exit(1);
    if (!failpoint::Hit("a").ok()) _exit(2);
    _exit(3);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
}

TEST(Failpoint, NamesWhatItCannotParse) {
  EXPECT_EQ(failpoint::Configure("x=maybe", -1).message(),
            "failpoint \"x=maybe\": want name=kill[:n] or name=error[:n]");
}

#else

TEST(Failpoint, AreAbsentFromThisBuild) {
  EXPECT_FALSE(failpoint::Configure("a=error", -1).ok());
  EXPECT_TRUE(failpoint::Hit("a").ok());
}

#endif

}  // namespace
}  // namespace berth
