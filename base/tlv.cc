#include "base/tlv.h"

#include <cstring>

namespace berth::tlv {
namespace {

template <typename T>
void Put(char* to, T value) {
  for (size_t i = 0; i < sizeof value; ++i) to[i] = static_cast<char>(value >> (8 * i));
}

template <typename T>
T Get(const char* from) {
  T value = 0;
  for (size_t i = 0; i < sizeof value; ++i) {
    value = static_cast<T>(value | static_cast<T>(static_cast<T>(static_cast<unsigned char>(from[i])) << (8 * i)));
  }
  return value;
}

}  // namespace

void Writer::Header(uint16_t tag, size_t size) {
  char header[kHeaderSize];
  Put<uint16_t>(header, optional_ ? tag : static_cast<uint16_t>(tag | kMustUnderstand));
  Put<uint32_t>(header + 2, static_cast<uint32_t>(size));
  optional_ = false;
  out_->append(header, sizeof header);
}

void Writer::Bytes(uint16_t tag, const void* bytes, size_t size) {
  Header(tag, size);
  out_->append(static_cast<const char*>(bytes), size);
}

void Writer::U32(uint16_t tag, uint32_t value) {
  char bytes[sizeof value];
  Put(bytes, value);
  Bytes(tag, bytes, sizeof bytes);
}

void Writer::U64(uint16_t tag, uint64_t value) {
  char bytes[sizeof value];
  Put(bytes, value);
  Bytes(tag, bytes, sizeof bytes);
}

void Writer::Bool(uint16_t tag, bool value) {
  const char byte = value ? 1 : 0;
  Bytes(tag, &byte, 1);
}

size_t Writer::Begin(uint16_t tag) {
  Header(tag, 0);
  return out_->size();
}

void Writer::End(size_t mark) { Put<uint32_t>(out_->data() + mark - 4, static_cast<uint32_t>(out_->size() - mark)); }

bool Field::U8(uint8_t* value) const {
  if (size != 1) return false;
  *value = static_cast<uint8_t>(data[0]);
  return true;
}

bool Field::U32(uint32_t* value) const {
  if (size != sizeof *value) return false;
  *value = Get<uint32_t>(data);
  return true;
}

bool Field::U64(uint64_t* value) const {
  if (size != sizeof *value) return false;
  *value = Get<uint64_t>(data);
  return true;
}

bool Field::I32(int32_t* value) const {
  uint32_t raw = 0;
  if (!U32(&raw)) return false;
  *value = static_cast<int32_t>(raw);
  return true;
}

bool Field::I64(int64_t* value) const {
  uint64_t raw = 0;
  if (!U64(&raw)) return false;
  *value = static_cast<int64_t>(raw);
  return true;
}

bool Field::Bool(bool* value) const {
  if (size != 1 || (data[0] != 0 && data[0] != 1)) return false;
  *value = data[0] == 1;
  return true;
}

bool Field::String(std::string* value, size_t max_size) const {
  if (size > max_size || (size > 0 && memchr(data, 0, size) != nullptr)) return false;
  value->assign(data, size);
  return true;
}

bool Reader::Next(Field* field) {
  if (left_ == 0 || truncated_) return false;
  truncated_ = true;
  if (left_ < kHeaderSize) return false;
  const uint16_t tag = Get<uint16_t>(next_);
  const uint32_t size = Get<uint32_t>(next_ + 2);
  if (size > left_ - kHeaderSize) return false;
  truncated_ = false;
  field->tag = static_cast<uint16_t>(tag & ~kMustUnderstand);
  field->must_understand = (tag & kMustUnderstand) != 0;
  field->data = next_ + kHeaderSize;
  field->size = size;
  next_ += kHeaderSize + size;
  left_ -= kHeaderSize + size;
  return true;
}

}  // namespace berth::tlv
