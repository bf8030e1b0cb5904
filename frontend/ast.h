#pragma once
// The syntax tree of a .dl file. Nodes own their children; every node has the span of its text.
// Plain data: meaning is given by frontend/sema, the grammar is in docs/language.md and above each
// function of frontend/parser.
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ir/support/diagnostics.h"
#include "ir/types.h"

namespace dlc::ast {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;
struct Stmt;

struct Name {
  std::string text;
  Span span;
};
/// Statements in order; the value of a block is its last statement when that is an expression.
struct Block {
  std::vector<Stmt> stmts;
  Span span;
  bool damaged = false;  // a statement with a syntax error was left out
};
/// `f(a, axis: 1)`: `name` is empty for a positional argument.
struct Arg {
  std::optional<Name> name;
  ExprPtr value;
};

// ---- Expressions ----
struct IntLit {
  std::int64_t value;
};
struct FloatLit {
  double value;
};
struct BoolLit {
  bool value;
};
struct StringLit {
  std::string value;  // escapes resolved
};
struct NameRef {
  std::string name;
};
struct ListLit {  // [a, b, [c]]
  std::vector<ExprPtr> items;
};
struct Ellipsis {};  // `...`, inside brackets: in an index, a shape list
struct Unary {       // "-" "not"
  std::string op;
  ExprPtr operand;
};
/// + - * / // % ^ @ == != < <= > >= and or |> .. (a range, end excluded)
struct Binary {
  std::string op;
  Span op_span;
  ExprPtr lhs, rhs;
};
struct Call {  // callee(args); a definition with two lists is called as f(config)(tensors)
  ExprPtr callee;
  std::vector<Arg> args;
};
/// One entry of an index list: `i`, `a:b`, `a:`, `:b`, `:`, `a:b:s`, `...`, or a list of names.
struct IndexItem {
  bool is_slice = false;
  ExprPtr begin, end, step;  // slice; null where left out
  ExprPtr value;             // otherwise
  Span span;
};
struct Index {  // x[0, 1:3, ...]
  ExprPtr object;
  std::vector<IndexItem> items;
};
struct Member {  // cell.units
  ExprPtr object;
  Name member;
};
struct IfExpr {  // if cond { } else if ... { } else { }
  ExprPtr cond;
  Block then_block;
  std::optional<Block> else_block;  // `else if` is a block of one IfExpr
};

/// scan (x in xs, m in mask along T; h = zeros([N, 8]), reverse: true) { h <- f(x, h); yield h }
struct Scan {
  struct Entry {
    Name name;
    ExprPtr value;
  };
  std::vector<Entry> scanned, carried, options;
  ExprPtr along;
  Block body;
};

struct Expr {
  std::variant<IntLit, FloatLit, BoolLit, StringLit, NameRef, ListLit, Ellipsis, Unary, Binary,
               Call, Index, Member, IfExpr, Scan>
      node;
  Span span;
};

// ---- Types ----
/// `f32[..., n, 2*k+1]`: each dimension is an expression over names and integers, or `...`.
struct TypeExpr {
  std::optional<ElementType> element;  // nullopt: a name that is no element type (already reported)
  std::vector<ExprPtr> dims;
  Span span, element_span;
};

// ---- Statements ----
enum class DeclKind { Input, Target, Param, State, Carry };
struct Decl {  // param w: f32[2, 1] = normal(std: 0.01)
  DeclKind kind;
  Name name;
  std::optional<TypeExpr> type;  // required but for `state` and in sema-checked places
  ExprPtr init;                  // or null
};
struct Assign {  // y = e     y: f32[N] = e
  Name name;
  std::optional<TypeExpr> type;
  ExprPtr value;  // null after a syntax error: the name is known, its value is not
};
struct Update {  // mean <- e
  Name name;
  ExprPtr value;
};
enum class ResultKind { Loss, Metric, Output };
struct Result {  // loss = e (name "loss")   metric accuracy = e   output price = e   output price
  ResultKind kind;
  Name name;
  ExprPtr value;  // null: `output price` of a name bound before
};
struct Watch {  // watch x, y
  std::vector<Name> names;
};
struct Yield {  // yield h, c
  std::vector<ExprPtr> values;
};
struct For {  // for i in 0..4 { }
  Name variable;
  ExprPtr iterable;
  Block body;
};
struct ExprStmt {
  ExprPtr value;  // an `if` statement is an ExprStmt of an IfExpr
};
/// `train { }` or `test { }` inside a data block.
struct Split {
  Name name;
  Block body;
};
struct Stmt {
  std::variant<Decl, Assign, Update, Result, Watch, Yield, For, ExprStmt, Split> node;
  Span span;
};

// ---- Definitions ----
struct Param {
  Name name;
  std::optional<TypeExpr> type;
  ExprPtr default_value;  // or null
};
enum class CallableKind { Fn, Layer, Optimizer };
/// fn relu(x) = ...     layer dense(units)(x: f32[..., n]) -> f32[..., units] { ... }
struct Callable {
  CallableKind kind;
  Name name;
  bool has_config = false;    // two lists were given
  std::vector<Param> config;  // static, but for optimizers whose settings may be schedules
  std::vector<Param> tensors;
  std::optional<TypeExpr> result;
  Block body;
  std::string doc;  // the `##` lines above, without the marks
};
struct Const {
  Name name;
  ExprPtr value;  // null: a definition of this name had a syntax error
  std::string doc;
};
struct Import {
  std::string path;
  Span path_span;
};
struct Data {
  Name name;
  Block body;
  std::string doc;
};
struct Model {
  Name name;
  std::vector<Param> config;  // model mlp(hidden = 256) { ... }; empty without a list
  Block body;
  std::string doc;
};
struct Train {
  Name model;
  std::optional<Name> data;  // `on data`
  Block body;
  std::string doc;
};
struct Item {
  std::variant<Import, Const, Callable, Data, Model, Train> node;
  Span span;
};
struct File {
  int source = -1;
  std::vector<Item> items;
};

}  // namespace dlc::ast
