// The syntax tree as indented text: one line per statement, expressions with every bracket written.
#include <fmt/format.h>

#include "frontend/parser.h"

namespace dlc {

namespace {

using namespace ast;

std::string text(const Expr& e);
std::string text(const Block& b, int depth);

std::string text(const ExprPtr& e) { return e ? text(*e) : ""; }

std::string text(const TypeExpr& t) {
  std::string out = t.element ? std::string(name(*t.element)) : "?";
  out += "[";
  for (std::size_t k = 0; k < t.dims.size(); ++k) out += (k ? ", " : "") + text(t.dims[k]);
  return out + "]";
}

std::string quoted(const std::string& s) {
  std::string out = "\"";
  for (const char ch : s)
    out += ch == '"'    ? "\\\""
           : ch == '\\' ? "\\\\"
           : ch == '\n' ? "\\n"
           : ch == '\t' ? "\\t"
                        : std::string(1, ch);
  return out + "\"";
}

struct ExprText {
  std::string operator()(const IntLit& e) const { return std::to_string(e.value); }
  std::string operator()(const FloatLit& e) const {
    const std::string s = fmt::format("{}", e.value);
    return s.find_first_of(".einf") == std::string::npos ? s + ".0" : s;
  }
  std::string operator()(const BoolLit& e) const { return e.value ? "true" : "false"; }
  std::string operator()(const StringLit& e) const { return quoted(e.value); }
  std::string operator()(const NameRef& e) const { return e.name; }
  std::string operator()(const Ellipsis&) const { return "..."; }
  std::string operator()(const ListLit& e) const {
    std::string out = "[";
    for (std::size_t k = 0; k < e.items.size(); ++k) out += (k ? ", " : "") + text(e.items[k]);
    return out + "]";
  }
  std::string operator()(const Unary& e) const {
    return fmt::format("({}{}{})", e.op, e.op == "not" ? " " : "", text(e.operand));
  }
  std::string operator()(const Binary& e) const {
    return fmt::format("({} {} {})", text(e.lhs), e.op, text(e.rhs));
  }
  std::string operator()(const Call& e) const {
    std::string out = object(e.callee) + "(";
    for (std::size_t k = 0; k < e.args.size(); ++k) {
      if (k) out += ", ";
      if (e.args[k].name) out += e.args[k].name->text + ": ";
      out += text(e.args[k].value);
    }
    return out + ")";
  }
  std::string operator()(const Index& e) const {
    std::string out = object(e.object) + "[";
    for (std::size_t k = 0; k < e.items.size(); ++k) {
      const IndexItem& i = e.items[k];
      if (k) out += ", ";
      out += i.is_slice ? text(i.begin) + ":" + text(i.end) + (i.step ? ":" + text(i.step) : "")
                        : text(i.value);
    }
    return out + "]";
  }
  std::string operator()(const Member& e) const { return object(e.object) + "." + e.member.text; }
  std::string operator()(const IfExpr& e) const {
    return fmt::format("if {} {}{}", text(e.cond), text(e.then_block, depth),
                       e.else_block ? " else " + text(*e.else_block, depth) : "");
  }
  std::string operator()(const Scan& e) const {
    std::string head;
    for (const Scan::Entry& s : e.scanned)
      head += fmt::format("{}{} in {}", head.empty() ? "" : ", ", s.name.text, text(s.value));
    head += (head.empty() ? "along " : " along ") + text(e.along);
    const char* separator = "; ";
    for (const auto* list : {&e.carried, &e.options})
      for (const Scan::Entry& s : *list) {
        head += fmt::format("{}{}{} {}", separator, s.name.text, list == &e.options ? ":" : " =",
                            text(s.value));
        separator = ", ";
      }
    return fmt::format("scan ({}) {}", head, text(e.body, depth));
  }
  /// What a call, index or member is of: `1.x` would be a malformed number.
  static std::string object(const ExprPtr& e) {
    const bool number =
        e && (std::holds_alternative<IntLit>(e->node) || std::holds_alternative<FloatLit>(e->node));
    return number ? "(" + text(e) + ")" : text(e);
  }
  int depth = 0;
};

std::string text(const Expr& e) { return std::visit(ExprText{}, e.node); }

struct StmtText {
  int depth;
  std::string operator()(const Decl& d) const {
    static constexpr const char* kKinds[] = {"input", "target", "param", "state", "carry"};
    std::string out = fmt::format("{} {}", kKinds[static_cast<int>(d.kind)], d.name.text);
    if (d.type) out += ": " + text(*d.type);
    return d.init ? out + " = " + text(d.init) : out;
  }
  std::string operator()(const Assign& a) const {
    return a.name.text + (a.type ? ": " + text(*a.type) : "") + " = " + text_of(a.value);
  }
  std::string operator()(const Update& u) const { return u.name.text + " <- " + text_of(u.value); }
  std::string operator()(const Result& r) const {
    static constexpr const char* kKinds[] = {"", "metric ", "output "};
    return kKinds[static_cast<int>(r.kind)] + r.name.text +
           (r.value ? " = " + text_of(r.value) : "");
  }
  std::string operator()(const Watch& w) const {
    std::string out = "watch ";
    for (std::size_t k = 0; k < w.names.size(); ++k) out += (k ? ", " : "") + w.names[k].text;
    return out;
  }
  std::string operator()(const Yield& y) const {
    std::string out = "yield ";
    for (std::size_t k = 0; k < y.values.size(); ++k) out += (k ? ", " : "") + text(y.values[k]);
    return out;
  }
  std::string operator()(const For& f) const {
    return fmt::format("for {} in {} {}", f.variable.text, text_of(f.iterable),
                       text(f.body, depth));
  }
  std::string operator()(const ExprStmt& e) const { return text_of(e.value); }
  std::string operator()(const Split& s) const { return s.name.text + " " + text(s.body, depth); }

