#include "tests/support/check_lines.h"

#include <fmt/format.h>

#include <regex>
#include <sstream>
#include <stdexcept>

namespace {

std::string trimmed(std::string_view s) {
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\r')) s.remove_suffix(1);
  return std::string(s);
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  std::istringstream in{std::string(text)};
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// Literal text, with the parts in {{ }} taken as they are.
std::regex pattern(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    if (text.starts_with("{{")) {
      const std::size_t end = text.find("}}");
      if (end == std::string_view::npos) throw std::runtime_error("`{{` without `}}`");
      out += "(?:" + std::string(text.substr(2, end - 2)) + ")";
      text.remove_prefix(end + 2);
      continue;
    }
    if (std::string_view("^$\\.*+?()[]{}|").find(text[0]) != std::string_view::npos) out += '\\';
    out += text[0];
    text.remove_prefix(1);
  }
  return std::regex(out);
}

constexpr std::string_view kNames[] = {"CHECK", "CHECK-NEXT", "CHECK-NOT"};

}  // namespace

CheckFile parse_check_lines(std::string_view text) {
  CheckFile file;
  int number = 0;
  for (const std::string& line : lines_of(text)) {
    ++number;
    const auto after = [&](std::string_view prefix) -> const char* {
      return line.starts_with(prefix) ? line.c_str() + prefix.size() : nullptr;
    };
    if (const char* rest = after("# RUN:")) {
      std::istringstream in{trimmed(rest)};
      for (std::string pass; std::getline(in, pass, ',');) file.passes.push_back(trimmed(pass));
    }
    for (int k = 0; k < 3; ++k)
      if (const char* rest = after(fmt::format("# {}:", kNames[k])))
        file.checks.push_back({static_cast<CheckLine::Kind>(k), trimmed(rest), number});
  }
  if (file.passes.empty()) throw std::runtime_error("there is no `# RUN: pass,...` line");
  if (file.checks.empty()) throw std::runtime_error("there is no `# CHECK: text` line");
  return file;
}

std::string failed_check(const CheckFile& file, const std::string& output) {
  const std::vector<std::string> lines = lines_of(output);
  std::size_t at = 0;  // the first line not looked at yet
  std::vector<const CheckLine*> forbidden;
  const auto failure = [&](const CheckLine& c, std::string_view why) {
    return fmt::format("line {}: {}: {}\n{}, from output line {} on, in\n{}", c.line,
                       kNames[c.kind], c.text, why, at + 1, output);
  };
  const auto hit = [&](const CheckLine& c, std::size_t line) {
    return std::regex_search(lines[line], pattern(c.text));
  };
  const auto forbidden_hit = [&](std::size_t end) -> std::string {
    for (const CheckLine* c : forbidden)
      for (std::size_t line = at; line < end; ++line)
        if (hit(*c, line)) return failure(*c, fmt::format("found in `{}`", trimmed(lines[line])));
    forbidden.clear();
    return {};
  };
  for (const CheckLine& c : file.checks) {
    if (c.kind == CheckLine::Not) {
      forbidden.push_back(&c);
      continue;
    }
    std::size_t line = at;
    while (line < lines.size() && !hit(c, line) && c.kind != CheckLine::Next) ++line;
    if (line >= lines.size() || !hit(c, line)) return failure(c, "not found");
    if (std::string bad = forbidden_hit(line); !bad.empty()) return bad;
    at = line + 1;
  }
  return forbidden_hit(lines.size());
}
