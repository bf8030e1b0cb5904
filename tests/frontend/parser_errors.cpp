// What is reported about mistakes of syntax: one message for each, and what stands beside it is
// read.
#include <doctest/doctest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "tests/support/parse.h"

using namespace dlc;

namespace {

/// The kinds of the mistakes, in the order of the text.
std::vector<std::string> mistakes(const std::string& text) {
  Sources sources;
  Diagnostics diagnostics;
  parse(sources, sources.add("t.dl", text), diagnostics);
  std::vector<std::pair<std::uint32_t, std::string>> found;
  for (const Diagnostic& d : diagnostics.all())
    found.emplace_back(d.span.begin, std::string(diag_name(d.kind)));
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> names;
  for (auto& [at, name] : found) names.push_back(std::move(name));
  return names;
}
using Kinds = std::vector<std::string>;

}  // namespace

TEST_CASE("one mistake, one message") {
  const std::vector<std::pair<const char*, Kinds>> cases = {
      {"model m { x = f(a=1, b=2) }", {"equals_in_call", "equals_in_call"}},
      {"model m {\n  x = f(1\n  y = 2 +\n  z = 3\n}\nconst b =\n",
       {"unclosed_bracket", "expected_expression", "missing_value"}},
      {"model m {\n  x = g(a))\n  y = [1, 2)\n}\nconst b = 1",
       {"unclosed_bracket", "unclosed_bracket"}},
      {"model m {\n  x = 1\n\nconst b = 1 2", {"unclosed_bracket", "syntax"}},
      {"fn f(x) {\n  if x:\n    y = 1\n    z = 2\n  else:\n    y = 2\n  y\n}", {"syntax"}},
      {"def f(x):\n  return x\n\nclass A:\n  b = 1\n\nconst c = 1", {"foreign_keyword"}},
      {"fn f(x) {\n  return x\n}\nfn g(x) {\n  let y = x; var z = y; z\n}",
       {"foreign_keyword", "foreign_keyword", "foreign_keyword"}},
      {"fn f(x) = (a b)\nfn g(x) = [1 2]\nfn h(x) = x[1 2]", {"syntax", "syntax", "syntax"}},
      {"model m {\n  batch 10\n  loss mean(e)\n  parm w: f32[2]\n  metric mean(x)\n  x == 3\n}",
       {"missing_equals", "missing_equals", "unknown_statement", "expected_name",
        "bad_assignment"}},
      {"x = 1\ny = 2\nconst a = 3", {"unknown_definition"}},
      {"modle m { y = }\nconst a = 3", {"unknown_definition", "missing_value"}},
      {"import \"a.dl\nconst b = 1", {"unterminated_string"}},
      {"data d { x = idx(\"a.gz) }\nconst b = 1", {"unterminated_string"}},
      {"const a = 'x' && !b ** 2",
       {"foreign_quotes", "foreign_operator", "foreign_operator", "foreign_operator"}},
      {"// one\nconst a = 1 // two three\nconst b /* four */ = 2",
       {"foreign_comment", "foreign_comment", "foreign_comment"}},
      {"const a = 1..2..3\nconst b = 1 < 2 < 3 < 4", {"chained_comparison"}},
      {"fn f(x, x: flot, y: f32(2)) = x", {"duplicate_parameter", "unknown_type", "syntax"}},
      {"const a = 99999999999999999999\nconst b = 1e999\nconst c = 1__0",
       {"integer_too_large", "bad_number", "bad_number"}},
      {"const a = \"\\q\"\nconst \xC3\xA9 = \x01 1\n",
       {"bad_escape", "bad_character", "bad_character"}},
      {"const a = \xFF\xFE\xFA 1", {"invalid_utf8"}},
  };
  for (const auto& [text, kinds] : cases) {
    CAPTURE(text);
    CAPTURE(parse_text(text).errors);
    CHECK(mistakes(text) == kinds);
  }
  CHECK(mistakes(std::string("const a = 1\0) ]", 15)) == Kinds{"bad_character"});
}

TEST_CASE("what stands beside a mistake is kept") {
  const Parse p = parse_text(
      "model m {\n  a = 1\n  b = )\n  c = 3\n}\nconst = 1\ntrain m on d {\n  x = [\n  y = 2\n}\n");
  CHECK(p.tree == "model m {\n  a = 1\n  b = ?\n  c = 3\n}\ntrain m on d {\n  x = ?\n  y = 2\n}\n");
  CHECK(p.kinds.size() == 3);
}

TEST_CASE("an expression on its own") {
  Sources sources;
  const auto parsed = [&](const std::string& text) {
    Diagnostics diagnostics;
    const auto e = parse_expression(sources, sources.add("--set", text), diagnostics);
    CHECK(diagnostics.empty() == (e != nullptr));
    return e != nullptr;
  };
  CHECK(parsed("0.1 * 0.95 ^ epoch"));
  CHECK(parsed("[1,\n 2]\n"));
  CHECK(!parsed(""));
  CHECK(!parsed("1 2"));
  CHECK(!parsed("1 $"));
  CHECK(!parsed("x = 1"));
}
