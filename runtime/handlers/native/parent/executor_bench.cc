#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "runtime/handlers/native/parent/fake_shim.h"

// Prints what a container and an exec cost in the executor alone, in microseconds: median, low tenth, lowest. As root:
// native_executor_bench [runs]. The container is a kubelet's: pod's net, ipc and uts, own pid, mount and cgroup
// namespaces, 8 mounts, masked and read-only paths, capabilities, a seccomp filter, v1 cgroups where there are any,
// overlay with an upper.
namespace berth::native {
namespace {

double Now() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

struct Series {
  const char* name;
  std::vector<double> values = {};
  void Print() {
    if (values.empty()) return;
    std::sort(values.begin(), values.end());
    printf("%-34s %8.0f %8.0f %8.0f\n", name, values[values.size() / 2], values[values.size() / 10], values[0]);
  }
};

bool WaitReport(Child* child, ChildReport* report) {
  for (;;) {
    pollfd wait = {.fd = child->channel.get(), .events = POLLIN, .revents = 0};
    if (poll(&wait, 1, 10000) <= 0) return false;
    const int result = ReadReport(child, report, nullptr);
    if (result != -EAGAIN) return result == 1;
  }
}

void Reap(const Child& child) {
  siginfo_t info = {};
  waitid(P_PIDFD, static_cast<id_t>(child.pidfd.get()), &info, WEXITED);
}

class Cgroups {
 public:
  Cgroups() {
    for (const char* name : {"memory", "pids", "freezer", "cpu", "cpuacct", "blkio", "devices", "systemd"}) {
      const std::string leaf = std::string("/sys/fs/cgroup/") + name + "/berth-bench-" + std::to_string(getpid());
      if (mkdir(leaf.c_str(), 0755) < 0) continue;
      leaves_.push_back(leaf);
      fds_.emplace_back(open((leaf + "/tasks").c_str(), O_WRONLY | O_CLOEXEC));
      cgroup.v1_tasks.push_back(fds_.back().get());
    }
  }
  Cgroups(const Cgroups&) = delete;
  Cgroups& operator=(const Cgroups&) = delete;
  void Remove() const {
    for (const std::string& leaf : leaves_) {
      for (int i = 0; i < 100 && rmdir(leaf.c_str()) < 0; ++i) poll(nullptr, 0, 10);
    }
  }
  CgroupFds cgroup;

 private:
  std::vector<std::string> leaves_;
  std::vector<UniqueFd> fds_;
};

ContainerPlan KubeletPlan(TestImage& image, const std::string& base) {
  ContainerPlan plan = FakeShim::Shell(image, "");
  plan.root.upper_dir = base + "/upper";
  plan.root.work_dir = base + "/work";
  plan.masked_paths = {"/proc/acpi",        "/proc/asound",        "/proc/interrupts", "/proc/kcore",
                       "/proc/keys",        "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
                       "/proc/sched_debug", "/proc/scsi",          "/sys/firmware",    "/sys/devices/virtual/powercap"};
  plan.read_only_paths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
  plan.process.args = {"/bin/true"};
  plan.process.no_new_privs = true;
  plan.process.has_seccomp = true;
  for (const char* file : {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}) {
    plan.mounts.push_back({.target = file, .source = image.layer() + "/etc/passwd"});
  }
  return plan;
}

void BenchContainers(FakeShim& shim, TestImage& image, int runs, int filter) {
  Series ready{"container: clone to ready"};
  Series executed{"container: go to execve done"};
  Series whole{"container: clone to execve done"};
  Series gone{"container: execve to reaped"};
  for (int i = 0; i < runs; ++i) {
    const ContainerPlan plan = KubeletPlan(image, image.dir() + "/bench-" + std::to_string(i));
    Child child;
    ChildReport report;
    const double begin = Now();
    if (CloneContainer(plan, shim.namespaces, shim.cgroup, ChildStdio(), filter, &child) < 0) abort();
    if (!WaitReport(&child, &report) || !report.ready()) {
      fprintf(stderr, "%s\n", DescribeFailure(plan, report).c_str());
      _exit(1);
    }
    const double at_ready = Now();
    Go(child);
    WaitReport(&child, &report);
    const double at_exec = Now();
    Reap(child);
    ready.values.push_back(at_ready - begin);
    executed.values.push_back(at_exec - at_ready);
    whole.values.push_back(at_exec - begin);
    gone.values.push_back(Now() - at_exec);
  }
  for (Series* series : {&ready, &executed, &whole, &gone}) series->Print();
}

void BenchExecs(FakeShim& shim, TestImage& image, int runs, int filter) {
  Running target;
  ContainerPlan sleeper = FakeShim::Shell(image, "exec sleep 1000");
  sleeper.root = RootPlan{.lower_dirs = {image.layer()}};
  if (!shim.Create(sleeper, &target) || Go(target.child) < 0) abort();
  ExecPlan plan{.id = "e", .container_id = "c", .process = {.args = {"/bin/true"}, .env = {"PATH=/bin"}}};
  plan.process.has_seccomp = true;
  plan.process.no_new_privs = true;
  Series executed{"exec: clone to execve done"};
  Series reaped{"exec: clone to reaped"};
  for (int i = 0; i < runs; ++i) {
    Child child;
    ChildReport report;
    const double begin = Now();
    if (CloneExec(plan, shim.namespaces, target.child.pidfd.get(), shim.cgroup, ChildStdio(), filter, &child) < 0)
      abort();
    if (!WaitReport(&child, &report) || !report.ready()) abort();
    WaitReport(&child, &report);
    executed.values.push_back(Now() - begin);
    Reap(child);
    reaped.values.push_back(Now() - begin);
  }
  executed.Print();
  reaped.Print();
  FakeShim::Kill(&target);
}

int Main(int runs) {
  TestImage image;
  for (int i = 0; i < runs; ++i) {
    const std::string base = image.dir() + "/bench-" + std::to_string(i);
    for (const char* sub : {"", "/upper", "/work"}) mkdir((base + sub).c_str(), 0755);
  }
  const Cgroups cgroups;
  const bool good = InNamespaces([&] {
    const UniqueFd before(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    if (unshare(CLONE_NEWNET) < 0) abort();
    const UniqueFd net(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    if (setns(before.get(), CLONE_NEWNET) < 0) abort();
    FakeShim shim(SandboxPlan{.pod_id = "pod", .hostname = "bench"}, net.get());
    shim.cgroup = cgroups.cgroup;
    const UniqueFd filter(SealedFilter({BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}));
    printf("%-34s %8s %8s %8s   (us)\n", "", "median", "p10", "min");
    BenchContainers(shim, image, runs, filter.get());
    BenchExecs(shim, image, runs, filter.get());
  });
  cgroups.Remove();
  return good ? 0 : 1;
}

}  // namespace
}  // namespace berth::native

int main(int argc, char** argv) {
  if (argc > 0 && strcmp(argv[0], "pause") == 0) return berth::native::PodInitMain();
  if (geteuid() != 0) {
    fprintf(stderr, "needs root\n");
    return 1;
  }
  return berth::native::Main(argc > 1 ? atoi(argv[1]) : 100);
}
