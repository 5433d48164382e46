#include "runtime/spec/seccomp/cache.h"

#include <fcntl.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "base/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/spec/seccomp/compile.h"

namespace berth::seccomp {
namespace {

constexpr char kLog[] = R"({"defaultAction":"SCMP_ACT_LOG"})";
constexpr char kAllow[] = R"({"defaultAction":"SCMP_ACT_ALLOW"})";
constexpr char kTrap[] = R"({"defaultAction":"SCMP_ACT_TRAP"})";

TEST(SeccompCache, GivesTheProgramOnceCompiled) {
  SeccompCache cache;
  const auto first = cache.Get(kLog);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = cache.Get(kLog);
  ASSERT_TRUE(second.ok());
  EXPECT_NE(first->get(), second->get());
  EXPECT_EQ(cache.compilations(), 1u);
  EXPECT_EQ(*ReadFd(first->get(), 1 << 20), *CompileFilter(kLog));
  EXPECT_EQ(*ReadFd(second->get(), 1 << 20), *CompileFilter(kLog)) << "reading one must not move the other's offset";
}

TEST(SeccompCache, ProgramsCannotBeChanged) {
  SeccompCache cache;
  const auto fd = cache.Get(kLog);
  ASSERT_TRUE(fd.ok());
  EXPECT_EQ(fcntl(fd->get(), F_GET_SEALS), F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  EXPECT_LT(write(fd->get(), "x", 1), 0);
  EXPECT_EQ(fcntl(fd->get(), F_GETFD), FD_CLOEXEC);
}

TEST(SeccompCache, DistinctProfilesAreDistinct) {
  SeccompCache cache;
  EXPECT_NE(*ReadFd(cache.Get(kLog)->get(), 1 << 20), *ReadFd(cache.Get(kAllow)->get(), 1 << 20));
  EXPECT_EQ(cache.compilations(), 2u);
}

TEST(SeccompCache, DropsTheLeastRecentlyUsed) {
  SeccompCache cache(2);
  ASSERT_TRUE(cache.Get(kLog).ok());
  ASSERT_TRUE(cache.Get(kAllow).ok());
  ASSERT_TRUE(cache.Get(kLog).ok());
  ASSERT_TRUE(cache.Get(kTrap).ok());
  EXPECT_EQ(cache.compilations(), 3u);
  ASSERT_TRUE(cache.Get(kLog).ok());
  EXPECT_EQ(cache.compilations(), 3u);
  ASSERT_TRUE(cache.Get(kAllow).ok());
  EXPECT_EQ(cache.compilations(), 4u);
}

TEST(SeccompCache, FailuresAreNotRemembered) {
  SeccompCache cache;
  EXPECT_FALSE(cache.Get("{}").ok());
  EXPECT_FALSE(cache.Get("{}").ok());
  EXPECT_EQ(cache.compilations(), 0u);
}

TEST(SeccompCache, SimultaneousCallersShareOneCompilation) {
  SeccompCache cache;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back([&] { EXPECT_TRUE(cache.Get(kLog).ok()); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(cache.compilations(), 1u);
}

}  // namespace
}  // namespace berth::seccomp
