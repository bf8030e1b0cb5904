// Contractions of every form (tiles along the last axis or another one, dot products, plain loops),
// at sizes around the tiles', in both types and vector widths: the values are the interpreter's and
// the bits are the same however the rows are split.
#include <doctest/doctest.h>

#include <array>

#include "ir/graph/text.h"
#include "tests/support/compiled.h"
#include "tests/support/samples.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

struct Form {
  const char *lhs, *rhs, *out;  // letters; the extents are those of `sizes`
};

constexpr Form kForms[] = {
    {"nk", "km", "nm"},     // a layer
    {"nk", "nm", "km"},     // its weight gradient: the batch is summed
    {"nm", "km", "nk"},     // its input gradient: an operand is transposed
    {"kn", "km", "nm"},     // the left side read down its columns
    {"k", "k", ""},         // a dot product
    {"nk", "nk", ""},       // over two axes
    {"nk", "k", "n"},       // a matrix times a vector
    {"k", "mk", "m"},       //
    {"nk", "n", "k"},       // its gradient
    {"n", "m", "nm"},       // an outer product
    {"nk", "nk", "n"},      // row by row
    {"bnk", "bkm", "bnm"},  // batched
    {"bnk", "bmk", "bnm"},  // attention scores
    {"bnk", "bmk", "bmn"},  // transposed
    {"bnk", "km", "bnm"},   // two row axes
    {"nkb", "kbm", "nm"},   // two summed axes
    {"kbn", "mbk", "nm"},   // in odd orders
    {"nbk", "bkm", "mnb"},  // a result in an odd order
};

Dim extent(char letter, const Dim& n, const std::vector<std::int64_t>& sizes) {
  switch (letter) {
    case 'n':
      return n;
    case 'k':
      return sizes[0];
    case 'm':
      return sizes[1];
    default:
      return 2;
  }
}

Graph graph_of_form(const Form& f, ElementType e, const Dim& n,
                    const std::vector<std::int64_t>& sizes) {
  const auto type = [&](const char* letters) {
    Type t{e, {}};
    for (const char* l = letters; *l; ++l) t.shape.push_back(extent(*l, n, sizes));
    return t.str();
  };
  const ElementType sum = accumulator_type(e);
  Type result{sum, {}};
  for (const char* l = f.out; *l; ++l) result.shape.push_back(extent(*l, n, sizes));
  const std::string out = result.str();
  const std::string shape = out.substr(out.find('[') + 1, out.find(']') - out.find('[') - 1);
  return graph_of(fmt::format(
      "graph g {{ %size: u8[N] = input input %a: {} = input input %b: {} = input input "
      "%c: {} = contract %a, %b {{lhs = \"{}\", rhs = \"{}\", out = \"{}\"}} "
      "%one: {}[] = constant 1.0 %ones: {} = broadcast %one {{shape = ({}), dims = []}} "
      "%d: {} = add %c, %ones output output \"c\" = %c output output \"d\" = %d }}",
      type(f.lhs), type(f.rhs), out, f.lhs, f.rhs, f.out, name(sum), out, shape, out));
}

void check(const Form& f, ElementType e, const Dim& n, const std::vector<std::int64_t>& sizes,
           int vector_bits) {
  const Graph g = graph_of_form(f, e, n, sizes);
  const std::string text = print(g);
  CAPTURE(text);
  const Compiled c(g, vector_bits);
  const std::vector<int> batches = n.is_constant() ? std::vector{3} : std::vector{1, 7, 37};
  for (const int batch : batches) {
    CAPTURE(batch);
    CHECK(compiled_distance(c, sample_values(g, -1, 1, batch, 5)) <=
          (e == ElementType::F64 ? 1e-14 : 3e-6));
  }
}

/// The first rows of `a` alone.
void keep_rows(std::map<std::string, Literal>& inputs, std::size_t rows) {
  for (const char* name : {"a", "size"}) {
    Literal& l = inputs.at(name);
    const std::size_t row = static_cast<std::size_t>(l.size() / l.shape[0]);
    l.shape[0] = static_cast<std::int64_t>(rows);
    is_float(l.element) ? l.f.resize(rows * row) : l.i.resize(rows * row);
  }
}

}  // namespace

TEST_CASE("every form of contraction, symbolic rows, sizes around the tiles") {
  const Dim n = Dim::symbol("N");
  for (const Form& f : kForms)
    for (const std::vector<std::int64_t>& sizes :
         std::vector<std::vector<std::int64_t>>{{5, 10}, {70, 33}, {64, 64}, {3, 1}})
      check(f, ElementType::F32, n, sizes, 0);
}

