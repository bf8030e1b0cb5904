#include "frontend/sema/definitions.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "frontend/parser.h"
#include "frontend/std_files.h"
#include "ir/support/check.h"

namespace dlc::sema {

namespace {

constexpr std::size_t kMaxFiles = 1000;

std::string key_of(const std::string& path) {
  std::error_code error;
  const auto canonical = std::filesystem::weakly_canonical(path, error);
  return error ? path : canonical.string();
}

}  // namespace

Definitions::Definitions(Sources& sources, Diagnostics& diagnostics)
    : sources_(sources), diagnostics_(diagnostics) {}

void Definitions::load(int source) {
  for (const StdFile& f : std_files()) {
    const int id = sources_.add("std/" + f.name, f.text);
    add_file(parse(sources_, id, diagnostics_), true, "");
  }
  const std::string path = sources_.name(source);
  seen_.insert(key_of(path));
  add_file(parse(sources_, source, diagnostics_), false,
           std::filesystem::path(path).parent_path().string());
}

void Definitions::add_file(ast::File file, bool from_std, const std::string& directory) {
  files_.push_back(std::make_unique<ast::File>(std::move(file)));
  const ast::File& kept = *files_.back();
  for (const ast::Item& item : kept.items) {
    if (const auto* c = std::get_if<ast::Callable>(&item.node)) {
      add(item, c->name, from_std);
    } else if (const auto* v = std::get_if<ast::Const>(&item.node)) {
      add(item, v->name, from_std);
      if (!from_std) consts_.push_back(v);
    } else if (const auto* i = std::get_if<ast::Import>(&item.node)) {
      import(*i, directory);
    } else if (const auto* d = std::get_if<ast::Data>(&item.node)) {
      add(item, d->name, from_std);
      data_.push_back(d);
    } else if (const auto* m = std::get_if<ast::Model>(&item.node)) {
      add(item, m->name, from_std);
      models_.push_back(m);
    } else if (const auto* t = std::get_if<ast::Train>(&item.node)) {
      trains_.push_back(t);
    }
  }
}

void Definitions::add(const ast::Item& item, const ast::Name& name, bool from_std) {
  const bool block =
      std::holds_alternative<ast::Data>(item.node) || std::holds_alternative<ast::Model>(item.node);
  Span first;
  if (block) {
    const auto [at, fresh] = blocks_.emplace(name.text, name.span);
    if (!fresh) first = at->second;
  } else {
    auto& table = from_std ? std_ : user_;
    const auto [at, fresh] = table.emplace(name.text, Definition{&item, &name, from_std, {}, {}});
    if (!fresh) first = at->second.name->span;
  }
  if (first.known())
    diagnostics_.report({Diag::duplicate_definition,
                         name.span,
                         fmt::format("`{}` is defined twice", name.text),
                         {{first, "first defined here"}},
                         {},
                         "rename one of them"});
}

void Definitions::import(const ast::Import& import, const std::string& directory) {
  if (files_.size() > kMaxFiles) {
    diagnostics_.report({Diag::too_large,
                         import.path_span,
                         fmt::format("more than {} files are imported", kMaxFiles),
                         {},
                         {},
                         ""});
    return;
  }
  const std::filesystem::path path = std::filesystem::path(directory) / import.path;
  if (!seen_.insert(key_of(path.string())).second) return;  // once, also in a circle
  std::error_code error;
  std::ifstream in;
  std::ostringstream text;
  // Nothing but files: a pipe or device might never end.
  const bool is_file = std::filesystem::is_regular_file(path, error);
  if (is_file) in.open(path, std::ios::binary);
  const bool empty = is_file && std::filesystem::file_size(path, error) == 0;
  if (!in.is_open() || !(empty || text << in.rdbuf())) {
    diagnostics_.report({Diag::import_not_found,
                         import.path_span,
                         fmt::format("cannot read the file `{}`", path.string()),
                         {},
                         {},
                         "the path is relative to the file that imports"});
    return;
  }
  const int source = sources_.add(path.lexically_normal().string(), text.str());
  add_file(parse(sources_, source, diagnostics_), false, path.parent_path().string());
}

Definition* Definitions::find(const std::string& name, bool from_std) {
  const auto in = [&](std::map<std::string, Definition>& table) -> Definition* {
    const auto at = table.find(name);
    return at == table.end() ? nullptr : &at->second;
  };
  // The library's own code never sees a definition of the user's.
  if (from_std) return in(std_);
  if (Definition* d = in(user_)) return d;
  return in(std_);
}

std::vector<std::string> Definitions::names() const {
  std::vector<std::string> result;
  for (const auto* table : {&user_, &std_})
    for (const auto& [name, d] : *table) result.push_back(name);
  return result;
}

}  // namespace dlc::sema
