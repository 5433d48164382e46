#include "imagesvc/unpack/tar_writer.h"

#include <cstdio>

#include "absl/strings/str_cat.h"

namespace berth {
namespace {

void Put(std::string& block, size_t at, size_t size, const std::string& text) {
  block.replace(at, std::min(size, text.size()), text.substr(0, size));
}

void PutNumber(std::string& block, size_t at, size_t size, int64_t value) {
  char text[32];
  snprintf(text, sizeof text, "%0*llo", static_cast<int>(size - 1), static_cast<unsigned long long>(value));
  if (value >= 0 && std::string(text).size() < size) return Put(block, at, size, text);
  for (size_t i = 0; i < size; ++i) {
    const size_t shift = 8 * (size - 1 - i);
    block[at + i] = static_cast<char>(shift >= 64 ? (value < 0 ? 0xff : 0) : (value >> shift) & 0xff);
  }
  block[at] = static_cast<char>(block[at] | 0x80);
}

std::string Padded(std::string body) {
  body.resize((body.size() + 511) / 512 * 512, '\0');
  return body;
}

}  // namespace

void TarWriter::SetChecksum(std::string& block) {
  block.replace(148, 8, 8, ' ');
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  char text[16];
  snprintf(text, sizeof text, "%06o", sum);
  block.replace(148, 6, text);
  block[154] = '\0';
}

std::string TarWriter::Header(const Member& member, uint64_t size) {
  std::string block(512, '\0');
  Put(block, 0, 100, member.path);
  PutNumber(block, 100, 8, member.mode);
  PutNumber(block, 108, 8, member.uid);
  PutNumber(block, 116, 8, member.gid);
  PutNumber(block, 124, 12, static_cast<int64_t>(size));
  PutNumber(block, 136, 12, member.mtime);
  block[156] = member.type;
  Put(block, 157, 100, member.link);
  Put(block, 257, 8, "ustar  ");
  PutNumber(block, 329, 8, member.major);
  PutNumber(block, 337, 8, member.minor);
  SetChecksum(block);
  return block;
}

std::string TarWriter::PaxRecord(const std::string& key, const std::string& value) {
  const size_t body = key.size() + value.size() + 3;
  size_t length = body + 1;
  while (absl::StrCat(length).size() + body != length) ++length;
  return absl::StrCat(length, " ", key, "=", value, "\n");
}

TarWriter& TarWriter::Record(char type, const std::string& body) {
  Member member;
  member.path = "././@record";
  member.type = type;
  bytes_ += Header(member, body.size());
  bytes_ += Padded(body);
  return *this;
}

TarWriter& TarWriter::Add(const Member& member) {
  if (!member.pax.empty()) {
    std::string records;
    for (const auto& [key, value] : member.pax) records += PaxRecord(key, value);
    Record('x', records);
  }
  if (member.path.size() > 100) Record('L', member.path + '\0');
  if (member.link.size() > 100) Record('K', member.link + '\0');
  bytes_ += Header(member, member.size >= 0 ? static_cast<uint64_t>(member.size) : member.content.size());
  bytes_ += Padded(member.content);
  return *this;
}

TarWriter& TarWriter::File(const std::string& path, const std::string& content, int64_t mode) {
  Member member;
  member.path = path;
  member.content = content;
  member.mode = mode;
  return Add(member);
}

TarWriter& TarWriter::Dir(const std::string& path, int64_t mode) {
  Member member;
  member.path = path;
  member.type = '5';
  member.mode = mode;
  return Add(member);
}

TarWriter& TarWriter::Symlink(const std::string& path, const std::string& target) {
  Member member;
  member.path = path;
  member.type = '2';
  member.link = target;
  member.mode = 0777;
  return Add(member);
}

TarWriter& TarWriter::Hardlink(const std::string& path, const std::string& target) {
  Member member;
  member.path = path;
  member.type = '1';
  member.link = target;
  return Add(member);
}

TarWriter& TarWriter::Raw(const std::string& bytes) {
  bytes_ += bytes;
  return *this;
}

}  // namespace berth
