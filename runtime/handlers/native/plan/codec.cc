#include <array>
#include <cstddef>
#include <type_traits>

#include "base/tlv.h"
#include "runtime/handlers/native/plan/plan.h"
#include "runtime/handlers/native/plan/validate.h"

// One list of fields per message serves both directions, so that what is written is what is read. Tags are forever: a
// field that goes leaves a hole, a new one takes the next number (docs/formats/plan.md).
namespace berth::native {
namespace {

template <typename Codec>
void Fields(Codec& codec, MountStep& m) {
  codec.Enum(1, "kind", m.kind, MountKind::kShm);
  codec.Path(2, "target", m.target);
  codec.Path(3, "source", m.source);
  codec.Number(4, "attributes", m.attributes);
  codec.Flag(5, "recursive", m.recursive);
  codec.Flag(6, "recursive_read_only", m.recursive_read_only);
  codec.Enum(7, "propagation", m.propagation, Propagation::kShared);
  codec.Strings(8, "options", m.options, kMaxMountOptions, kMaxOptionSize);
  codec.Enum(9, "on_missing", m.on_missing, OnMissing::kLikeSource);
  codec.Flag(10, "make_source", m.make_source);
}

template <typename Codec>
void Fields(Codec& codec, DeviceNode& d) {
  codec.Path(1, "path", d.path);
  codec.Char(2, "type", d.type);
  codec.Number(3, "major", d.major);
  codec.Number(4, "minor", d.minor);
  codec.Number(5, "mode", d.mode);
  codec.Number(6, "uid", d.uid);
  codec.Number(7, "gid", d.gid);
}

template <typename Codec>
void Fields(Codec& codec, SymlinkStep& s) {
  codec.Path(1, "path", s.path);
  codec.Path(2, "target", s.target);
}

template <typename Codec>
void Fields(Codec& codec, Rlimit& r) {
  codec.Number(1, "resource", r.resource);
  codec.Number(2, "soft", r.soft);
  codec.Number(3, "hard", r.hard);
}

template <typename Codec>
void Fields(Codec& codec, Capabilities& c) {
  codec.Number(1, "bounding", c.bounding);
  codec.Number(2, "effective", c.effective);
  codec.Number(3, "permitted", c.permitted);
  codec.Number(4, "inheritable", c.inheritable);
  codec.Number(5, "ambient", c.ambient);
}

template <typename Codec>
void Fields(Codec& codec, ProcessPlan& p) {
  codec.Strings(1, "args", p.args, kMaxArguments, kMaxArgumentSize);
  codec.Strings(2, "env", p.env, kMaxArguments, kMaxArgumentSize);
  codec.Path(3, "cwd", p.cwd);
  codec.Flag(4, "make_cwd", p.make_cwd);
  codec.Flag(5, "terminal", p.terminal);
  codec.Number(6, "uid", p.uid);
  codec.Number(7, "gid", p.gid);
  codec.Numbers(8, "groups", p.groups, kMaxGroups);
  codec.Message(9, "capabilities", p.capabilities);
  codec.Flag(10, "no_new_privs", p.no_new_privs);
  codec.Messages(11, "rlimits", p.rlimits, kMaxRlimits);
  codec.Flag(12, "has_oom_score_adj", p.has_oom_score_adj);
  codec.Number(13, "oom_score_adj", p.oom_score_adj);
  codec.Number(14, "umask", p.umask);
  codec.Flag(15, "has_seccomp", p.has_seccomp);
  codec.String(16, "selinux_label", p.selinux_label, kMaxPath);
  codec.String(17, "apparmor_profile", p.apparmor_profile, kMaxPath);
}

template <typename Codec>
void Fields(Codec& codec, RootPlan& r) {
  codec.Strings(1, "lower_dirs", r.lower_dirs, kMaxLowerDirs, kMaxPath);
  codec.Path(2, "upper_dir", r.upper_dir);
  codec.Path(3, "work_dir", r.work_dir);
  codec.Flag(4, "read_only", r.read_only);
  codec.Flag(5, "volatile_upper", r.volatile_upper);
  codec.String(6, "mount_label", r.mount_label, kMaxPath);
}

template <typename Codec>
void Fields(Codec& codec, ContainerPlan& c) {
  codec.String(1, "id", c.id, kMaxId);
  codec.Enum(2, "pid", c.pid, NamespaceOf::kTarget);
  codec.Enum(3, "net", c.net, NamespaceOf::kTarget);
  codec.Enum(4, "ipc", c.ipc, NamespaceOf::kTarget);
  codec.Enum(5, "uts", c.uts, NamespaceOf::kTarget);
  codec.Flag(6, "cgroup_namespace", c.cgroup_namespace);
  codec.String(7, "pid_target", c.pid_target, kMaxId);
  codec.Message(8, "root", c.root);
  codec.Messages(9, "mounts", c.mounts, kMaxMounts);
  codec.Flag(10, "make_dev", c.make_dev);
  codec.Messages(11, "devices", c.devices, kMaxDevices);
  codec.Messages(12, "symlinks", c.symlinks, kMaxDevices);
  codec.Strings(13, "masked_paths", c.masked_paths, kMaxMounts, kMaxPath);
  codec.Strings(14, "read_only_paths", c.read_only_paths, kMaxMounts, kMaxPath);
  codec.Strings(15, "cgroup_v1_hierarchies", c.cgroup_v1_hierarchies, kMaxHierarchies, kMaxId);
  codec.Message(16, "process", c.process);
  codec.Flag(17, "stdin_open", c.stdin_open);
  codec.Flag(18, "stdin_once", c.stdin_once);
}

template <typename Codec>
void Fields(Codec& codec, ExecPlan& e) {
  codec.String(1, "id", e.id, kMaxId);
  codec.String(2, "container_id", e.container_id, kMaxId);
  codec.Message(3, "process", e.process);
}

template <typename Codec>
void Fields(Codec& codec, SandboxPlan::Sysctl& s) {
  codec.String(1, "key", s.key, kMaxId);
  codec.String(2, "value", s.value, kMaxPath);
}

template <typename Codec>
void Fields(Codec& codec, SandboxPlan& s) {
  codec.String(1, "pod_id", s.pod_id, kMaxId);
  codec.String(2, "hostname", s.hostname, kMaxHostname);
  codec.Flag(3, "own_ipc", s.own_ipc);
  codec.Flag(4, "own_uts", s.own_uts);
  codec.Flag(5, "own_net", s.own_net);
  codec.Flag(6, "shared_pid", s.shared_pid);
  codec.Number(7, "shm_size_bytes", s.shm_size_bytes);
  codec.Messages(8, "sysctls", s.sysctls, kMaxSysctls);
}

class Encoder {
 public:
  explicit Encoder(std::string* out) : writer_(out) {}

