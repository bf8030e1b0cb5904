// Convolution as an einsum with windows (docs/convolution.md). A letter's extent is that of an axis
// it names alone; what a window reads outside of an operand is zero, and what it would write
// outside of the result is dropped.
#include <algorithm>
#include <set>

#include "ir/ops/common.h"
#include "ir/windows.h"

namespace dlc::ops {

namespace {

/// The three texts of a conv, parsed; a message where they are wrong.
struct Spec {
  AxisIndices lhs, rhs, out;
  std::map<char, Dim> extents;
};

std::optional<Spec> parse_spec(const Attrs& attrs, std::string& error) {
  Spec s;
  const std::pair<const char*, AxisIndices*> texts[] = {
      {"lhs", &s.lhs}, {"rhs", &s.rhs}, {"out", &s.out}};
  for (const auto& [key, axes] : texts) {
    const std::string* text = attr<std::string>(attrs, key);
    const auto parsed = text ? parse_axis_indices(*text) : std::nullopt;
    if (!parsed) {
      error =
          fmt::format("`{}` gives each axis as a letter or a window, as in \"nc(2h+i-1)\"", key);
      return std::nullopt;
    }
    *axes = *parsed;
  }
  return s;
}

/// Notes the extents of the axes that a letter names alone; false after a message.
bool add_extents(Spec& s, const AxisIndices& axes, const Shape& shape, std::string& error) {
  if (axes.size() != shape.size()) {
    error = fmt::format("\"{}\" does not name each axis of {}", axis_indices_str(axes),
                        Type{F32, shape}.str().substr(3));
    return false;
  }
  std::set<char> seen;
  for (std::size_t k = 0; k < axes.size(); ++k) {
    const AxisIndex& a = axes[k];
    if (!seen.insert(a.at).second || (a.is_window() && !seen.insert(a.tap).second)) {
      error = fmt::format("a letter occurs twice in \"{}\"", axis_indices_str(axes));
      return false;
    }
    if (a.is_window()) continue;
    const auto [at, fresh] = s.extents.emplace(a.at, shape[k]);
    if (!fresh && !(at->second == shape[k])) {
      error = fmt::format("the letter {} names dimensions of {} and {}", a.at, at->second.str(),
                          shape[k].str());
      return false;
    }
  }
  return true;
}

bool check_letters(const Spec& s, std::string& error) {
  std::map<char, int> uses;
  for (const AxisIndices* axes : {&s.lhs, &s.rhs, &s.out})
    for (const AxisIndex& a : *axes) {
      ++uses[a.at];
      if (a.is_window()) ++uses[a.tap];
    }
  for (const auto& [letter, count] : uses) {
    if (count < 2)
      error = fmt::format("the letter {} occurs once only; sum that axis first", letter);
    else if (!s.extents.contains(letter))
      error = fmt::format("no axis is named by the letter {} alone", letter);
    if (!error.empty()) return false;
  }
  return true;
}

Inferred infer_conv(Operands o, const Attrs& attrs) {
  if (o.size() != 2) return wrong("2 operands expected, {} given", o.size());
  if (o[0].element != o[1].element || !is_float(o[0].element))
    return wrong("the operands are {} and {}; floats of one type are expected", o[0].str(),
                 o[1].str());
  const Shape* shape = attr<Shape>(attrs, "shape");
  std::string error;
  auto spec = parse_spec(attrs, error);
  if (!spec) return wrong("{}", error);
  if (!shape || !shape_is_sane(*shape, error))
    return wrong("`shape` gives the extents of the result{}", error.empty() ? "" : ": " + error);
  if (!add_extents(*spec, spec->lhs, o[0].shape, error) ||
      !add_extents(*spec, spec->rhs, o[1].shape, error) ||
      !add_extents(*spec, spec->out, *shape, error) || !check_letters(*spec, error))
    return wrong("{}", error);
  return ok({accumulator_type(o[0].element), *shape});
}

/// The gradient with respect to the operand of type `type` whose axes are `wanted`.
Value gradient_of(GraphBuilder& b, Value dy, Value other, const std::string& out,
                  const std::string& other_axes, const std::string& wanted, const Type& type) {
  const Value wide = b.convert(other, b.type(dy).element);
  const Value d =
      b.node(Op::conv, {dy, wide},
             {{"lhs", out}, {"rhs", other_axes}, {"out", wanted}, {"shape", Shape(type.shape)}});
  return b.convert(d, type.element);
}

/// Where one tensor is in the loops over all letters.
struct Place {
  const AxisIndices& axes;
  const Extents& shape;
  const std::map<char, std::size_t>& number;  // of a letter

