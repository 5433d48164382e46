#include "server/cri/image_service_rpc.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "imagesvc/image_service.h"
#include "runtime/v1/api.grpc.pb.h"
#include "server/cri/rpcs.h"
#include "server/cri/translate_image.h"

namespace berth {
namespace {

namespace v1 = ::runtime::v1;

constexpr char kService[] = "runtime.v1.ImageService";

class ImageServiceRpc final : public v1::ImageService::CallbackService {
 public:
  explicit ImageServiceRpc(const ImageRpcNeeds& needs) : needs_(needs), observer_(needs.observer) {}

  // All RPCs in the order of api.proto.
  BERTH_RPC_HERE(ListImages)
  BERTH_RPC_STREAM(StreamImages)
  BERTH_RPC_HERE(ImageStatus)
  BERTH_RPC_HERE(PullImage)
  BERTH_RPC_HERE(RemoveImage)
  BERTH_RPC_HERE(ImageFsInfo)

 private:
  template <typename Response>
  using Reply = std::function<void(absl::StatusOr<Response>)>;

  v1::ListImagesResponse List(const v1::ImageFilter& filter) const {
    v1::ListImagesResponse response;
    if (filter.image().image().empty()) {
      for (const auto& image : needs_.images.List()) *response.add_images() = ToCri(*image);
    } else if (const auto image = needs_.images.Find(filter.image().image())) {
      *response.add_images() = ToCri(*image);
    }
    return response;
  }

  void Answer(const v1::ListImagesRequest& request, Call, Reply<v1::ListImagesResponse> reply) {
    reply(List(request.filter()));
  }

  void Answer(const v1::StreamImagesRequest& request, Call, Reply<std::vector<v1::StreamImagesResponse>> reply) {
    v1::ListImagesResponse list = List(request.filter());
    reply(InBatches<v1::StreamImagesResponse>(list.mutable_images(), [](auto* batch) { return batch->add_images(); }));
  }

  // CRI: an image that is not here is OK with the image unset.
  void Answer(const v1::ImageStatusRequest& request, Call, Reply<v1::ImageStatusResponse> reply) {
    v1::ImageStatusResponse response;
    if (request.image().image().empty())
      return reply(absl::InvalidArgumentError("image.image is empty: want an id, a tag or a digest"));
    if (const auto image = needs_.images.Find(request.image().image())) {
      *response.mutable_image() = ToCri(*image);
      if (request.verbose()) (*response.mutable_info())["info"] = VerboseImageInfo(*image);
    }
    reply(std::move(response));
  }

  absl::Status CheckPull(const v1::ImageSpec& spec) const {
    if (spec.image().empty())
      return absl::InvalidArgumentError("image.image is empty: want a reference such as \"busybox:1.36\"");
    if (!needs_.knows_runtime_handler(spec.runtime_handler())) {
      return absl::InvalidArgumentError(
          absl::StrCat("image.runtime_handler \"", spec.runtime_handler(), "\" is not one of this node's"));
    }
    return absl::OkStatus();
  }

  void Answer(const v1::PullImageRequest& request, Call call, Reply<v1::PullImageResponse> reply) {
    if (const absl::Status status = CheckPull(request.image()); !status.ok()) return reply(status);
    const PullRequest pull{.reference = request.image().image(), .auth = FromCri(request.auth())};
    Submit(needs_.pull_lane, reply, [this, pull, call, reply]() mutable {
      if (const absl::Status status = call.Check(); !status.ok()) return reply(status);
      const absl::StatusOr<PullResult> result = needs_.images.Pull(pull, call, /*observer=*/nullptr);
      if (!result.ok()) return reply(PullStatusForKubelet(result.status()));
      v1::PullImageResponse response;
      response.set_image_ref(result->image_id);
      reply(std::move(response));
    });
  }

  void Answer(const v1::RemoveImageRequest& request, Call, Reply<v1::RemoveImageResponse> reply) {
    if (request.image().image().empty())
      return reply(absl::InvalidArgumentError("image.image is empty: want an id, a tag or a digest"));
    Submit(needs_.disk_lane, reply, [this, reference = request.image().image(), reply] {
      const absl::Status status = needs_.images.Remove(reference);
      if (!status.ok()) return reply(status);
      reply(v1::RemoveImageResponse());
    });
  }

  // Writable layers are on the same file system: no container_filesystems (those are for split disks).
  void Answer(const v1::ImageFsInfoRequest&, Call, Reply<v1::ImageFsInfoResponse> reply) {
    v1::ImageFsInfoResponse response;
    *response.add_image_filesystems() = ToCri(needs_.images.Usage());
    reply(std::move(response));
  }

  template <typename Response, typename Work>
  static void Submit(Lane& lane, const Reply<Response>& reply, Work work) {
    const absl::Status status = lane.Submit(std::move(work));
    if (!status.ok()) reply(status);
  }

  const ImageRpcNeeds needs_;
  const RpcObserver& observer_;
};

}  // namespace

std::shared_ptr<grpc::Service> NewImageServiceRpc(const ImageRpcNeeds& needs) {
  return std::make_shared<ImageServiceRpc>(needs);
}

}  // namespace berth
