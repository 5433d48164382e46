#include <algorithm>
#include <cstring>

#include "runtime/handlers/native/parent/parent.h"

namespace berth::native {
namespace {

template <typename List>
bool Has(const List& list, int32_t item) {
  return item >= 0 && static_cast<size_t>(item) < list.size();
}

const char* KindName(MountKind kind) {
  switch (kind) {
    case MountKind::kBind:
      return "";
    case MountKind::kTmpfs:
      return "tmpfs on ";
    case MountKind::kProc:
      return "proc on ";
    case MountKind::kSysfs:
      return "sysfs on ";
    case MountKind::kDevpts:
      return "devpts on ";
    case MountKind::kMqueue:
      return "mqueue on ";
    case MountKind::kCgroup:
      return "cgroup on ";
    case MountKind::kShm:
      return "shm on ";
  }
  return "";
}

std::string DescribeMount(const MountStep& mount) {
  if (mount.kind == MountKind::kBind) return mount.source + " on " + mount.target;
  return KindName(mount.kind) + mount.target;
}

// What the plan calls the item of a report.
std::string Subject(const ContainerPlan& plan, Phase phase, int32_t item) {
  switch (phase) {
    case Phase::kSource:
      if (Has(plan.mounts, item)) return plan.mounts[static_cast<size_t>(item)].source;
      break;
    case Phase::kMount:
      if (Has(plan.mounts, item)) return DescribeMount(plan.mounts[static_cast<size_t>(item)]);
      break;
    case Phase::kDevice:
      if (Has(plan.devices, item)) return plan.devices[static_cast<size_t>(item)].path;
      break;
    case Phase::kSymlink:
      if (Has(plan.symlinks, item)) return plan.symlinks[static_cast<size_t>(item)].path;
      break;
    case Phase::kReadOnlyPath:
      if (Has(plan.read_only_paths, item)) return plan.read_only_paths[static_cast<size_t>(item)];
      break;
    case Phase::kMask:
      if (Has(plan.masked_paths, item)) return plan.masked_paths[static_cast<size_t>(item)];
      break;
    default:
      break;
  }
  return "";
}

std::string Describe(const ChildReport& report, const std::string& subject, const ProcessPlan& process) {
  const auto phase = static_cast<Phase>(report.phase);
  std::string text = PhaseName(phase);
  if (!subject.empty()) text += " " + subject;
  std::string detail(report.detail, strnlen(report.detail, sizeof report.detail));
  // Names come from images and requests: no line breaks in what is logged and shown.
  std::replace_if(
      detail.begin(), detail.end(), [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; }, '?');
  // The program is what a user looks for: named with quotes, and the reason in the words people search for.
  if (phase == Phase::kExec) {
    text += " \"" + detail + "\"";
    if (report.error == ENOENT && !process.args.empty() && process.args[0].find('/') == std::string::npos) {
      return text + ": executable file not found in $PATH";
    }
  } else if (!detail.empty()) {
    text += (subject.empty() ? " " : ": ") + detail;
  }
  return text + ": " + strerror(report.error);
}

}  // namespace

std::string DescribeFailure(const ContainerPlan& plan, const ChildReport& report) {
  const std::string subject = Subject(plan, static_cast<Phase>(report.phase), report.item);
  return Describe(report, subject, plan.process);
}

std::string DescribeFailure(const ExecPlan& plan, const ChildReport& report) {
  return Describe(report, "", plan.process);
}

}  // namespace berth::native
