#pragma once
// A graph under construction with what the evaluator must remember about it.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "frontend/sema/value.h"
#include "ir/graph/builder.h"
#include "ir/support/diagnostics.h"

namespace dlc::sema {

/// Where the extent of an axis was fixed, to be shown when it does not fit.
struct DimOrigin {
  Span span;         // unknown when there is none
  std::string name;  // of the dimension where it has one: "n"
  std::string text;  // "`n` is bound to 784 here", "28 x 28 flattened is 784"
};

class Program {
 public:
  explicit Program(std::string name, bool training, std::string random_domain);
  /// The body of a scan in `outer`.
  explicit Program(Program& outer);
  Program(const Program&) = delete;

  Graph graph;
  GraphBuilder b;
  bool training;
  const std::int64_t serial;  // of this program among all of the process: addresses are reused

  Program* const outer = nullptr;  // of the body of a scan

  /// By node: the origin of each axis' extent.
  std::vector<std::vector<DimOrigin>> origins;
  /// By node: the expression that made it (unknown for conversions and the like).
  std::vector<Span> spans;
  /// What parameters and states hold at this point of the program, by path.
  std::map<std::string, Value> current;
  /// What carries hold after this batch, by path; also where nothing is trained.
  std::map<std::string, Value> carried;
  std::set<std::uint32_t> user_named;  // nodes whose name a statement gave
  /// The element type that an initialiser is asked for; the default float otherwise.
  std::optional<ElementType> wanted;

  const Type& type(Value v) const { return graph.type(v); }
  TensorRef ref(Value v) { return {this, v}; }
  /// What owns the parameters: the program that no scan encloses.
  Program& root() { return outer ? outer->root() : *this; }

  // ---- The body of a scan ----
  bool contains(const TensorRef& t) const { return t.program == this; }
  /// Whether `t` belongs to a program around this one.
  bool encloses(const TensorRef& t) const {
    return outer && (t.program == outer || outer->encloses(t));
  }
  /// An input of the region, for the operand `from` of the scan.
  Value region_input(const std::string& name, InputKind kind, Type type, Value from,
                     std::vector<DimOrigin> axes);
  /// A value of a program around as one of this; each is captured once.
  Value capture(const TensorRef& t);
  /// The number of the turn, i64[].
  Value turn();
  /// Brings the inputs into a scan's order; the operands of the scan for them.
  std::vector<Value> sort_region_inputs();
  Dim turns;  // of the scan
  /// The scalar inputs seed, step and epoch (i64), made when first asked for.
  Value scalar_input(const std::string& name);
  /// The step as random draws see it (i64): each turn of a scan draws anew.
  Value random_step();
  /// The next stream of random numbers; drawn in order from the program's domain.
  std::int64_t next_stream();
  /// Restarts the streams in another domain (each parameter's initial value has its own).
  void set_random_domain(const std::string& domain);

 private:
  std::uint32_t domain_ = 0;
  std::uint32_t draws_ = 0;
  std::vector<Value> operands_;  // of the scan, by the region's inputs
  std::map<Value, Value> captured_;
  Value turn_;
};

/// The part of `g` that the outputs chosen by `keep` need, with the inputs that it reads.
/// `position[k]` is the number of kept nodes before node k (one more entry than nodes).
Graph extract(const Graph& g, const std::string& name, bool (*keep)(OutputKind),
              std::vector<std::uint32_t>* position = nullptr);

}  // namespace dlc::sema
