#include "base/json.h"

#include <string>

#include "gtest/gtest.h"

namespace berth {
namespace {

TEST(Json, RefusesWhatIsAmbiguousOrTooBig) {
  EXPECT_EQ((*ParseJson(R"({"a":{"b":1},"c":{"b":2}})"))["c"]["b"], 2);
  EXPECT_FALSE(ParseJson(R"({"a":1,"a":2})").ok());
  EXPECT_FALSE(ParseJson("{").ok());
  EXPECT_FALSE(ParseJson("\"\xff\"").ok());
  EXPECT_FALSE(ParseJson("[1,2,3]", 4).ok());
  EXPECT_FALSE(ParseJson(std::string(100, '[') + std::string(100, ']')).ok());
  EXPECT_TRUE(ParseJson(std::string(60, '[') + std::string(60, ']')).ok());
}

}  // namespace
}  // namespace berth
