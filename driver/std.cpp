// dlc std: lists the standard library, or shows the source of one entry.
#include <fmt/format.h>

#include "driver/verbs.h"
#include "frontend/frontend.h"
#include "ir/support/check.h"

namespace dlc {

namespace {

void list(const std::vector<StdEntry>& entries) {
  std::string file;
  for (const StdEntry& e : entries) {
    if (e.file != file) fmt::print("{}{}\n", file.empty() ? "" : "\n", e.file);
    file = e.file;
    const std::string first_line = e.doc.substr(0, e.doc.find('\n'));
    fmt::print("  {:<10} {:<22} {}\n", e.kind, e.name, first_line);
  }
}

void show(const std::vector<StdEntry>& entries, const std::string& name) {
  std::vector<std::string> names;
  for (const StdEntry& e : entries) {
    if (e.name == name) {
      fmt::print("# std/{}\n{}\n", e.file, e.source);
      return;
    }
    names.push_back(e.name);
  }
  const std::string near = nearest(name, names);
  throw UserError(fmt::format("the standard library has no `{}`{}", name,
                              near.empty() ? std::string("; `dlc std` lists it")
                                           : fmt::format("; did you mean `{}`?", near)));
}

}  // namespace

void add_std(CLI::App& app) {
  auto* verb =
      app.add_subcommand("std", "list the standard library, or show the source of an entry");
  auto name = std::make_shared<std::string>();
  verb->add_option("name", *name, "the entry to show");
  verb->callback([name] {
    const std::vector<StdEntry> entries = standard_library();
    name->empty() ? list(entries) : show(entries, *name);
  });
}

}  // namespace dlc
