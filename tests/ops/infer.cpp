// What a user can get wrong in a node is answered with a message, whatever it is: never with an
// exception or a crash.
#include <doctest/doctest.h>

#include "tests/support/samples.h"

using namespace dlc;

namespace {

std::string describe(Op op, const std::vector<Type>& operands) {
  std::string out(op_name(op));
  for (const Type& t : operands) out += " " + t.str();
  return out;
}

/// Whether it was refused.
bool refused(Op op, const std::vector<Type>& operands, const Attrs& attrs) {
  const std::string what = describe(op, operands);
  CAPTURE(what);
  Inferred r;
  CHECK_NOTHROW(r = infer_type(op, operands, attrs));
  if (r.type) return false;
  CHECK(r.error.starts_with(std::string(op_name(op)) + ": "));
  CHECK(r.error.size() > op_name(op).size() + 8);
  return true;
}

const std::vector<Attr>& odd_values() {
  using Ints = std::vector<std::int64_t>;
  static const std::vector<Attr> values = {
      std::int64_t{-1},
      std::int64_t{99},
      INT64_MAX,
      INT64_MIN,
      0.5,
      std::string(""),
      std::string("f32"),
      std::string("zz"),
      std::string("\xff"),
      Ints{},
      Ints{-1},
      Ints{0, 0},
      Ints{1, 0},
      Ints{INT64_MAX, INT64_MIN},
      Ints{0, 1, 2, 3},
      Shape{},
      Shape{0},
      Shape{-1},
      Shape{INT64_MAX},
      Shape{INT64_MAX, INT64_MAX},
      Shape{Dim::symbol("Q")},
      Shape{Dim::symbol("N") - Dim(5)},
      Shape{Dim::symbol("N") * Dim(INT64_MAX)},
      std::make_shared<const Literal>(Literal::scalar(ElementType::F32, 1)),
      std::shared_ptr<const Literal>(),
  };
  return values;
}

}  // namespace

TEST_CASE("a wrong number of operands is refused") {
  for (const Op op : all_ops())
    for (const Sample& s : op_def(op).samples) {
      CHECK(!refused(op, s.operands, s.attrs));
      std::vector<Type> fewer = s.operands, more = s.operands;
      more.push_back(s.operands.empty() ? Type{} : s.operands.back());
      if (op != Op::concat) CHECK(refused(op, more, s.attrs));
      if (fewer.empty()) continue;
      fewer.pop_back();
      if (op != Op::concat || fewer.empty()) CHECK(refused(op, fewer, s.attrs));
      CHECK(refused(op, {}, s.attrs));
    }
}

TEST_CASE("other types of operands are accepted or refused, with a message") {
  for (const Op op : all_ops()) {
    int refusals = 0, tries = 0;
    for (const Sample& s : op_def(op).samples)
      for (std::size_t k = 0; k < s.operands.size(); ++k) {
        std::vector<Type> changed = s.operands;
        const auto with = [&](Type t) {
          changed[k] = std::move(t);
          refusals += refused(op, changed, s.attrs);
          ++tries;
        };
        for (int e = 0; e <= static_cast<int>(ElementType::Bool); ++e)
          with({static_cast<ElementType>(e), s.operands[k].shape});
        const ElementType e = s.operands[k].element;
        with({e, {}});
        with({e, {0}});
        with({e, {4, 4, 4, 4, 4}});
        with({e, {Dim::symbol("Q"), Dim::symbol("Q")}});
        with({e, {INT64_MAX, INT64_MAX}});
        for (std::size_t a = 0; a < s.operands[k].shape.size(); ++a) {
          Type t = s.operands[k];
          t.shape[a] = t.shape[a] + Dim(1);
          with(t);
        }
      }
    CAPTURE(op_name(op));
    if (op != Op::convert && op != Op::stop_gradient) CHECK((refusals > 0 || tries == 0));
  }
}

TEST_CASE("missing attributes and attributes of any other value") {
  for (const Op op : all_ops())
    for (const Sample& s : op_def(op).samples)
      for (const auto& [key, value] : s.attrs) {
        CAPTURE(key);
        Attrs changed = s.attrs;
        changed.erase(key);
        CHECK(refused(op, s.operands, changed));
        int refusals = 0;
        for (const Attr& odd : odd_values()) {
          changed[key] = odd;
          refusals += refused(op, s.operands, changed);
        }
        CHECK(refusals > 0);
      }
}

TEST_CASE("operations without samples: dim, input, grad") {
  const Attrs dim{{"dim", Shape{Dim::symbol("N")}}, {"element", std::string("i64")}};
  CHECK(!refused(Op::dim, {}, dim));
  CHECK(refused(Op::dim, {Type{}}, dim));
  CHECK(refused(Op::dim, {}, {}));
  for (const Attr& odd : odd_values()) {
    Attrs changed = dim;
    changed["dim"] = odd;
    refused(Op::dim, {}, changed);
    changed = dim;
    changed["element"] = odd;
    refused(Op::dim, {}, changed);
  }
  CHECK(refused(Op::input, {}, {}));
  const Type f{ElementType::F32, {3}}, i{ElementType::I32, {3}};
  CHECK(!refused(Op::grad, {f, f}, {}));
  CHECK(refused(Op::grad, {f}, {}));
  CHECK(refused(Op::grad, {f, i}, {}));
  CHECK(refused(Op::grad, {i, f}, {}));
}

TEST_CASE("16-bit floats are not added up in place, and products are of one type") {
  const auto type = [](ElementType e, Shape shape) { return Type{e, std::move(shape)}; };
  const Attrs places{{"axis", std::int64_t{0}}, {"size", Shape{4}}};
  for (const ElementType e : {ElementType::BF16, ElementType::F16}) {
    CHECK(refused(Op::scatter_add, {type(ElementType::I32, {3}), type(e, {3})}, places));
    const Attrs dot{{"lhs", std::string("k")}, {"rhs", std::string("k")}, {"out", std::string()}};
    CHECK(refused(Op::contract, {type(e, {3}), type(ElementType::F32, {3})}, dot));
    const std::vector<Type> two{type(e, {3}), type(e, {3})};
    CHECK(infer_type(Op::contract, two, dot).type == type(ElementType::F32, {}));
  }
}
