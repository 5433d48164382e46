#include "runtime/spec/stop_signal.h"

#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"

namespace berth {
namespace {

// The C library keeps 32 and 33 to itself.
constexpr int kRtMin = 34;
constexpr int kRtMax = 64;

struct Name {
  const char* name;
  int number;  // man 7 signal, x86 and ARM
};

// The order is that of CRI's enum, from SIGNAL_SIGABRT = 1 on.
constexpr std::array<Name, 34> kNames = {
    {{"ABRT", 6},  {"ALRM", 14}, {"BUS", 7},     {"CHLD", 17},  {"CLD", 17},  {"CONT", 18},   {"FPE", 8},
     {"HUP", 1},   {"ILL", 4},   {"INT", 2},     {"IO", 29},    {"IOT", 6},   {"KILL", 9},    {"PIPE", 13},
     {"POLL", 29}, {"PROF", 27}, {"PWR", 30},    {"QUIT", 3},   {"SEGV", 11}, {"STKFLT", 16}, {"STOP", 19},
     {"SYS", 31},  {"TERM", 15}, {"TRAP", 5},    {"TSTP", 20},  {"TTIN", 21}, {"TTOU", 22},   {"URG", 23},
     {"USR1", 10}, {"USR2", 12}, {"VTALRM", 26}, {"WINCH", 28}, {"XCPU", 24}, {"XFSZ", 25}}};

std::optional<int> RealTime(absl::string_view name) {
  int offset = 0;
  if (absl::ConsumePrefix(&name, "RTMIN")) {
    if (name.empty()) return kRtMin;
    if (name[0] == '+' && absl::SimpleAtoi(name.substr(1), &offset) && offset >= 0 && offset <= 15)
      return kRtMin + offset;
  } else if (absl::ConsumePrefix(&name, "RTMAX")) {
    if (name.empty()) return kRtMax;
    if (name[0] == '-' && absl::SimpleAtoi(name.substr(1), &offset) && offset >= 0 && offset <= 14)
      return kRtMax - offset;
  }
  return std::nullopt;
}

}  // namespace

std::optional<int> SignalNumber(runtime::v1::Signal signal) {
  const int value = signal;
  if (value >= 1 && value <= static_cast<int>(kNames.size())) return kNames[static_cast<size_t>(value) - 1].number;
  if (value >= runtime::v1::SIGNAL_SIGRTMIN && value <= runtime::v1::SIGNAL_SIGRTMAX) return kRtMin + value - 35;
  return std::nullopt;
}

runtime::v1::Signal SignalOf(int number) {
  for (int value = 1; value <= runtime::v1::SIGNAL_SIGRTMAX; ++value) {
    if (SignalNumber(static_cast<runtime::v1::Signal>(value)) == number) return static_cast<runtime::v1::Signal>(value);
  }
  return runtime::v1::SIGNAL_RUNTIME_DEFAULT;
}

std::optional<int> ParseSignal(absl::string_view text) {
  int number = 0;
  if (absl::SimpleAtoi(text, &number)) {
    return number >= 1 && number <= kRtMax ? std::optional<int>(number) : std::nullopt;
  }
  const std::string upper = absl::AsciiStrToUpper(text);
  absl::string_view name = upper;
  absl::ConsumePrefix(&name, "SIG");
  for (const Name& known : kNames) {
    if (name == known.name) return known.number;
  }
  return RealTime(name);
}

}  // namespace berth
