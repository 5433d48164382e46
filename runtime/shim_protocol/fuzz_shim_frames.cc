#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "runtime/shim_protocol/exit_record.h"
#include "runtime/shim_protocol/messages.h"

// A packet as it comes from the socket: the first byte stands for the number of descriptors beside it.

namespace {

using namespace berth::shim;

void Require(bool holds) {
  if (!holds) abort();
}

void TryRequest(const Frame& frame) {
  Request request;
  std::string error;
  if (!Decode(frame, &request, &error)) {
    Require(!error.empty());
    return;
  }
  Frame again;
  again.header.op = frame.header.op;
  again.body = Encode(frame.op(), request);
  again.fds.resize(request.roles.size());
  Request same;
  Require(Decode(again, &same, &error));
  Require(same.id == request.id && same.epoch == request.epoch && same.signal == request.signal &&
          same.deadline_ns == request.deadline_ns && same.roles == request.roles);
}

void TryReport(const Frame& frame) {
  Report report;
  std::string error;
  if (!Decode(frame, &report, &error)) {
    Require(!error.empty());
    return;
  }
  Frame again;
  again.body = Encode(report);
  Report same;
  Require(Decode(again, &same, &error));
  Require(same.id == report.id && same.exit_code == report.exit_code && same.text == report.text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const char* bytes = reinterpret_cast<const char*>(data);
  Frame frame;
  std::string error;
  ExitRecord record;
  DecodeExitRecord(bytes, size, &record);
  if (DecodeHeader(bytes + 1, size - 1, data[0], &frame.header, &error)) {
    frame.body.assign(bytes + 1 + kHeaderSize, frame.header.body_size);
    frame.fds.resize(data[0]);
    TryRequest(frame);
    TryReport(frame);
    Assembler assembler;
    assembler.Add(&frame, &error);
  } else {
    Require(!error.empty());
  }
  return 0;
}
