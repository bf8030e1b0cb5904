#pragma once
// Evaluates the bodies of definitions: what is static is computed now, what is a tensor becomes
// nodes of a graph. One evaluator serves a whole module; a Frame is one call.
//
//   expressions.cpp   literals, names, operators on static values, lists, if
//   tensors.cpp       operators on tensors: promotion, broadcasting, matmul, emission of nodes
//   index.cpp         x[...] of tensors, lists and tables
//   calls.cpp         functions, layers, optimizers: arguments, configuration, pipes
//   statements.cpp    blocks, assignments, parameters, states, results
//   shapes.cpp        type annotations: binding names of dimensions, checking shapes
//   scan.cpp          loops over a run-time length
//   builtins*.cpp     the primitives and the static functions that C++ knows
#include <optional>
#include <set>

#include "frontend/frontend.h"
#include "frontend/sema/definitions.h"
#include "frontend/sema/program.h"
#include "frontend/sema/value.h"

namespace dlc::sema {

/// A layer call (or the model itself): what owns parameters and numbers anonymous layers.
struct Owner {
  std::string path;                      // "" for the model
  std::map<std::string, int> anonymous;  // by definition, in this call
  std::set<std::string> children;        // names of the layers called or bound, in this call
  int depth = 0;
};

struct DimBinding {
  Dim value;
  DimOrigin origin;
};

/// Initial: the initial value of a parameter or state, computed once in a program of its own.
enum class Place { Const, Data, Model, Layer, Fn, Optimizer, Train, Initial, Scan };

inline constexpr std::size_t kMaxRank = 16;                // axes of a tensor
inline constexpr std::int64_t kMaxCapturedEntries = 4096;  // of a list of tensors
inline constexpr int kMaxDepth = 100;  // of lists in lists, functions given to functions

/// The scan whose body is being evaluated.
struct ScanFrame {
  std::map<std::string, bool> carried;  // by name: replaced in this turn
  std::vector<Bound> yielded;
  std::set<std::string> slots;  // parameters and states of the place around
};

/// One call in progress.
struct Frame {
  Program* program = nullptr;  // null: static values only
  Place place = Place::Const;
  bool from_std = false;  // names resolve in the standard library first
  Owner* owner = nullptr;
  std::map<std::string, Bound> names;
  std::map<std::string, DimBinding> dims;
  // Parameters and states that were declared here: name -> path in `program->current`.
  std::map<std::string, std::string> slots;
  std::string slot_prefix;        // of an optimizer's states: "momentum.dense_1.w"
  std::optional<Type> slot_type;  // an optimizer's states have the type of the parameter
  ScanFrame* scan = nullptr;      // in the body of a scan
  bool failed = false;            // a statement was in error: what is missing may be due to that
};

/// Given arguments after binding to parameters.
using Arguments = std::map<std::string, Bound>;

class Evaluator {
 public:
  Evaluator(const Sources& sources, Diagnostics& diagnostics, Definitions& definitions,
            const FrontendOptions& options, ElementType default_float);

  // ---- Statements ----
  /// The value of the block: its last statement when that is an expression. The body of a model or
  /// of data has no value (`gives_value` false).
  Val run(const ast::Block& block, Frame& f, bool gives_value = true);
  void run(const ast::Stmt& stmt, Frame& f, Val& last);
  /// Reports a value that a statement leaves where nothing takes it.
  void check_unused(const Val& v, Span span);

  // ---- Expressions ----
  Val eval(const ast::Expr& e, Frame& f);
  /// A static integer, or nullopt after a report.
  std::optional<std::int64_t> eval_int(const ast::Expr& e, Frame& f, const char* what);

  // ---- Calls ----
  /// The configured or partial function becomes a value: initialisers get the shape.
  Val call(Function& fn, std::vector<const ast::Arg*> args, std::optional<Bound> piped, Span span,
           Frame& f);
  Val call_body(const Function& fn, Arguments tensors, Span span, Frame& caller);
  /// Whether what is called without arguments of its own (an optimizer, an initialiser) has all of
  /// its `params` but `except`; false after a report.
  bool has_arguments(const Function& fn, const std::vector<ast::Param>& params,
                     const std::string& except, Span span);
  /// Runs the body of an optimizer for the parameter at `path`; false after a report.
  bool run_optimizer(const Function& fn, Frame& body, const std::string& path, const Val& gradient,
                     Span span);

