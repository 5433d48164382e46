#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/shim_protocol/frame.h"

// The bodies of frames. Times are CLOCK_MONOTONIC ns where they are deadlines (one machine, one clock: a slow delivery
// does not stretch them) and CLOCK_REALTIME ns where they are told to people. Abseil-free.
namespace berth::shim {

// What a passed descriptor is for; a request lists one role per descriptor, in their order.
enum class FdRole : uint8_t {
  kPlan = 1,  // sealed memfd of an encoded plan
  kNetNs = 2,
  kCgroupTasks = 3,  // the only one that may repeat
  kFreezer = 4,
  kCgroupProcs = 5,
  kCgroupDir = 6,
  kOom = 7,
  kLog = 8,
  kSeccomp = 9,
  kStdin = 10,
  kStdout = 11,
  kStderr = 12,
};

struct Request {
  uint64_t epoch = 0;         // kHello
  std::string id;             // of a container; kCancelExec: of an exec
  int32_t signal = 0;         // kStop
  int64_t deadline_ns = 0;    // kStop: when to kill; kExec: when to kill, absent (INT64_MAX) = never
  std::vector<FdRole> roles;  // kPrepare, kCreate, kExec, kReopenLog
};

// Reply codes are those of absl::StatusCode that a shim uses.
enum class Code : uint32_t {
  kOk = 0,
  kInvalidArgument = 3,
  kNotFound = 5,
  kAlreadyExists = 6,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kUnimplemented = 12,
  kInternal = 13,
};

enum class State : uint32_t { kCreating = 0, kCreated = 1, kRunning = 2, kExited = 3 };

struct Report {
  Code code = Code::kOk;           // kReply
  std::string text;                // kReply with an error, kNotice
  std::string id;                  // kContainer, kExited
  State state = State::kCreating;  // kContainer
  int32_t pid = 0;                 // kContainer, reply to kCreate; reply to kHello: the shim's
  int64_t started_at_ns = 0;
  int32_t exit_code = 0;
  int64_t exited_at_ns = 0;
  bool oom_killed = false;
  bool timed_out = false;     // reply to kExec
  bool prepared = false;      // reply to kHello
  int32_t oom_score_adj = 0;  // reply to kHello: what could be set
  uint64_t log_bytes_dropped = 0;
  uint64_t sequence = 0;  // kExited
};

std::string Encode(Op op, const Request& request);
// False with `error` naming the field: missing, malformed, not of this operation, or not known and must be understood.
bool Decode(const Frame& frame, Request* request, std::string* error);

std::string Encode(const Report& report);
bool Decode(const Frame& frame, Report* report, std::string* error);

// The request's descriptors by role, after Decode checked that there are as many.
class RoleFds {
 public:
  RoleFds(const std::vector<FdRole>& roles, std::vector<UniqueFd> fds);
  UniqueFd Take(FdRole role);  // invalid when absent
  std::vector<UniqueFd> TakeAll(FdRole role);

 private:
  std::vector<std::pair<FdRole, UniqueFd>> fds_;
};

// [A-Za-z0-9_.-]{1,128} and neither "." nor "..": becomes part of a file name (R6).
bool ValidId(const std::string& id);

}  // namespace berth::shim
