#include <fcntl.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/failpoint.h"
#include "base/files.h"
#include "base/lane.h"
#include "base/mutex.h"
#include "base/status.h"
#include "runtime/network/attachment_cache.h"
#include "runtime/network/cni_conf.h"
#include "runtime/network/cni_result.h"
#include "runtime/network/dir_watch.h"
#include "runtime/network/invocation.h"
#include "runtime/network/netns.h"
#include "runtime/network/network.h"
#include "runtime/network/plugins.h"

namespace berth {
namespace {

constexpr char kIfname[] = "eth0";
constexpr char kRenderedFile[] = "10-berth.conflist";
constexpr absl::Duration kStatusAge = absl::Seconds(10);  // STATUS is asked again when somebody looks and it is older
constexpr absl::Duration kStatusTimeout = absl::Seconds(20);  // of all plugins together

// What is known of the configuration; replaced as a whole.
struct Loaded {
  std::shared_ptr<const CniConf> conf;  // null: none
  std::string file;
  absl::Status why;      // without conf
  absl::Status plugins;  // the last STATUS; OK for CNI before 1.1
  absl::Time plugins_asked = absl::InfinitePast();
};

class CniNetwork : public Network {
 public:
  CniNetwork(NetworkOptions options, std::unique_ptr<NetnsPins> pins, std::optional<AttachmentCache> cache,
             NetworkMetrics* metrics, Log log)
      : options_(std::move(options)),
        pins_(std::move(pins)),
        cache_(std::move(cache)),
        log_(std::move(log)),
        plugins_(options_.plugin_dirs, options_.plugin_timeout, metrics, log_),
        lane_("cni-conf", 1, 2) {}

  ~CniNetwork() override {
    watch_.reset();
    MutexLock lock(mutex_);
    if (check_) check_->Cancel();
    closing_ = true;
  }

  absl::Status Start(EventLoop& loop) {
    Reload();
    ASSIGN_OR_RETURN(watch_, DirWatch::Start(
                                 options_.conf_dir, loop, [this] { Submit([this] { Reload(); }); }, log_));
    // Once more: between the first look and the watch somebody may have written.
    Submit([this] { Reload(); });
    return absl::OkStatus();
  }

  absl::Status Ready() const override;
  absl::Status SetPodCidr(absl::string_view cidrs) override;

  absl::StatusOr<std::string> CreateNetns(
      const std::string& pod_id, const std::vector<std::pair<std::string, std::string>>& net_sysctls) override {
    return pins_->Create(pod_id, net_sysctls);
  }
  absl::StatusOr<UniqueFd> OpenNetns(const std::string& path) override { return NetnsPins::OpenPath(path); }
  absl::Status RemoveNetns(const std::string& pod_id) override { return pins_->Remove(pod_id); }
  absl::StatusOr<std::vector<std::string>> ListNetns() override { return pins_->List(); }

  absl::StatusOr<PodNetworkRecord> Attach(const PodNetworkRequest& request, const std::string& netns_path, Call& call,
                                          const std::function<absl::Status(const PodNetworkRecord&)>& store) override;
  absl::Status Detach(const PodNetworkRequest& request, const PodNetworkRecord& record, const std::string& netns_path,
                      Call& call) override;
  absl::Status CollectGarbage(const std::vector<std::string>& valid_pod_ids, Call& call) override;

 private:
  void Submit(std::function<void()> work) const {
    // Full: what is queued looks at the directory after this change as well.
    const absl::Status status = lane_.Submit(std::move(work));
    if (!status.ok()) log_.Debug("CNI configuration is being looked at already");
  }
  void Reload();
  void AskStatus();
  absl::StatusOr<std::shared_ptr<const CniConf>> Conf() const;
  absl::Status AddAll(const CniConf& conf, const PodVerb& pod, Call& call, PodNetworkRecord* record);
  void Undo(const CniConf& conf, const PodVerb& pod);
  void Cache(const PodNetworkRequest& request, const PodNetworkRecord& record, const std::string& netns_path);
  absl::Status DetachOrphans(const std::set<std::string>& valid, Call& call);

