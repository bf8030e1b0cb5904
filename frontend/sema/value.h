#pragma once
// What an expression of the language evaluates to while compiling: a static value, or a tensor of
// the graph being built.
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "frontend/ast.h"
#include "frontend/frontend.h"
#include "ir/graph/graph.h"

namespace dlc::sema {

class Program;
struct Builtin;
struct Function;
struct Val;

/// An error has been reported where this came from: whatever is done with it stays silent.
struct Poison {};
struct None {};
struct List {
  std::vector<Val> items;
  // Lists may share parts, so that a small one can stand for a huge tree: both are counted when it
  // is made. Everything that walks through a list relies on their limits.
  int depth = 1;             // of the nesting
  std::int64_t entries = 0;  // of the whole tree
};
/// A value of the graph of one program.
struct TensorRef {
  Program* program = nullptr;
  Value value;
};
/// A file with named columns, before columns are chosen: `csv("train.csv")`; or several, one after
/// the other.
struct Table {
  std::string reader;  // also "numeric" and "categorical": columns of one kind
  std::vector<std::string> paths, options;
  Span span;
};

/// A text file before it is read is the FileSource of `chars(...)` or `words(...)`.
/// Integers are dimensions: a constant one, or a polynomial such as `N`.
using ValVariant =
    std::variant<Poison, None, Dim, double, bool, std::string, std::shared_ptr<const List>,
                 TensorRef, std::shared_ptr<Function>, const Builtin*, std::shared_ptr<const Table>,
                 std::shared_ptr<const FileSource>>;
struct Val : ValVariant {
  using ValVariant::ValVariant;
  Val() : ValVariant(Poison{}) {}
  template <class T>
  const T* get() const {
    return std::get_if<T>(static_cast<const ValVariant*>(this));
  }
  bool poisoned() const { return get<Poison>() != nullptr; }
  const List* list() const {
    const auto* l = get<std::shared_ptr<const List>>();
    return l ? l->get() : nullptr;
  }
  Function* function() const {
    const auto* f = get<std::shared_ptr<Function>>();
    return f ? f->get() : nullptr;
  }
};

/// A value with the text that it came from.
struct Bound {
  Val value;
  Span span;
};

/// A definition with what has been given to it so far. `dense(256)` is a layer whose configuration
/// is bound; `normal(std: 0.01)` is a function that lacks its `shape` (an initialiser).
struct Function {
  const ast::Callable* def = nullptr;
  bool from_std = false;
  bool configured = false;             // the first of two lists has been given
  std::map<std::string, Bound> given;  // by parameter name
  Span span;                           // of the call that configured it
  /// A layer that was bound to a name or called has one set of parameters in a program.
  mutable std::string path;
  mutable std::int64_t path_program = -1;  // Program::serial
  int depth = 1;                           // of what has been given to it
};

Val make_list(std::vector<Val> items);
/// How deeply lists and functions are nested in a value.
int depth_of(const Val& v);
bool is_static_number(const Val& v);
/// The value of a constant integer or a float; nullopt otherwise.
std::optional<double> number(const Val& v);
/// What a value is, for messages: "an integer", "a tensor f32[N, 10]", "a layer".
std::string describe(const Val& v);

}  // namespace dlc::sema
