#include "server/admin/admin_service.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "berth/v1/admin.grpc.pb.h"
#include "imagesvc/image_service.h"
#include "runtime/runtime.h"
#include "server/admin/import_stream.h"
#include "server/admin/pull_stream.h"
#include "server/admin/untag.h"
#include "server/cri/rpcs.h"
#include "server/cri/translate_image.h"

namespace berth {
namespace {

namespace v1 = ::berth::v1;

constexpr char kService[] = "berth.v1.Admin";

class AdminService final : public v1::Admin::CallbackService {
 public:
  explicit AdminService(AdminNeeds needs) : needs_(std::move(needs)), observer_(needs_.observer) {}

  grpc::ServerWriteReactor<v1::PullProgress>* PullImage(grpc::CallbackServerContext* context,
                                                        const v1::PullImageRequest* request) override {
    auto* const reactor =
        new PullReactor({kService, "PullImage"}, observer_, DeadlineOf(*context), request->reference());
    Pull({.reference = request->reference(), .auth = FromCri(request->auth())}, reactor->call(), reactor->queue());
    return reactor;
  }

  grpc::ServerReadReactor<v1::ImportChunk>* ImportImage(grpc::CallbackServerContext* context,
                                                        v1::ImportImageResponse* response) override {
    const ImportNeeds needs{needs_.images, needs_.pull_lane, needs_.disk_lane, observer_, needs_.node.root_dir};
    return ImportReactor::Start({kService, "ImportImage"}, needs, DeadlineOf(*context), response);
  }

  BERTH_RPC_HERE(UntagImage)
  BERTH_RPC_HERE(InspectImage)
  BERTH_RPC_HERE(NodeInfo)

 private:
  template <typename Response>
  using Reply = std::function<void(absl::StatusOr<Response>)>;

  void Pull(PullRequest pull, Call call, const std::shared_ptr<PullProgressQueue>& progress) {
    if (pull.reference.empty())
      return progress->End(absl::InvalidArgumentError("reference is empty: want one such as \"busybox:1.36\""));
    const absl::Status status = needs_.pull_lane.Submit([this, pull = std::move(pull), call, progress]() mutable {
      if (const absl::Status check = call.Check(); !check.ok()) return progress->End(check);
      const absl::StatusOr<PullResult> result = needs_.images.Pull(pull, call, progress.get());
      if (!result.ok()) return progress->End(result.status());
      progress->OnFinished(*result);
    });
    if (!status.ok()) progress->End(status);
  }

  void Answer(const v1::UntagImageRequest& request, Call, Reply<v1::UntagImageResponse> reply) {
    const absl::Status status = needs_.disk_lane.Submit(
        [this, request, reply] { reply(::berth::UntagImage(request, needs_.images, needs_.runtime)); });
    if (!status.ok()) reply(status);
  }

  void Answer(const v1::InspectImageRequest& request, Call, Reply<v1::InspectImageResponse> reply) {
    const auto image = needs_.images.Find(request.reference());
    if (image == nullptr) return reply(absl::NotFoundError(absl::StrCat("no image \"", request.reference(), "\"")));
    v1::InspectImageResponse response;
    response.set_image_id(image->id);
    response.set_config_json(image->config_json);
    response.set_manifest_digest(image->manifest_digest);
    response.set_size_bytes(static_cast<int64_t>(image->size_bytes));
    for (const std::string& tag : image->repo_tags) response.add_tags(tag);
    for (const std::string& digest : image->repo_digests) response.add_digests(digest);
    for (const ImageLayer& layer : image->layers) {
      auto* const out = response.add_layers();
      out->set_digest(layer.digest);
      out->set_diff_id(layer.diff_id);
      out->set_unpacked_bytes(static_cast<int64_t>(layer.size_bytes));
    }
    reply(std::move(response));
  }

  void Answer(const v1::NodeInfoRequest&, Call, Reply<v1::NodeInfoResponse> reply) {
    const NodeFacts& node = needs_.node;
    v1::NodeInfoResponse response;
    response.set_version(node.version);
    response.set_git_revision(node.git_revision);
    response.set_root_dir(node.root_dir);
    response.set_state_dir(node.state_dir);
    response.set_socket(node.socket);
    response.set_uptime_seconds(absl::ToInt64Seconds(absl::Now() - node.started));
    response.set_kernel(node.kernel);
    response.set_cgroup_driver(node.cgroup_driver);
    response.set_cgroup_version(node.cgroup_version);
    response.set_snapshotter(node.snapshotter);
    for (const std::string& feature : node.features) response.add_features(feature);
    for (const std::string& file : node.config_files) response.add_config_files(file);
    SetCounts(response.mutable_counts());
    reply(std::move(response));
  }

  void SetCounts(v1::NodeInfoResponse::Counts* out) const {
    const RuntimeCounts counts = needs_.runtime.Counts();
    out->set_pods(static_cast<uint32_t>(counts.pods_ready + counts.pods_not_ready));
    out->set_pods_ready(static_cast<uint32_t>(counts.pods_ready));
    out->set_containers(static_cast<uint32_t>(counts.containers_created + counts.containers_running +
                                              counts.containers_exited + counts.containers_unknown));
    out->set_containers_running(static_cast<uint32_t>(counts.containers_running));
    out->set_images(static_cast<uint32_t>(needs_.images.List().size()));
  }

  const AdminNeeds needs_;
  const RpcObserver& observer_;
};

}  // namespace

std::shared_ptr<grpc::Service> NewAdminService(AdminNeeds needs) {
  return std::make_shared<AdminService>(std::move(needs));
}

}  // namespace berth
