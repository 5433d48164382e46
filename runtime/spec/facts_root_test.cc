// Facts read from a real file system and kernel. Needs root; works in a mount namespace of its own.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/spec/capabilities.h"
#include "runtime/spec/host_facts.h"
#include "runtime/spec/passwd.h"
#include "runtime/spec/request_facts.h"
#include "runtime/spec/user_facts.h"

namespace berth {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Facts : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (geteuid() != 0) return;
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  }
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    char name[] = "/tmp/berth-facts-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    root_ = name;
    ASSERT_EQ(mount("tmpfs", root_.c_str(), "tmpfs", 0, "size=64m"), 0);
  }
  void TearDown() override {
    if (root_.empty()) return;
    EXPECT_EQ(umount2(root_.c_str(), MNT_DETACH), 0);
    EXPECT_EQ(rmdir(root_.c_str()), 0);
  }

  std::string Path(const std::string& relative) const { return root_ + "/" + relative; }
  void Dir(const std::string& relative) { ASSERT_TRUE(MakeDirs(Path(relative), 0755).ok()); }
  void File(const std::string& relative, const std::string& text) {
    const auto fd = OpenAt(AT_FDCWD, Path(relative), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ASSERT_TRUE(fd.ok()) << fd.status();
    ASSERT_TRUE(WriteAll(fd->get(), text).ok());
  }
  absl::StatusOr<ImageFacts> Gather(const std::vector<std::string>& layers) {
    std::vector<std::string> paths;
    for (const std::string& layer : layers) paths.push_back(Path(layer));
    return GatherImageFacts(paths, {});
  }
  static std::string Mounts() { return *ReadFileAt(AT_FDCWD, "/proc/self/mountinfo", 64 << 20); }

  std::string root_;
};

TEST_F(Facts, OneLayer) {
  Dir("l/etc");
  File("l/etc/passwd", "p");
  File("l/etc/group", "g");
  const auto facts = Gather({"l"});
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_EQ(facts->passwd, "p");
  EXPECT_EQ(facts->group, "g");
}

TEST_F(Facts, AnImageNeedHaveNeither) {
  Dir("l");
  const auto facts = Gather({"l"});
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_EQ(facts->passwd + facts->group, "");
  File("l/etc", "a file where a directory is usual");
  EXPECT_TRUE(Gather({"l"}).ok());
  EXPECT_FALSE(Gather({}).ok());
  EXPECT_FALSE(Gather({"nosuch"}).ok());
}

TEST_F(Facts, LayersCoverAndHideEachOther) {
  for (const char* layer : {"1/etc", "2/etc", "3/x"}) Dir(layer);
  File("1/etc/passwd", "lower");
  File("1/etc/group", "hidden");
  File("2/etc/passwd", "upper");
  ASSERT_EQ(mknod(Path("2/etc/group").c_str(), S_IFCHR, makedev(0, 0)), 0);
  const std::string before = Mounts();
  const auto facts = Gather({"3", "2", "1"});
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_EQ(facts->passwd, "upper");
  EXPECT_EQ(facts->group, "") << "a whiteout hides it";
  EXPECT_EQ(Mounts(), before) << "nothing is attached anywhere";
}

TEST_F(Facts, OlderKernelsMountAside) {
  Dir("a:b,c\\d/etc");
  Dir("2");
  File("a:b,c\\d/etc/passwd", "p");
  const std::string before = Mounts();
  const auto image = OpenImageRootByMount({Path("2"), Path("a:b,c\\d")});
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(*ReadAccountFile(image->get(), "etc/passwd"), "p");
  EXPECT_EQ(Mounts(), before);
}

