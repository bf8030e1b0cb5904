#include "ir/windows.h"

#include <fmt/format.h>

#include <cctype>

namespace dlc {

namespace {

constexpr std::int64_t kMost = std::int64_t{1} << 40;

/// One text, read from the left.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  bool done() const { return at_ == text_.size(); }
  bool eat(char c) {
    if (done() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::optional<char> letter() {
    if (done() || !std::isalpha(static_cast<unsigned char>(text_[at_]))) return std::nullopt;
    return text_[at_++];
  }
  std::optional<std::int64_t> number() {
    const std::size_t begin = at_;
    std::int64_t value = 0;
    while (!done() && std::isdigit(static_cast<unsigned char>(text_[at_])) && value <= kMost)
      value = 10 * value + (text_[at_++] - '0');
    if (at_ == begin || value > kMost) return std::nullopt;
    return value;
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

/// step at + dilation tap [+-] offset, the parenthesis being open.
std::optional<AxisIndex> parse_window(Reader& r) {
  AxisIndex a{};
  a.step = r.number().value_or(1);
  const auto at = r.letter();
  if (!at || !r.eat('+')) return std::nullopt;
  a.dilation = r.number().value_or(1);
  const auto tap = r.letter();
  if (!tap || a.step < 1 || a.dilation < 1) return std::nullopt;
  a.at = *at;
  a.tap = *tap;
  if (const bool minus = r.eat('-'); minus || r.eat('+')) {
    const auto offset = r.number();
    if (!offset) return std::nullopt;
    a.offset = minus ? -*offset : *offset;
  }
  if (!r.eat(')')) return std::nullopt;
  return a;
}

}  // namespace

std::optional<AxisIndices> parse_axis_indices(std::string_view text) {
  AxisIndices axes;
  for (Reader r(text); !r.done();) {
    if (r.eat('(')) {
      const auto window = parse_window(r);
      if (!window) return std::nullopt;
      axes.push_back(*window);
    } else if (const auto letter = r.letter()) {
      axes.push_back({*letter});
    } else {
      return std::nullopt;
    }
  }
  return axes;
}

std::string axis_indices_str(const AxisIndices& axes) {
  const auto factor = [](std::int64_t f) { return f == 1 ? std::string() : fmt::format("{}", f); };
  std::string text;
  for (const AxisIndex& a : axes) {
    if (!a.is_window()) {
      text += a.at;
      continue;
    }
    text += fmt::format("({}{}+{}{}", factor(a.step), a.at, factor(a.dilation), a.tap);
    if (a.offset != 0) text += fmt::format("{:+}", a.offset);
    text += ')';
  }
  return text;
}

void note_extents(const AxisIndices& axes, const Shape& shape, std::map<char, Dim>& extents) {
  for (std::size_t k = 0; k < axes.size(); ++k)
    if (!axes[k].is_window()) extents.insert_or_assign(axes[k].at, shape.at(k));
}

std::string at_letters(const AxisIndices& axes) {
  std::string letters;
  for (const AxisIndex& a : axes) letters += a.at;
  return letters;
}

}  // namespace dlc
