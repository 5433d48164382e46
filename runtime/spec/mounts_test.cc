#include "runtime/spec/mounts.h"

#include <algorithm>
#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/spec/paths.h"

namespace berth {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class BuildMountsTest : public ::testing::Test {
 protected:
  runtime::v1::Mount* Add(const std::string& container_path, const std::string& host_path) {
    runtime::v1::Mount* mount = container_.add_mounts();
    mount->set_container_path(container_path);
    mount->set_host_path(host_path);
    return mount;
  }
  absl::StatusOr<MountResult> Build() {
    request_.container = &container_;
    request_.hosts_path = "/pod/hosts";
    request_.hostname_path = "/pod/hostname";
    request_.resolv_conf_path = "/pod/resolv.conf";
    return BuildMounts(request_);
  }
  static const oci::Mount* Find(const MountResult& result, const std::string& destination) {
    const auto found = std::find_if(result.mounts.begin(), result.mounts.end(),
                                    [&](const oci::Mount& mount) { return mount.destination == destination; });
    return found == result.mounts.end() ? nullptr : &*found;
  }

  runtime::v1::ContainerConfig container_;
  MountRequest request_;
};

TEST_F(BuildMountsTest, DefaultsByDepth) {
  const auto built = Build();
  ASSERT_TRUE(built.ok()) << built.status();
  std::vector<std::string> destinations;
  for (const oci::Mount& mount : built->mounts) destinations.push_back(mount.destination);
  EXPECT_THAT(destinations, ElementsAre("/proc", "/dev", "/sys", "/dev/pts", "/dev/mqueue", "/dev/shm", "/etc/hosts",
                                        "/etc/hostname", "/etc/resolv.conf", "/sys/fs/cgroup"));
  EXPECT_THAT(Find(*built, "/proc")->options, ElementsAre("nosuid", "noexec", "nodev"));
  EXPECT_THAT(Find(*built, "/sys")->options, Contains("ro"));
  EXPECT_THAT(Find(*built, "/sys/fs/cgroup")->options, Contains("ro"));
  EXPECT_THAT(Find(*built, "/dev")->options, ElementsAre("nosuid", "strictatime", "mode=755", "size=65536k"));
  EXPECT_THAT(Find(*built, "/etc/hosts")->options, ElementsAre("rbind", "rprivate", "rw"));
  EXPECT_EQ(built->rootfs_propagation, "");
}

TEST_F(BuildMountsTest, PodFilesFollowTheRootsAccess) {
  container_.mutable_linux()->mutable_security_context()->set_readonly_rootfs(true);
  EXPECT_THAT(Find(*Build(), "/etc/hosts")->options, Contains("ro"));
}

TEST_F(BuildMountsTest, RequestsReplaceDefaults) {
  for (const char* path :
       {"/etc/hosts", "/etc//hostname", "/etc/resolv.conf/", "/dev/shm", "/sys", "/sys/fs/cgroup", "/dev"}) {
    Add(path, "/src");
  }
  const auto built = Build();
  ASSERT_TRUE(built.ok()) << built.status();
  for (const char* path :
       {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/shm", "/sys", "/sys/fs/cgroup", "/dev"}) {
    EXPECT_EQ(std::count_if(built->mounts.begin(), built->mounts.end(),
                            [&](const oci::Mount& mount) { return mount.destination == path; }),
              1)
        << path;
    EXPECT_EQ(Find(*built, path)->source, "/src") << path;
  }
}

TEST_F(BuildMountsTest, HostIpcSeesTheHostsShm) {
  request_.host_ipc = true;
  EXPECT_EQ(Find(*Build(), "/dev/shm")->source, "/dev/shm");
  EXPECT_EQ(Find(*Build(), "/dev/shm")->type, "bind");
}

TEST_F(BuildMountsTest, PrivilegedWrites) {
  request_.privileged = true;
  EXPECT_THAT(Find(*Build(), "/sys")->options, Not(Contains("ro")));
  EXPECT_THAT(Find(*Build(), "/sys/fs/cgroup")->options, Not(Contains("ro")));
}

TEST_F(BuildMountsTest, OptionsOfARequest) {
  Add("/a", "/src");
  Add("/b", "/src")->set_readonly(true);
  auto* recursive = Add("/c", "/src");
  recursive->set_readonly(true);
  recursive->set_recursive_read_only(true);
  auto* limited = Add("/d", "/src");
  limited->add_mount_options("noexec");
  limited->add_mount_options("nosuid");
  limited->add_mount_options("nodev");
  const auto built = Build();
  ASSERT_TRUE(built.ok()) << built.status();
  EXPECT_THAT(Find(*built, "/a")->options, ElementsAre("rbind", "rprivate", "rw"));
  EXPECT_THAT(Find(*built, "/b")->options, ElementsAre("rbind", "rprivate", "ro"));
  EXPECT_THAT(Find(*built, "/c")->options, ElementsAre("rbind", "rprivate", "rro"));
  EXPECT_THAT(Find(*built, "/d")->options, ElementsAre("rbind", "rprivate", "rw", "noexec", "nosuid", "nodev"));
}

TEST_F(BuildMountsTest, Propagation) {
  Add("/a", "/src")->set_propagation(runtime::v1::PROPAGATION_HOST_TO_CONTAINER);
  EXPECT_THAT(Find(*Build(), "/a")->options, Contains("rslave"));
  EXPECT_EQ(Build()->rootfs_propagation, "rslave");
  Add("/b", "/src")->set_propagation(runtime::v1::PROPAGATION_BIDIRECTIONAL);
  Add("/c", "/src")->set_propagation(runtime::v1::PROPAGATION_HOST_TO_CONTAINER);
  EXPECT_THAT(Find(*Build(), "/b")->options, Contains("rshared"));
  EXPECT_EQ(Build()->rootfs_propagation, "rshared") << "the widest that is asked";
}

struct Refusal {
  const char* name;
  std::function<void(runtime::v1::Mount&)> change;
  absl::StatusCode code;
  const char* because;
};

TEST_F(BuildMountsTest, Refuses) {
  using M = runtime::v1::Mount;
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  const Refusal rows[] = {
      {"relative target", [](M& mount) { mount.set_container_path("a"); }, kInvalid, "absolute"},
      {"empty target", [](M& mount) { mount.set_container_path(""); }, kInvalid, "absolute"},
      {"root", [](M& mount) { mount.set_container_path("/."); }, kInvalid, "on /"},
      {"parent", [](M& mount) { mount.set_container_path("/a/../../etc"); }, kInvalid, ".."},
      {"control byte", [](M& mount) { mount.set_container_path("/a\nb"); }, kInvalid, "control"},
      {"relative source", [](M& mount) { mount.set_host_path("src"); }, kInvalid, "absolute"},
      {"no source", [](M& mount) { mount.set_host_path(""); }, kInvalid, "host_path"},
      {"over /proc", [](M& mount) { mount.set_container_path("/proc"); }, kInvalid, "/proc"},
      {"inside /proc", [](M& mount) { mount.set_container_path("/proc/sys/kernel"); }, kInvalid, "/proc/sys/kernel"},
      {"recursive without readonly", [](M& mount) { mount.set_recursive_read_only(true); }, kInvalid,
       "recursive_read_only"},
      {"recursive with propagation",
       [](M& mount) {
         mount.set_readonly(true);
         mount.set_recursive_read_only(true);
         mount.set_propagation(runtime::v1::PROPAGATION_HOST_TO_CONTAINER);
       },
       kInvalid, "recursive_read_only"},
      {"unknown propagation", [](M& mount) { mount.set_propagation(static_cast<runtime::v1::MountPropagation>(9)); },
       kInvalid, "propagation"},
      {"unknown option", [](M& mount) { mount.add_mount_options("exec"); }, kInvalid, "exec"},
      {"image and host_path", [](M& mount) { mount.mutable_image()->set_image("i"); }, kInvalid, "both"},
      {"writable image",
       [](M& mount) {
         mount.clear_host_path();
         mount.mutable_image()->set_image("i");
       },
       kInvalid, "readonly"},
      {"image",
       [](M& mount) {
         mount.clear_host_path();
         mount.set_readonly(true);
         mount.mutable_image()->set_image("i");
       },
       absl::StatusCode::kUnimplemented, "ImageVolumeMountFailed"},
      {"sub path alone", [](M& mount) { mount.set_image_sub_path("x"); }, kInvalid, "image_sub_path"},
      {"id mapping", [](M& mount) { mount.add_uidmappings()->set_length(1); }, absl::StatusCode::kUnimplemented,
       "id-mapped"},
  };
  for (const Refusal& row : rows) {
    container_.clear_mounts();
    row.change(*Add("/a", "/src"));
    const auto built = Build();
    EXPECT_EQ(built.status().code(), row.code) << row.name << built.status();
    EXPECT_THAT(built.status().message(), HasSubstr(row.because)) << row.name;
  }
}

TEST_F(BuildMountsTest, WhatMayCoverProc) {
  Add("/proc", "/proc");
  Add("/proc/cpuinfo", "/var/lib/lxcfs/proc/cpuinfo");
  const auto built = Build();
  ASSERT_TRUE(built.ok()) << built.status();
  EXPECT_EQ(Find(*built, "/proc")->type, "bind");
}

TEST(CleanContainerPath, Table) {
  EXPECT_EQ(*CleanContainerPath("/", "f"), "/");
  EXPECT_EQ(*CleanContainerPath("//a///b/./c/", "f"), "/a/b/c");
  EXPECT_EQ(*CleanContainerPath("/...", "f"), "/...");
  for (const char* bad : {"", "a", "./a", "/..", "/a/..", "/a/../b", "/a\x01", "/a\x7f"}) {
    EXPECT_FALSE(CleanContainerPath(bad, "f").ok()) << bad;
  }
  EXPECT_FALSE(CleanContainerPath("/" + std::string(256, 'a'), "f").ok());
  std::string deep;
  for (int i = 0; i < 2100; ++i) deep += "/a";
  EXPECT_FALSE(CleanContainerPath(deep, "f").ok());
  EXPECT_EQ(PathDepth("/"), 0);
  EXPECT_EQ(PathDepth("/a/b"), 2);
}

}  // namespace
}  // namespace berth
