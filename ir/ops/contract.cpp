// The one contraction: an einsum over two operands.
#include <algorithm>
#include <set>

#include "ir/ops/common.h"

namespace dlc::ops {

namespace {

/// Every letter's extent; a message when the letters do not fit.
std::optional<std::map<char, Dim>> letter_extents(Operands o, const Attrs& attrs,
                                                  std::string& error) {
  const std::string *lhs = attr<std::string>(attrs, "lhs"), *rhs = attr<std::string>(attrs, "rhs"),
                    *out = attr<std::string>(attrs, "out");
  if (!lhs || !rhs || !out)
    return error = "the attributes `lhs`, `rhs` and `out` are needed", std::nullopt;
  std::map<char, Dim> extents;
  for (int k = 0; k < 2; ++k) {
    const std::string& letters = k == 0 ? *lhs : *rhs;
    const Shape& shape = o[static_cast<std::size_t>(k)].shape;
    if (letters.size() != shape.size() ||
        std::set<char>(letters.begin(), letters.end()).size() != letters.size())
      return error = fmt::format("\"{}\" does not name each axis of {} once", letters,
                                 o[static_cast<std::size_t>(k)].str()),
             std::nullopt;
    for (std::size_t a = 0; a < letters.size(); ++a) {
      const auto [at, fresh] = extents.emplace(letters[a], shape[a]);
      if (!fresh && !(at->second == shape[a]))
        return error = fmt::format("{} and {} are summed over dimensions of {} and {}", o[0].str(),
                                   o[1].str(), at->second.str(), shape[a].str()),
               std::nullopt;
    }
  }
  if (std::set<char>(out->begin(), out->end()).size() != out->size())
    return error = "a letter occurs twice in the result", std::nullopt;
  for (const char ch : *out)
    if (!extents.contains(ch))
      return error = fmt::format("the letter {} of the result is in no operand", ch), std::nullopt;
  for (const auto& [ch, extent] : extents) {
    const int uses = (lhs->find(ch) != std::string::npos) + (rhs->find(ch) != std::string::npos) +
                     (out->find(ch) != std::string::npos);
    if (uses < 2)
      return error = fmt::format("the letter {} occurs once only; sum that axis first", ch),
             std::nullopt;
  }
  return extents;
}

/// Letters of `wanted` that neither other operand has carry no information: their gradient is a
/// broadcast. With each letter in at least two of the three places that never happens.
Value gradient_of(GraphBuilder& b, Value dy, Value other, const std::string& out,
                  const std::string& other_letters, const std::string& wanted) {
  const ElementType element = b.type(other).element;
  const Value wide = b.convert(other, b.type(dy).element);
  return b.convert(b.contract(dy, wide, out, other_letters, wanted), element);
}

}  // namespace

extern const OpDef contract_def{
    .name = "contract",
    .doc =
        "einsum {lhs},{rhs}->{out}: the sum of products over the letters that `out` lacks; floats; "
        "of "
        "bf16 or f16 in f32, which the result is, too",
    .infer = [](Operands o, const Attrs& attrs) -> Inferred {
      if (o.size() != 2) return wrong("2 operands expected, {} given", o.size());
      if (o[0].element != o[1].element || !is_float(o[0].element))
        return wrong("the operands are {} and {}; floats of one type are expected", o[0].str(),
                     o[1].str());
      std::string error;
      const auto extents = letter_extents(o, attrs, error);
      if (!extents) return wrong("{}", error);
      Shape shape;
      for (const char ch : *attr<std::string>(attrs, "out")) shape.push_back(extents->at(ch));
      if (!shape_is_sane(shape, error)) return wrong("{}", error);
      return ok({accumulator_type(o[0].element), shape});
    },
    // da = contract(dy, b) onto a's letters, db = contract(dy, a) onto b's letters; in dy's type,
    // then converted to the operand's
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Node n = b.graph()[y];
      const std::string &lhs = n.str_attr("lhs"), &rhs = n.str_attr("rhs"),
                        &out = n.str_attr("out");
      return {gradient_of(b, dy, n.operands[1], out, rhs, lhs),
              gradient_of(b, dy, n.operands[0], out, lhs, rhs)};
    }),
    .evaluate =
        [](const Node& n, Literals o, const Type& r) {
          const std::string &lhs = n.str_attr("lhs"), &rhs = n.str_attr("rhs"),
                            &out = n.str_attr("out");
          std::string summed;
          for (const char ch : lhs)
            if (out.find(ch) == std::string::npos) summed += ch;
          std::map<char, std::int64_t> extents;
          for (std::size_t k = 0; k < lhs.size(); ++k) extents[lhs[k]] = o[0].shape[k];
          for (std::size_t k = 0; k < rhs.size(); ++k) extents[rhs[k]] = o[1].shape[k];
          const auto strides_for = [&](const std::string& letters, const Literal& l,
                                       const std::string& over) {
            const Extents strides = row_major_strides(l.shape);
            Extents result;
            for (const char ch : over) {
              const std::size_t at = letters.find(ch);
              result.push_back(at == std::string::npos ? 0 : strides[at]);
            }
            return result;
          };
          const auto sum_shape = [&] {
            Extents e;
            for (const char ch : summed) e.push_back(extents[ch]);
            return e;
          }();
          const Extents a_out = strides_for(lhs, o[0], out), b_out = strides_for(rhs, o[1], out);
          const Extents a_sum = strides_for(lhs, o[0], summed),
                        b_sum = strides_for(rhs, o[1], summed);
          // The summed places once, so that the inner loop is plain.
          std::vector<std::pair<std::int64_t, std::int64_t>> places;
          for_each_index(sum_shape, [&](const Extents& i, std::int64_t) {
            std::int64_t a = 0, b = 0;
            for (std::size_t k = 0; k < i.size(); ++k) a += i[k] * a_sum[k], b += i[k] * b_sum[k];
            places.emplace_back(a, b);
          });
          Literal result = literal_of(r);
          for_each_index(result.shape, [&](const Extents& i, std::int64_t at) {
            std::int64_t a = 0, b = 0;
            for (std::size_t k = 0; k < i.size(); ++k) a += i[k] * a_out[k], b += i[k] * b_out[k];
            double sum = 0;
            for (const auto& [pa, pb] : places)
              sum += o[0].f[static_cast<std::size_t>(a + pa)] *
                     o[1].f[static_cast<std::size_t>(b + pb)];
            result.f[static_cast<std::size_t>(at)] = sum;
          });
          return result;
        },
    .lowering = LowerContract{},
    .samples =
        [] {
          const Dim n = Dim::symbol("N");
          const auto letters = [](const char* lhs, const char* rhs, const char* out) {
            return Attrs{
                {"lhs", std::string(lhs)}, {"rhs", std::string(rhs)}, {"out", std::string(out)}};
          };
          std::vector<Sample> samples;
          for (const ElementType e : {F32, F64, BF16, F16}) {
            samples.push_back({{t(e, {n, 5}), t(e, {5, 19})}, letters("nk", "km", "nm")});
            samples.push_back({{t(e, {n, 5}), t(e, {n, 3})}, letters("nk", "nm", "km")});
            samples.push_back({{t(e, {n, 4}), t(e, {6, 4})}, letters("nm", "km", "nk")});
            samples.push_back({{t(e, {7}), t(e, {7})}, letters("k", "k", "")});
            samples.push_back({{t(e, {7}), t(e, {3})}, letters("a", "b", "ab")});
            samples.push_back({{t(e, {2, 3, 4}), t(e, {2, 4, 5})}, letters("bij", "bjk", "bik")});
            samples.push_back({{t(e, {3, 4}), t(e, {4})}, letters("ij", "j", "i")});
            samples.push_back({{t(e, {3, 4}), t(e, {3, 4})}, letters("ij", "ij", "")});
            samples.push_back({{t(e, {3, 4}), t(e, {5, 3})}, letters("kn", "mk", "nm")});
          }
          return samples;
        }(),
};

}  // namespace dlc::ops
