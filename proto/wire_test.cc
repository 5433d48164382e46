// Holds the compiled CRI descriptors against wire_table.tsv, both ways: an item
// missing, added, renumbered or retyped on either side fails. The second half
// pins bytes, since two files can agree on a name and still differ on the wire.

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "gtest/gtest.h"
#include "runtime/v1/api.pb.h"

namespace berth {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::MethodDescriptor;

// kind, owner, name, number, type, label: one row of the table.
using Row = std::vector<std::string>;
using Rows = std::multiset<std::string>;

std::string Line(const Row& row) { return absl::StrJoin(row, "\t"); }

// The table without its comment lines. A line that has not six columns stands
// for a broken table, not for a difference in the API.
Rows ReadTable() {
  std::ifstream file(BERTH_WIRE_TABLE);
  EXPECT_TRUE(file.is_open()) << BERTH_WIRE_TABLE;
  Rows rows;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    const Row row = absl::StrSplit(line, '\t');
    EXPECT_EQ(row.size(), 6U) << line;
    rows.insert(line);
  }
  return rows;
}

// Names in the table leave the package out: "SecurityProfile.ProfileType".
std::string ShortName(absl::string_view full_name) {
  constexpr absl::string_view kPackage = "runtime.v1.";
  EXPECT_EQ(full_name.substr(0, kPackage.size()), kPackage) << full_name;
  return std::string(full_name.substr(kPackage.size()));
}

std::string TypeName(const FieldDescriptor& field) {
  if (field.is_map()) {
    const Descriptor& entry = *field.message_type();
    return absl::StrCat("map<", TypeName(*entry.map_key()), ",", TypeName(*entry.map_value()), ">");
  }
  if (const Descriptor* message = field.message_type()) {
    return ShortName(message->full_name());
  }
  if (const EnumDescriptor* enumeration = field.enum_type()) {
    return ShortName(enumeration->full_name());
  }
  return field.type_name();
}

// A oneof, or `optional` with presence, would add a word the table never has.
std::string Label(const FieldDescriptor& field) {
  if (field.containing_oneof() != nullptr) {
    return absl::StrCat("oneof ", field.containing_oneof()->name());
  }
  if (field.is_map()) return "map";
  return field.is_repeated() ? "repeated" : "singular";
}

std::string Streaming(const MethodDescriptor& method) {
  if (method.client_streaming()) {
    return method.server_streaming() ? "both" : "client";
  }
  return method.server_streaming() ? "server" : "unary";
}

void AddEnum(const EnumDescriptor& enumeration, Rows& rows) {
  for (int i = 0; i < enumeration.value_count(); ++i) {
    const auto& value = *enumeration.value(i);
    rows.insert(
        Line({"enum_value", ShortName(enumeration.full_name()), value.name(), absl::StrCat(value.number()), "", ""}));
  }
}

void AddMessage(const Descriptor& message, Rows& rows) {
  if (message.options().map_entry()) return;
  const std::string name = ShortName(message.full_name());
  rows.insert(Line({"message", "", name, "", "", ""}));
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    rows.insert(Line({"field", name, field.name(), absl::StrCat(field.number()), TypeName(field), Label(field)}));
  }
  for (int i = 0; i < message.enum_type_count(); ++i) {
    AddEnum(*message.enum_type(i), rows);
  }
  for (int i = 0; i < message.nested_type_count(); ++i) {
    AddMessage(*message.nested_type(i), rows);
  }
}

const FileDescriptor& ApiFile() { return *runtime::v1::VersionRequest::descriptor()->file(); }

Rows ReadDescriptors() {
  const FileDescriptor& file = ApiFile();
  Rows rows;
  for (int i = 0; i < file.message_type_count(); ++i) {
    AddMessage(*file.message_type(i), rows);
  }
  for (int i = 0; i < file.enum_type_count(); ++i) {
    AddEnum(*file.enum_type(i), rows);
  }
  for (int i = 0; i < file.service_count(); ++i) {
    const auto& service = *file.service(i);
    for (int j = 0; j < service.method_count(); ++j) {
      const MethodDescriptor& method = *service.method(j);
      rows.insert(Line(
          {"rpc", service.name(), method.name(), "",
           absl::StrCat(ShortName(method.input_type()->full_name()), ">", ShortName(method.output_type()->full_name())),
           Streaming(method)}));
    }
  }
  return rows;
}