TEST_F(Facts, LinksStayInside) {
  Dir("l/etc");
  Dir("l/real");
  File("secret", "host");
  File("l/real/passwd", "inside");
  ASSERT_EQ(symlink("/real/passwd", Path("l/etc/passwd").c_str()), 0);
  ASSERT_EQ(symlink("../../../../../../../../secret", Path("l/etc/group").c_str()), 0);
  const auto facts = Gather({"l"});
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_EQ(facts->passwd, "inside");
  EXPECT_EQ(facts->group, "");
  unlink(Path("l/etc/group").c_str());
  ASSERT_EQ(symlink(Path("secret").c_str(), Path("l/etc/group").c_str()), 0);
  EXPECT_EQ(Gather({"l"})->group, "");
}

TEST_F(Facts, EvilFilesAreErrorsAtOnce) {
  Dir("l/etc");
  const std::string passwd = Path("l/etc/passwd");
  const auto expect = [&](const char* because) {
    const auto facts = Gather({"l"});
    EXPECT_EQ(facts.status().code(), absl::StatusCode::kInvalidArgument) << because << facts.status();
    EXPECT_THAT(facts.status().message(), HasSubstr(because));
    ASSERT_EQ(remove(passwd.c_str()), 0);
  };
  ASSERT_EQ(mkfifo(passwd.c_str(), 0644), 0);
  expect("regular");
  ASSERT_EQ(mkdir(passwd.c_str(), 0755), 0);
  expect("regular");
  ASSERT_EQ(mknod(passwd.c_str(), S_IFCHR | 0644, makedev(1, 5)), 0);  // zero: endless
  expect("regular");
  ASSERT_EQ(symlink("/etc/passwd", passwd.c_str()), 0);
  expect("loop");
  ASSERT_EQ(symlink("/proc/self/exe", passwd.c_str()), 0);
  EXPECT_EQ(Gather({"l"})->passwd, "") << "the image has no /proc";
  ASSERT_EQ(remove(passwd.c_str()), 0);
  File("l/etc/passwd", "");
  ASSERT_EQ(truncate(passwd.c_str(), off_t{10} << 30), 0);
  expect("larger");
  File("l/etc/passwd", std::string(kMaxPasswdBytes, 'x'));
  EXPECT_EQ(Gather({"l"})->passwd.size(), kMaxPasswdBytes);
}

TEST_F(Facts, HostDevices) {
  Dir("dev/sub/deeper");
  Dir("dev/pts");
  for (const char* node : {"dev/null", "dev/sub/deeper/x", "dev/pts/0", "dev/console"}) {
    ASSERT_EQ(mknod(Path(node).c_str(), S_IFCHR | 0620, makedev(1, 3)), 0);
  }
  ASSERT_EQ(mknod(Path("dev/sda").c_str(), S_IFBLK | 0660, makedev(8, 0)), 0);
  ASSERT_EQ(symlink("null", Path("dev/link").c_str()), 0);
  File("dev/file", "");
  const auto devices = GatherHostDevices(Path("dev"));
  ASSERT_TRUE(devices.ok()) << devices.status();
  std::vector<std::string> paths;
  for (const oci::Device& device : *devices) paths.push_back(device.path);
  EXPECT_THAT(paths, ElementsAre("/dev/null", "/dev/sda", "/dev/sub/deeper/x"));
  EXPECT_EQ((*devices)[1].type, "b");
  EXPECT_EQ((*devices)[1].major, 8);
}

TEST_F(Facts, OfThisHost) {
  const std::string before = *ReadFileAt(AT_FDCWD, "/proc/self/oom_score_adj", 64);
  const auto facts = GatherHostFacts();
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_EQ(*ReadFileAt(AT_FDCWD, "/proc/self/oom_score_adj", 64), before) << "trying leaves no trace";
  EXPECT_NE(facts->bounding_capabilities & *CapabilityMask({"SYS_ADMIN"}), 0u);
  EXPECT_GE(facts->min_oom_score_adj, -1000);
  EXPECT_LE(facts->min_oom_score_adj, atoi(before.c_str()));
  EXPECT_TRUE(facts->seccomp);
  EXPECT_FALSE(facts->seccomp_arch.empty());
  EXPECT_EQ(facts->cgroup_v2, facts->cgroup_v1_hierarchies.empty());
  EXPECT_TRUE(std::any_of(facts->devices.begin(), facts->devices.end(),
                          [](const oci::Device& device) { return device.path == "/dev/null" && device.minor == 3; }));
}

