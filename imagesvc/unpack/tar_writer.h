#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace berth {

// Builds archives for tests, bad ones too: nothing is checked. GNU headers; pax records where asked.
class TarWriter {
 public:
  struct Member {
    std::string path = {};
    char type = '0';
    std::string content = {};
    std::string link = {};
    int64_t mode = 0644;
    int64_t uid = 0;
    int64_t gid = 0;
    int64_t mtime = 1'700'000'000;
    int64_t major = 0;
    int64_t minor = 0;
    std::vector<std::pair<std::string, std::string>> pax = {};
    int64_t size = -1;  // -1: of content
  };

  TarWriter& Add(const Member& member);
  TarWriter& File(const std::string& path, const std::string& content, int64_t mode = 0644);
  TarWriter& Dir(const std::string& path, int64_t mode = 0755);
  TarWriter& Symlink(const std::string& path, const std::string& target);
  TarWriter& Hardlink(const std::string& path, const std::string& target);
  // A record of its own before the next member: 'L', 'K', 'x' or 'g'.
  TarWriter& Record(char type, const std::string& body);
  TarWriter& Raw(const std::string& bytes);

  const std::string& open() const { return bytes_; }  // without the two zero blocks
  std::string Finish() const { return bytes_ + std::string(1024, '\0'); }

  static std::string PaxRecord(const std::string& key, const std::string& value);
  static std::string Header(const Member& member, uint64_t size);
  static void SetChecksum(std::string& block);

 private:
  std::string bytes_;
};

}  // namespace berth
