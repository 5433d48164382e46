#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "server/config/config.h"
#include "server/config/keys.h"

namespace berth {
namespace {

constexpr size_t kWidth = 100;

// `text` in lines of at most kWidth characters, each after `prefix`.
std::string Wrap(absl::string_view text, absl::string_view prefix) {
  std::string out, line(prefix);
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    if (line.size() + 1 + word.size() > kWidth && line.size() > prefix.size()) {
      absl::StrAppend(&out, line, "\n");
      line = std::string(prefix);
    }
    absl::StrAppend(&line, line.size() > prefix.size() ? " " : "", word);
  }
  return absl::StrCat(out, line, "\n");
}

absl::string_view SectionOf(absl::string_view key) {
  return key.substr(0, key.find('.') == key.npos ? 0 : key.find('.'));
}

absl::string_view NameInSection(absl::string_view key) {
  return key.substr(key.find('.') == key.npos ? 0 : key.find('.') + 1);
}

std::string Allowed(const ConfigKey& key) {
  if (key.rule == TextRule::kChoice && key.choices.size() > 1)
    return absl::StrCat(" One of ", absl::StrJoin(key.choices, ", "), ".");
  if (std::holds_alternative<int64_t Config::*>(key.member))
    return absl::StrCat(" From ", key.min, " to ", key.max, ".");
  return "";
}

template <typename PerKey>
std::string PerSection(absl::string_view section_mark, const PerKey& per_key) {
  std::string out;
  for (const ConfigSection& section : ConfigSections()) {
    absl::StrAppend(&out, "\n", Wrap(section.doc, "# "));
    if (!section.name.empty()) absl::StrAppend(&out, section_mark, "[", section.name, "]\n");
    for (const ConfigKey& key : ConfigKeys()) {
      if (SectionOf(key.name) == section.name) out += per_key(key);
    }
  }
  return out;
}

}  // namespace

std::string SampleConfig() {
  const Config defaults;
  const std::string head =
      "# Berth's configuration. Everything is optional: each key stands here, commented out, at its default.\n"
      "# Files in config.d beside this one are read after it in the order of their names; flags of berthd come last\n"
      "# (log.level is --log-level). `berthd check-config` checks, `berthd dump-config` shows what is in force.\n";
  return head + PerSection("", [&](const ConfigKey& key) {
           return absl::StrCat("\n", Wrap(absl::StrCat(key.doc, Allowed(key)), "# "), "#", NameInSection(key.name),
                               " = ", RenderConfigValue(key, defaults), "\n");
         });
}

std::string DumpConfig(const LoadedConfig& loaded) {
  const std::string head = loaded.files.empty() ? std::string("# No configuration file.\n")
                                                : absl::StrCat("# From ", absl::StrJoin(loaded.files, ", "), "\n");
  return head + PerSection("", [&](const ConfigKey& key) {
           const auto origin = loaded.origins.find(std::string(key.name));
           return absl::StrCat(NameInSection(key.name), " = ", RenderConfigValue(key, loaded.config),
                               origin == loaded.origins.end() ? "" : absl::StrCat("  # ", origin->second), "\n");
         });
}

std::string FlagHelp() {
  const Config defaults;
  std::string out;
  for (const ConfigKey& key : ConfigKeys()) {
    const std::string flag = absl::StrCat("--", absl::StrReplaceAll(key.name, {{".", "-"}, {"_", "-"}}));
    const std::string indent(8, ' ');
    absl::StrAppend(&out, "  ", flag, "=", RenderConfigValue(key, defaults), "\n",
                    Wrap(absl::StrCat(key.doc, Allowed(key)), indent));
  }
  return out;
}

}  // namespace berth
