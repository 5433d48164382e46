#include "base/tlv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::tlv {
namespace {

TEST(Tlv, ReadsBackWhatWasWritten) {
  std::string bytes;
  Writer writer(&bytes);
  writer.U32(1, 0xdeadbeef);
  writer.I64(2, -2);
  writer.Bool(3, true);
  const size_t mark = writer.Begin(4);
  writer.String(5, "inside");
  writer.End(mark);
  writer.Optional().String(6, "");

  Reader reader(bytes.data(), bytes.size());
  Field field;
  uint32_t u32 = 0;
  ASSERT_TRUE(reader.Next(&field));
  EXPECT_EQ(field.tag, 1);
  EXPECT_TRUE(field.must_understand);
  ASSERT_TRUE(field.U32(&u32));
  EXPECT_EQ(u32, 0xdeadbeef);
  int64_t i64 = 0;
  ASSERT_TRUE(reader.Next(&field));
  ASSERT_TRUE(field.I64(&i64));
  EXPECT_EQ(i64, -2);
  bool flag = false;
  ASSERT_TRUE(reader.Next(&field));
  ASSERT_TRUE(field.Bool(&flag));
  EXPECT_TRUE(flag);
  ASSERT_TRUE(reader.Next(&field));
  Reader nested(field);
  Field inner;
  std::string text;
  ASSERT_TRUE(nested.Next(&inner));
  EXPECT_EQ(inner.tag, 5);
  ASSERT_TRUE(inner.String(&text, 100));
  EXPECT_EQ(text, "inside");
  EXPECT_FALSE(nested.Next(&inner));
  ASSERT_TRUE(reader.Next(&field));
  EXPECT_EQ(field.tag, 6);
  EXPECT_FALSE(field.must_understand);
  EXPECT_EQ(field.size, 0u);
  EXPECT_FALSE(reader.Next(&field));
  EXPECT_FALSE(reader.truncated());
}

TEST(Tlv, WireFormIsLittleEndian) {
  std::string bytes;
  Writer(&bytes).U32(0x0102, 0x03040506);
  EXPECT_EQ(bytes, std::string("\x02\x81\x04\x00\x00\x00\x06\x05\x04\x03", 10));
}

TEST(Tlv, EveryCutInsideAFieldIsTruncation) {
  std::string bytes;
  Writer(&bytes).String(1, "four");
  for (size_t size = 1; size < bytes.size(); ++size) {
    Reader reader(bytes.data(), size);
    Field field;
    EXPECT_FALSE(reader.Next(&field)) << size;
    EXPECT_TRUE(reader.truncated()) << size;
  }
}

TEST(Tlv, GettersAreStrict) {
  std::string bytes;
  Writer writer(&bytes);
  writer.String(1, std::string("a\0b", 3));
  writer.String(2, std::string("\2", 1));
  writer.String(3, "12345");
  Reader reader(bytes.data(), bytes.size());
  Field field;
  std::string text;
  bool flag = false;
  uint32_t number = 0;
  ASSERT_TRUE(reader.Next(&field));
  EXPECT_FALSE(field.String(&text, 100));
  ASSERT_TRUE(reader.Next(&field));
  EXPECT_FALSE(field.Bool(&flag));
  ASSERT_TRUE(reader.Next(&field));
  EXPECT_FALSE(field.U32(&number));
  EXPECT_FALSE(field.String(&text, 4));
  EXPECT_TRUE(field.String(&text, 5));
}

}  // namespace
}  // namespace berth::tlv
