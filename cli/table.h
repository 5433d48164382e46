#pragma once

#include <string>
#include <vector>

#include "google/protobuf/message.h"

namespace berth {

// Columns padded to their widest cell, two spaces apart, as Docker prints lists.
std::string FormatTable(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows);

// A message as indented JSON with the proto's field names; for --output json.
std::string FormatJson(const google::protobuf::Message& message);

}  // namespace berth
