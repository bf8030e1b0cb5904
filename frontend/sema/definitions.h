#pragma once
// The definitions of a file, of its imports and of the standard library, by name.
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "frontend/ast.h"
#include "frontend/frontend.h"
#include "frontend/sema/value.h"

namespace dlc::sema {

struct Definition {
  const ast::Item* item = nullptr;
  const ast::Name* name = nullptr;
  bool from_std = false;
  // A const is evaluated when first used.
  enum class State { Fresh, Busy, Done } state = State::Fresh;
  Val value;
};

class Definitions {
 public:
  Definitions(Sources& sources, Diagnostics& diagnostics);

  /// Reads the standard library, the file and all that it imports.
  void load(int source);
  /// A function, layer, optimizer or const; the standard library's come first for its own code.
  Definition* find(const std::string& name, bool from_std);
  /// Every name that find() knows, for hints.
  std::vector<std::string> names() const;

  const std::vector<const ast::Data*>& data() const { return data_; }
  const std::vector<const ast::Model*>& models() const { return models_; }
  const std::vector<const ast::Train*>& trains() const { return trains_; }
  const std::vector<const ast::Const*>& consts() const { return consts_; }

 private:
  void add_file(ast::File file, bool from_std, const std::string& directory);
  void add(const ast::Item& item, const ast::Name& name, bool from_std);
  void import(const ast::Import& import, const std::string& directory);

  Sources& sources_;
  Diagnostics& diagnostics_;
  std::vector<std::unique_ptr<ast::File>> files_;
  std::set<std::string> seen_;  // canonical paths of the files read
  std::map<std::string, Definition> user_, std_;
  std::map<std::string, Span> blocks_;  // data, models: one name each
  std::vector<const ast::Data*> data_;
  std::vector<const ast::Model*> models_;
  std::vector<const ast::Train*> trains_;
  std::vector<const ast::Const*> consts_;
};

}  // namespace dlc::sema