TEST_F(Facts, RequestedDevices) {
  Dir("dev/tree/sub");
  ASSERT_EQ(mknod(Path("dev/tree/a").c_str(), S_IFCHR | 0600, makedev(10, 1)), 0);
  ASSERT_EQ(mknod(Path("dev/tree/sub/b").c_str(), S_IFBLK | 0600, makedev(7, 2)), 0);
  ASSERT_EQ(symlink("tree/a", Path("dev/link").c_str()), 0);
  File("dev/file", "");
  runtime::v1::ContainerConfig container;
  container.add_devices()->set_host_path(Path("dev/tree"));
  container.mutable_devices(0)->set_container_path("/dev/mine");
  container.add_devices()->set_host_path(Path("dev/link"));
  container.mutable_devices(1)->set_container_path("/dev/one");
  container.mutable_devices(1)->set_permissions("r");
  const auto devices = ResolveDevices(container);
  ASSERT_TRUE(devices.ok()) << devices.status();
  ASSERT_EQ(devices->size(), 2u);
  ASSERT_EQ((*devices)[0].nodes.size(), 2u);
  EXPECT_EQ((*devices)[0].nodes[0].path, "/dev/mine/a");
  EXPECT_EQ((*devices)[0].nodes[1].path, "/dev/mine/sub/b");
  EXPECT_EQ((*devices)[0].nodes[1].type, "b");
  ASSERT_EQ((*devices)[1].nodes.size(), 1u);
  EXPECT_EQ((*devices)[1].nodes[0].path, "/dev/one");
  EXPECT_EQ((*devices)[1].nodes[0].major, 10);
  EXPECT_EQ((*devices)[1].access, "r");

  container.mutable_devices(0)->set_host_path(Path("dev/file"));
  EXPECT_EQ(ResolveDevices(container).status().code(), absl::StatusCode::kInvalidArgument);
  container.mutable_devices(0)->set_host_path(Path("dev/nosuch"));
  EXPECT_EQ(ResolveDevices(container).status().code(), absl::StatusCode::kNotFound);
  container.mutable_devices(0)->set_host_path("dev/null");
  EXPECT_EQ(ResolveDevices(container).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(Facts, SeccompProfileFiles) {
  runtime::v1::LinuxContainerSecurityContext security;
  EXPECT_EQ(*LoadSeccompProfile(security), "");
  security.mutable_seccomp()->set_profile_type(runtime::v1::SecurityProfile::Localhost);
  security.mutable_seccomp()->set_localhost_ref(Path("p.json"));
  EXPECT_EQ(LoadSeccompProfile(security).status().code(), absl::StatusCode::kNotFound);
  File("p.json", "{}");
  EXPECT_EQ(*LoadSeccompProfile(security), "{}");
  ASSERT_EQ(remove(Path("p.json").c_str()), 0);
  ASSERT_EQ(mkfifo(Path("p.json").c_str(), 0644), 0);
  EXPECT_EQ(LoadSeccompProfile(security).status().code(), absl::StatusCode::kInvalidArgument);
  ASSERT_EQ(remove(Path("p.json").c_str()), 0);
  File("p.json", std::string((1 << 20) + 1, ' '));
  EXPECT_EQ(LoadSeccompProfile(security).status().code(), absl::StatusCode::kResourceExhausted);
}

class Sources : public Facts {
 protected:
  runtime::v1::Mount* Add(const std::string& host_path) {
    runtime::v1::Mount* mount = container_.add_mounts();
    mount->set_container_path("/c");
    mount->set_host_path(host_path);
    return mount;
  }
  runtime::v1::ContainerConfig container_;
};

TEST_F(Sources, MissingOnesAreMadeWhenTheConfigSaysSo) {
  Add(Path("a/b/c"));
  EXPECT_EQ(PrepareMountSources(container_, false).code(), absl::StatusCode::kNotFound);
  EXPECT_NE(access(Path("a").c_str(), F_OK), 0);
  EXPECT_TRUE(PrepareMountSources(container_, true).ok());
  struct stat facts = {};
  ASSERT_EQ(stat(Path("a/b/c").c_str(), &facts), 0);
  EXPECT_TRUE(S_ISDIR(facts.st_mode));
  EXPECT_TRUE(PrepareMountSources(container_, false).ok());
  File("file", "");
  Add(Path("file"));
  EXPECT_TRUE(PrepareMountSources(container_, true).ok()) << "files are sources too";
}

TEST_F(Sources, PropagationNeedsASharedMount) {
  Dir("dir");
  auto* mounted = Add(Path("dir"));
  const auto check = [&](runtime::v1::MountPropagation propagation) {
    mounted->set_propagation(propagation);
    return PrepareMountSources(container_, true);
  };
  EXPECT_TRUE(check(runtime::v1::PROPAGATION_PRIVATE).ok());
  const absl::Status refused = check(runtime::v1::PROPAGATION_HOST_TO_CONTAINER);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.message(), HasSubstr(root_));
  ASSERT_EQ(mount(nullptr, root_.c_str(), nullptr, MS_SHARED, nullptr), 0);
  EXPECT_TRUE(check(runtime::v1::PROPAGATION_HOST_TO_CONTAINER).ok());
  EXPECT_TRUE(check(runtime::v1::PROPAGATION_BIDIRECTIONAL).ok());
  ASSERT_EQ(mount(nullptr, root_.c_str(), nullptr, MS_PRIVATE, nullptr), 0);
  EXPECT_FALSE(check(runtime::v1::PROPAGATION_BIDIRECTIONAL).ok());
}

TEST(FindMount, ReadsTheOptionalFields) {
  const char* text =
      "21 1 0:20 / / rw,relatime shared:1 - ext4 /dev/a rw\n"
      "22 21 0:21 / /a\\040b rw master:7 - tmpfs t rw\n"
      "23 21 0:22 / /c rw shared:2 master:1 - tmpfs t rw\n"
      "24 21 0:23 / /shared:9 rw - tmpfs shared:1 rw\n"
      "garbage\n";
  EXPECT_TRUE(FindMount(text, 21)->shared);
  EXPECT_FALSE(FindMount(text, 21)->slave);
  EXPECT_TRUE(FindMount(text, 22)->slave);
  EXPECT_TRUE(FindMount(text, 23)->shared && FindMount(text, 23)->slave);
  EXPECT_FALSE(FindMount(text, 24)->shared || FindMount(text, 24)->slave);
  EXPECT_EQ(FindMount(text, 25).status().code(), absl::StatusCode::kNotFound);
}

TEST(ParseCapabilitySet, Lines) {
  EXPECT_EQ(*ParseCapabilitySet("CapEff:\t01\nCapBnd:\t000001fffeffffff\n", "CapBnd:"), uint64_t{0x1fffeffffff});
  EXPECT_FALSE(ParseCapabilitySet("CapBnd:\tx\n", "CapBnd:").ok());
  EXPECT_FALSE(ParseCapabilitySet("", "CapBnd:").ok());
}

TEST(ParseCgroupV1Hierarchies, Hybrid) {
  const char* text =
      "30 25 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
      "31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
      "33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
      "34 30 0:27 /x /elsewhere/memory rw - cgroup cgroup rw,memory\n";
  EXPECT_THAT(ParseCgroupV1Hierarchies(text, "/sys/fs/cgroup"), ElementsAre("cpu,cpuacct", "memory"));
  EXPECT_THAT(ParseCgroupV1Hierarchies("1 1 0:1 / /sys/fs/cgroup rw - cgroup2 c rw\n", "/sys/fs/cgroup"), IsEmpty());
}

}  // namespace
}  // namespace berth
