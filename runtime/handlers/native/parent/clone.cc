#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/syscall.h"
#include "runtime/handlers/native/child/job.h"
#include "runtime/handlers/native/parent/hierarchies.h"
#include "runtime/handlers/native/parent/parent.h"

namespace berth::native {
namespace {

// Of an image that sets none; what runc and Docker use.
constexpr const char kDefaultPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr size_t kMaxFilterInstructions = 4096;  // BPF_MAXINSNS

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const std::string& string : strings) out.push_back(const_cast<char*>(string.c_str()));
  out.push_back(nullptr);
  return out;
}

// The last PATH wins, as it does for the program.
const char* SearchPath(const std::vector<std::string>& env) {
  for (auto it = env.rbegin(); it != env.rend(); ++it) {
    if (it->compare(0, 5, "PATH=") == 0) return it->c_str() + 5;
  }
  return kDefaultPath;
}

// The sealed BPF program, mapped so that the child finds it in its copy of the memory.
class Filter {
 public:
  Filter() = default;
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;
  ~Filter() {
    if (bytes_ != nullptr) munmap(bytes_, size_);
  }

  int Map(int fd) {
    struct stat facts = {};
    if (fstat(fd, &facts) < 0) return -errno;
    const auto size = static_cast<size_t>(facts.st_size);
    if (size == 0 || size % sizeof(sock_filter) != 0 || size / sizeof(sock_filter) > kMaxFilterInstructions)
      return -EINVAL;
    void* bytes = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) return -errno;
    bytes_ = bytes;
    size_ = size;
    return 0;
  }
  const sock_filter* instructions() const { return static_cast<const sock_filter*>(bytes_); }
  unsigned short count() const { return static_cast<unsigned short>(size_ / sizeof(sock_filter)); }

 private:
  void* bytes_ = nullptr;
  size_t size_ = 0;
};

// The arrays a ProcessJob points to.
class ProcessMemory {
 public:
  int Fill(const ProcessPlan& plan, const SandboxNamespaces& sandbox, const ChildStdio& stdio, int seccomp_fd) {
    if (plan.args.empty() || plan.has_seccomp != (seccomp_fd >= 0)) return -EINVAL;
    argv_ = Pointers(plan.args);
    envp_ = Pointers(plan.env);
    groups_.assign(plan.groups.begin(), plan.groups.end());
    if (std::find(groups_.begin(), groups_.end(), plan.gid) == groups_.end()) groups_.push_back(plan.gid);
    if (plan.has_seccomp) {
      const int result = filter_.Map(seccomp_fd);
      if (result < 0) return result;
    }
    job_.plan = &plan;
    job_.argv = argv_.data();
    job_.envp = envp_.data();
    job_.search_path = SearchPath(plan.env);
    job_.groups = groups_.data();
    job_.group_count = groups_.size();
    job_.filter = filter_.instructions();
    job_.filter_size = filter_.count();
    job_.stdio = stdio;
    job_.proc = sandbox.proc;
    job_.null = sandbox.host_null;
    return 0;
  }
  const ProcessJob& job() const { return job_; }

 private:
  ProcessJob job_;
  std::vector<char*> argv_;
  std::vector<char*> envp_;
  std::vector<gid_t> groups_;
  Filter filter_;
};

// A child must not run a handler of the shim, nor lose a signal between clone and its own set-up.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;
  ~AllSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

int MakeChannel(UniqueFd* ours, UniqueFd* theirs) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return -errno;
  ours->Reset(ends[0]);
  theirs->Reset(ends[1]);
  return 0;
}

// clone3 of a child that calls run(job); never with shared memory. `flags` beside CLONE_PIDFD.
template <typename Job>
int Clone(uint64_t flags, int cgroup_dir, Job& job, void (*run)(Job&), Child* child) {
  UniqueFd theirs;
  const int made = MakeChannel(&child->channel, &theirs);
  if (made < 0) return made;
  job.channel = theirs.get();
  int pidfd = -1;
  clone_args args = {};
  args.flags = flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND | (cgroup_dir >= 0 ? CLONE_INTO_CGROUP : 0);
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  args.cgroup = cgroup_dir >= 0 ? static_cast<uint64_t>(cgroup_dir) : 0;
  const AllSignalsBlocked blocked;
  const long pid = sys::Clone3(&args);
  if (pid == 0) {
    close(child->channel.get());  // else our own end would keep the channel open: EOF could never be seen
    run(job);
    _exit(1);
  }
  if (pid < 0) {
    child->channel.Reset();
    return static_cast<int>(pid);
  }
  child->pid = static_cast<pid_t>(pid);
  child->pidfd.Reset(pidfd);
  return 0;
}

// The pidfd whose PID namespace the container's process is born in; -1: none is joined.
int PidToJoin(const ContainerPlan& plan, const SandboxNamespaces& sandbox, int* join) {
  *join = -1;
  if (plan.pid == NamespaceOf::kPod) *join = sandbox.pod_init_pidfd;
  if (plan.pid == NamespaceOf::kTarget) *join = sandbox.target_pidfd;
  const bool joins = plan.pid == NamespaceOf::kPod || plan.pid == NamespaceOf::kTarget;
  return joins && *join < 0 ? -EINVAL : 0;
}

}  // namespace

int CloneContainer(const ContainerPlan& plan, const SandboxNamespaces& sandbox, const CgroupFds& cgroup,
                   const ChildStdio& stdio, int seccomp_fd, Child* child) {
  *child = Child();
  ProcessMemory process;
  int result = process.Fill(plan.process, sandbox, stdio, seccomp_fd);
  if (result < 0) return result;
  Hierarchies hierarchies;
  if (!plan.cgroup_v1_hierarchies.empty()) result = hierarchies.Find(plan.cgroup_v1_hierarchies, sandbox.proc);
  if (result < 0) return result;
  std::vector<int> sources(plan.mounts.size(), -1);
  ContainerJob job;
  job.plan = &plan;
  job.sandbox = &sandbox;
  job.cgroup = &cgroup;
  job.process = process.job();
  job.sources = sources.data();
  job.hierarchies = hierarchies.list().data();
  job.hierarchy_count = hierarchies.list().size();
  result = PidToJoin(plan, sandbox, &job.join_pid);
  if (result < 0) return result;
  child->expects_birth = job.join_pid >= 0;
  const uint64_t flags = plan.pid == NamespaceOf::kContainer ? CLONE_NEWPID : 0;
  return Clone<ContainerJob>(flags, cgroup.v2_dir, job, RunContainerChild, child);
}

int CloneExec(const ExecPlan& plan, const SandboxNamespaces& sandbox, int init_pidfd, const CgroupFds& cgroup,
              const ChildStdio& stdio, int seccomp_fd, Child* child) {
  *child = Child();
  ProcessMemory process;
  const int result = process.Fill(plan.process, sandbox, stdio, seccomp_fd);
  if (result < 0) return result;
  ExecJob job;
  job.cgroup = &cgroup;
  job.process = process.job();
  job.init_pidfd = init_pidfd;
  child->go_by_itself = true;
  child->expects_birth = true;
  return Clone<ExecJob>(0, cgroup.v2_dir, job, RunExecChild, child);
}

}  // namespace berth::native
