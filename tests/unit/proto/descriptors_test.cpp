// What was released stays as it was: fields and values may be added, never renumbered, renamed,
// retyped or moved. proto/golden/v1.txt lists what there was; proto/README.md says how to renew it.
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include "chorus/v1/admin.pb.h"
#include "chorus/v1/model.pb.h"
#include "chorus/v1/plan.pb.h"
#include "chorus/v1/wire.pb.h"

namespace chorus {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

std::vector<const FileDescriptor*> files() {
  return {v1::ModelSpec::descriptor()->file(),
          v1::TrainPlan::descriptor()->file(),
          v1::Hello::descriptor()->file(),
          v1::AdminRequest::descriptor()->file()};
}

std::string type_of(const FieldDescriptor& field) {
  if (field.message_type() != nullptr) return field.message_type()->full_name();
  if (field.enum_type() != nullptr) return field.enum_type()->full_name();
  return field.type_name();
}

std::string line_of(const FieldDescriptor& field) {
  std::string line = "field " + field.containing_type()->full_name() + " " +
                     std::to_string(field.number()) + " " + field.name() + " ";
  if (field.is_repeated()) line += field.is_packed() ? "packed " : "repeated ";
  if (field.has_optional_keyword()) line += "optional ";
  line += type_of(field);
  if (const auto* oneof = field.real_containing_oneof()) line += " in " + oneof->name();
  return line;
}

void list(const EnumDescriptor& type, std::vector<std::string>& lines) {
  lines.push_back("enum " + type.full_name());
  for (int i = 0; i < type.value_count(); ++i) {
    lines.push_back("value " + type.full_name() + " " + std::to_string(type.value(i)->number()) +
                    " " + type.value(i)->name());
  }
}

void list(const Descriptor& type, std::vector<std::string>& lines) {
  lines.push_back("message " + type.full_name());
  for (int i = 0; i < type.field_count(); ++i) lines.push_back(line_of(*type.field(i)));
  for (int i = 0; i < type.enum_type_count(); ++i) list(*type.enum_type(i), lines);
  for (int i = 0; i < type.nested_type_count(); ++i) list(*type.nested_type(i), lines);
}

std::vector<std::string> present() {
  std::vector<std::string> lines;
  for (const FileDescriptor* file : files()) {
    lines.push_back("file " + file->name());
    for (int i = 0; i < file->enum_type_count(); ++i) list(*file->enum_type(i), lines);
    for (int i = 0; i < file->message_type_count(); ++i) list(*file->message_type(i), lines);
  }
  return lines;
}

std::vector<std::string> golden() {
  std::ifstream file(CHORUS_GOLDEN_FILE);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line.front() != '#') lines.push_back(line);
  }
  return lines;
}

// "field chorus.v1.Hello 1 …" may go when the message reserves both its number and its name.
bool properly_removed(const std::string& line) {
  std::istringstream words(line);
  std::string kind;
  std::string owner;
  std::string name;
  int number = 0;
  words >> kind >> owner >> number >> name;
  if (kind == "field") {
    const auto* type =
        google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(owner);
    return type != nullptr && type->IsReservedNumber(number) && type->IsReservedName(name);
  }
  if (kind == "value") {
    const auto* type =
        google::protobuf::DescriptorPool::generated_pool()->FindEnumTypeByName(owner);
    return type != nullptr && type->IsReservedNumber(number) && type->IsReservedName(name);
  }
  return false;
}

TEST(Descriptors, KeepWhatWasReleased) {
  const std::vector<std::string> now = present();
  if (std::getenv("CHORUS_WRITE_GOLDEN") != nullptr) {
    std::ofstream file(CHORUS_GOLDEN_FILE);
    file << "# Messages of chorus.v1 as released. Written by descriptors_test, see "
            "proto/README.md.\n";
    for (const std::string& line : now) file << line << '\n';
    ASSERT_TRUE(file.good());
  }
  const std::vector<std::string> released = golden();
  ASSERT_GT(released.size(), 200U) << "cannot read " << CHORUS_GOLDEN_FILE;
  const std::set<std::string> known(now.begin(), now.end());
  for (const std::string& line : released) {
    if (known.contains(line)) continue;
    EXPECT_TRUE(properly_removed(line))
        << "'" << line << "' was changed or removed; devices in the field still use it. Add a new "
        << "field instead, and reserve number and name of the old one";
  }
}

TEST(Descriptors, EnumsBeginWithAnUnspecifiedValue) {
  for (const std::string& line : present()) {
    if (line.rfind("value ", 0) != 0) continue;
    const bool zero = line.find(" 0 ") != std::string::npos;
    const std::string suffix = "_UNSPECIFIED";
    const bool unspecified = line.size() > suffix.size() &&
                             line.compare(line.size() - suffix.size(), suffix.size(), suffix) == 0;
    EXPECT_EQ(zero, unspecified) << line;
  }
}

// The order of a map's entries on the wire is not defined, so that equal values may differ in
// bytes; and tensors travel as raw bodies.
TEST(Descriptors, HaveNeitherMapsNorFloats) {
  for (const FileDescriptor* file : files()) {
    for (int i = 0; i < file->message_type_count(); ++i) {
      const Descriptor& type = *file->message_type(i);
      for (int k = 0; k < type.field_count(); ++k) {
        EXPECT_FALSE(type.field(k)->is_map()) << type.field(k)->full_name();
        EXPECT_NE(type.field(k)->type(), FieldDescriptor::TYPE_FLOAT) << type.field(k)->full_name();
      }
    }
  }
}

}  // namespace
}  // namespace chorus
