#pragma once
// Element types, symbolic dimensions, shapes and tensor types. All are immutable values.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dlc {

enum class ElementType : std::uint8_t { F32, F64, BF16, F16, I32, I64, U8, Bool };

std::string_view name(ElementType t);                             // "f32" ... "bool"
std::optional<ElementType> parse_element_type(std::string_view);  // the inverse
int size_in_bytes(ElementType t);
bool is_float(ElementType t);
bool is_integer(ElementType t);  // i32 i64 u8, not bool
bool is_16_bit_float(ElementType t);
/// What sums of products of floats of type `t` are kept in: f32 for 16-bit floats, else `t`.
ElementType accumulator_type(ElementType t);

/// A dimension: a polynomial with integer coefficients over symbols that are bound at run time
/// (`N`, `2*N`, `N*T+1`). Constants hold no terms. Canonical: equal polynomials compare equal.
class Dim {
 public:
  Dim(std::int64_t constant = 0) : constant_(constant) {}  // NOLINT: implicit by intent
  static Dim symbol(std::string name);

  bool is_constant() const { return terms_ == nullptr; }
  std::int64_t constant() const { return constant_; }  // the constant term
  /// The value of a constant dimension; an InternalError otherwise.
  std::int64_t value() const;
  /// The value under a binding of every symbol; an InternalError when one is missing.
  std::int64_t evaluate(const std::map<std::string, std::int64_t>& symbols) const;
  /// The value with every symbol at `extent`: where sizes are compared that cannot be compared for
  /// all values.
  std::int64_t typical(std::int64_t extent = 256) const;
  std::vector<std::string> symbols() const;  // sorted, unique

  Dim operator+(const Dim& o) const;
  Dim operator-(const Dim& o) const;
  Dim operator*(const Dim& o) const;
  /// Exact quotient by an integer or a single-term polynomial; nullopt when it does not divide.
  std::optional<Dim> exact_div(const Dim& o) const;
  /// True when this >= o for all values >= 1 of the symbols (sound, not complete).
  bool provably_ge(const Dim& o) const;
  bool operator==(const Dim& o) const {
    return constant_ == o.constant_ &&
           (terms_ == o.terms_ || (terms_ && o.terms_ && *terms_ == *o.terms_));
  }

  std::string str() const;  // "784", "N", "2*N+1"; parse_dim reads it back

  /// A monomial: the sorted symbols with repetition, e.g. {"N","T"}; never empty in terms().
  using Monomial = std::vector<std::string>;
  using Terms = std::map<Monomial, std::int64_t>;  // no zero coefficients
  const Terms& terms() const;

 private:
  Dim(std::int64_t constant, Terms terms)
      : constant_(constant),
        terms_(terms.empty() ? nullptr : std::make_shared<const Terms>(std::move(terms))) {}

  std::int64_t constant_ = 0;
  std::shared_ptr<const Terms> terms_;  // none: a constant; copies share them
};

std::optional<Dim> parse_dim(std::string_view text);

using Shape = std::vector<Dim>;
Dim element_count(const Shape& s);  // 1 for a scalar

struct Type {
  ElementType element = ElementType::F32;
  Shape shape;
  /// Not empty: of an operation with several results (scan), which `part` takes apart.
  std::vector<Type> parts = {};

  int rank() const { return static_cast<int>(shape.size()); }
  bool operator==(const Type&) const = default;
  std::string str() const;  // "f32[N, 784]", "f32[]" for a scalar, "(f32[N], i32[])" for parts
};

}  // namespace dlc