TEST_CASE("constant rows, f64, narrower vectors") {
  const Dim n = Dim::symbol("N");
  for (const Form& f : kForms) {
    check(f, ElementType::F32, 23, {130, 17}, 0);
    check(f, ElementType::F64, n, {37, 19}, 0);
    check(f, ElementType::F32, n, {37, 19}, 256);
  }
  check(kForms[0], ElementType::F32, n, {37, 19}, 128);
  check(kForms[4], ElementType::F64, n, {37, 19}, 128);
}

TEST_CASE("rows of a few elements side by side") {
  const Form matrix_vector{"nk", "k", "n"}, vector_matrix{"k", "mk", "m"}, layer{"nk", "km", "nm"},
      batched{"bnk", "bk", "bn"};
  for (const Form& f : {matrix_vector, vector_matrix, layer, batched})
    for (const std::int64_t k : {1, 2, 3, 4, 7, 8}) {
      check(f, ElementType::F32, Dim::symbol("N"), {k, f.out == layer.out ? 1 : 45}, 0);
      check(f, ElementType::F64, Dim::symbol("N"), {k, 1}, 256);
      check(f, ElementType::BF16, 21, {k, 1}, 128);
    }
}

TEST_CASE("few short axes of C, a long sum along memory: a grid of dot products") {
  // c[i,o,j] of a[o,n,w] and b[i,j,n,w]: the weight gradient of few channels.
  for (const char* element : {"f32", "f64"})
    for (const int width : {28, 16, 100})
      for (const auto& [i, o, j] : {std::array{5, 6, 5}, {2, 3, 7}, {1, 8, 4}}) {
        const Graph g = graph_of(fmt::format(
            "graph g {{ %a: {0}[{2}, N, {4}] = input input %b: {0}[{1}, {3}, N, {4}] = input input "
            "%c: {0}[{1}, {2}, {3}] = contract %a, %b {{lhs = \"onw\", rhs = \"ijnw\", out = "
            "\"ioj\"}} output output \"c\" = %c }}",
            element, i, o, j, width));
        const std::string text = print(g);
        CAPTURE(text);
        for (const int bits : {512, 256}) {
          const Compiled c(g, bits);
          for (const int n : {1, 9})
            CHECK(compiled_distance(c, sample_values(g, -1, 1, n, 5)) <=
                  (element == std::string("f64") ? 1e-14 : 3e-6));
        }
      }
}

TEST_CASE("a single row and a matrix that no cache keeps") {
  // One more than whole vectors; more columns than wait at once; products that four do not divide.
  for (const std::vector<std::int64_t>& sizes :
       std::vector<std::vector<std::int64_t>>{{530, 1025}, {259, 4100}, {600, 1024}})
    for (const Form& f : {Form{"k", "km", "m"}, kForms[0], Form{"kb", "bkm", "m"}})
      for (const ElementType e : {ElementType::F32, ElementType::F64, ElementType::BF16})
        for (const int bits : {512, 256}) {
          const Graph g = graph_of_form(f, e, 1, sizes);
          const Compiled c(g, bits);
          const auto inputs = sample_values(g, -1, 1, 1, 5);
          CAPTURE(bits);
          CAPTURE(name(e));
          CHECK(compiled_distance(c, inputs) <= (e == ElementType::F64 ? 1e-14 : 1e-5));
          CHECK(same_bits(c.run(inputs, 1)[1], c.run(inputs, 3)[1]));
        }
}

TEST_CASE("a few rows and such a matrix: the bits are those of many") {
  for (const int bits : {512, 256}) {
    CAPTURE(bits);
    const Graph g = graph_of_form(kForms[0], ElementType::F32, Dim::symbol("N"), {530, 1025});
    const Compiled c(g, bits);
    auto inputs = sample_values(g, -1, 1, 70, 5);
    const std::vector<Tensor> all = c.run(inputs, 1);
    for (const std::size_t rows : {7, 4, 1}) {
      keep_rows(inputs, rows);
      CHECK(same_bits(c.run(inputs, 1)[0], all[0]));
      CHECK(compiled_distance(c, inputs) <= 1e-5);
    }
  }
}

TEST_CASE("columns whose number is not known: what panels leave over, two vectors or one") {
  for (const char* rhs : {"km", "mk"}) {
    const bool turned = rhs == std::string("mk");
    const Graph g = graph_of(
        fmt::format("graph g {{ %a: f32[N, 40] = input input %b: f32[{}] = input input "
                    "%c: f32[N, N] = contract %a, %b {{lhs = \"nk\", rhs = \"{}\", out = \"nm\"}} "
                    "output output \"c\" = %c }}",
                    turned ? "N, 40" : "40, N", rhs));
    for (const int bits : {512, 256, 128}) {
      CAPTURE(bits);
      const Compiled c(g, bits);
      for (const int n : {1, 7, 8, 9, 15, 16, 17, 23, 24, 25, 40, 41, 47, 64, 100}) {
        CAPTURE(n);
        const auto inputs = sample_values(g, -1, 1, n, 5);
        CHECK(compiled_distance(c, inputs) <= 1e-5);
        CHECK(same_bits(c.run(inputs, 1)[0], c.run(inputs, 3)[0]));
      }
    }
  }
}

