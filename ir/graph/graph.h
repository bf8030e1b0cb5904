#pragma once
// The graph IR: typed SSA nodes in topological order. A graph is functional: parameters and states
// come in as inputs and leave as `update` outputs, which the memory plan turns into in-place
// writes.
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "ir/literal.h"
#include "ir/support/check.h"
#include "ir/support/loc.h"
#include "ir/types.h"

namespace dlc {

/// One enumerator per line of ops.def.
enum class Op : std::uint8_t {
#define DLC_OP(name) name,
#include "ir/ops/ops.def"
#undef DLC_OP
};
std::string_view op_name(Op op);  // "reduce_sum"
std::optional<Op> parse_op_name(std::string_view s);

struct Graph;

/// The attributes of a node. Each operation's doc (ops/<op>.cpp) lists those it reads. A graph is
/// a region: what the operation runs (the body of a scan).
using Attr = std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>, Shape,
                          std::shared_ptr<const Literal>, std::shared_ptr<const Graph>>;
bool operator_equal(const Attr& a, const Attr& b);  // compares literals and graphs by value

/// The attributes by name, in the order of the names. Copies share them until one is changed:
/// passes copy nodes all the time and change few.
class Attrs {
 public:
  using Map = std::map<std::string, Attr, std::less<>>;
  using const_iterator = Map::const_iterator;

  Attrs() = default;
  Attrs(std::initializer_list<Map::value_type> all) : map_(std::make_shared<Map>(all)) {}

  const_iterator begin() const { return map().begin(); }
  const_iterator end() const { return map().end(); }
  const_iterator find(std::string_view key) const { return map().find(key); }
  bool contains(std::string_view key) const { return map().contains(key); }
  std::size_t size() const { return map().size(); }
  bool empty() const { return map().empty(); }

  Attr& operator[](std::string key) { return own()[std::move(key)]; }
  void emplace(std::string key, Attr value) { own().emplace(std::move(key), std::move(value)); }
  void insert_or_assign(std::string key, Attr value) {
    own().insert_or_assign(std::move(key), std::move(value));
  }
  /// `change(key, attribute)` of each.
  template <class Change>
  void change_each(Change change) {
    if (empty()) return;
    for (auto& [key, attr] : own()) change(key, attr);
  }
  void erase(const std::string& key) { own().erase(key); }
  void clear() { map_.reset(); }

 private:
  const Map& map() const {
    static const Map none;
    return map_ ? *map_ : none;
  }
  Map& own() {
    if (!map_)
      map_ = std::make_shared<Map>();
    else if (map_.use_count() > 1)
      map_ = std::make_shared<Map>(*map_);
    return *map_;
  }
  std::shared_ptr<Map> map_;
};

/// The result of a node. Operations with several results have a type with parts, which `part` nodes
/// take.
struct Value {
  std::uint32_t id = UINT32_MAX;
  bool valid() const { return id != UINT32_MAX; }
  bool operator==(const Value&) const = default;
  auto operator<=>(const Value&) const = default;
};

struct Node {
  Op op;
  std::vector<Value> operands;
  Attrs attrs;
  Type type;
  Loc loc;           // of the .dl source; derived nodes keep the origin of what they derive
  std::string name;  // the source's name for the value ("logits", "dense_1.w"), or empty
  int kernel = -1;   // set by `fuse`: the kernel that computes and stores this node

  std::int64_t int_attr(std::string_view key) const;
  const std::string& str_attr(std::string_view key) const;
  const std::vector<std::int64_t>& ints_attr(std::string_view key) const;
  const Shape& shape_attr(std::string_view key) const;
  const Literal& literal_attr(std::string_view key) const;
  const Graph& graph_attr(std::string_view key) const;
  bool operator==(const Node&) const;
};

/// What a graph's input is. `Scalar` covers seed, step and epoch (i64[]) that the trainer supplies;
/// `Rows` is the i32[N] row-index vector that `gather_rows` introduces. The inputs of a region:
/// `Carried` from one turn to the next, `Scanned` turn by turn, `Captured` from outside for all,
/// and the `Condition` on which it runs at all.
enum class InputKind : std::uint8_t {
  Input,
  Target,
  Param,
  State,
  Scalar,
  Rows,
  Carried,
  Scanned,
  Captured,
  Condition
};
/// `Update` replaces the Param or State input of the same name after the step. The outputs of a
/// region: `Carry` is the next turn's carried input, `Yield` is collected over the turns.
enum class OutputKind : std::uint8_t { Output, Loss, Metric, Update, Watch, Carry, Yield };
inline constexpr int kInputKinds = 10, kOutputKinds = 7;
std::string_view name(InputKind k);
std::string_view name(OutputKind k);

struct GraphInput {
  std::string name;
  InputKind kind;
  Value value;  // a node with op `input`
  bool operator==(const GraphInput&) const = default;
};
struct GraphOutput {
  std::string name;
  OutputKind kind;
  Value value;
  bool operator==(const GraphOutput&) const = default;
};

struct Graph {
  std::string name;         // "train_step", "evaluate", "predict", "init", "data"
  std::vector<Node> nodes;  // every operand precedes its user
  std::vector<GraphInput> inputs;
  std::vector<GraphOutput> outputs;

  const Node& operator[](Value v) const { return nodes.at(v.id); }
  Node& operator[](Value v) { return nodes.at(v.id); }
  const Type& type(Value v) const { return nodes.at(v.id).type; }
  const GraphInput* find_input(std::string_view name) const;
  const GraphOutput* find_output(std::string_view name) const;
  /// A further node, whose operands are there already; its value.
  Value append(Node n) {
    nodes.push_back(std::move(n));
    return Value{static_cast<std::uint32_t>(nodes.size() - 1)};
  }
  /// The value of a constant whose elements are all equal, repeated or not.
  std::optional<double> splat(Value v) const;
  /// What `v` is a reshape of, at last: the same elements in the same order.
  Value below_reshapes(Value v) const;
  std::vector<std::uint32_t> use_counts() const;  // uses by nodes and outputs, per node
  bool operator==(const Graph&) const = default;

  /// Inputs and outputs as `from` has them, whose values are `now` here.
  void take_ends(const Graph& from, const std::vector<Value>& now);
};

}  // namespace dlc
