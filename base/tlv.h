#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

// Tagged fields, the form of everything sent to a shim: little-endian {u16 tag, u32 length, bytes}, one after the
// other. A field whose bytes are fields again nests. The tag's top bit says "must be understood": a reader that does
// not know such a tag refuses the whole message, so that an old shim never starts a container without a new security
// field. Abseil-free.
namespace berth::tlv {

inline constexpr uint16_t kMustUnderstand = 0x8000;
inline constexpr size_t kHeaderSize = 6;

// Appends fields to a string. Every field is must-understand unless `Optional()` came just before it.
class Writer {
 public:
  explicit Writer(std::string* out) : out_(out) {}

  Writer& Optional() {
    optional_ = true;
    return *this;
  }
  void Bytes(uint16_t tag, const void* bytes, size_t size);
  void String(uint16_t tag, const std::string& value) { Bytes(tag, value.data(), value.size()); }
  void U32(uint16_t tag, uint32_t value);
  void U64(uint16_t tag, uint64_t value);
  void I32(uint16_t tag, int32_t value) { U32(tag, static_cast<uint32_t>(value)); }
  void I64(uint16_t tag, int64_t value) { U64(tag, static_cast<uint64_t>(value)); }
  void Bool(uint16_t tag, bool value);

  // A nested field: what is written between Begin and End(mark) becomes its bytes.
  size_t Begin(uint16_t tag);
  void End(size_t mark);

 private:
  void Header(uint16_t tag, size_t size);

  std::string* out_;
  bool optional_ = false;
};

// One field, borrowing the reader's bytes. The typed getters are strict: a wrong length, a NUL inside a string or a
// boolean other than 0 and 1 is false.
struct Field {
  uint16_t tag = 0;  // without the must-understand bit
  bool must_understand = false;
  const char* data = nullptr;
  size_t size = 0;

  bool U8(uint8_t* value) const;
  bool U32(uint32_t* value) const;
  bool U64(uint64_t* value) const;
  bool I32(int32_t* value) const;
  bool I64(int64_t* value) const;
  bool Bool(bool* value) const;
  bool String(std::string* value, size_t max_size) const;
};

// Walks the fields of untrusted bytes. Never reads beyond `size`.
class Reader {
 public:
  Reader(const char* data, size_t size) : next_(data), left_(size) {}
  explicit Reader(const Field& field) : Reader(field.data, field.size) {}

  // False at the end and on a truncated field; tell them apart by truncated().
  bool Next(Field* field);
  bool truncated() const { return truncated_; }

 private:
  const char* next_;
  size_t left_;
  bool truncated_ = false;
};

}  // namespace berth::tlv
