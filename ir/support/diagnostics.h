#pragma once
// Mistakes of the user in a source file: collected (never thrown), then rendered with the source
// line and carets under the exact spans. Every kind is one line of diagnostics.def.
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "ir/support/loc.h"

namespace dlc {

enum class Diag : std::uint16_t {
#define DLC_DIAGNOSTIC(id, doc) id,
#include "ir/support/diagnostics.def"
#undef DLC_DIAGNOSTIC
};
std::string_view diag_name(Diag d);  // "unknown_name"

/// Bytes [begin, end) of one source.
struct Span {
  int source = -1;
  std::uint32_t begin = 0, end = 0;
  bool known() const { return source >= 0; }
  bool operator==(const Span&) const = default;
};
/// The smallest span that covers both (of one source).
Span join(Span a, Span b);

/// The texts of all files read in a run. References stay valid as sources are added.
class Sources {
 public:
  int add(std::string name, std::string text);                  // returns the source id
  int size() const { return static_cast<int>(files_.size()); }  // ids are below it
  const std::string& name(int source) const { return files_.at(source).name; }
  const std::string& text(int source) const { return files_.at(source).text; }
  std::string_view text(Span s) const;
  Loc loc(Span s) const;  // of its first byte
  /// The line of `loc` without the space around it; empty where no file has its name.
  std::string_view line(const Loc& loc) const;

 private:
  struct File {
    std::string name, text;
    std::vector<std::uint32_t> line_starts;
  };
  std::deque<File> files_;
};

/// "where N was bound": a second span with a few words, shown with its own source line.
struct Label {
  Span span;
  std::string text;
};
struct Diagnostic {
  Diag kind;
  Span span;            // the primary span; unknown for mistakes outside any source
  std::string message;  // one sentence, lower case, no full stop: "unknown name `reul`"
  std::vector<Label> labels;
  std::vector<std::string> notes;  // facts: both shapes with their names
  std::string hint;                // what to do: "did you mean `relu`?"
};

class Diagnostics {
 public:
  /// Keeps the first `kLimit` and drops exact repetitions (same kind, span and message).
  void report(Diagnostic d);
  bool empty() const { return all_.empty(); }
  std::size_t size() const { return all_.size(); }
  const std::vector<Diagnostic>& all() const { return all_; }
  /// In source order, each: `file:line:col: error: message [kind]`, the source line, carets,
  /// labels, notes, hint; then "N errors". Tabs and wide characters keep carets aligned; long lines
  /// are cut.
  std::string render(const Sources& sources, bool color) const;

  static constexpr std::size_t kLimit = 50;

 private:
  std::vector<Diagnostic> all_;
};

/// The candidate nearest to `word` in edit distance when it is near enough to be a likely
/// misspelling, else empty.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace dlc
