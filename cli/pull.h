#pragma once

#include <cstdio>
#include <string>

#include "absl/status/statusor.h"
#include "cli/node_client.h"
#include "runtime/v1/api.pb.h"

namespace berth {

// Pulls and shows the progress on `out`. Returns the image's id.
absl::StatusOr<std::string> PullImage(NodeClient& client, const std::string& reference,
                                      const ::runtime::v1::AuthConfig& auth, FILE* out, bool terminal);

}  // namespace berth
