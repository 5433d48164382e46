#pragma once

#include <string>

#include "base/fd.h"
#include "runtime/handlers/native/plan/plan.h"

namespace berth::shim {

// The bytes of a sealed memfd: one that nobody can change while it is read. False with `error` otherwise.
bool ReadSealed(const UniqueFd& memfd, std::string* bytes, std::string* error);

template <typename Plan>
bool ReadPlanMemfd(UniqueFd memfd, Plan* plan, std::string* error) {
  std::string bytes;
  return ReadSealed(memfd, &bytes, error) && native::Decode(bytes.data(), bytes.size(), plan, error);
}

}  // namespace berth::shim
