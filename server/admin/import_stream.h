#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/call.h"
#include "base/fd.h"
#include "base/lane.h"
#include "base/mutex.h"
#include "berth/v1/admin.pb.h"
#include "grpcpp/grpcpp.h"
#include "imagesvc/image_service.h"
#include "server/cri/rpc_observer.h"

namespace berth {

struct ImportNeeds {
  ImageService& images;
  Lane& pull_lane;
  Lane& disk_lane;
  const RpcObserver& observer;
  std::string spool_dir;  // the archive waits here, without a name, until it is complete: a slow client holds no thread
};

// An archive comes in as chunks, is spooled to an unnamed file and then imported. One chunk is in memory at a time: the
// next is asked for when the disk has taken the last. Owned by gRPC until OnDone.
class ImportReactor final : public grpc::ServerReadReactor<::berth::v1::ImportChunk> {
 public:
  static ImportReactor* Start(const RpcSite& site, const ImportNeeds& needs, absl::Time deadline,
                              ::berth::v1::ImportImageResponse* response);

 private:
  ImportReactor(const RpcSite& site, const ImportNeeds& needs, absl::Time deadline,
                ::berth::v1::ImportImageResponse* response);

  void OnReadDone(bool ok) override;
  void OnCancel() override { call_.Cancel(); }  // the step in progress notices and closes
  void OnDone() override { delete this; }

  // Runs `step` on the lane, or closes when the lane refuses. At any time one step or one read is under way, never
  // both.
  void OnLane(Lane& lane, void (ImportReactor::*step)());
  void Spool();
  absl::Status Take();
  void Import();
  absl::Status ImportSpooled();
  void Close(const absl::Status& status);

  const RpcSite site_;
  const ImportNeeds needs_;
  const absl::Time started_;
  Call call_;
  ::berth::v1::ImportImageResponse* const response_;
  ::berth::v1::ImportChunk chunk_;
  bool has_header_ = false;
  std::string reference_;
  UniqueFd file_;
};

}  // namespace berth