  template <typename T>
  void Number(uint16_t tag, const char*, T& value) {
    if constexpr (sizeof(T) == 8) {
      writer_.U64(tag, static_cast<uint64_t>(value));
    } else {
      writer_.U32(tag, static_cast<uint32_t>(value));
    }
  }
  template <typename T>
  void Enum(uint16_t tag, const char*, T& value, T) {
    const auto byte = static_cast<uint8_t>(value);
    writer_.Bytes(tag, &byte, 1);
  }
  void Char(uint16_t tag, const char*, char& value) { writer_.Bytes(tag, &value, 1); }
  void Flag(uint16_t tag, const char*, bool& value) { writer_.Bool(tag, value); }
  void Path(uint16_t tag, const char*, std::string& value) { writer_.String(tag, value); }
  void String(uint16_t tag, const char*, std::string& value, size_t) { writer_.String(tag, value); }
  void Strings(uint16_t tag, const char*, std::vector<std::string>& values, size_t, size_t) {
    for (const std::string& value : values) writer_.String(tag, value);
  }
  void Numbers(uint16_t tag, const char*, std::vector<uint32_t>& values, size_t) {
    for (const uint32_t value : values) writer_.U32(tag, value);
  }
  template <typename T>
  void Message(uint16_t tag, const char*, T& value) {
    const size_t mark = writer_.Begin(tag);
    Fields(*this, value);
    writer_.End(mark);
  }
  template <typename T>
  void Messages(uint16_t tag, const char* name, std::vector<T>& values, size_t) {
    for (T& value : values) Message(tag, name, value);
  }

 private:
  tlv::Writer writer_;
};

// Holds one field of the wire at a time; each visitor function takes it when the tag is its own.
class Decoder {
 public:
  explicit Decoder(std::string* error) : error_(error) {}

  template <typename T>
  bool Run(tlv::Reader reader, T* message) {
    Decoder inner(error_);
    while (reader.Next(&inner.field_)) {
      inner.taken_ = false;
      Fields(inner, *message);
      if (inner.failed_) return false;
      if (!inner.taken_ && inner.field_.must_understand)
        return Fail("unknown field ", std::to_string(inner.field_.tag));
    }
    return !reader.truncated() || Fail("truncated field", "");
  }

