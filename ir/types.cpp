#include "ir/types.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "ir/support/check.h"

namespace dlc {

namespace {

struct ElementInfo {
  std::string_view name;
  int bytes;
};
constexpr ElementInfo kElements[] = {{"f32", 4}, {"f64", 8}, {"bf16", 2}, {"f16", 2},
                                     {"i32", 4}, {"i64", 8}, {"u8", 1},   {"bool", 1}};

const ElementInfo& info(ElementType t) { return kElements[static_cast<std::size_t>(t)]; }

}  // namespace

std::string_view name(ElementType t) { return info(t).name; }

std::optional<ElementType> parse_element_type(std::string_view text) {
  for (std::size_t k = 0; k < std::size(kElements); ++k)
    if (kElements[k].name == text) return static_cast<ElementType>(k);
  return std::nullopt;
}

int size_in_bytes(ElementType t) { return info(t).bytes; }
bool is_float(ElementType t) { return t <= ElementType::F16; }
bool is_integer(ElementType t) {
  return t == ElementType::I32 || t == ElementType::I64 || t == ElementType::U8;
}
bool is_16_bit_float(ElementType t) { return t == ElementType::BF16 || t == ElementType::F16; }
ElementType accumulator_type(ElementType t) { return is_16_bit_float(t) ? ElementType::F32 : t; }

namespace {

/// Coefficients wrap rather than overflow: text may hold any number, and shape checks reject the
/// large ones (ops/common.cpp).
std::int64_t add(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}
std::int64_t multiply(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
}

}  // namespace

Dim Dim::symbol(std::string name) { return {0, Terms{{Monomial{std::move(name)}, 1}}}; }

const Dim::Terms& Dim::terms() const {
  static const Terms none;
  return terms_ ? *terms_ : none;
}

std::int64_t Dim::value() const {
  DLC_CHECK(is_constant(), "the dimension {} has no constant value", str());
  return constant_;
}

std::int64_t Dim::evaluate(const std::map<std::string, std::int64_t>& symbols) const {
  std::int64_t sum = constant_;
  for (const auto& [monomial, coefficient] : terms()) {
    std::int64_t product = coefficient;
    for (const std::string& s : monomial) {
      const auto at = symbols.find(s);
      DLC_CHECK(at != symbols.end(), "the dimension {} has no value for {}", str(), s);
      product *= at->second;
    }
    sum += product;
  }
  return sum;
}

std::int64_t Dim::typical(std::int64_t extent) const {
  std::int64_t sum = constant_;
  for (const auto& [monomial, coefficient] : terms()) {
    std::int64_t product = coefficient;
    for (std::size_t k = 0; k < monomial.size(); ++k) product *= extent;
    sum += product;
  }
  return sum;
}

std::vector<std::string> Dim::symbols() const {
  std::vector<std::string> names;
  for (const auto& [monomial, coefficient] : terms())
    names.insert(names.end(), monomial.begin(), monomial.end());
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Dim Dim::operator+(const Dim& o) const {
  const std::int64_t constant = add(constant_, o.constant_);
  if (o.is_constant()) {
    Dim r = *this;
    r.constant_ = constant;
    return r;
  }
  Terms sum_of = terms();
  for (const auto& [monomial, coefficient] : o.terms()) {
    std::int64_t& sum = sum_of[monomial];
    sum = add(sum, coefficient);
    if (sum == 0) sum_of.erase(monomial);
  }
  return {constant, std::move(sum_of)};
}

Dim Dim::operator-(const Dim& o) const { return *this + o * Dim(-1); }

Dim Dim::operator*(const Dim& o) const {
  if (is_constant() && o.is_constant()) return Dim(multiply(constant_, o.constant_));
  if (o == Dim(1)) return *this;
  std::int64_t constant = 0;
  Terms result;
  const auto add_term = [&](const Monomial& a, const Monomial& b, std::int64_t coefficient) {
    if (coefficient == 0) return;
    Monomial product = a;
    product.insert(product.end(), b.begin(), b.end());
    std::sort(product.begin(), product.end());
    if (product.empty()) {
      constant = add(constant, coefficient);
      return;
    }
    std::int64_t& sum = result[product];
    sum = add(sum, coefficient);
    if (sum == 0) result.erase(product);
  };
  add_term({}, {}, multiply(constant_, o.constant_));
  for (const auto& [m, c] : terms()) add_term(m, {}, multiply(c, o.constant_));
  for (const auto& [m, c] : o.terms()) add_term(m, {}, multiply(c, constant_));
  for (const auto& [m, c] : terms())
    for (const auto& [n, d] : o.terms()) add_term(m, n, multiply(c, d));
  return {constant, std::move(result)};
}

std::optional<Dim> Dim::exact_div(const Dim& o) const {
  // The divisor is one monomial (possibly empty) with a coefficient.
  if (o.terms().size() + (o.constant_ != 0 ? 1 : 0) != 1) {
    if (*this == o && !(o == Dim(0))) return Dim(1);
    return std::nullopt;
  }
  const Monomial divisor = o.is_constant() ? Monomial{} : o.terms().begin()->first;
  const std::int64_t by = o.is_constant() ? o.constant_ : o.terms().begin()->second;
  std::int64_t constant = 0;
  Terms result;
  const auto divide = [&](const Monomial& m, std::int64_t coefficient) {
    if (coefficient % by != 0) return false;
    Monomial rest = m;
    for (const std::string& s : divisor) {
      const auto at = std::find(rest.begin(), rest.end(), s);
      if (at == rest.end()) return false;
      rest.erase(at);
    }
    if (rest.empty())
      constant += coefficient / by;
    else
      result[rest] += coefficient / by;
    return true;
  };
  if (constant_ != 0 && !divide({}, constant_)) return std::nullopt;
  for (const auto& [m, c] : terms())
    if (!divide(m, c)) return std::nullopt;
  return Dim(constant, std::move(result));
}

bool Dim::provably_ge(const Dim& o) const {
  // With every symbol >= 1 each monomial is >= 1, so non-negative coefficients and a non-negative
  // sum of all coefficients suffice.
  const Dim difference = *this - o;
  std::int64_t sum = difference.constant_;
  for (const auto& [m, c] : difference.terms()) {
    if (c < 0) return false;
    sum = add(sum, c);
  }
  return sum >= 0;
}

std::string Dim::str() const {
  std::string out;
  for (const auto& [monomial, coefficient] : terms()) {
    if (!out.empty() && coefficient > 0) out += '+';
    if (coefficient == -1)
      out += '-';
    else if (coefficient != 1)
      out += std::to_string(coefficient) + "*";
    for (std::size_t k = 0; k < monomial.size(); ++k) out += (k ? "*" : "") + monomial[k];
  }
  if (out.empty()) return std::to_string(constant_);
  if (constant_ > 0) out += '+';
  if (constant_ != 0) out += std::to_string(constant_);
  return out;
}

// dim = ["-"] term { ("+" | "-") term };  term = factor { "*" factor };  factor = integer | name
std::optional<Dim> parse_dim(std::string_view text) {
  std::size_t at = 0;
  const auto factor = [&]() -> std::optional<Dim> {
    const std::size_t start = at;
    if (at < text.size() && std::isdigit(static_cast<unsigned char>(text[at]))) {
      std::int64_t v = 0;
      const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), v);
      if (error != std::errc()) return std::nullopt;
      at = static_cast<std::size_t>(end - text.data());
      return Dim(v);
    }
    const auto is_name = [&](char ch) {
      return std::isalnum(static_cast<unsigned char>(ch)) || ch == '_' || ch == '.';
    };
    while (at < text.size() && is_name(text[at])) ++at;
    if (at == start) return std::nullopt;
    return Dim::symbol(std::string(text.substr(start, at - start)));
  };
  Dim sum;
  bool first = true;
  while (first || at < text.size()) {
    std::int64_t sign = 1;
    if (at < text.size() && (text[at] == '-' || (text[at] == '+' && !first)))
      sign = text[at++] == '-' ? -1 : 1;
    else if (!first)
      return std::nullopt;
    Dim product = sign;
    do {
      const std::optional<Dim> f = factor();
      if (!f) return std::nullopt;
      product = product * *f;
    } while (at < text.size() && text[at] == '*' && ++at);
    sum = sum + product;
    first = false;
  }
  return sum;
}

Dim element_count(const Shape& s) {
  Dim n = 1;
  for (const Dim& d : s) n = n * d;
  return n;
}

std::string Type::str() const {
  if (!parts.empty()) {
    std::string out = "(";
    for (const Type& t : parts) out += (&t == parts.data() ? "" : ", ") + t.str();
    return out + ")";
  }
  std::string out = std::string(name(element)) + "[";
  for (std::size_t k = 0; k < shape.size(); ++k) out += (k ? ", " : "") + shape[k].str();
  return out + "]";
}

}  // namespace dlc
