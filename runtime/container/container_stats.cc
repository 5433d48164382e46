#include "runtime/container/container_stats.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace berth {
namespace {

void SetIf(const std::optional<uint64_t>& value, cri::UInt64Value* (cri::MemoryUsage::*field)(),
           cri::MemoryUsage* memory) {
  if (value.has_value()) (memory->*field)()->set_value(*value);
}

}  // namespace

void FillUsage(const CgroupStats& stats, cri::CpuUsage* cpu, cri::MemoryUsage* memory) {
  cpu->set_timestamp(stats.timestamp_ns);
  if (stats.cpu_usage_ns.has_value()) cpu->mutable_usage_core_nano_seconds()->set_value(*stats.cpu_usage_ns);
  memory->set_timestamp(stats.timestamp_ns);
  SetIf(stats.memory_working_set_bytes, &cri::MemoryUsage::mutable_working_set_bytes, memory);
  SetIf(stats.memory_available_bytes, &cri::MemoryUsage::mutable_available_bytes, memory);
  SetIf(stats.memory_usage_bytes, &cri::MemoryUsage::mutable_usage_bytes, memory);
  SetIf(stats.memory_rss_bytes, &cri::MemoryUsage::mutable_rss_bytes, memory);
  SetIf(stats.page_faults, &cri::MemoryUsage::mutable_page_faults, memory);
  SetIf(stats.major_page_faults, &cri::MemoryUsage::mutable_major_page_faults, memory);
}

absl::StatusOr<cri::ContainerStats> ReadContainerStats(Node& node, Container& container) {
  const ContainerPtr record = container.record();
  CgroupStats stats;
  {
    MutexLock lock(container.stats_mutex());
    if (container.reader == nullptr) {
      ASSIGN_OR_RETURN(container.reader, node.cgroups.Reader(record->cgroup_path()));
    }
    ASSIGN_OR_RETURN(stats, container.reader->Read());
  }
  cri::ContainerStats out;
  cri::ContainerAttributes* attributes = out.mutable_attributes();
  attributes->set_id(container.id());
  *attributes->mutable_metadata() = record->config().metadata();
  *attributes->mutable_labels() = record->config().labels();
  *attributes->mutable_annotations() = record->config().annotations();
  FillUsage(stats, out.mutable_cpu(), out.mutable_memory());
  if (stats.swap_usage_bytes.has_value()) {
    out.mutable_swap()->set_timestamp(stats.timestamp_ns);
    out.mutable_swap()->mutable_swap_usage_bytes()->set_value(*stats.swap_usage_bytes);
    if (stats.swap_available_bytes.has_value()) {
      out.mutable_swap()->mutable_swap_available_bytes()->set_value(*stats.swap_available_bytes);
    }
  }
  if (const absl::StatusOr<FsUsage> layer = node.images.WritableUsage(container.id()); layer.ok()) {
    cri::FilesystemUsage* usage = out.mutable_writable_layer();
    usage->set_timestamp(layer->timestamp_ns);
    usage->mutable_fs_id()->set_mountpoint(layer->mountpoint);
    usage->mutable_used_bytes()->set_value(layer->used_bytes);
    usage->mutable_inodes_used()->set_value(layer->inodes_used);
  }
  return out;
}

}  // namespace berth