  template <typename T>
  void Number(uint16_t tag, const char* name, T& value) {
    if (!Take(tag, name, true)) return;
    if constexpr (sizeof(T) == 8) {
      uint64_t raw = 0;
      Check(field_.U64(&raw), name);
      value = static_cast<T>(raw);
    } else {
      uint32_t raw = 0;
      Check(field_.U32(&raw), name);
      value = static_cast<T>(raw);
    }
  }
  template <typename T>
  void Enum(uint16_t tag, const char* name, T& value, T last) {
    if (!Take(tag, name, true)) return;
    uint8_t raw = 0;
    Check(field_.U8(&raw) && raw <= static_cast<uint8_t>(last), name);
    if (!failed_) value = static_cast<T>(raw);
  }
  void Char(uint16_t tag, const char* name, char& value) {
    if (!Take(tag, name, true)) return;
    uint8_t raw = 0;
    Check(field_.U8(&raw), name);
    value = static_cast<char>(raw);
  }
  void Flag(uint16_t tag, const char* name, bool& value) {
    if (Take(tag, name, true)) Check(field_.Bool(&value), name);
  }
  void Path(uint16_t tag, const char* name, std::string& value) { String(tag, name, value, kMaxPath); }
  void String(uint16_t tag, const char* name, std::string& value, size_t max) {
    if (Take(tag, name, true)) Check(field_.String(&value, max), name);
  }
  void Strings(uint16_t tag, const char* name, std::vector<std::string>& values, size_t max_count, size_t max_size) {
    if (!TakeOneMore(tag, name, values.size(), max_count)) return;
    Check(field_.String(&values.emplace_back(), max_size), name);
  }
  void Numbers(uint16_t tag, const char* name, std::vector<uint32_t>& values, size_t max_count) {
    if (!TakeOneMore(tag, name, values.size(), max_count)) return;
    Check(field_.U32(&values.emplace_back()), name);
  }
  template <typename T>
  void Message(uint16_t tag, const char* name, T& value) {
    if (Take(tag, name, true) && !Run(tlv::Reader(field_), &value)) Wrap(name);
  }
  template <typename T>
  void Messages(uint16_t tag, const char* name, std::vector<T>& values, size_t max_count) {
    if (TakeOneMore(tag, name, values.size(), max_count) && !Run(tlv::Reader(field_), &values.emplace_back()))
      Wrap(name);
  }

 private:
  bool Take(uint16_t tag, const char* name, bool once) {
    if (field_.tag != tag || taken_ || failed_) return false;
    taken_ = true;
    if (!once) return true;
    if (seen_[tag]) {
      Check(false, name);
      return false;
    }
    return seen_[tag] = true;
  }
  bool TakeOneMore(uint16_t tag, const char* name, size_t count, size_t max_count) {
    if (!Take(tag, name, false)) return false;
    Check(count < max_count, name);
    return !failed_;
  }
  void Check(bool good, const char* name) {
    if (good) return;
    failed_ = true;
    Fail("bad value of ", name);
  }
  void Wrap(const char* name) {
    failed_ = true;
    *error_ = std::string(name) + ": " + *error_;
  }
  bool Fail(const char* what, const std::string& name) {
    *error_ = what + name;
    return false;
  }

  static constexpr size_t kTags = 32;  // above every tag in this file
  tlv::Field field_;
  bool taken_ = false;
  bool failed_ = false;
  std::array<bool, kTags> seen_ = {};
  std::string* error_;
};

template <typename T>
std::string EncodePlan(const T& plan) {
  std::string bytes;
  Encoder encoder(&bytes);
  // The visitor takes mutable references for the decoder's sake; the encoder only reads.
  Fields(encoder, const_cast<T&>(plan));
  return bytes;
}

template <typename T>
bool DecodePlan(const char* bytes, size_t size, T* plan, std::string* error) {
  *plan = T();
  error->clear();
  if (size > kMaxPlanBytes) {
    *error = "plan larger than 16 MiB";
    return false;
  }
  return Decoder(error).Run(tlv::Reader(bytes, size), plan) && Validate(*plan, error);
}

}  // namespace

std::string Encode(const ContainerPlan& plan) { return EncodePlan(plan); }
std::string Encode(const ExecPlan& plan) { return EncodePlan(plan); }
std::string Encode(const SandboxPlan& plan) { return EncodePlan(plan); }

bool Decode(const char* bytes, size_t size, ContainerPlan* plan, std::string* error) {
  return DecodePlan(bytes, size, plan, error);
}
bool Decode(const char* bytes, size_t size, ExecPlan* plan, std::string* error) {
  return DecodePlan(bytes, size, plan, error);
}
bool Decode(const char* bytes, size_t size, SandboxPlan* plan, std::string* error) {
  return DecodePlan(bytes, size, plan, error);
}

}  // namespace berth::native
