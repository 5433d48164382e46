#include "prometheus/exposer.h"

#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "metrics/families.h"
#include "metrics/metrics.h"

namespace berth {

struct Exposer::Server {
  explicit Server(const std::string& address) : exposer(address, /*num_threads=*/2) {}
  prometheus::Exposer exposer;
};

absl::StatusOr<std::unique_ptr<Exposer>> Exposer::Start(const std::string& address, Metrics& metrics) {
  try {
    auto server = std::make_unique<Server>(address);
    for (const auto& collectable : metrics.families_->Collectables()) server->exposer.RegisterCollectable(collectable);
    return std::unique_ptr<Exposer>(new Exposer(std::move(server)));
  } catch (const std::exception& error) {  // civetweb's own, without a reason: the address is what a user can check
    return absl::UnavailableError(absl::StrCat("serving metrics on ", address, ": ", error.what(),
                                               "; is the address in use? metrics.address sets another, \"\" none"));
  }
}

Exposer::Exposer(std::unique_ptr<Server> server) : server_(std::move(server)) {}
Exposer::~Exposer() = default;

int Exposer::port() const {
  const std::vector<int> ports = server_->exposer.GetListeningPorts();
  return ports.empty() ? 0 : ports.front();
}

}  // namespace berth