  /// -1 outside.
  std::int64_t offset(const Extents& letters) const {
    std::int64_t at = 0;
    for (std::size_t k = 0; k < axes.size(); ++k) {
      const AxisIndex& a = axes[k];
      std::int64_t i = a.step * letters[number.at(a.at)];
      if (a.is_window()) i += a.dilation * letters[number.at(a.tap)] + a.offset;
      if (i < 0 || i >= shape[k]) return -1;
      at = at * shape[k] + i;
    }
    return at;
  }
};

Literal evaluate_conv(const Node& n, Literals o, const Type& r) {
  std::string error;
  Spec s = *parse_spec(n.attrs, error);
  Literal result = literal_of(r);
  const auto shape_of = [](const Extents& e) { return Shape(e.begin(), e.end()); };
  add_extents(s, s.lhs, shape_of(o[0].shape), error);
  add_extents(s, s.rhs, shape_of(o[1].shape), error);
  add_extents(s, s.out, r.shape, error);
  std::map<char, std::size_t> number;
  Extents extents;
  for (const auto& [letter, extent] : s.extents) {
    number[letter] = extents.size();
    extents.push_back(extent.value());
  }
  const Place lhs{s.lhs, o[0].shape, number}, rhs{s.rhs, o[1].shape, number},
      out{s.out, result.shape, number};
  for_each_index(extents, [&](const Extents& letters, std::int64_t) {
    const std::int64_t a = lhs.offset(letters), b = rhs.offset(letters), c = out.offset(letters);
    if (a >= 0 && b >= 0 && c >= 0)
      result.f[static_cast<std::size_t>(c)] +=
          o[0].f[static_cast<std::size_t>(a)] * o[1].f[static_cast<std::size_t>(b)];
  });
  return result;
}

std::vector<Sample> conv_samples() {
  const Dim n = Dim::symbol("N");
  const auto spec = [](const char* lhs, const char* rhs, const char* out, Shape shape) {
    return Attrs{{"lhs", std::string(lhs)},
                 {"rhs", std::string(rhs)},
                 {"out", std::string(out)},
                 {"shape", std::move(shape)}};
  };
  std::vector<Sample> samples;
  for (const ElementType e : {F32, F64, BF16}) {
    // 3x3 of padding 1, its weight gradient, and its input gradient
    const char *x = "nc(h+i-1)(w+j-1)", *w = "ijco", *y = "nohw";
    samples.push_back({{t(e, {n, 2, 5, 4}), t(e, {3, 3, 2, 3})}, spec(x, w, y, {n, 3, 5, 4})});
    samples.push_back({{t(e, {n, 2, 5, 4}), t(e, {n, 3, 5, 4})}, spec(x, y, w, {3, 3, 2, 3})});
    samples.push_back({{t(e, {n, 3, 5, 4}), t(e, {3, 3, 2, 3})}, spec(y, w, x, {n, 2, 5, 4})});
  }
  // strides, with rows that no window reaches; back with phases of different length
  const char *strided = "nc(2h+i-1)(3w+2j)", *w = "ijco", *y = "nohw";
  samples.push_back(
      {{t(F32, {n, 2, 6, 9}), t(F32, {3, 2, 2, 3})}, spec(strided, w, y, {n, 3, 3, 3})});
  samples.push_back(
      {{t(F64, {n, 3, 3, 3}), t(F64, {3, 2, 2, 3})}, spec(y, w, strided, {n, 2, 6, 9})});
  // a stride larger than the window: phases without taps
  samples.push_back(
      {{t(F32, {n, 3, 2}), t(F32, {2, 2, 3})}, spec("nol", "kco", "nc(3l+k)", {n, 2, 6})});
  // groups, one of which has one channel; one axis, and three
  samples.push_back({{t(F64, {n, 3, 1, 7}), t(F64, {3, 3, 1, 2})},
                     spec("ngc(2l+k-1)", "kgco", "ngol", {n, 3, 2, 4})});
  samples.push_back({{t(F32, {1, 2, 3, 4, 5}), t(F32, {2, 1, 3, 2, 2})},
                     spec("nc(d+i)(h+j)(w+k-1)", "ijkco", "nodhw", {1, 2, 2, 4, 5})});
  // padding beyond the window, 1x1
  samples.push_back({{t(F32, {n, 1, 2, 2}), t(F32, {1, 1, 1, 20})},
                     spec("nc(h+i-2)(w+j-2)", w, y, {n, 20, 6, 6})});
  return samples;
}

}  // namespace

extern const OpDef conv_def{
    .name = "conv",
    .doc =
        "einsum {lhs},{rhs}->{out} into {shape}, whose axes may be windows \"(2h+i-1)\"; zero "
        "outside "
        "of an operand; floats, of bf16 or f16 in f32",
    .infer = infer_conv,
    // a conv of dy and the other operand, with the same three texts
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Node n = b.graph()[y];
      const std::string &lhs = n.str_attr("lhs"), &rhs = n.str_attr("rhs"),
                        &out = n.str_attr("out");
      const Type left = b.type(n.operands[0]), right = b.type(n.operands[1]);
      return {gradient_of(b, dy, n.operands[1], out, rhs, lhs, left),
              gradient_of(b, dy, n.operands[0], out, lhs, rhs, right)};
    }),
    .evaluate = evaluate_conv,
    .lowering = LowerNone{"expand_conv makes a contraction of it"},
    .samples = conv_samples(),
    .stack = cannot_stack,
};

}  // namespace dlc::ops
