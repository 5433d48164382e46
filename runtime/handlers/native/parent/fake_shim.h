#pragma once

#include <linux/filter.h>

#include <functional>
#include <string>
#include <vector>

#include "runtime/handlers/native/parent/parent.h"

// What a test needs to play the shim. Everything a test starts lives in a PID namespace of its own and ends with it.
namespace berth::native {

// Runs `body` as PID 1 of new PID and mount namespaces, in a forked process; gtest failures inside are failures of the
// caller. False when it did not end well.
bool InNamespaces(const std::function<void()>& body);

// The pod's init has an empty root: a program built for a sanitizer is dynamic and cannot be one.
bool CanBePodInit();

// A temp root with one busybox layer in "layer"; removed with the object.
class TestImage {
 public:
  TestImage();
  TestImage(const TestImage&) = delete;
  TestImage& operator=(const TestImage&) = delete;
  ~TestImage();

  const std::string& dir() const { return dir_; }
  std::string layer() const { return dir_ + "/layer"; }
  // Fresh upper and work directories over the layer; there are 16.
  RootPlan NewRoot();
  std::string RootDir(int number) const { return dir_ + "/root-" + std::to_string(number); }

 private:
  std::string dir_;
  int roots_ = 0;
};

struct Outcome {
  ChildReport failure;  // of the child, if it sent one
  std::string message;  // DescribeFailure
  int exit_code = -1;   // 128 + signal
  std::string output;   // stdout and stderr, or the terminal
};

// A process that is ready or running.
struct Running {
  Child child;
  UniqueFd output;
  Outcome outcome;
};

class FakeShim {
 public:
  explicit FakeShim(const SandboxPlan& plan = SandboxPlan{.pod_id = "pod", .hostname = "pod-host", .own_net = false},
                    int net = -1);

  // A container with /proc, /dev, /dev/pts, /dev/shm, /sys and Docker's default capabilities that runs a shell script.
  static ContainerPlan Shell(TestImage& image, const std::string& script);

  // True at kReady; else the outcome is complete.
  bool Create(const ContainerPlan& plan, Running* running, int seccomp = -1);
  Outcome Run(const ContainerPlan& plan, int seccomp = -1);
  Outcome Exec(const Running& container, const ExecPlan& plan, int seccomp = -1);
  // Collects output until it ends, then the exit code.
  static Outcome Finish(Running* running);
  static void Kill(Running* running);

  OwnedNamespaces owned;
  SandboxNamespaces namespaces;
  CgroupFds cgroup;
};

int SealedFilter(const std::vector<sock_filter>& filter);
std::string ReadFile(const std::string& path);
void WriteFile(const std::string& path, const std::string& text);

}  // namespace berth::native