std::map<std::string, int> CountKinds(const Rows& rows) {
  std::map<std::string, int> counts;
  for (const std::string& line : rows) {
    ++counts[std::vector<std::string>(absl::StrSplit(line, '\t'))[0]];
  }
  return counts;
}

// Rows of `a` that are not in `b`, repeats counted.
std::vector<std::string> Missing(const Rows& a, const Rows& b) {
  std::vector<std::string> missing;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(missing));
  return missing;
}

TEST(WireTable, HasEveryItemOfTheApi) {
  EXPECT_THAT(CountKinds(ReadTable()),
              testing::UnorderedElementsAre(testing::Pair("rpc", 43), testing::Pair("message", 175),
                                            testing::Pair("field", 478), testing::Pair("enum_value", 95)));
}

TEST(WireTable, EveryRowIsCompiledIn) { EXPECT_THAT(Missing(ReadTable(), ReadDescriptors()), testing::IsEmpty()); }

TEST(WireTable, EveryCompiledItemHasARow) { EXPECT_THAT(Missing(ReadDescriptors(), ReadTable()), testing::IsEmpty()); }

// The method path is "/runtime.v1.RuntimeService/...": a kubelet dials that.
TEST(WireNames, PackageAndSyntaxAreTheApis) {
  EXPECT_EQ(ApiFile().package(), "runtime.v1");
  EXPECT_EQ(ApiFile().syntax(), FileDescriptor::SYNTAX_PROTO3);
}

// Proto3 packs repeated numbers unless told otherwise; peers rely on it.
TEST(WireBytes, RepeatedNumbersArePacked) {
  runtime::v1::PortForwardRequest request;
  request.set_pod_sandbox_id("p");
  request.add_port(80);
  request.add_port(300);
  EXPECT_EQ(request.SerializeAsString(), std::string("\x0a\x01p"
                                                     "\x12\x03\x50\xac\x02"));
}

TEST(WireBytes, EnvironmentValuesNeedNotBeUtf8) {
  const std::string wire("\x0a\x01K\x12\x02\xff\xfe", 7);
  runtime::v1::KeyValue variable;
  ASSERT_TRUE(variable.ParseFromString(wire));
  EXPECT_EQ(variable.value(), "\xff\xfe");
  EXPECT_EQ(variable.SerializeAsString(), wire);
}

// Older clients wrote KeyValue.value as `string`: the same wire form.
TEST(WireBytes, EnvironmentValuesOfOlderClientsRead) {
  runtime::v1::KeyValue variable;
  ASSERT_TRUE(variable.ParseFromString("\x0a\x04PATH\x12\x04/bin"));
  EXPECT_EQ(variable.key(), "PATH");
  EXPECT_EQ(variable.value(), "/bin");
}

// Field 18 and up need two-byte tags; a slip here would be read as nothing.
TEST(WireBytes, HighFieldNumbersOfImageSpec) {
  runtime::v1::ImageSpec spec;
  spec.set_user_specified_image("a");
  spec.set_runtime_handler("b");
  spec.set_image_ref("c");
  EXPECT_EQ(spec.SerializeAsString(),
            "\x92\x01\x01"
            "a\x9a\x01\x01"
            "b\xa2\x01\x01"
            "c");
}

// Absent and zero differ where 0 is a value: uid 0 asked for is not "no uid".
TEST(WireBytes, WrappedZeroIsPresent) {
  runtime::v1::LinuxContainerSecurityContext context;
  EXPECT_EQ(context.SerializeAsString(), "");
  context.mutable_run_as_user()->set_value(0);
  EXPECT_EQ(context.SerializeAsString(), std::string("\x2a\x00", 2));
  ASSERT_TRUE(context.ParseFromString(std::string("\x2a\x00", 2)));
  EXPECT_TRUE(context.has_run_as_user());
}

// A field of a newer API survives being stored and written again: records keep
// requests verbatim.
TEST(WireBytes, UnknownFieldsAndEnumValuesSurvive) {
  // Field 1000, a varint; then stop_signal (18) = 99, which no Signal has.
  const std::string wire("\x90\x01\x63\xc0\x3e\x07", 6);
  runtime::v1::ContainerConfig config;
  ASSERT_TRUE(config.ParseFromString(wire));
  EXPECT_EQ(static_cast<int>(config.stop_signal()), 99);
  EXPECT_EQ(config.SerializeAsString(), wire);
}

}  // namespace
}  // namespace berth