  // ---- Tensors ----
  Val emit(Program& p, Op op, std::vector<Value> operands, Attrs attrs, Span span);
  /// A static number, a list of numbers or a tensor as a tensor of `p`; nullopt after a report.
  /// `like` gives the element type of what has none of its own.
  std::optional<Value> tensor(Program& p, const Val& v, Span span,
                              std::optional<ElementType> like = {});
  /// Completes an initialiser and converts to `type`; nullopt after a report.
  std::optional<Value> value_of_type(Program& p, const Val& v, const Type& type, Span span,
                                     Frame& f, Span type_span);
  Val binary(const std::string& op, const Bound& a, const Bound& b, Span span, Span op_span,
             Frame& f);
  /// Both as tensors of the wider element type (u8 < i32 < i64 < f32 < f64), integers as floats
  /// when `real`; nullopt after a report. A bool with a number is left as it is. What is static
  /// takes the other's type, or `otherwise` when both are.
  std::optional<std::pair<Value, Value>> promoted(Program& p, const Bound& a, const Bound& b,
                                                  bool real, Span span,
                                                  std::optional<ElementType> otherwise = {});
  Val unary(const std::string& op, const Bound& a, Span span, Frame& f);
  /// Both broadcast to one shape (NumPy's rule); nullopt after a report.
  std::optional<std::pair<Value, Value>> broadcast(Program& p, Value a, Span a_span, Value b,
                                                   Span b_span, Span op_span);
  Value converted(Program& p, Value v, ElementType t);
  /// Reports operations without a gradient between `x` and `y`, by name and place.
  bool check_gradient(Program& p, Value y, Value x, Span span, const std::string& what);
  std::string describe_shape(const Program& p, Value v) const;
  std::vector<Label> origin_labels(const Program& p, Value v, int axis) const;
  const DimOrigin& origin(const Program& p, Value v, int axis) const;

  // ---- Shapes ----
  /// The type written, with names of dimensions looked up; an unbound name is a new symbol when
  /// `new_symbols`, an error otherwise. nullopt after a report.
  std::optional<Type> concrete_type(const ast::TypeExpr& t, Frame& f, bool new_symbols,
                                    std::vector<DimOrigin>* origins);
  /// Checks a value against the type written and binds the names that appear first.
  bool match_type(const ast::TypeExpr& t, const TensorRef& value, Span value_span,
                  const std::string& what, Frame& f);
  ElementType element_of(ElementType written) const;  // f32 means the default float
  std::optional<Dim> dim_of(const Val& v, Span span);
  /// Whether a tensor has at most 2^log_elements elements (were every symbol 1): 36 for what is
  /// stored, 40, the limit of the graph, for what is computed. False after a report.
  bool within(const Type& type, int log_elements, Span span);
  /// A list of dimensions; nullopt after a report.
  std::optional<Shape> shape_of(const Val& v, Span span);
  Val shape_value(const Type& type) const;
  /// An axis, negative from the end; nullopt after a report.
  std::optional<std::int64_t> axis_of(const Val& v, int rank, Span span);

  // ---- Index ----
  Val index(const ast::Index& e, Span span, Frame& f);

  // ---- Reports ----
  Val report(Diag kind, Span span, std::string message, std::string hint = {},
             std::vector<Label> labels = {}, std::vector<std::string> notes = {});
  /// Mistakes seen so far, repeated ones included.
  std::size_t reports() const { return reports_; }
  bool failed_since(std::size_t count) const { return reports_ > count; }
  /// Counts work done while compiling (about one unit an expression), to end endless programs;
  /// false when the limit is reached.
  bool charge(std::int64_t units, Span span);
  /// The user's call of the library that a place inside the library is reached by.
  Span visible(Span span) const;

  const Sources& sources() const { return sources_; }
  Loc loc(Span s) const { return sources_.loc(s); }
  ElementType default_float() const { return default_float_; }
  const FrontendOptions& options() const { return options_; }
  Definitions& definitions() { return definitions_; }

  // ---- What the programs of a module share (set by module.cpp) ----
  Module* module = nullptr;
  Program* init = nullptr;                   // where initial values are computed
  std::vector<FileSource>* files = nullptr;  // of the data split being evaluated
  std::optional<double> split_test;          // split(test: ...)
  std::vector<LayerInfo>* layers = nullptr;  // set while the evaluate program is built

  /// Of the data split being evaluated: what `sequences` made, by node.
  struct Sequence {
    std::string input;  // the text
    std::int64_t steps, shift;
  };
  std::map<Value, Sequence>* sequences = nullptr;

  /// A file read by a data block as an input of its program; of a table there may be several.
  Val data_file(const std::string& reader, const std::vector<std::string>& paths,
                std::vector<std::string> options, Span span, Program& p);
  FileSource source_of(const std::string& reader, const std::vector<std::string>& paths,
                       std::vector<std::string> options, Span span) const;
  /// What is in a file, or an error of its reader; nullopt after a report.
  std::optional<Type> probe(const FileSource& file, Span span);

