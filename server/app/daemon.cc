#include "server/app/daemon.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/event_loop.h"
#include "base/failpoint.h"
#include "base/files.h"
#include "base/lane.h"
#include "base/status.h"
#include "imagesvc/image_service.h"
#include "metrics/metrics.h"
#include "runtime/cgroups/cgroups.h"
#include "runtime/network/network.h"
#include "runtime/runtime.h"
#include "runtime/spec/host_facts.h"
#include "server/admin/admin_service.h"
#include "server/app/daemon_dirs.h"
#include "server/app/metric_roles.h"
#include "server/app/node_probe.h"
#include "server/app/notify.h"
#include "server/app/options.h"
#include "server/app/rpc_server.h"
#include "server/cri/image_service_rpc.h"
#include "server/cri/rpc_observer.h"
#include "server/cri/runtime_service.h"

namespace berth {
namespace {

constexpr char kCgroupRoot[] = "/sys/fs/cgroup";
constexpr absl::Duration kLockPatience = absl::Seconds(5);

absl::Status ArmFailpoints(const Surroundings& surroundings) {
  if (surroundings.failpoints.empty()) return absl::OkStatus();
  int hits = -1;
  if (!surroundings.failpoint_hits.empty()) {
    ASSIGN_OR_RETURN(UniqueFd file, OpenAt(AT_FDCWD, surroundings.failpoint_hits, O_WRONLY | O_CREAT | O_APPEND, 0644),
                     "opening BERTH_FAILPOINT_HITS");
    hits = file.Release();  // for the life of the process
  }
  return failpoint::Configure(surroundings.failpoints, hits);
}

std::string DirOfThisProgram() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

size_t PullThreads(const Config& config) {
  if (config.image_parallel_pulls > 0) return static_cast<size_t>(config.image_parallel_pulls);
  return std::max(2U, std::thread::hardware_concurrency());
}

// Members are declared in the order in which they are made: each may use those above it and goes before them.
class LocalDaemon final : public Daemon {
 public:
  LocalDaemon(LoadedConfig loaded, Surroundings surroundings, Log log)
      : loaded_(std::move(loaded)),
        config_(loaded_.config),
        surroundings_(std::move(surroundings)),
        log_(std::move(log)),
        image_lane_("image", PullThreads(config_), static_cast<size_t>(config_.lanes_queue)),
        disk_lane_("image-disk", static_cast<size_t>(config_.lanes_disk), static_cast<size_t>(config_.lanes_queue)) {}

  ~LocalDaemon() override { metrics_.SetCounts(nullptr); }

  absl::Status Start() {
    RETURN_IF_ERROR(ArmFailpoints(surroundings_));
    RETURN_IF_ERROR(CheckNode());
    file_limit_ = RaiseFileLimit();
    ASSIGN_OR_RETURN(dirs_, DaemonDirs::Open(config_.root, config_.state, kLockPatience, log_));
    RETURN_IF_ERROR(StartExposer());
    RETURN_IF_ERROR(OpenParts());
    RETURN_IF_ERROR(Serve());
    log_.Info("serving", {{"socket", config_.socket},
                          {"version", kBerthVersion},
                          {"epoch", dirs_.epoch},
                          {"ms", absl::ToInt64Milliseconds(absl::Now() - started_)}});
    Tell("READY=1\n");
    return absl::OkStatus();
  }

  void Drain() override {
    const absl::Time deadline = absl::Now() + config_.drain_timeout;
    log_.Info("draining", {{"at_most", absl::FormatDuration(config_.drain_timeout)}});
    Tell("STOPPING=1\n");
    runtime_->Drain(deadline);
    server_->Shutdown(deadline);
    log_.Info("stopped; containers run on");
  }

 private:
  // A metrics address that nobody chose is not worth a node: a second Berth beside the first runs without.
  absl::Status StartExposer() {
    if (config_.metrics_address.empty()) return absl::OkStatus();
    absl::StatusOr<std::unique_ptr<Exposer>> exposer = Exposer::Start(config_.metrics_address, metrics_);
    if (exposer.ok()) {
      exposer_ = *std::move(exposer);
    } else if (loaded_.origins.count("metrics.address") != 0) {
      return exposer.status();
    } else {
      log_.Warn("no metrics", {{"error", exposer.status().message()}});
    }
    return absl::OkStatus();
  }

