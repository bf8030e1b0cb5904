#include "ir/support/diagnostics.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ir/support/check.h"

namespace dlc {

namespace {

constexpr std::string_view kNames[] = {
#define DLC_DIAGNOSTIC(id, doc) #id,
#include "ir/support/diagnostics.def"
#undef DLC_DIAGNOSTIC
};

bool is_continuation(char ch) { return (static_cast<unsigned char>(ch) & 0xC0) == 0x80; }

/// Bytes of a line made safe for a terminal: tabs to two spaces, control characters to `?`.
/// `columns[k]` is the display column of byte k.
struct DisplayLine {
  std::string text;
  std::vector<int> columns;
};
DisplayLine display(std::string_view line) {
  DisplayLine d;
  int column = 0;
  for (const char ch : line) {
    d.columns.push_back(is_continuation(ch) ? std::max(0, column - 1) : column);
    if (ch == '\t') {
      d.text += "  ";
      column += 2;
    } else if (static_cast<unsigned char>(ch) < 0x20 || ch == 0x7F) {
      d.text += '?';
      ++column;
    } else {
      d.text += ch;
      if (!is_continuation(ch)) ++column;
    }
  }
  d.columns.push_back(column);
  return d;
}

constexpr std::size_t kMaxLine = 160;

/// The source line of `span` with carets under it (or under its part on the first line).
std::string excerpt(const Sources& sources, Span span, char mark, std::string_view label,
                    bool color) {
  const std::string& text = sources.text(span.source);
  const std::size_t begin = std::min<std::size_t>(span.begin, text.size());
  std::size_t first = begin;
  while (first > 0 && text[first - 1] != '\n') --first;
  std::size_t last = begin;
  while (last < text.size() && text[last] != '\n' && text[last] != '\r') ++last;
  std::size_t end = std::clamp<std::size_t>(span.end, begin, last);
  // A very long line is shown around the mark only.
  std::size_t from = first, to = last;
  if (to - from > kMaxLine) {
    from = begin > first + kMaxLine / 3 ? begin - kMaxLine / 3 : first;
    while (from > first && is_continuation(text[from])) --from;
    to = std::min(last, from + kMaxLine);
    end = std::min(end, to);
  }
  const DisplayLine line = display(std::string_view(text).substr(from, to - from));
  const int start_column = line.columns[begin - from];
  const int width = std::max(1, line.columns[end - from] - start_column);
  const std::string number = std::to_string(sources.loc(span).line);
  const std::string margin(std::max<std::size_t>(number.size(), 4), ' ');
  std::string out = fmt::format("{:>{}} | {}{}{}\n", number, margin.size(),
                                from > first ? "..." : "", line.text, to < last ? "..." : "");
  out +=
      fmt::format("{} | {}{}{}{}{}{}\n", margin,
                  std::string(static_cast<std::size_t>(start_column) + (from > first ? 3 : 0), ' '),
                  color ? "\033[1;31m" : "", std::string(static_cast<std::size_t>(width), mark),
                  color ? "\033[0m" : "", label.empty() ? "" : " ", label);
  return out;
}

std::string render_one(const Diagnostic& d, const Sources& sources, bool color) {
  std::string out;
  if (d.span.known()) {
    const Loc loc = sources.loc(d.span);
    out += fmt::format("{}:{}:{}: ", loc.file(), loc.line, loc.column);
  }
  out += fmt::format("{}error:{} {} [{}]\n", color ? "\033[1;31m" : "", color ? "\033[0m" : "",
                     d.message, diag_name(d.kind));
  if (d.span.known()) out += excerpt(sources, d.span, '^', "", color);
  for (const Label& l : d.labels) {
    if (!l.span.known()) continue;
    if (!d.span.known() || l.span.source != d.span.source)
      out += fmt::format("  in {}:\n", sources.name(l.span.source));
    out += excerpt(sources, l.span, '-', l.text, color);
  }
  for (const std::string& n : d.notes) out += fmt::format("  note: {}\n", n);
  if (!d.hint.empty()) out += fmt::format("  hint: {}\n", d.hint);
  return out;
}

}  // namespace

std::string_view diag_name(Diag d) { return kNames[static_cast<std::size_t>(d)]; }

Span join(Span a, Span b) {
  if (!a.known()) return b;
  if (!b.known() || a.source != b.source) return a;
  return {a.source, std::min(a.begin, b.begin), std::max(a.end, b.end)};
}

int Sources::add(std::string name, std::string text) {
  File f{std::move(name), std::move(text), {0}};
  for (std::size_t k = 0; k < f.text.size(); ++k)
    if (f.text[k] == '\n') f.line_starts.push_back(static_cast<std::uint32_t>(k + 1));
  files_.push_back(std::move(f));
  return static_cast<int>(files_.size() - 1);
}

std::string_view Sources::text(Span s) const {
  return std::string_view(files_.at(static_cast<std::size_t>(s.source)).text)
      .substr(s.begin, s.end - s.begin);
}

Loc Sources::loc(Span s) const {
  if (!s.known()) return {};
  const File& f = files_.at(static_cast<std::size_t>(s.source));
  const auto at = std::upper_bound(f.line_starts.begin(), f.line_starts.end(), s.begin) - 1;
  return {f.name, static_cast<int>(at - f.line_starts.begin()) + 1,
          static_cast<int>(s.begin - *at) + 1};
}

std::string_view Sources::line(const Loc& loc) const {
  for (const File& f : files_) {
    const auto index = static_cast<std::size_t>(loc.line - 1);
    if (f.name != loc.file() || index >= f.line_starts.size()) continue;
    std::string_view text = std::string_view(f.text).substr(f.line_starts[index]);
    text = text.substr(0, text.find('\n'));
    const std::size_t first = text.find_first_not_of(" \t\r");
    if (first == text.npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r") + 1 - first);
  }
  return {};
}

void Diagnostics::report(Diagnostic d) {
  if (all_.size() >= kLimit) return;
  for (const Diagnostic& other : all_)
    if (other.kind == d.kind && other.span == d.span && other.message == d.message) return;
  all_.push_back(std::move(d));
}

std::string Diagnostics::render(const Sources& sources, bool color) const {
  std::vector<const Diagnostic*> order;
  for (const Diagnostic& d : all_) order.push_back(&d);
  std::stable_sort(order.begin(), order.end(), [](const Diagnostic* a, const Diagnostic* b) {
    return std::pair(a->span.source, a->span.begin) < std::pair(b->span.source, b->span.begin);
  });
  std::string out;
  for (const Diagnostic* d : order) out += render_one(*d, sources, color) + "\n";
  out += all_.size() >= kLimit
             ? fmt::format("{} errors shown; there may be more\n", kLimit)
             : fmt::format("{} error{}\n", all_.size(), all_.size() == 1 ? "" : "s");
  return out;
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  // Damerau-Levenshtein distance (with transposed neighbours), at most a third of the word's
  // length.
  const auto distance = [](std::string_view a, std::string_view b) {
    std::vector<std::vector<int>> d(a.size() + 1, std::vector<int>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = static_cast<int>(i);
    for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = static_cast<int>(j);
    for (std::size_t i = 1; i <= a.size(); ++i)
      for (std::size_t j = 1; j <= b.size(); ++j) {
        d[i][j] =
            std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
          d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    return d[a.size()][b.size()];
  };
  if (word.size() > 64) return {};
  std::string best;
  int best_distance = std::max(1, static_cast<int>(word.size()) / 3) + 1;
  for (const std::string& c : candidates) {
    if (c == word || c.size() > 64) continue;
    const int d = distance(word, c);
    if (d < best_distance && d < static_cast<int>(std::max(word.size(), c.size()))) {
      best = c;
      best_distance = d;
    }
  }
  return best;
}

}  // namespace dlc
