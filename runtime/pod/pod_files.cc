#include "runtime/pod/pod_files.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/files.h"
#include "base/status.h"

namespace berth {
namespace {

bool IsOneWord(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > 0x20 && byte != 0x7f;
  });
}

absl::Status CheckWords(const google::protobuf::RepeatedPtrField<std::string>& words, absl::string_view field) {
  for (const std::string& word : words) {
    if (!IsOneWord(word)) {
      return absl::InvalidArgumentError(
          absl::StrCat("dns_config.", field, " \"", word, "\": want one word without spaces"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ResolvConf(const ::runtime::v1::DNSConfig& dns, const std::string& host_text) {
  RETURN_IF_ERROR(CheckWords(dns.servers(), "servers"));
  RETURN_IF_ERROR(CheckWords(dns.searches(), "searches"));
  RETURN_IF_ERROR(CheckWords(dns.options(), "options"));
  if (dns.servers().empty() && dns.searches().empty() && dns.options().empty()) return host_text;
  std::string text;
  if (!dns.searches().empty()) absl::StrAppend(&text, "search ", absl::StrJoin(dns.searches(), " "), "\n");
  for (const std::string& server : dns.servers()) absl::StrAppend(&text, "nameserver ", server, "\n");
  if (!dns.options().empty()) absl::StrAppend(&text, "options ", absl::StrJoin(dns.options(), " "), "\n");
  return text;
}

std::string PodHosts(const std::string& hostname, const std::string& ip) {
  std::string text =
      "127.0.0.1\tlocalhost\n"
      "::1\tlocalhost ip6-localhost ip6-loopback\n"
      "fe00::0\tip6-localnet\n"
      "fe00::1\tip6-allnodes\n"
      "fe00::2\tip6-allrouters\n";
  if (!ip.empty()) absl::StrAppend(&text, ip, "\t", hostname, "\n");
  return text;
}

absl::Status WritePodFiles(const std::string& pod_dir, const PodFiles& files) {
  ASSIGN_OR_RETURN(const UniqueFd dir, MakeDirs(pod_dir, 0700));
  RETURN_IF_ERROR(WriteFileAtomic(dir.get(), "hostname", files.hostname + "\n", 0644, Durability::kNone));
  RETURN_IF_ERROR(WriteFileAtomic(dir.get(), "hosts", files.hosts, 0644, Durability::kNone));
  return WriteFileAtomic(dir.get(), "resolv.conf", files.resolv_conf, 0644, Durability::kNone);
}

}  // namespace berth
