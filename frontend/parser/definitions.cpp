// Definitions, and the entries of parser.h.
#include <set>

#include "frontend/parser.h"
#include "frontend/parser/parser_impl.h"

namespace dlc {

namespace parsing {

// params: "(" list( name [ ":" type ] [ "=" expr ] ) ")"
std::vector<Param> Parser::parameters() {
  std::vector<Param> params;
  std::set<std::string> names;
  if (!is(Tok::LParen))
    fail(Diag::syntax, here(), fmt::format("a list of parameters is expected, not {}", found()),
         "`(x, axis = 1)`");
  int h = 0;
  in_brackets("a list of parameters", [&] {
    Param p;
    p.name = name("a parameter");
    if (!names.insert(p.name.text).second)
      report(Diag::duplicate_parameter, p.name.span,
             fmt::format("the parameter `{}` is named twice", p.name.text));
    if (take(Tok::Colon)) p.type = type(h);
    if (take(Tok::Assign)) p.default_value = expression().expr;
    params.push_back(std::move(p));
  });
  return params;
}

// callable: name params [ params ] [ "->" type ] ( "=" expr | block )
Callable Parser::callable(CallableKind kind, const char* what) {
  Callable c;
  c.kind = kind;
  c.name = name(what);
  c.tensors = parameters();
  if (is(Tok::LParen)) {
    c.has_config = true;
    c.config = std::move(c.tensors);
    c.tensors = parameters();
  }
  int h = 0;
  if (take(Tok::Arrow)) c.result = type(h);
  if (is(Tok::Assign)) {
    ++at_;
    const std::uint32_t first = at_;
    Parsed v = expression();
    Stmt s;
    s.span = since(first);
    c.body.span = s.span;
    s.node = ExprStmt{std::move(v.expr)};
    c.body.stmts.push_back(std::move(s));
  } else {
    c.body = block(what, h);
  }
  return c;
}

// definition: "import" string | "const" name "=" expr | "fn" callable
//           | ( "layer" | "optimizer" ) callable | "data" name block | "model" name [ params ]
//           block | "train" name [ "on" name ] block
// A misspelt first word is read as what it is near to.
Item Parser::item() {
  const std::uint32_t first = at_;
  Item i;
  const std::string doc = doc_at(first);
  std::string word(is(Tok::Name) ? text(first) : "");
  if (peek(1) == Tok::Name && !token(at_ + 1).newline_before && !is_definition_word(word)) {
    const std::string near =
        nearest(word, {"import", "const", "fn", "layer", "optimizer", "data", "model", "train"});
    if (!near.empty()) {
      report(Diag::unknown_definition, here(),
             fmt::format("a definition is expected, not {}", found()),
             fmt::format("did you mean `{}`?", near));
      word = near;
    }
  }
  int h = 0;
  const auto starts = [&](Tok t, std::string_view w) {
    if (!is(t) && word != w) return false;
    ++at_;
    return true;
  };
  if (starts(Tok::Import, "import")) {
    if (!is(Tok::String))
      fail(Diag::syntax, here(),
           fmt::format("the path of a file in quotes is expected, not {}", found()),
           "`import \"data.dl\"`");
    const std::uint32_t k = at_++;
    i.node = Import{string_value(text(k)), span_of(k)};
  } else if (starts(Tok::Const, "const")) {
    Name n = name("a const");
    if (is(Tok::Colon))
      fail(Diag::syntax, here(), "a const has no type", fmt::format("`const {} = ...`", n.text));
    if (!take(Tok::Assign)) {
      const bool valued = begins_operand(at_) && !token(at_).newline_before;
      fail(valued ? Diag::missing_equals : Diag::missing_value, after_previous(),
           valued ? fmt::format("`=` is missing after `{}`", n.text)
                  : fmt::format("the value of the const `{}` is missing", n.text),
           fmt::format("write `const {} = {}`", n.text, valued ? rest_of_line(at_) : "..."));
    }
    i.node = Const{std::move(n), value(h), doc};
  } else if (starts(Tok::Fn, "fn")) {
    Callable c = callable(CallableKind::Fn, "a function");
    c.doc = doc;
    i.node = std::move(c);
  } else if (word == "layer" || word == "optimizer") {
    const bool layer = word == "layer";
    ++at_;
    Callable c = callable(layer ? CallableKind::Layer : CallableKind::Optimizer,
                          layer ? "a layer" : "an optimizer");
    c.doc = doc;
    i.node = std::move(c);
  } else if (word == "data") {
    ++at_;
    Name n = name("a data block");
    without_value_ = true;
    Block b = block("a data block", h);
    i.node = Data{std::move(n), std::move(b), doc};
  } else if (word == "model") {
    ++at_;
    Model m;
    m.name = name("a model");
    if (is(Tok::LParen)) m.config = parameters();
    without_value_ = true;
    m.body = block("a model", h);
    m.doc = doc;
    i.node = std::move(m);
  } else if (word == "train") {
    Train t = train();
    t.doc = doc;
    i.node = std::move(t);
  } else {
    no_definition();
  }
  end_of_statement(nullptr);
  take(Tok::Semicolon);
  i.span = since(first);
  return i;
}

// train: "train" name [ "on" name ] block
Train Parser::train() {
  ++at_;
  Train t;
  t.model = name("the model to train");
  if (is_word("on")) {
    ++at_;
    if (is(Tok::LBrace))
      fail(Diag::expected_name, after_previous(), "the name of the data is missing after `on`",
           fmt::format("`train {} on data {{ ... }}`", t.model.text));
    t.data = name("the data");
  }
  int h = 0;
  without_value_ = true;
  t.body = block("a train block", h);
  return t;
}

/// A definition with a mistake still defines its name.
std::optional<Item> Parser::broken_item(std::uint32_t first) const {
  const bool named = token(first + 1).kind == Tok::Name;
  if (!named || (token(first).kind != Tok::Name && token(first).kind != Tok::Fn &&
                 token(first).kind != Tok::Const))
    return std::nullopt;
  const Name name{std::string(text(first + 1)), span_of(first + 1)};
  Item i;
  i.span = name.span;
  const std::string_view word = text(first);
  if (word == "model" || word == "data") {
    Block b;
    b.span = name.span;
    b.damaged = true;
    if (word == "model")
      i.node = Model{name, {}, std::move(b), {}};
    else
      i.node = Data{name, std::move(b), {}};
  } else if (word == "fn" || word == "const" || word == "layer" || word == "optimizer") {
    i.node = Const{name, nullptr, {}};
  } else {
    return std::nullopt;
  }
  return i;
}

std::string Parser::doc_at(std::uint32_t k) const {
  const auto doc = std::lower_bound(lexed_.docs.begin(), lexed_.docs.end(), k,
                                    [](const Doc& d, std::uint32_t at) { return d.token < at; });
  return doc != lexed_.docs.end() && doc->token == k ? doc->text : std::string();
}

// file: { definition end }
File Parser::file() {
  File f;
  f.source = source_;
  while (at_ < last() && !enough()) {
    if (token(at_).kind == Tok::Semicolon) {
      ++at_;
      continue;
    }
    const std::uint32_t first = at_;
    try {
      brackets_ = nesting_ = 0;
      without_value_ = deep_ = open_block_ = false;
      const auto next = std::upper_bound(lexed_.starts.begin(), lexed_.starts.end(), first);
      limit_ = next == lexed_.starts.end() ? last() : *next;
      f.items.push_back(item());
    } catch (const Recover&) {
      if (auto placeholder = broken_item(first)) f.items.push_back(std::move(*placeholder));
      skip_item(first);
    }
  }
  return f;
}

// The text of a `--set`: one expr.
ExprPtr Parser::only_expression() {
  try {
    brackets_ = 1;
    Parsed e = expression();
    if (peek() != Tok::End)
      fail(Diag::syntax, here(), fmt::format("one value is expected, not {} after it", found()));
    return std::move(e.expr);
  } catch (const Recover&) {
    return nullptr;
  }
}

}  // namespace parsing

ast::File parse(const Sources& sources, int source, Diagnostics& diagnostics) {
  return parsing::Parser(sources, source, diagnostics).file();
}

ast::ExprPtr parse_expression(const Sources& sources, int source, Diagnostics& diagnostics) {
  const std::size_t before = diagnostics.size();
  ast::ExprPtr e = parsing::Parser(sources, source, diagnostics).only_expression();
  return diagnostics.size() == before ? std::move(e) : nullptr;
}

}  // namespace dlc
