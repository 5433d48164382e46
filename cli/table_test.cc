#include "cli/table.h"

#include "gtest/gtest.h"
#include "runtime/v1/api.pb.h"

namespace berth {
namespace {

TEST(Table, PadsColumnsToTheirWidestCell) {
  EXPECT_EQ(FormatTable({"A", "LONG"}, {{"wide cell", "x"}, {"y", "z"}}),
            "A          LONG\nwide cell  x\ny          z\n");
}

TEST(Table, JsonKeepsProtoNames) {
  ::runtime::v1::VersionResponse version;
  version.set_runtime_name("berth");
  EXPECT_NE(FormatJson(version).find("\"runtime_name\": \"berth\""), std::string::npos);
}

}  // namespace
}  // namespace berth