TEST_CASE("columns of a known number: what panels leave over goes with the last group of them") {
  // Less than a panel, a vector over, all but one; several groups, and several blocks of the sum.
  for (const auto& [k, m] : std::vector<std::pair<int, int>>{
           {300, 20}, {300, 25}, {700, 47}, {300, 170}, {1030, 104}, {70, 1570}})
    for (const Form& f : {kForms[0], Form{"nk", "nm", "km"}, Form{"nk", "mk", "nm"}})
      for (const int bits : {512, 256, 128}) {
        CAPTURE(k);
        CAPTURE(m);
        CAPTURE(f.lhs);
        CAPTURE(bits);
        const Graph g = graph_of_form(f, ElementType::F32, Dim::symbol("N"), {k, m});
        const Compiled c(g, bits);
        const auto inputs = sample_values(g, -1, 1, 131, 5);
        CHECK(compiled_distance(c, inputs) <= 1e-5);
        CHECK(same_bits(c.run(inputs, 1)[0], c.run(inputs, 3)[0]));
      }
}

TEST_CASE("rows of two indices, and epilogues that lie as the rows do, or by one index alone") {
  const char* const beside[] = {
      "%r: f32[N, T, 33] = input input",
      "%a: f32[T, 33] = input input  %r: f32[N, T, 33] = broadcast %a {dims = [1, 2], shape = (N, "
      "T, 33)}",
      "%a: f32[N, 33] = input input  %r: f32[N, T, 33] = broadcast %a {dims = [0, 2], shape = (N, "
      "T, 33)}",
      "%a: f32[T, N, 33] = input input  %r: f32[N, T, 33] = transpose %a {perm = [1, 0, 2]}",
      "%a: i32[N, T, 33] = iota {axis = 1, element = \"i32\", shape = (N, T, 33)}  %r: f32[N, T, "
      "33] = convert %a {element = \"f32\"}",
  };
  for (const char* epilogue : beside) {
    const Graph g = graph_of(fmt::format(
        "graph g {{ %x: f32[N, T, 40] = input input %w: f32[40, 33] = input param "
        "%y: f32[N, T, 33] = contract %x, %w {{lhs = \"ntk\", rhs = \"km\", out = \"ntm\"}} "
        "{} %z: f32[N, T, 33] = add %y, %r output output \"z\" = %z }}",
        epilogue));
    CAPTURE(epilogue);
    for (const int bits : {0, 512, 256}) {
      const Compiled c(g, bits);
      for (const int n : {1, 3, 30}) {
        const auto inputs = sample_values(g, -1, 1, n, 5);
        CHECK(compiled_distance(c, inputs) <= 1e-5);
        CHECK(same_bits(c.run(inputs, 1)[0], c.run(inputs, 3)[0]));
      }
    }
  }
}

TEST_CASE("16-bit operands, summed in f32") {
  const Dim n = Dim::symbol("N");
  for (const Form& f : kForms) {
    check(f, ElementType::BF16, n, {70, 33}, 0);
    check(f, ElementType::BF16, 23, {64, 64}, 0);
    check(f, ElementType::F16, n, {37, 19}, 0);
    check(f, ElementType::BF16, n, {37, 19}, 256);
  }
  check(kForms[0], ElementType::F16, n, {37, 19}, 128);
}

TEST_CASE("a row's result does not depend on the batch that it is in, nor on the threads") {
  for (const Form& f : {kForms[0], kForms[2], kForms[6]}) {
    const Graph g = graph_of_form(f, ElementType::F32, Dim::symbol("N"), {129, 70});
    auto inputs = sample_values(g, -1, 1, 601, 5);
    // Matrices are for many rows: with them the batch counts, but not the threads.
    const Compiled any(g), c(g, 512);
    const std::vector<Tensor> all = c.run(inputs, 1), of_any = any.run(inputs, 1);
    for (const int threads : {2, 3}) {
      CHECK(same_bits(all[0], c.run(inputs, threads)[0]));
      CHECK(same_bits(of_any[0], any.run(inputs, threads)[0]));
    }
    keep_rows(inputs, 5);
    const std::vector<Tensor> few = c.run(inputs, 1);
    CHECK(same_bits(few[0], all[0]));
  }
}