  const NetworkOptions options_;
  const std::unique_ptr<NetnsPins> pins_;
  std::optional<AttachmentCache> cache_;
  const Log log_;
  Plugins plugins_;

  mutable Mutex mutex_;
  Loaded loaded_ GUARDED_BY(mutex_);
  mutable bool asking_ GUARDED_BY(mutex_) = false;
  bool closing_ GUARDED_BY(mutex_) = false;
  std::optional<Call> check_ GUARDED_BY(mutex_);  // the STATUS under way
  std::vector<std::string> pod_cidrs_ GUARDED_BY(mutex_);

  mutable Lane lane_;  // after what its work uses
  std::unique_ptr<DirWatch> watch_;
};

void CniNetwork::Reload() {
  std::vector<std::string> complaints;
  absl::StatusOr<CniChoice> choice = ChooseCniConf(options_.conf_dir, &complaints);
  Loaded now;
  if (choice.ok()) {
    now.file = choice->file;
    now.conf = std::make_shared<const CniConf>(std::move(choice->conf));
    if (now.conf->AtLeast("1.1.0"))
      now.plugins = absl::UnavailableError("CNI plugins have not been asked for their status yet");
  } else {
    now.why = choice.status();
  }
  {
    MutexLock lock(mutex_);
    const std::string former = loaded_.conf == nullptr ? "" : loaded_.conf->json;
    const bool same = (loaded_.conf == nullptr) == (now.conf == nullptr) &&
                      (now.conf == nullptr || former == now.conf->json) && loaded_.why == now.why &&
                      loaded_.file == now.file;
    if (same) return;
    loaded_ = now;
  }
  for (const std::string& complaint : complaints) log_.Warn("CNI configuration passed over", {{"file", complaint}});
  if (now.conf == nullptr) {
    log_.Warn("no CNI network", {{"error", now.why.message()}});
    return;
  }
  log_.Info("CNI network loaded",
            {{"network", now.conf->name}, {"file", now.file}, {"cni_version", now.conf->version}});
}

void CniNetwork::AskStatus() {
  std::shared_ptr<const CniConf> conf;
  std::optional<Call> call;
  {
    MutexLock lock(mutex_);
    conf = loaded_.conf;
    if (conf == nullptr || closing_) {
      asking_ = false;
      return;
    }
    check_.emplace(absl::Now() + kStatusTimeout);
    call = check_;
  }
  const absl::Status status = plugins_.Check(*conf, *call);
  MutexLock lock(mutex_);
  check_.reset();
  asking_ = false;
  if (loaded_.conf != conf) return;  // another configuration by now: the next look asks again
  if (loaded_.plugins != status && !status.ok()) log_.Warn("CNI plugins are not ready", {{"error", status.message()}});
  loaded_.plugins = status;
  loaded_.plugins_asked = absl::Now();
}

absl::Status CniNetwork::Ready() const {
  bool ask = false;
  absl::Status status;
  {
    MutexLock lock(mutex_);
    if (loaded_.conf == nullptr) return loaded_.why;
    if (!loaded_.conf->AtLeast("1.1.0")) return absl::OkStatus();
    status = loaded_.plugins;
    ask = !asking_ && absl::Now() - loaded_.plugins_asked > kStatusAge;
    if (ask) asking_ = true;
  }
  // Asking is the lane's work; the state it changes is this object's, constness is for callers.
  if (ask && !lane_.Submit([self = const_cast<CniNetwork*>(this)] { self->AskStatus(); }).ok()) {
    MutexLock lock(mutex_);
    asking_ = false;
  }
  return status;
}

absl::StatusOr<std::shared_ptr<const CniConf>> CniNetwork::Conf() const {
  MutexLock lock(mutex_);
  if (loaded_.conf == nullptr) return loaded_.why;
  return loaded_.conf;
}

absl::Status CniNetwork::SetPodCidr(absl::string_view cidrs) {
  ASSIGN_OR_RETURN(const std::vector<std::string> list, ParseCidrs(cidrs));
  if (list.empty()) return absl::OkStatus();
  {
    MutexLock lock(mutex_);
    pod_cidrs_ = list;
    if (loaded_.conf != nullptr) return absl::OkStatus();
  }
  if (options_.cidr_template.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string text, ReadFileAt(AT_FDCWD, options_.cidr_template, 1 << 20));
  ASSIGN_OR_RETURN(const std::string rendered, RenderCidrTemplate(text, list), options_.cidr_template);
  ASSIGN_OR_RETURN(const UniqueFd dir, OpenAt(AT_FDCWD, options_.conf_dir, O_RDONLY | O_DIRECTORY));
  RETURN_IF_ERROR(WriteFileAtomic(dir.get(), kRenderedFile, rendered, 0644, Durability::kSync));
  Reload();
  return absl::OkStatus();
}

void CniNetwork::Cache(const PodNetworkRequest& request, const PodNetworkRecord& record,
                       const std::string& netns_path) {
  if (!cache_) return;
  // The pod's own record is the first line; without the second one the pod can still run and go.
  const absl::Status status = cache_->Store({request, record, netns_path});
  if (!status.ok()) log_.Warn("attachment not cached", {{"pod", request.pod_id}, {"error", status.message()}});
}

absl::Status CniNetwork::AddAll(const CniConf& conf, const PodVerb& pod, Call& call, PodNetworkRecord* record) {
  ASSIGN_OR_RETURN(record->result_json,
                   plugins_.Add(conf, pod, call, [] { return failpoint::Hit("net.add.plugin_done"); }));
  ASSIGN_OR_RETURN(const CniResult result, ParseCniResult(record->result_json, conf.version));
  if (result.ips.empty()) {
    return absl::FailedPreconditionError(absl::StrCat("CNI network \"", conf.name, "\" gave the pod no address"));
  }
  record->ips = result.ips;
  return failpoint::Hit("net.add.done");
}

void CniNetwork::Undo(const CniConf& conf, const PodVerb& pod) {
  // Not the failed call: its time may be over, and what was added must go all the same. Each plugin run has its own
  // bound.
  Call call;
  absl::Status status = plugins_.Delete(conf, pod, "", call, [] { return absl::OkStatus(); });
  if (status.ok() && cache_) status = cache_->Remove(pod.request.pod_id);
  if (!status.ok())
    log_.Warn("pod's network not taken back; it is tried again",
              {{"pod", pod.request.pod_id}, {"error", status.message()}});
}

absl::StatusOr<PodNetworkRecord> CniNetwork::Attach(const PodNetworkRequest& request, const std::string& netns_path,
                                                    Call& call,
                                                    const std::function<absl::Status(const PodNetworkRecord&)>& store) {
  RETURN_IF_ERROR(CheckPodId(request.pod_id));
  RETURN_IF_ERROR(CheckPodNames(request));
  ASSIGN_OR_RETURN(const std::shared_ptr<const CniConf> conf, Conf(), "pod network");
  RETURN_IF_ERROR(plugins_.FindAll(*conf));
  std::vector<std::string> cidrs;
  {
    MutexLock lock(mutex_);
    cidrs = pod_cidrs_;
  }
  const PodVerb pod{request, netns_path, kIfname, CapabilityArgs(request, cidrs)};
  PodNetworkRecord record;
  record.network_name = conf->name;
  record.conflist_json = conf->json;
  record.ifname = kIfname;
  record.capability_args_json = pod.capability_args.dump();
  record.add_started = true;
  RETURN_IF_ERROR(failpoint::Hit("net.add.before_store"));
  RETURN_IF_ERROR(store(record), "storing the pod's network");
  Cache(request, record, netns_path);
  absl::Status status = failpoint::Hit("net.add.stored");
  if (status.ok()) status = AddAll(*conf, pod, call, &record);
  if (!status.ok()) {
    Undo(*conf, pod);
    return status;
  }
  Cache(request, record, netns_path);
  return record;
}

absl::Status CniNetwork::Detach(const PodNetworkRequest& request, const PodNetworkRecord& record,
                                const std::string& netns_path, Call& call) {
  if (!record.add_started) return absl::OkStatus();
  RETURN_IF_ERROR(CheckPodId(request.pod_id));
  ASSIGN_OR_RETURN(const CniConf conf, ParseCniConf(record.conflist_json, /*single=*/false),
                   "recorded CNI configuration");
  Json args = Json::object();
  if (!record.capability_args_json.empty()) {
    ASSIGN_OR_RETURN(args, ParseJson(record.capability_args_json), "recorded CNI arguments");
  }
  // A pin whose namespace is gone (a reboot leaves none, a crash may leave a plain file) is no CNI_NETNS.
  const bool there = !netns_path.empty() && NetnsPins::OpenPath(netns_path).ok();
  const PodVerb pod{request, there ? netns_path : "", record.ifname, std::move(args)};
  RETURN_IF_ERROR(
      plugins_.Delete(conf, pod, record.result_json, call, [] { return failpoint::Hit("net.del.plugin_done"); }));
  RETURN_IF_ERROR(failpoint::Hit("net.del.done"));
  return cache_ ? cache_->Remove(request.pod_id) : absl::OkStatus();
}

absl::Status CniNetwork::DetachOrphans(const std::set<std::string>& valid, Call& call) {
  if (!cache_) return absl::OkStatus();
  std::vector<std::string> complaints;
  ASSIGN_OR_RETURN(const std::vector<CachedAttachment> cached, cache_->List(&complaints));
  for (const std::string& complaint : complaints)
    log_.Warn("unreadable attachment in the CNI cache", {{"file", complaint}});
  absl::Status first;
  for (const CachedAttachment& attachment : cached) {
    if (valid.count(attachment.request.pod_id) > 0) continue;
    const absl::Status status = Detach(attachment.request, attachment.record, attachment.netns_path, call);
    if (first.ok()) first = WithContext(status, absl::StrCat("pod ", attachment.request.pod_id));
  }
  return first;
}

absl::Status CniNetwork::CollectGarbage(const std::vector<std::string>& valid_pod_ids, Call& call) {
  const std::set<std::string> valid(valid_pod_ids.begin(), valid_pod_ids.end());
  absl::Status orphans = DetachOrphans(valid, call);
  absl::StatusOr<std::shared_ptr<const CniConf>> conf = Conf();
  if (!conf.ok()) return orphans;  // nothing to ask yet
  Json attachments = Json::array();
  for (const std::string& id : valid) attachments.push_back({{"containerID", id}, {"ifname", kIfname}});
  absl::Status collected = plugins_.CollectGarbage(**conf, attachments, call);
  return orphans.ok() ? collected : orphans;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Network>> Network::Open(NetworkOptions options, EventLoop& loop, NetworkMetrics* metrics,
                                                       Log log) {
  if (options.plugin_timeout <= absl::ZeroDuration())
    return absl::InvalidArgumentError("network: the plugin timeout must be positive");
  ASSIGN_OR_RETURN(std::unique_ptr<NetnsPins> pins,
                   NetnsPins::Open({options.netns_dir, options.unprivileged_ports, options.share_netns_dir}, log));
  // Made when missing, so that it can be watched before a CNI installer writes there.
  RETURN_IF_ERROR(MakeDirs(options.conf_dir, 0755), "CNI configuration directory");
  std::optional<AttachmentCache> cache;
  if (!options.cache_dir.empty()) {
    ASSIGN_OR_RETURN(cache, AttachmentCache::Open(options.cache_dir));
  }
  auto network =
      std::make_unique<CniNetwork>(std::move(options), std::move(pins), std::move(cache), metrics, std::move(log));
  RETURN_IF_ERROR(network->Start(loop));
  return network;
}

}  // namespace berth
