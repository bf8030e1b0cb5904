// What is said about mistakes, and where parsing goes on after one.
#include <map>

#include "frontend/parser/parser_impl.h"

namespace dlc::parsing {

namespace {

/// Words that begin a statement.
const std::vector<std::string> kStatementWords = {"input", "target", "param",  "state", "carry",
                                                  "loss",  "metric", "output", "watch", "yield"};

bool is_type_word(std::string_view word) {
  static const std::vector<std::string_view> kForeign = {"float", "double",  "int",    "long",
                                                         "auto",  "float32", "float64"};
  return parse_element_type(word) ||
         std::find(kForeign.begin(), kForeign.end(), word) != kForeign.end();
}

}  // namespace

// ---- What stands where ----

/// From token k on, for an example of how to write it.
std::string_view Parser::rest_of_line(std::uint32_t k) const {
  const std::uint32_t first = k;
  while (k + 1 < limit_ && !token(k + 1).newline_before && token(k + 1).kind != Tok::Semicolon) ++k;
  const std::string_view rest = sources_.text(join(span_of(first), span_of(k)));
  return rest.size() > 40 ? text(first) : rest;
}

/// True when token k can only be the beginning of another value. Brackets and `-` are not among
/// them: they may also go on with the value before.
bool Parser::begins_operand(std::uint32_t k) const {
  if (k >= limit_) return false;
  const Tok t = token(k).kind;
  return t == Tok::Name || t == Tok::Int || t == Tok::Float || t == Tok::String || t == Tok::True ||
         t == Tok::False;
}

/// `x =`, `x <-`, `param w`: what stands at the beginning of a line and nowhere in an expression.
bool Parser::begins_statement(std::uint32_t k) const {
  if (k + 1 >= limit_ || token(k).kind != Tok::Name) return false;
  const Tok next = token(k + 1).kind;
  if (next == Tok::Assign || next == Tok::Update) return true;
  return next == Tok::Name && !token(k + 1).newline_before &&
         std::find(kStatementWords.begin(), kStatementWords.end(), text(k)) !=
             kStatementWords.end();
}

/// Bytes of blanks before the first token of the line of token k.
int Parser::indent_of(std::uint32_t k) const {
  while (k > 0 && !token(k).newline_before) --k;
  const std::size_t begin = token(k).begin;
  const std::size_t newline = begin == 0 ? std::string::npos : text_.find_last_of('\n', begin - 1);
  return static_cast<int>(begin - (newline == std::string::npos ? 0 : newline + 1));
}

// ---- Brackets ----

/// The `{` that is meant when the one at `open` has no partner: brackets are matched from the
/// inside, so the `}` that is missing inside was taken from outside, where it is indented less.
std::uint32_t Parser::misindented(std::uint32_t open) const {
  constexpr std::uint32_t kFar = 20000;  // tokens: this is only a better guess
  const std::uint32_t end = std::min(limit_, open + kFar);
  std::uint32_t line = open;  // the first token of the line
  std::map<std::uint32_t, std::uint32_t> line_of;
  for (std::uint32_t k = open + 1; k < end; ++k) {
    if (token(k).newline_before) line = k;
    if (token(k).kind == Tok::LBrace) line_of[k] = line;
    if (token(k).kind != Tok::RBrace || line != k || token(k).match >= end) continue;
    const auto opened = line_of.find(token(k).match);
    if (opened != line_of.end() && opened->second != open &&
        indent_of(opened->second) > indent_of(k))
      return opened->first;
  }
  return open;
}

Parser::Open Parser::open(const char* what) {
  const std::uint32_t at = at_++;
  const std::uint32_t close = token(at).match;
  if (close < limit_) return {at, close};
  const bool block = token(at).kind == Tok::LBrace;
  // Inside a block without end nothing is sure about the other brackets.
  if (open_block_) throw Recover{};
  open_block_ = block;
  const std::uint32_t meant = block ? misindented(at) : at;
  std::vector<Label> labels;
  std::string hint = "every bracket needs its partner inside the definition";
  if (meant != at) {
    labels.push_back({span_of(token(meant).match), "this `}` is indented like an outer one"});
    hint = "add a `}`";
  }
  report(Diag::unclosed_bracket, span_of(meant),
         meant == at ? fmt::format("this `{}` of {} is never closed", text(at), what)
                     : "this `{` is never closed",
         hint, std::move(labels));
  // The statements of a block can be read without its end.
  if (block) return {at, limit_};
  throw Recover{};
}

bool Parser::separated(const Open& o) {
  if (at_ >= o.close) return false;
  if (take(Tok::Comma)) return true;
  if (!begins_operand(at_)) return false;
  const Tok before = token(at_ - 1).kind;
  const bool literal = !is(Tok::Name);
  fail(Diag::syntax, after_previous(), fmt::format("`,` is missing before {}", found()),
       before == Tok::Int && !literal
           ? fmt::format("a product is written `{} * {}`", text(at_ - 1), text(at_))
       : before == Tok::Name && literal && token(o.at).kind == Tok::LParen
           ? fmt::format("an argument by name is written `{}: {}`", text(at_ - 1), text(at_))
           : "");
}

void Parser::close(const Open& o) {
  if (at_ == o.close) {
    ++at_;
    return;
  }
  foreign_condition();
  const bool round = token(o.at).kind == Tok::LParen;
  if (is(Tok::Assign))
    fail(Diag::assignment_in_condition, here(), "`=` binds a name; a comparison is `==`",
         "write `==`");
  if (is(Tok::Update))
    fail(Diag::syntax, here(), "`<-` replaces a state, in a statement of its own",
         "a comparison with a negative number needs a space: `x < -1`");
  if (is(Tok::For))
    fail(Diag::syntax, here(), "`for` is a statement and gives no value",
         "start from `xs = []` and add to it: `for x in list { xs = xs + [x] }`");
  fail(Diag::syntax, here(), fmt::format("`{}` or `,` is expected, not {}", text(o.close), found()),
       (is(Tok::RParen) || is(Tok::RBracket)) && round != is(Tok::RParen)
           ? fmt::format("`{}` is closed by `{}`", text(o.at), text(o.close))
           : "");
}

void Parser::no_block(const char* what) {
  const Span at = here();
  const std::string name(what);
  if (is(Tok::Colon)) {
    skip_indented();
    fail(Diag::syntax, at, "blocks are in braces",
         name == "an `if`"     ? "`if condition { ... } else { ... }`"
         : name == "a `for`"   ? "`for i in 0..4 { ... }`"
         : name == "an `else`" ? "`else { ... }`"
                               : "put `{` in place of `:`, and `}` behind the last line");
  }
  std::string hint;
  if (is_word("then"))
    hint = "there is no `then`: `if condition { a } else { b }`";
  else if (name == "a train block" && token(at_).kind != Tok::End && !token(at_).newline_before)
    hint = "the data follow `on`: `train model on data { ... }`";
  else if (name == "a function" || name == "a layer" || name == "an optimizer")
    hint = "a definition ends with `= value` or a block `{ ... }`";
  const bool new_line = at_ < limit_ && token(at_).newline_before;
  fail(Diag::syntax, new_line ? after_previous() : at,
       fmt::format("the block of {} in braces is expected, not {}", what,
                   new_line ? "the end of the line" : found()),
       hint);
}

// ---- Statements ----

/// Statements of other languages, with what to write instead.
void Parser::foreign_statement() {
  if (!is(Tok::Name) || peek(1) == Tok::Assign || peek(1) == Tok::Update || peek(1) == Tok::Colon)
    return;
  static const std::map<std::string_view, const char*> foreign = {
      {"return", "the last line of a block is its value"},
      {"let", "a name is bound by `x = ...` alone"},
      {"var", "a name is bound by `x = ...` alone"},
      {"while",
       "`for i in 0..n { }` loops while compiling; at run time `scan (along 100; x = x0, while: x "
       "> 1) { }`"},
      {"def", "functions are defined by `fn f(x) = ...`"},
      {"class", "layers own parameters: `layer name(settings)(x) { ... }`"},
      {"elif", "write `else if`, behind the `}` of the block before"},
      {"from", "a file is imported as a whole: `import \"file.dl\"`"},
      {"print", "`watch x` shows a value in every step"}};
  const auto at = foreign.find(text(at_));
  if (at == foreign.end()) return;
  const bool call = text(at_) == "print";
  const bool alone = token(at_ + 1).newline_before || at_ + 1 >= limit_;
  // Otherwise it is a name of the user's: `var(x)`, `class |> f`, `from` on a line of its own.
  if (peek(1) == Tok::LParen ? !call : !begins_operand(at_ + 1) && text(at_) != "return") return;
  const std::string message = fmt::format("`{}` is not a statement of this language", text(at_));
  // After some of them the rest of the line means what it seems to.
  const bool goes_on = text(at_) == "return" || text(at_) == "let" || text(at_) == "var";
  if (!goes_on || alone) {
    const Span span = span_of(at_);
    const std::string_view word = text(at_);
    if (word == "def" || word == "class" || word == "elif" || word == "while") skip_indented();
    fail(Diag::foreign_keyword, span, message, at->second);
  }
  report(Diag::foreign_keyword, span_of(at_), message, at->second);
  ++at_;
}

/// Two words on one line: `parm w: f32[2]`, `float x = 3`, `learning rate = 0.1`.
void Parser::misspelt_statement() {
  if (!is(Tok::Name) || peek(1) != Tok::Name || token(at_ + 1).newline_before) return;
  const std::string word(text(at_));
  if (std::find(kStatementWords.begin(), kStatementWords.end(), word) != kStatementWords.end())
    return;
  const std::string second(text(at_ + 1));
  if (is_type_word(word)) {
    report(Diag::foreign_keyword, span_of(at_), "a type does not stand before a name",
           fmt::format("write `{0} = ...`, or `{0}: {1}[...] = ...`", second,
                       parse_element_type(word) ? word : "f32"));
    ++at_;
    return;
  }
  const std::string near = nearest(word, kStatementWords);
  if (!near.empty())
    fail(Diag::unknown_statement, span_of(at_), fmt::format("unknown statement `{}`", word),
         fmt::format("did you mean `{}`?", near));
  if (peek(2) == Tok::Assign || peek(2) == Tok::Update)
    fail(Diag::syntax, span_of(at_ + 1), fmt::format("two names stand before `{}`", text(at_ + 2)),
         fmt::format("a name is one word: `{}_{}`", word, second));
}

void Parser::nested_definition() {
  const bool defines = (is(Tok::Fn) || is(Tok::Const) || is(Tok::Import) ||
                        (is(Tok::Name) && is_definition_word(text(at_)))) &&
                       (peek(1) == Tok::Name || peek(1) == Tok::String) &&
                       !token(at_ + 1).newline_before;
  if (!defines) return;
  fail(Diag::expected_expression, span_of(at_),
       fmt::format("`{}` begins a definition, which stands at the top of a file", text(at_)),
       "move it out of this block; or a `}` is missing before it");
}

/// Conditions as in Python and C, behind a value.
void Parser::foreign_condition() {
  if (is(Tok::If) && !on_new_line())
    fail(Diag::syntax, here(), "the condition comes first",
         "write `if condition { a } else { b }`");
  if (is(Tok::Question))
    fail(Diag::syntax, here(), "there is no operator `?`",
         "write `if condition { a } else { b }`, or `where(condition, a, b)` for tensors");
}

/// `batch == 10` where no value is wanted, so that `=` must be meant.
void Parser::check_comparison(Stmt& s) {
  auto* e = std::get_if<ExprStmt>(&s.node);
  auto* equal = e ? std::get_if<Binary>(&e->value->node) : nullptr;
  auto* left = equal && equal->op == "==" ? std::get_if<NameRef>(&equal->lhs->node) : nullptr;
  if (!left) return;
  report(Diag::bad_assignment, equal->op_span, "`==` compares; a name is bound with `=`",
         fmt::format("write `{} = {}`", left->name, sources_.text(equal->rhs->span)));
  Assign a{Name{left->name, equal->lhs->span}, {}, std::move(equal->rhs)};
  s.node = std::move(a);
}

/// Demands that a statement (or a definition, then `s` is null) ends here.
void Parser::end_of_statement(const Stmt* s) {
  while ((is(Tok::RParen) || is(Tok::RBracket)) && token(at_).match == Token::kNoMatch) {
    const std::string_view closer = text(at_);
    report(Diag::unclosed_bracket, here(), fmt::format("this `{}` closes nothing", closer),
           fmt::format("remove it, or add its `{}`", closer == ")" ? "(" : "["));
    ++at_;
  }
  if (statement_ends()) return;
  const auto* expression = s ? std::get_if<ExprStmt>(&s->node) : nullptr;
  if (is(Tok::Assign)) {
    if (s && std::holds_alternative<Assign>(s->node))
      fail(Diag::bad_assignment, here(), "a second `=` in one statement",
           "bind each name on a line of its own; a comparison is `==`");
    if (!expression)
      fail(Diag::bad_assignment, here(), "only a name can be bound with `=`",
           "a comparison is `==`");
    fail(Diag::bad_assignment, here(), "only a name can be bound with `=`",
         std::holds_alternative<Call>(expression->value->node)
             ? "a function is defined at the top of the file: `fn f(x) = ...`"
             : "elements cannot be assigned: make a new value, for instance with `where` or "
               "`concat`");
  }
  if (is(Tok::Comma) && expression && std::holds_alternative<NameRef>(expression->value->node))
    fail(Diag::bad_assignment, here(), "one statement binds one name",
         "a list is taken apart by its indices: `a = pair[0]`");
  foreign_condition();
  // `x = 1 // the learning rate`: the first words were taken for a divisor.
  for (std::uint32_t k = at_; k-- > 0 && !token(k + 1).newline_before;)
    if (token(k).kind == Tok::SlashSlash)
      fail(Diag::foreign_comment, span_of(k), "`//` is integer division, not a comment",
           "comments begin with `#`");
  if (token(at_ - 1).kind == Tok::Int && is(Tok::Name))
    fail(Diag::syntax, here(), fmt::format("an operator is missing before {}", found()),
         fmt::format("a product is written `{} * {}`", text(at_ - 1), text(at_)));
  fail(Diag::syntax, here(), fmt::format("the end of the line is expected, not {}", found()),
       is(Tok::Update) ? "`<-` replaces a state, whose name stands alone before it"
                       : "a statement ends with its line or with `;`");
}

/// At a token that begins no value.
void Parser::no_operand() {
  const Tok before = at_ == 0 ? Tok::End : token(at_ - 1).kind;
  const bool after_operator = operator_of(before).level > 0 || before == Tok::Not;
  // The end of a line is shown where it is, not at the beginning of the next.
  const bool line_end = after_operator && (at_ >= limit_ || token(at_).newline_before);
  std::string hint;
  if (is(Tok::Assign))
    hint = "`==` compares";
  else if (is(Tok::Plus))
    hint = "a number without sign is positive";
  else if (is(Tok::Else))
    hint = "`else` follows the `}` of an `if`";
  else if (is(Tok::Comma))
    hint = "between two commas stands a value";
  else if (is(Tok::For))
    hint = "`for` is a statement and gives no value";
  else if (is(Tok::Not))
    hint = "put brackets around it: `(not x)`";
  fail(Diag::expected_expression, line_end ? after_previous() : here(),
       after_operator ? fmt::format("a value is expected after `{}`, not {}", text(at_ - 1),
                                    line_end ? "the end of the line" : found())
                      : fmt::format("a value is expected, not {}", found()),
       hint);
}

// ---- Where to go on ----

/// Past a block that is written by indentation, and its `else` parts.
void Parser::skip_indented() {
  const int indent = indent_of(at_);
  while (at_ < limit_) {
    ++at_;
    if (at_ >= limit_ || !token(at_).newline_before || indent_of(at_) > indent) continue;
    if (!is(Tok::Else) && !is_word("elif")) return;
  }
}

/// Goes on at the first line or `;` behind the mistake that is not inside brackets.
void Parser::skip_statement(std::uint32_t first, std::uint32_t end) {
  const std::uint32_t mistake = at_;
  at_ = first;
  while (at_ < end) {
    const Token& t = token(at_);
    if (at_ > first && at_ >= mistake &&
        (t.kind == Tok::Semicolon || (t.newline_before && operator_of(t.kind).level == 0)))
      return;
    at_ = t.match < end && t.match > at_ ? t.match + 1 : at_ + 1;
  }
  at_ = end;
}

/// The name that a statement with a mistake would have bound: later uses are not mistakes as well.
std::optional<Name> Parser::bound_name(std::uint32_t k) const {
  const auto word = [&](std::uint32_t at) { return token(at).kind == Tok::Name; };
  const auto binds = [&](std::uint32_t at) {
    const Tok t = token(at).kind;
    return t == Tok::Assign || t == Tok::Colon || t == Tok::Update;
  };
  if (word(k) && word(k + 1) && !token(k + 1).newline_before)
    ++k;  // param w ..., metric m ..., let x ...
  const Token& next = token(k + 1);
  const bool call = next.kind == Tok::LParen && next.match < limit_ &&
                    token(next.match + 1).kind == Tok::Assign;  // f(x) = ...
  if (!word(k) || (!call && !binds(k + 1))) return std::nullopt;
  return Name{std::string(text(k)), span_of(k)};
}

void Parser::skip_item(std::uint32_t first) {
  const auto next = std::upper_bound(lexed_.starts.begin(), lexed_.starts.end(),
                                     std::max(first, at_ > first ? at_ - 1 : first));
  at_ = next == lexed_.starts.end() ? last() : *next;
}

/// At the top of a file, where no definition begins.
void Parser::no_definition() {
  foreign_statement();
  const std::string message = fmt::format("a definition is expected, not {}", found());
  if (is(Tok::RBrace)) {
    report(Diag::unclosed_bracket, here(), "this `}` closes nothing",
           "remove it, or look for one too many before it");
    throw Recover{};
  }
  if (is(Tok::Name) && peek(1) == Tok::Assign)
    fail(Diag::unknown_definition, here(), message,
         fmt::format("a value for the whole file is written `const {} = ...`", text(at_)));
  if (is(Tok::Name) &&
      std::find(kStatementWords.begin(), kStatementWords.end(), text(at_)) != kStatementWords.end())
    fail(Diag::unknown_definition, here(), message,
         "statements stand inside `model name { ... }` or another definition");
  fail(Diag::unknown_definition, here(), message,
       "at the top of a file stand import, const, fn, layer, optimizer, data, model and train");
}

}  // namespace dlc::parsing
