// The text form back to a graph. Written for text from users (`dlc opt`, `dlc run`): every mistake
// is a UserError with line and column, and operations are checked as their definitions say.
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>

#include "ir/graph/text.h"
#include "ir/op_def.h"
#include "ir/ops/common.h"

namespace dlc {

namespace {

constexpr std::int64_t kMaxLiteralElements = std::int64_t{1} << 26;
constexpr int kMaxRegions = 50;

class GraphParser {
 public:
  GraphParser(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  std::vector<Graph> parse_all() {
    std::vector<Graph> graphs;
    for (skip_space(); at_ < text_.size(); skip_space()) graphs.push_back(parse_graph());
    return graphs;
  }

 private:
  // ---- Characters ----
  [[noreturn]] void fail(const std::string& message) const {
    int line = 1, column = 1;
    for (std::size_t k = 0; k < at_ && k < text_.size(); ++k) {
      ++column;
      if (text_[k] == '\n') ++line, column = 1;
    }
    throw UserError(fmt::format("{}:{}:{}: {}", file_, line, column, message));
  }
  void skip_space() {
    while (at_ < text_.size()) {
      if (std::isspace(static_cast<unsigned char>(text_[at_]))) {
        ++at_;
      } else if (text_[at_] == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else {
        return;
      }
    }
  }
  bool accept(std::string_view token) {
    skip_space();
    if (text_.substr(at_, token.size()) != token) return false;
    const bool word = std::isalpha(static_cast<unsigned char>(token[0]));
    if (word && at_ + token.size() < text_.size() && is_name_char(text_[at_ + token.size()]))
      return false;
    at_ += token.size();
    return true;
  }
  void expect(std::string_view token) {
    if (!accept(token)) fail(fmt::format("`{}` is expected", token));
  }
  static bool is_name_char(char ch) {
    return std::isalnum(static_cast<unsigned char>(ch)) || ch == '_' || ch == '.';
  }
  std::string word(std::string_view what) {
    skip_space();
    const std::size_t start = at_;
    while (at_ < text_.size() && is_name_char(text_[at_])) ++at_;
    if (at_ == start) fail(fmt::format("{} is expected", what));
    return std::string(text_.substr(start, at_ - start));
  }
  bool peek(char ch) {
    skip_space();
    return at_ < text_.size() && text_[at_] == ch;
  }
  std::string string() {
    expect("\"");
    std::string out;
    while (at_ < text_.size() && text_[at_] != '"') {
      char ch = text_[at_++];
      if (ch == '\\' && at_ < text_.size()) ch = text_[at_++] == 'n' ? '\n' : text_[at_ - 1];
      out += ch;
    }
    if (at_ >= text_.size()) fail("the string does not end");
    ++at_;
    return out;
  }
  std::string number_text() {
    skip_space();
    const std::size_t start = at_;
    while (at_ < text_.size() &&
           (is_name_char(text_[at_]) || text_[at_] == '-' || text_[at_] == '+'))
      ++at_;
    if (at_ == start) fail("a number is expected");
    return std::string(text_.substr(start, at_ - start));
  }
  template <class T>
  T parse_number(const std::string& text) {
    T v{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
    if (error != std::errc() || end != text.data() + text.size())
      fail(fmt::format("`{}` is no number here", text));
    return v;
  }
  std::int64_t integer() { return parse_number<std::int64_t>(number_text()); }

  // ---- Types and attributes ----
  Dim dim() {
    skip_space();
    const std::size_t start = at_;
    while (at_ < text_.size() && (is_name_char(text_[at_]) || text_[at_] == '+' ||
                                  text_[at_] == '-' || text_[at_] == '*'))
      ++at_;
    const auto d = parse_dim(text_.substr(start, at_ - start));
    if (!d) fail("a dimension is expected, such as 784, N or 2*N+1");
    if (d->is_constant() && d->value() < 0) fail("a dimension is negative");
    return *d;
  }
  Shape dims_until(std::string_view close) {
    Shape shape;
    if (accept(close)) return shape;
    do {
      if (shape.size() >= 16) fail("a shape has more than 16 axes");
      shape.push_back(dim());
    } while (accept(","));
    expect(close);
    return shape;
  }
  Type type() {
    if (accept("(")) {
      Type t;
      do t.parts.push_back(type());
      while (accept(","));
      expect(")");
      return t;
    }
    const std::string element = word("an element type");
    const auto t = parse_element_type(element);
    if (!t) fail(fmt::format("`{}` is no element type", element));
    expect("[");
    return {*t, dims_until("]")};
  }
  Literal literal(const Type& t) {
    std::vector<std::int64_t> shape;
    std::int64_t count = 1;
    for (const Dim& d : t.shape) {
      if (!d.is_constant()) fail("a constant's shape is made of numbers");
      if (d.value() > kMaxLiteralElements || (count *= d.value()) > kMaxLiteralElements)
        fail("the constant has too many elements");
      shape.push_back(d.value());
    }
    Literal l = Literal::zeros(t.element, shape);
    const auto element = [&](std::int64_t k) {
      const auto at = static_cast<std::size_t>(k);
      if (is_float(t.element))
        l.f[at] = parse_number<double>(number_text());
      else
        l.i[at] = integer();
    };
    if (shape.empty()) {
      element(0);
    } else if (accept("splat")) {
      if (count == 0) fail("an empty constant has no elements");
      element(0);
      for (std::int64_t k = 1; k < count; ++k) {
        if (is_float(t.element))
          l.f[static_cast<std::size_t>(k)] = l.f[0];
        else
          l.i[static_cast<std::size_t>(k)] = l.i[0];
      }
    } else {
      expect("[");
      for (std::int64_t k = 0; k < count; ++k) {
        if (k > 0) expect(",");
        element(k);
      }
      expect("]");
    }
    l.round();
    return l;
  }
  Attr attr() {
    if (peek('"')) return string();
    if (accept("[")) {
      std::vector<std::int64_t> list;
      if (accept("]")) return list;
      do list.push_back(integer());
      while (accept(","));
      expect("]");
      return list;
    }
    if (accept("(")) return dims_until(")");
    if (accept("graph")) {
      if (++depth_ > kMaxRegions) fail("the regions are nested too deeply");
      auto outer = std::move(values_);
      auto region = std::make_shared<const Graph>(graph_body());
      values_ = std::move(outer);
      --depth_;
      return region;
    }
    skip_space();
    const std::size_t start = at_;
    const std::string text = number_text();
    if (parse_element_type(text)) {
      at_ = start;
      const Type t = type();
      return std::make_shared<const Literal>(literal(t));
    }
    if (text == "inf" || text == "-inf" || text == "nan" ||
        text.find_first_of(".e") != std::string::npos)
      return parse_number<double>(text);
    return parse_number<std::int64_t>(text);
  }

  // ---- Values ----
  struct ValueName {
    std::string key;   // as written, what operands refer to
    std::string name;  // the node's name
  };
  ValueName value_name() {
    expect("%");
    const std::size_t start = at_;
    ValueName v;
    if (peek('"'))
      v.name = string();
    else
      v.name = word("the name of a value");
    const bool is_number = std::isdigit(static_cast<unsigned char>(text_[start]));
    if (at_ < text_.size() && text_[at_] == '~') {
      ++at_;
      word("a number");
    }
    v.key = std::string(text_.substr(start, at_ - start));
    if (is_number) v.name.clear();
    return v;
  }
  Value operand() {
    skip_space();
    const std::size_t start = at_;
    const ValueName v = value_name();
    const auto found = values_.find(v.key);
    if (found == values_.end()) {
      at_ = start;
      fail(fmt::format("nothing above defines %{}", v.key));
    }
    return found->second;
  }

  template <class Kind, int kCount>
  Kind kind(std::string_view what) {
    const std::size_t start = at_;
    const std::string text = word(what);
    for (int k = 0; k < kCount; ++k)
      if (name(static_cast<Kind>(k)) == text) return static_cast<Kind>(k);
    at_ = start;
    fail(fmt::format("`{}` is no {}", text, what));
  }

  // graph = "graph" name "{" { node | output } "}"
  Graph parse_graph() {
    expect("graph");
    return graph_body();
  }
  Graph graph_body() {
    values_.clear();
    Graph g;
    g.name = peek('"') ? string() : word("the graph's name");
    expect("{");
    while (!accept("}")) {
      if (accept("output"))
        parse_output(g);
      else
        parse_node(g);
    }
    return g;
  }

  // output = "output" kind string "=" value
  void parse_output(Graph& g) {
    const auto k = kind<OutputKind, kOutputKinds>("kind of output");
    std::string output_name = string();
    expect("=");
    const Value v = operand();
    if (k == OutputKind::Update) {
      const GraphInput* in = g.find_input(output_name);
      if (!in || (in->kind != InputKind::Param && in->kind != InputKind::State))
        fail(fmt::format("the update `{}` has no parameter or state of that name", output_name));
      if (!(g.type(in->value) == g.type(v)))
        fail(fmt::format("the update of `{}` is {}, the parameter is {}", output_name,
                         g.type(v).str(), g.type(in->value).str()));
    }
    for (const GraphOutput& o : g.outputs)
      if (o.kind == k && o.name == output_name)
        fail(fmt::format("the output `{}` is given twice", output_name));
    g.outputs.push_back({std::move(output_name), k, v});
  }

  // node = value ":" type "=" op [kind] [operands] [literal | attributes] ["kernel" n] ["@" file
  // ":" line ":" column]
  void parse_node(Graph& g) {
    skip_space();
    const std::size_t start = at_;
    if (!peek('%')) fail("a value such as %x, `output` or `}` is expected");
    ValueName v = value_name();
    expect(":");
    Node n{Op::input, {}, {}, type(), {}, v.name};
    expect("=");
    const std::size_t op_start = at_;
    const std::string op_text = word("an operation");
    const auto op = parse_op_name(op_text);
    if (!op) {
      at_ = op_start;
      fail(fmt::format("there is no operation `{}`", op_text));
    }
    n.op = *op;
    const Value id{static_cast<std::uint32_t>(g.nodes.size())};
    if (n.op == Op::input) {
      const auto k = kind<InputKind, kInputKinds>("kind of input");
      std::string input_name = peek('"') ? string() : n.name;
      if (g.find_input(input_name)) fail(fmt::format("the input `{}` is given twice", input_name));
      g.inputs.push_back({std::move(input_name), k, id});
    }
    if (n.op != Op::input && peek('%')) {
      do n.operands.push_back(operand());
      while (accept(","));
    }
    if (n.op == Op::constant && !peek('{')) {
      n.attrs["value"] = std::make_shared<const Literal>(literal(n.type));
    } else if (accept("{")) {
      while (!accept("}")) {
        std::string key = word("an attribute");
        expect("=");
        n.attrs[std::move(key)] = attr();
        if (!peek('}')) expect(",");
      }
    }
    if (accept("kernel")) n.kernel = static_cast<int>(integer());
    if (accept("@")) {
      const std::string file = string();
      expect(":");
      const auto line = static_cast<int>(integer());
      expect(":");
      n.loc = Loc(file, line, static_cast<int>(integer()));
    }
    check_type(g, n, start);
    if (!values_.emplace(std::move(v.key), id).second) {
      at_ = start;
      fail("a value of that name is defined above");
    }
    g.nodes.push_back(std::move(n));
  }

  void check_type(const Graph& g, const Node& n, std::size_t start) {
    if (n.op == Op::input) {
      std::string error;
      if (!ops::shape_is_sane(n.type.shape, error)) fail(error);
      return;
    }
    std::vector<Type> types;
    for (const Value v : n.operands) types.push_back(g.type(v));
    const Inferred inferred = infer_type(n.op, types, n.attrs);
    const std::size_t end = at_;
    at_ = start;
    if (!inferred.type) fail(inferred.error);
    if (!(*inferred.type == n.type))
      fail(fmt::format("the result of {} is {}, not {}", op_name(n.op), inferred.type->str(),
                       n.type.str()));
    at_ = end;
  }

  std::string_view text_;
  const std::string& file_;
  std::size_t at_ = 0;
  std::map<std::string, Value> values_;
  int depth_ = 0;  // of regions in regions
};

}  // namespace

std::vector<Graph> parse_graphs(std::string_view text, const std::string& file_name) {
  return GraphParser(text, file_name).parse_all();
}

}  // namespace dlc
