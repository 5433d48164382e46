#include "runtime/spec/process_args.h"

#include <map>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status.h"
#include "runtime/spec/paths.h"

namespace berth {
namespace {

constexpr char kDefaultPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// execve takes NUL-terminated strings: a NUL would silently cut one.
bool HasNul(absl::string_view text) { return absl::StrContains(text, absl::string_view("\0", 1)); }

// Environment with unique keys in the order of their first appearance.
class Environment {
 public:
  absl::Status Set(absl::string_view key, absl::string_view value, absl::string_view from) {
    if (key.empty() || absl::StrContains(key, '=')) {
      return absl::InvalidArgumentError(absl::StrCat(from, ": environment name \"", key, "\" is empty or has '='"));
    }
    if (HasNul(key) || HasNul(value))
      return absl::InvalidArgumentError(absl::StrCat(from, ": environment has a NUL byte"));
    std::string entry = absl::StrCat(key, "=", value);
    const auto [found, added] = index_.emplace(std::string(key), entries_.size());
    if (added) {
      entries_.push_back(std::move(entry));
    } else {
      entries_[found->second] = std::move(entry);
    }
    return absl::OkStatus();
  }
  bool Has(const std::string& key) const { return index_.count(key) != 0; }
  std::vector<std::string> Take() { return std::move(entries_); }

 private:
  std::map<std::string, size_t> index_;
  std::vector<std::string> entries_;
};

}  // namespace

absl::StatusOr<std::vector<std::string>> BuildArgs(const runtime::v1::ContainerConfig& container,
                                                   const ImageConfig& image) {
  std::vector<std::string> args;
  const auto append = [&](const auto& more) { args.insert(args.end(), more.begin(), more.end()); };
  if (container.command_size() > 0) {
    append(container.command());
    append(container.args());
  } else {
    append(image.entrypoint);
    if (container.args_size() > 0) {
      append(container.args());
    } else {
      append(image.cmd);
    }
  }
  if (args.empty()) return absl::InvalidArgumentError("no command: neither the request nor the image says what to run");
  if (args[0].empty()) return absl::InvalidArgumentError("the command's first word is empty");
  for (const std::string& arg : args) {
    if (HasNul(arg)) return absl::InvalidArgumentError("the command has a NUL byte");
  }
  return args;
}

absl::StatusOr<std::string> BuildCwd(const runtime::v1::ContainerConfig& container, const ImageConfig& image) {
  const bool asked = !container.working_dir().empty();
  const std::string& cwd = asked ? container.working_dir() : image.working_dir;
  if (cwd.empty()) return std::string("/");
  return CleanContainerPath(cwd, asked ? "working_dir" : "the image's working directory");
}

absl::StatusOr<std::vector<std::string>> BuildEnv(const runtime::v1::ContainerConfig& container,
                                                  const ImageConfig& image, const std::string& hostname,
                                                  const std::string& home) {
  Environment env;
  RETURN_IF_ERROR(env.Set("PATH", kDefaultPath, "default"));
  if (container.tty()) RETURN_IF_ERROR(env.Set("TERM", "xterm", "default"));
  for (const std::string& entry : image.env) {
    const size_t equals = entry.find('=');
    // Docker's form "KEY" without a value means an empty one inside an image.
    const absl::string_view value =
        equals == std::string::npos ? absl::string_view() : absl::string_view(entry).substr(equals + 1);
    RETURN_IF_ERROR(env.Set(absl::string_view(entry).substr(0, equals), value, "the image's environment"));
  }
  RETURN_IF_ERROR(env.Set("HOSTNAME", hostname, "hostname"));
  for (const runtime::v1::KeyValue& pair : container.envs()) {
    RETURN_IF_ERROR(env.Set(pair.key(), pair.value(), "envs"));
  }
  if (!env.Has("HOME")) RETURN_IF_ERROR(env.Set("HOME", home, "home directory"));
  return env.Take();
}

}  // namespace berth
