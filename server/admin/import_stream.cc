#include "server/admin/import_stream.h"

#include <fcntl.h>
#include <unistd.h>

#include <map>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "base/files.h"
#include "base/status.h"
#include "server/cri/unary_call.h"

namespace berth {

ImportReactor* ImportReactor::Start(const RpcSite& site, const ImportNeeds& needs, absl::Time deadline,
                                    ::berth::v1::ImportImageResponse* response) {
  auto* const self = new ImportReactor(site, needs, deadline, response);
  self->StartRead(&self->chunk_);
  return self;
}

ImportReactor::ImportReactor(const RpcSite& site, const ImportNeeds& needs, absl::Time deadline,
                             ::berth::v1::ImportImageResponse* response)
    : site_(site), needs_(needs), started_(absl::Now()), call_(deadline), response_(response) {}

void ImportReactor::OnReadDone(bool ok) {
  if (call_.cancelled()) return Close(GoneStatus(call_));
  if (ok) return OnLane(needs_.disk_lane, &ImportReactor::Spool);
  if (!file_.valid()) return Close(absl::InvalidArgumentError("the stream held no archive: want a header, then data"));
  OnLane(needs_.pull_lane, &ImportReactor::Import);
}

void ImportReactor::OnLane(Lane& lane, void (ImportReactor::*step)()) {
  const absl::Status status = lane.Submit([this, step] { (this->*step)(); });
  if (!status.ok()) Close(status);
}

void ImportReactor::Spool() {
  const absl::Status status = Take();
  if (!status.ok()) return Close(status);
  StartRead(&chunk_);
}

absl::Status ImportReactor::Take() {
  if (chunk_.has_header()) {
    if (has_header_) return absl::InvalidArgumentError("a second header in the stream");
    has_header_ = true;
    reference_ = chunk_.header().reference();
    return absl::OkStatus();
  }
  if (!has_header_) return absl::InvalidArgumentError("the stream starts without a header");
  if (!file_.valid()) {
    ASSIGN_OR_RETURN(file_, OpenAt(AT_FDCWD, needs_.spool_dir, O_TMPFILE | O_RDWR, 0600), "spooling the archive");
  }
  return WithContext(WriteAll(file_.get(), chunk_.data()), "spooling the archive");
}

void ImportReactor::Import() { Close(ImportSpooled()); }

absl::Status ImportReactor::ImportSpooled() {
  if (lseek(file_.get(), 0, SEEK_SET) != 0) return ErrnoStatus(errno, "rewinding the archive");
  ASSIGN_OR_RETURN(const std::vector<std::string> names, needs_.images.Import(file_.get(), reference_, call_));
  std::map<std::string, std::vector<std::string>> names_of;  // by image id
  for (const std::string& name : names) {
    const auto image = needs_.images.Find(name);
    if (image != nullptr) names_of[image->id].push_back(name);  // else removed again meanwhile
  }
  for (const auto& [id, references] : names_of) {
    auto* const imported = response_->add_images();
    imported->set_image_id(id);
    for (const std::string& reference : references) imported->add_references(reference);
  }
  return absl::OkStatus();
}

void ImportReactor::Close(const absl::Status& status) {
  needs_.observer.Done(site_, status, absl::Now() - started_, {{"image", reference_}});
  Finish(ToGrpc(status));
}

}  // namespace berth