  absl::Status OpenParts() {
    ASSIGN_OR_RETURN(loop_, EventLoop::Start(), "starting the event loop");
    ASSIGN_OR_RETURN(host_, GatherHostFacts(), "looking at the node");
    ASSIGN_OR_RETURN(cgroups_, Cgroups::Probe(kCgroupRoot, log_), "probing cgroups");
    ASSIGN_OR_RETURN(images_, ImageService::Open(ImageOptionsOf(config_), log_, &metric_roles_),
                     "opening the image store");
    ASSIGN_OR_RETURN(network_, Network::Open(NetworkOptionsOf(config_), *loop_, &metric_roles_, log_),
                     "opening the network");
    ASSIGN_OR_RETURN(runtime_,
                     Runtime::Open(RuntimeOptionsOf(config_, dirs_.epoch, DirOfThisProgram(), file_limit_), *loop_,
                                   *images_, *network_, *cgroups_, host_, &metric_roles_, log_),
                     "recovering pods and containers");
    metrics_.SetCounts([this] { return Counts(); });
    return absl::OkStatus();
  }

  absl::Status Serve() {
    const auto knows_handler = [this](absl::string_view name) { return KnowsHandler(name); };
    std::vector<std::shared_ptr<grpc::Service>> services = {
        NewRuntimeService(*runtime_, observer_, kBerthVersion),
        NewImageServiceRpc({*images_, image_lane_, disk_lane_, observer_, knows_handler}),
        NewAdminService({*images_, *runtime_, image_lane_, disk_lane_, observer_, Node()}),
    };
    // The directory of a socket elsewhere than in `state`.
    RETURN_IF_ERROR(MakeDirs(std::filesystem::path(config_.socket).parent_path().string(), 0711),
                    "making the socket's directory");
    ASSIGN_OR_RETURN(server_, RpcServer::Start(config_.socket, std::move(services), log_));
    return absl::OkStatus();
  }

  bool KnowsHandler(absl::string_view name) const {
    if (name.empty()) return true;
    const ::runtime::v1::StatusResponse status = runtime_->Status(::runtime::v1::StatusRequest());
    for (const auto& handler : status.runtime_handlers()) {
      if (name == handler.name()) return true;
    }
    return false;
  }

  ScrapedCounts Counts() const {
    const RuntimeCounts counts = runtime_->Counts();
    return {.pods_ready = counts.pods_ready,
            .pods_not_ready = counts.pods_not_ready,
            .containers_created = counts.containers_created,
            .containers_running = counts.containers_running,
            .containers_exited = counts.containers_exited,
            .containers_unknown = counts.containers_unknown,
            .images = static_cast<int>(images_->List().size()),
            .lane_refused = counts.lane_refused + image_lane_.refused() + disk_lane_.refused()};
  }

  NodeFacts Node() const {
    NodeFacts node;
    node.version = kBerthVersion;
    node.git_revision = kBerthRevision;
    node.root_dir = config_.root;
    node.state_dir = config_.state;
    node.socket = config_.socket;
    node.kernel = KernelRelease();
    node.cgroup_driver = config_.runtime_cgroup_driver;
    node.cgroup_version = cgroups_->v2() ? 2 : 1;
    node.snapshotter = "overlay";
    if (host_.apparmor) node.features.emplace_back("apparmor");
    if (host_.seccomp) node.features.emplace_back("seccomp");
    if (host_.selinux) node.features.emplace_back("selinux");
    node.config_files = loaded_.files;
    node.started = started_;
    return node;
  }

  void Tell(absl::string_view message) const {
    const absl::Status status = NotifyServiceManager(surroundings_.notify_socket, message);
    if (!status.ok()) log_.Warn("service manager not told", {{"error", status.message()}});
  }

  const absl::Time started_ = absl::Now();
  const LoadedConfig loaded_;
  const Config& config_;
  const Surroundings surroundings_;
  const Log log_;
  FileLimit file_limit_;
  DaemonDirs dirs_;
  Metrics metrics_{kBerthVersion, kBerthRevision};
  MetricRoles metric_roles_{metrics_};
  std::unique_ptr<Exposer> exposer_;
  std::unique_ptr<EventLoop> loop_;
  HostFacts host_;
  std::unique_ptr<Cgroups> cgroups_;
  std::unique_ptr<ImageService> images_;
  std::unique_ptr<Network> network_;
  std::unique_ptr<Runtime> runtime_;
  const RpcObserver observer_{&metrics_, log_};
  Lane image_lane_, disk_lane_;
  std::unique_ptr<RpcServer> server_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(const LoadedConfig& loaded, const Surroundings& surroundings,
                                                      const Log& log) {
  auto daemon = std::make_unique<LocalDaemon>(loaded, surroundings, log);
  RETURN_IF_ERROR(daemon->Start());
  return daemon;
}

Log LogOf(const Config& config) {
  const LogLevel level = config.log_level == "debug"   ? LogLevel::kDebug
                         : config.log_level == "warn"  ? LogLevel::kWarn
                         : config.log_level == "error" ? LogLevel::kError
                                                       : LogLevel::kInfo;
  return Log(config.log_format == "json" ? NewJsonLogSink(STDERR_FILENO, level) : NewTextLogSink(STDERR_FILENO, level));
}

}  // namespace berth
