#include "runtime/shim_protocol/messages.h"

#include <limits>
#include <utility>

#include "base/tlv.h"

namespace berth::shim {
namespace {

enum Tag : uint16_t {
  kTagEpoch = 1,
  kTagId = 2,
  kTagSignal = 3,
  kTagDeadline = 4,
  kTagRoles = 5,
  kTagCode = 6,
  kTagText = 7,
  kTagState = 8,
  kTagPid = 9,
  kTagStartedAt = 10,
  kTagExitCode = 11,
  kTagExitedAt = 12,
  kTagOomKilled = 13,
  kTagTimedOut = 14,
  kTagPrepared = 15,
  kTagOomScoreAdj = 16,
  kTagLogDropped = 17,
  kTagSequence = 18,
};

constexpr size_t kMaxText = 4096;
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

constexpr uint32_t Bit(Tag tag) { return uint32_t{1} << tag; }

struct Shape {
  uint32_t required = 0;
  uint32_t optional = 0;
};

// Which fields an operation's body must and may have. False: not a request.
bool ShapeOf(Op op, Shape* shape) {
  switch (op) {
    case Op::kHello:
      *shape = {Bit(kTagEpoch), 0};
      return true;
    case Op::kPrepare:
    case Op::kCreate:
      *shape = {Bit(kTagRoles), 0};
      return true;
    case Op::kStop:
      *shape = {Bit(kTagId) | Bit(kTagSignal) | Bit(kTagDeadline), 0};
      return true;
    case Op::kExec:
      *shape = {Bit(kTagRoles), Bit(kTagDeadline)};
      return true;
    case Op::kReopenLog:
      *shape = {Bit(kTagId) | Bit(kTagRoles), 0};
      return true;
    case Op::kStart:
    case Op::kCancelExec:
    case Op::kRemove:
    case Op::kAck:
      *shape = {Bit(kTagId), 0};
      return true;
    case Op::kShutdown:
      *shape = {};
      return true;
    default:
      return false;
  }
}

bool Fail(std::string* error, const char* what, uint16_t tag) {
  *error = what + std::to_string(tag);
  return false;
}

bool ReadRoles(const tlv::Field& field, std::vector<FdRole>* roles) {
  uint32_t seen = 0;
  for (size_t i = 0; i < field.size; ++i) {
    const auto role = static_cast<unsigned char>(field.data[i]);
    if (role < static_cast<uint8_t>(FdRole::kPlan) || role > static_cast<uint8_t>(FdRole::kStderr)) return false;
    const uint32_t bit = uint32_t{1} << role;
    if ((seen & bit) != 0 && role != static_cast<uint8_t>(FdRole::kCgroupTasks)) return false;
    seen |= bit;
    roles->push_back(static_cast<FdRole>(role));
  }
  return true;
}

bool ReadField(const tlv::Field& field, Request* request) {
  switch (field.tag) {
    case kTagEpoch:
      return field.U64(&request->epoch);
    case kTagId:
      return field.String(&request->id, 128) && ValidId(request->id);
    case kTagSignal:
      return field.I32(&request->signal) && request->signal > 0 && request->signal <= 64;
    case kTagDeadline:
      return field.I64(&request->deadline_ns);
    case kTagRoles:
      return ReadRoles(field, &request->roles);
    default:
      return false;
  }
}

bool ReadEnums(const tlv::Field& field, Report* report) {
  uint32_t value = 0;
  if (!field.U32(&value)) return false;
  if (field.tag == kTagCode) {
    report->code = static_cast<Code>(value);
    return value <= 16;
  }
  report->state = static_cast<State>(value);
  return value <= static_cast<uint32_t>(State::kExited);
}

// 1: read, 0: malformed, -1: not known.
int ReadField(const tlv::Field& field, Report* report) {
  switch (field.tag) {
    case kTagCode:
    case kTagState:
      return ReadEnums(field, report);
    case kTagText:
      return field.String(&report->text, kMaxText);
    case kTagId:
      return field.String(&report->id, 128) && ValidId(report->id);
    case kTagPid:
      return field.I32(&report->pid);
    case kTagStartedAt:
      return field.I64(&report->started_at_ns);
    case kTagExitCode:
      return field.I32(&report->exit_code);
    case kTagExitedAt:
      return field.I64(&report->exited_at_ns);
    case kTagOomKilled:
      return field.Bool(&report->oom_killed);
    case kTagTimedOut:
      return field.Bool(&report->timed_out);
    case kTagPrepared:
      return field.Bool(&report->prepared);
    case kTagOomScoreAdj:
      return field.I32(&report->oom_score_adj);
    case kTagLogDropped:
      return field.U64(&report->log_bytes_dropped);
    case kTagSequence:
      return field.U64(&report->sequence);
    default:
      return -1;
  }
}

// Text for people, without what would break a message: NUL bytes and anything beyond the bound.
std::string Printable(const std::string& text) {
  std::string out = text.substr(0, kMaxText);
  for (char& c : out) {
    if (c == '\0') c = '?';
  }
  return out;
}

}  // namespace

std::string Encode(Op op, const Request& request) {
  Shape shape;
  std::string out;
  if (!ShapeOf(op, &shape)) return out;
  const uint32_t fields = shape.required | shape.optional;
  tlv::Writer writer(&out);
  if ((fields & Bit(kTagEpoch)) != 0) writer.U64(kTagEpoch, request.epoch);
  if ((fields & Bit(kTagId)) != 0) writer.String(kTagId, request.id);
  if ((fields & Bit(kTagSignal)) != 0) writer.I32(kTagSignal, request.signal);
  if ((fields & Bit(kTagDeadline)) != 0) writer.I64(kTagDeadline, request.deadline_ns);
  if ((fields & Bit(kTagRoles)) != 0) writer.Bytes(kTagRoles, request.roles.data(), request.roles.size());
  return out;
}

bool Decode(const Frame& frame, Request* request, std::string* error) {
  *request = Request();
  request->deadline_ns = kNever;
  Shape shape;
  if (!ShapeOf(frame.op(), &shape)) return Fail(error, "no such operation: ", frame.header.op);
  uint32_t seen = 0;
  tlv::Reader reader(frame.body.data(), frame.body.size());
  tlv::Field field;
  while (reader.Next(&field)) {
    const uint32_t bit = field.tag < 32 ? uint32_t{1} << field.tag : 0;
    if ((bit & (shape.required | shape.optional)) == 0) {
      if (field.must_understand) return Fail(error, "unknown field that must be understood: ", field.tag);
      continue;
    }
    if ((seen & bit) != 0) return Fail(error, "field given twice: ", field.tag);
    seen |= bit;
    if (!ReadField(field, request)) return Fail(error, "malformed field: ", field.tag);
  }
  if (reader.truncated()) return Fail(error, "truncated after field: ", field.tag);
  for (uint16_t tag = 0; tag < 32; ++tag) {
    if ((shape.required & ~seen & (uint32_t{1} << tag)) != 0) return Fail(error, "missing field: ", tag);
  }
  if (request->roles.size() != frame.fds.size())
    return Fail(error, "descriptors beside the roles of field: ", kTagRoles);
  return true;
}

std::string Encode(const Report& report) {
  std::string out;
  tlv::Writer writer(&out);
  writer.U32(kTagCode, static_cast<uint32_t>(report.code));
  if (!report.text.empty()) writer.String(kTagText, Printable(report.text));
  if (!report.id.empty()) writer.String(kTagId, report.id);
  if (report.state != State::kCreating) writer.U32(kTagState, static_cast<uint32_t>(report.state));
  if (report.pid != 0) writer.I32(kTagPid, report.pid);
  if (report.started_at_ns != 0) writer.I64(kTagStartedAt, report.started_at_ns);
  if (report.exit_code != 0) writer.I32(kTagExitCode, report.exit_code);
  if (report.exited_at_ns != 0) writer.I64(kTagExitedAt, report.exited_at_ns);
  if (report.oom_killed) writer.Bool(kTagOomKilled, true);
  if (report.timed_out) writer.Bool(kTagTimedOut, true);
  if (report.prepared) writer.Bool(kTagPrepared, true);
  if (report.oom_score_adj != 0) writer.Optional().I32(kTagOomScoreAdj, report.oom_score_adj);
  if (report.log_bytes_dropped != 0) writer.Optional().U64(kTagLogDropped, report.log_bytes_dropped);
  if (report.sequence != 0) writer.U64(kTagSequence, report.sequence);
  return out;
}

bool Decode(const Frame& frame, Report* report, std::string* error) {
  *report = Report();
  tlv::Reader reader(frame.body.data(), frame.body.size());
  tlv::Field field;
  uint32_t seen = 0;
  while (reader.Next(&field)) {
    const int result = ReadField(field, report);
    if (result < 0 && field.must_understand) return Fail(error, "unknown field that must be understood: ", field.tag);
    if (result == 0) return Fail(error, "malformed field: ", field.tag);
    if (result < 0) continue;
    if ((seen & (uint32_t{1} << field.tag)) != 0) return Fail(error, "field given twice: ", field.tag);
    seen |= uint32_t{1} << field.tag;
  }
  if (reader.truncated()) return Fail(error, "truncated after field: ", field.tag);
  return true;
}

RoleFds::RoleFds(const std::vector<FdRole>& roles, std::vector<UniqueFd> fds) {
  for (size_t i = 0; i < roles.size() && i < fds.size(); ++i) fds_.emplace_back(roles[i], std::move(fds[i]));
}

UniqueFd RoleFds::Take(FdRole role) {
  for (auto& [which, fd] : fds_) {
    if (which == role && fd.valid()) return std::move(fd);
  }
  return UniqueFd();
}

std::vector<UniqueFd> RoleFds::TakeAll(FdRole role) {
  std::vector<UniqueFd> out;
  for (auto& [which, fd] : fds_) {
    if (which == role && fd.valid()) out.push_back(std::move(fd));
  }
  return out;
}

bool ValidId(const std::string& id) {
  if (id.empty() || id.size() > 128 || id == "." || id == "..") return false;
  for (const char c : id) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!plain && c != '_' && c != '.' && c != '-') return false;
  }
  return true;
}

}  // namespace berth::shim