 private:
  Val eval_node(const ast::Expr& e, Frame& f);
  /// A list, unless it would be nested or grow beyond the limits.
  Val list_of(std::vector<Val> items, Span span);
  Val lookup(const std::string& name, Span span, Frame& f, bool callable);
  Val eval_binary(const ast::Binary& e, Span span, Frame& f);
  Val eval_logic(const ast::Binary& e, Span span, Frame& f);
  Val eval_pipe(const ast::Binary& e, Span span, Frame& f);
  Val eval_range(const ast::Binary& e, Span span, Frame& f);
  Val eval_list(const ast::ListLit& e, Span span, Frame& f);
  Val eval_call(const ast::Call& e, Span span, std::optional<Bound> piped, Frame& f);
  Val eval_if(const ast::IfExpr& e, Frame& f);
  Val captured(Program& p, Val v);
  struct ScanLoop;
  Val eval_scan(const ast::Scan& e, Span span, Frame& f);
  Val run_time_if(const ast::IfExpr& e, const TensorRef& condition, Frame& f);
  std::optional<std::size_t> scanned_axis(const ScanLoop& s, const TensorRef& t, Span span);
  bool enter_scanned(ScanLoop& s);
  bool enter_carried(ScanLoop& s);
  bool scan_options(ScanLoop& s);
  void run_while(ScanLoop& s);
  Val finish_scan(ScanLoop& s);
  Value moved(Program& p, Value v, std::size_t from, std::size_t to, Span span);
  void run_yield(const ast::Yield& y, Span span, Frame& f);
  bool update_carried(const ast::Update& u, const Val& v, Frame& f);
  Val eval_member(const ast::Member& e, Span span, Frame& f);
  Val static_binary(const std::string& op, const Val& a, const Val& b, Span span);
  Val integer_binary(const std::string& op, const Dim& a, const Dim& b, Span span);
  Val tensor_binary(const std::string& op, const Bound& a, const Bound& b, Span span, Span op_span,
                    Program& p);
  Val matmul(Program& p, Value a, Span a_span, Value b, Span b_span, Span op_span);
  Val index_tensor(const TensorRef& t, const ast::Index& e, Span span, Frame& f);
  Val places_of(const Val& v, const TensorRef& t, std::size_t axis, Span span);
  Val index_list(const List& l, const ast::Index& e, Span span, Frame& f);
  Val index_table(const Table& t, const ast::Index& e, Span span, Frame& f);

  bool bind_arguments(const std::vector<ast::Param>& params,
                      const std::vector<const ast::Arg*>& args, const std::optional<Bound>& piped,
                      const std::string& callee, Span span, Span def_span, Frame& f,
                      Arguments& bound, std::vector<std::string>& missing);
  Val report_missing(const Function& fn, const std::vector<ast::Param>& params,
                     const std::vector<std::string>& missing, Span span);
  Val finish_call(const Function& fn, Arguments tensors, Span span, Frame& caller);
  bool enter_parameters(const std::vector<ast::Param>& params, const Arguments& given, Frame& f,
                        Span call_span);
  Val call_layer(const Function& fn, Frame& body, Span span, Frame& caller);
  Val call_builtin(const Builtin& b, const std::vector<const ast::Arg*>& args,
                   const std::optional<Bound>& piped, Span span, Frame& f);
  bool check_result(const ast::Callable& def, const Val& v, Span span, Frame& f);

  void run_decl(const ast::Decl& d, Span span, Frame& f);
  bool taken(const ast::Name& name, const Frame& f);
  void run_input(const ast::Decl& d, Span span, Frame& f);
  void run_slot(const ast::Decl& d, Span span, Frame& f);
  /// A parameter or state of `path` as an input of the program, with its initial value in `init`.
  bool declare_slot(InputKind kind, const std::string& path, const Type& type,
                    std::vector<DimOrigin> origins, const ast::Decl& d, Span span, Frame& f);
  bool declare_carry(const std::string& path, const Type& type, std::vector<DimOrigin> origins,
                     const ast::Decl& d, Span span, Frame& f);
  void run_assign(const ast::Assign& a, Span span, Frame& f);
  void report_assigned(const ast::Name& name);
  void run_update(const ast::Update& u, Span span, Frame& f);
  void run_result(const ast::Result& r, Span span, Frame& f);
  void run_watch(const ast::Watch& w, Frame& f);
  void run_for(const ast::For& s, Frame& f);
  void bind(Frame& f, const std::string& name, Val v, Span span);

  bool names_dimension(const std::string& name, const Frame& f);
  std::optional<Dim> eval_dim(const ast::Expr& e, Frame& f);
  bool match_dim(const ast::Expr& e, const TensorRef& value, int axis, Span value_span,
                 const std::string& what, const ast::TypeExpr& type, Frame& f);

  const Sources& sources_;
  Diagnostics& diagnostics_;
  Definitions& definitions_;
  const FrontendOptions& options_;
  ElementType default_float_;
  std::vector<const ast::Callable*> calls_;  // in progress
  int nesting_ = 0;                          // expressions in progress
  std::size_t reports_ = 0;
  Span library_call_;                    // unknown outside of the library
  std::int64_t work_ = 0;                // see charge()
  std::int64_t parameter_elements_ = 0;  // of the programs built so far
  bool stopped_ = false;                 // a limit was reached: nothing more is evaluated
};

/// A primitive or static function of the language.
struct Builtin {
  const char* name;
  /// The parameters: "x", "axis=none".
  std::vector<const char*> parameters;
  const char* doc;
  Val (*make)(Evaluator& ev, Frame& f, const std::vector<Bound>& args, Span span);
};
const std::vector<Builtin>& builtins();
const Builtin* find_builtin(const std::string& name);

}  // namespace dlc::sema