  std::string text_of(const ExprPtr& e) const {
    return e ? std::visit(ExprText{depth}, e->node) : "?";  // it had a syntax error
  }
};

std::string text(const Block& b, int depth) {
  std::string out = "{\n";
  for (const Stmt& s : b.stmts)
    out += std::string(static_cast<std::size_t>(2 * (depth + 1)), ' ') +
           std::visit(StmtText{depth + 1}, s.node) + "\n";
  return out + std::string(static_cast<std::size_t>(2 * depth), ' ') + "}";
}

std::string text(const std::vector<Param>& params) {
  std::string out = "(";
  for (const Param& p : params) {
    if (&p != params.data()) out += ", ";
    out += p.name.text;
    if (p.type) out += ": " + text(*p.type);
    if (p.default_value) out += " = " + text(p.default_value);
  }
  return out + ")";
}

struct ItemText {
  std::string operator()(const Import& i) const { return "import " + quoted(i.path); }
  std::string operator()(const Const& c) const {
    return fmt::format("const {} = {}", c.name.text, c.value ? text(c.value) : "?");
  }
  std::string operator()(const Callable& c) const {
    static constexpr const char* kKinds[] = {"fn", "layer", "optimizer"};
    return fmt::format("{} {}{}{}{} {}", kKinds[static_cast<int>(c.kind)], c.name.text,
                       c.has_config ? text(c.config) : "", text(c.tensors),
                       c.result ? " -> " + text(*c.result) : "", text(c.body, 0));
  }
  std::string operator()(const Data& d) const {
    return fmt::format("data {} {}", d.name.text, text(d.body, 0));
  }
  std::string operator()(const Model& m) const {
    return fmt::format("model {}{} {}", m.name.text, m.config.empty() ? "" : text(m.config),
                       text(m.body, 0));
  }
  std::string operator()(const Train& t) const {
    return fmt::format("train {}{} {}", t.model.text, t.data ? " on " + t.data->text : "",
                       text(t.body, 0));
  }
};

}  // namespace

std::string print(const File& file) {
  std::string out;
  for (const Item& item : file.items) out += std::visit(ItemText{}, item.node) + "\n";
  return out;
}

}  // namespace dlc
