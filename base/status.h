#pragma once

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace berth {

// The one place where errno becomes a Status: the code a caller can act on, the text "<context>: <strerror>".
absl::Status ErrnoStatus(int error, absl::string_view context);

// The same status with "<context>: " before its message; OK stays OK.
absl::Status WithContext(const absl::Status& status, absl::string_view context);

namespace status_internal {
inline const absl::Status& ToStatus(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& ToStatus(const absl::StatusOr<T>& status_or) {
  return status_or.status();
}
template <typename... Args>
absl::Status Annotate(const absl::Status& status, const Args&... context) {
  if constexpr (sizeof...(context) == 0) {
    return status;
  } else {
    return WithContext(status, absl::StrCat(context...));
  }
}
}  // namespace status_internal

}  // namespace berth

#define BERTH_CONCAT_INNER(a, b) a##b
#define BERTH_CONCAT(a, b) BERTH_CONCAT_INNER(a, b)

// RETURN_IF_ERROR(expr[, context parts…]): returns the error, with the parts joined in front of it.
#define RETURN_IF_ERROR(expr, ...)                                                                              \
  do {                                                                                                          \
    const auto& berth_status = (expr);                                                                          \
    if (!berth_status.ok()) {                                                                                   \
      return ::berth::status_internal::Annotate(::berth::status_internal::ToStatus(berth_status) __VA_OPT__(, ) \
                                                    __VA_ARGS__);                                               \
    }                                                                                                           \
  } while (false)

// ASSIGN_OR_RETURN(auto x, expr[, context parts…])
#define ASSIGN_OR_RETURN(lhs, expr, ...) \
  BERTH_ASSIGN_OR_RETURN(BERTH_CONCAT(berth_or_, __LINE__), lhs, expr __VA_OPT__(, ) __VA_ARGS__)
#define BERTH_ASSIGN_OR_RETURN(tmp, lhs, expr, ...)                                                  \
  auto tmp = (expr);                                                                                 \
  if (!tmp.ok()) return ::berth::status_internal::Annotate(tmp.status() __VA_OPT__(, ) __VA_ARGS__); \
  lhs = *std::move(tmp)
