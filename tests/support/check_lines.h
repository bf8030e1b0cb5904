#pragma once
// Expectations written as comments in a test file:
//
//   # RUN: simplify,dce       the passes, in order
//   # CHECK: text             some line after the last match holds it
//   # CHECK-NEXT: text        the very next line does
//   # CHECK-NOT: text         no line up to the next match (or the end) does
//
// {{...}} in a text is a regular expression. Everything else is literal.
#include <string>
#include <string_view>
#include <vector>

struct CheckLine {
  enum Kind { Check, Next, Not } kind;
  std::string text;
  int line;  // in the file
};
struct CheckFile {
  std::vector<std::string> passes;
  std::vector<CheckLine> checks;
};
/// Throws std::runtime_error on a file without RUN or without CHECK lines.
CheckFile parse_check_lines(std::string_view text);
/// Empty when `output` is as expected; else the check line that failed and where the search began.
std::string failed_check(const CheckFile& file, const std::string& output);
