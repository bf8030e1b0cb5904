// Convolutions and pooling of many geometries, with their gradients: compiled code against the
// interpreter, and the interpreter's gradients against finite differences.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>

#include "ir/graph/builder.h"
#include "ir/graph/text.h"
#include "ir/windows.h"
#include "tests/support/compiled.h"
#include "tests/support/finite_difference.h"
#include "tests/support/samples.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

using Ints = std::vector<std::int64_t>;

/// What slides over one axis.
struct Axis {
  std::int64_t size, kernel, stride, low, high, dilation;
  std::int64_t reach() const { return dilation * (kernel - 1) + 1; }
  std::int64_t count() const { return (size + low + high - reach()) / stride + 1; }
  bool fits() const { return size + low + high >= reach(); }
};
struct Geometry {
  std::int64_t groups, in, out;  // channels of a group
  std::vector<Axis> axes;
  int rows = 7;
};

Graph convolution(const Geometry& s, ElementType e) {
  Graph g;
  g.name = "conv";
  GraphBuilder b(g);
  AxisIndices x{{'n'}, {'g'}, {'c'}}, w, y{{'n'}, {'g'}, {'o'}};
  Shape x_shape{Dim::symbol("N"), s.groups, s.in}, w_shape,
      y_shape{Dim::symbol("N"), s.groups, s.out};
  for (std::size_t k = 0; k < s.axes.size(); ++k) {
    const Axis& a = s.axes[k];
    const char place = "hwd"[k], tap = "ijk"[k];
    x.push_back({place, tap, a.stride, a.dilation, -a.low});
    w.push_back({tap});
    y.push_back({place});
    x_shape.push_back(a.size);
    w_shape.push_back(a.kernel);
    y_shape.push_back(a.count());
  }
  for (const char letter : {'g', 'c', 'o'}) w.push_back({letter});
  w_shape.insert(w_shape.end(), {Dim(s.groups), Dim(s.in), Dim(s.out)});
  const Value xs = b.input("x", InputKind::Input, {e, x_shape}),
              ws = b.input("w", InputKind::Param, {e, w_shape}),
              v = b.input("v", InputKind::Input, {e, y_shape});
  const Value conv = b.node(Op::conv, {xs, ws},
                            {{"lhs", axis_indices_str(x)},
                             {"rhs", axis_indices_str(w)},
                             {"out", axis_indices_str(y)},
                             {"shape", y_shape}});
  b.output("y", OutputKind::Output, conv);
  Ints all;
  for (int k = 0; k < b.type(conv).rank(); ++k) all.push_back(k);
  b.output("loss", OutputKind::Loss, b.reduce(Op::reduce_sum, b.mul(conv, v), all));
  return g;
}

/// Windows of x inside a frame; their largest elements or their means.
Graph pooling(const std::vector<Axis>& axes, bool largest, ElementType e) {
  Graph g;
  g.name = "pool";
  GraphBuilder b(g);
  Shape x{Dim::symbol("N"), 3}, low{0, 0}, high{0, 0}, all{Dim::symbol("N"), 3}, result = all;
  Ints over, stride, dilation, taps;
  for (std::size_t k = 0; k < axes.size(); ++k) {
    const Axis& a = axes[k];
    x.push_back(a.size);
    low.push_back(a.low);
    high.push_back(a.high);
    all.push_back(a.count());
    over.push_back(static_cast<std::int64_t>(k) + 2);
    stride.push_back(a.stride);
    dilation.push_back(a.dilation);
    taps.push_back(static_cast<std::int64_t>(axes.size() + k) + 2);
  }
  result = all;
  for (const Axis& a : axes) all.push_back(a.kernel);
  const Value xs = b.input("x", InputKind::Input, {e, x}),
              v = b.input("v", InputKind::Input, {e, result});
  const Value framed =
      b.node(Op::pad, {xs, b.scalar(e, largest ? -10 : 0)}, {{"low", low}, {"high", high}});
  const Value windows =
      b.node(Op::window, {framed},
             {{"axes", over}, {"stride", stride}, {"dilation", dilation}, {"shape", all}});
  const Value y = b.reduce(largest ? Op::reduce_max : Op::reduce_sum, windows, taps);
  b.output("y", OutputKind::Output, y);
  Ints every;
  for (int k = 0; k < b.type(y).rank(); ++k) every.push_back(k);
  b.output("loss", OutputKind::Loss, b.reduce(Op::reduce_sum, b.mul(y, v), every));
  return g;
}

/// Compiled f32 with gradients, and finite differences in f64.
void check(const Graph& f32, const Graph& f64, int rows) {
  const std::string text = print(f32);
  CAPTURE(text);
  CAPTURE(rows);
  try {
    const Graph g = with_gradients(f32);
    CHECK(compiled_distance(g, sample_values(g, -2, 2, rows, 3), 2) <= 1e-5);
    const GradientReport r = check_gradients(f64, sample_values(f64, -2, 2, 2, 5), 4);
    CAPTURE(r.where);
    CHECK(r.worst <= 1e-6);
  } catch (const std::exception& e) {
    FAIL_CHECK(std::string(e.what()));
  }
}

void check(const Geometry& s) {
  check(convolution(s, ElementType::F32), convolution(s, ElementType::F64), s.rows);
}

}  // namespace

TEST_CASE("convolutions of named geometries") {
  const Axis plain{7, 3, 1, 1, 1, 1};
  const std::vector<Geometry> cases{
      {1, 1, 1, {{5, 3, 1, 0, 0, 1}}},                         // one channel
      {1, 3, 4, {{1, 1, 1, 0, 0, 1}, {1, 1, 1, 0, 0, 1}}, 1},  // one place, one row
      {1, 4, 20, {{6, 1, 1, 0, 0, 1}, {5, 1, 1, 0, 0, 1}}},    // 1x1
      {1, 4, 20, {{6, 1, 2, 0, 0, 1}, {5, 1, 3, 0, 0, 1}}},    // 1x1, strided
      {1, 2, 3, {{9, 2, 3, 0, 0, 1}, {8, 1, 3, 0, 0, 1}}},     // stride > kernel
      {1, 2, 3, {{4, 3, 1, 2, 2, 1}, {5, 3, 1, 2, 2, 1}}},     // pad = kernel - 1
      {1, 2, 3, {{4, 3, 1, 4, 4, 1}, {3, 2, 2, 3, 3, 1}}},     // pad > kernel - 1
      {1, 2, 3, {{5, 3, 1, 0, 2, 1}, {4, 2, 1, 1, 0, 1}}},     // asymmetric
      {1, 2, 3, {{9, 3, 1, 1, 1, 2}, {8, 2, 1, 0, 0, 3}}},     // dilated
      {1, 2, 3, {{9, 3, 2, 1, 1, 2}, {8, 3, 3, 2, 2, 2}}},     // dilated and strided
      {1, 2, 3, {{11, 3, 2, 1, 1, 4}}},                        // dilation a multiple of it
      {3, 2, 4, {plain, plain}},                               // groups
      {5, 1, 1, {plain, plain}},                               // depthwise
      {4, 1, 3, {{6, 3, 2, 1, 1, 1}, {6, 3, 2, 1, 1, 1}}},     // depthwise, multiplied
      {1, 16, 33, {plain, plain}, 1},                          // more than two vectors
      {1, 33, 16, {plain, plain}},
      {1, 8, 70, {{5, 3, 1, 1, 1, 1}, {6, 3, 1, 1, 1, 1}}},       // more than four vectors
      {1, 3, 16, {{20, 7, 2, 3, 3, 1}, {20, 7, 2, 3, 3, 1}}, 1},  // the stem of a residual net
      {1, 1, 6, {{28, 5, 1, 2, 2, 1}, {28, 5, 1, 2, 2, 1}}, 1},   // LeNet
      {1, 6, 16, {{14, 5, 1, 0, 0, 1}, {14, 5, 1, 0, 0, 1}}, 1},
      {1, 2, 8, {{3, 3, 1, 1, 1, 1}, {4, 1, 1, 0, 0, 1}, {5, 2, 2, 1, 1, 1}}},  // three axes
      {2, 2, 2, {{3, 2, 1, 0, 0, 1}, {3, 2, 1, 0, 0, 1}, {3, 2, 1, 0, 0, 1}}},
  };
  for (const Geometry& s : cases) check(s);
}

/// Kernels whose contraction leaves a frame out, in one of the two ways; and that they are right at
/// every vector width.
void check_frames(const Geometry& s, bool folded, int kernels) {
  CAPTURE(print(convolution(s, ElementType::F32)));
  for (const ElementType element : {ElementType::F32, ElementType::F64})
    for (const int bits : {0, 256, 128}) {
      const Graph g = with_gradients(convolution(s, element));
      int count = 0;
      const Compiled c(g, bits, [&](const loop::Program& p) {
        for (const loop::Kernel& k : p.kernels)
          for (const loop::Contraction& sum : k.contraction)
            count += !sum.frames.empty() && sum.folded == folded;
      });
      CHECK(count == kernels);
      const double bound = element == ElementType::F64 ? 1e-13 : 1e-5;
      CHECK(compiled_distance(c, sample_values(g, -2, 2, s.rows, 3), 2) <= bound);
    }
}

TEST_CASE("input gradients of few channels are folded") {
  const std::vector<Geometry> cases{
      {1, 6, 16, {{14, 5, 1, 0, 0, 1}, {14, 5, 1, 0, 0, 1}}},  // LeNet
      {1, 6, 16, {{6, 3, 1, 1, 1, 1}, {24, 5, 1, 0, 0, 1}}},   // places in several tiles
      {1, 6, 16, {{6, 3, 1, 1, 1, 1}, {20, 5, 1, 1, 0, 1}}},   // frames of different widths
      {1, 7, 16, {{5, 3, 1, 2, 1, 1}, {6, 3, 1, 1, 1, 1}}},    // three vectors of 8
      {1, 3, 32, {{1, 1, 1, 0, 0, 1}, {4, 4, 1, 0, 0, 1}}},    // one place
      {1, 5, 40, {{12, 6, 1, 1, 3, 1}}},                       // one axis
  };
  for (const Geometry& s : cases) {
    check(s);
    check_frames(s, true, 1);
    // Of shorter vectors a place has more, which several tiles share out.
    const Graph g = with_gradients(convolution(s, ElementType::F32));
    for (const int bits : {256, 128}) {
      CAPTURE(bits);
      CHECK(compiled_distance(Compiled(g, bits), sample_values(g, -2, 2, s.rows, 3), 3) <= 1e-5);
    }
  }
}

TEST_CASE("taps of many channels leave out the rows that they would meet a frame for") {
  const Axis three{3, 3, 1, 1, 1, 1};
  check_frames({1, 64, 64, {three, three}}, false, 2);               // forward and input gradient
  check_frames({1, 64, 80, {three, {5, 3, 1, 1, 1, 1}}}, false, 2);  // a narrower last panel
  check_frames({1, 64, 64, {{4, 3, 1, 0, 1, 1}, {3, 2, 1, 1, 0, 1}}}, false, 2);  // asymmetric
  check_frames({1, 64, 64, {{4, 3, 2, 1, 1, 1}, {4, 3, 2, 1, 1, 1}}, 3}, false,
               4);  // strided: four phases of the gradient, less one
  check_frames({1, 64, 64, {{5, 3, 1, 2, 2, 2}, {5, 3, 1, 2, 2, 2}}, 1}, false, 2);  // dilated
  check_frames({1, 96, 64, {three}, 1}, false, 2);                                   // one axis
  check_frames({1, 700, 64, {three, {1, 1, 1, 0, 0, 1}}, 2}, false, 2);  // taps in several blocks
}

TEST_CASE("gradients of whole vectors of channels, at every vector width") {
  const std::vector<Geometry> cases{
      {1, 16, 24, {{7, 3, 1, 1, 1, 1}, {6, 3, 1, 1, 1, 1}}, 9},   // parts end within a tap
      {1, 40, 72, {{9, 3, 2, 1, 1, 1}, {8, 3, 2, 1, 1, 1}}},      // and places are strided
      {1, 64, 64, {{10, 1, 2, 0, 0, 1}, {9, 1, 2, 0, 0, 1}}, 7},  // one tap
      {1, 8, 16, {{33, 5, 1, 0, 0, 1}}, 11},                      // blocks of one row's places
      {1, 512, 24, {{3, 3, 1, 1, 1, 1}, {2, 1, 1, 0, 0, 1}}, 1},  // channels half a page apart
  };
  for (const Geometry& s : cases)
    for (const ElementType element : {ElementType::F32, ElementType::F64}) {
      CAPTURE(print(convolution(s, element)));
      const Graph g = with_gradients(convolution(s, element));
      for (const int bits : {512, 256, 128})
        CHECK(compiled_distance(Compiled(g, bits), sample_values(g, -2, 2, s.rows, 3), 3) <=
              (element == ElementType::F64 ? 1e-13 : 1e-5));
    }
}

TEST_CASE("what is infinite at the edge of a folded gradient stays with its own taps") {
  const Graph g = graph_of(R"(
    graph g {
      %dy: f32[N, 16, 10] = input input
      %w: f32[5, 6, 16] = input param
      %zero: f32[] = constant 0.0
      %framed: f32[N, 16, 22] = pad %dy, %zero {high = (0, 0, 7), low = (0, 0, 5)}
      %windows: f32[N, 16, 18, 5] = window %framed {axes = [2], dilation = [1], shape = (N, 16, 18, 5), stride = [1]}
      %dx: f32[N, 6, 18] = contract %windows, %w {lhs = "nowj", out = "ncw", rhs = "jco"}
      output output "dx" = %dx
    })");
  auto inputs = sample_values(g, 1, 2, 2, 5);
  for (const std::int64_t place : {0, 9, 10 * 16 - 1}) {
    auto infinite = inputs;
    infinite.at("dy").f[static_cast<std::size_t>(place)] = std::numeric_limits<double>::infinity();
    for (const int bits : {0, 256, 128}) {
      const std::vector<Tensor> results = Compiled(g, bits).run(infinite);
      const Tensor& dx = results[0];
      const std::int64_t at = place % 10;
      for (std::int64_t k = 0; k < 2 * 6 * 18; ++k) {
        const std::int64_t w = k % 18;
        const bool reached = k < 6 * 18 && at - 4 <= w - 5 && w - 5 <= at;
        CHECK(std::isinf(dx.as<float>()[k]) == reached);
        CHECK(!std::isnan(dx.as<float>()[k]));
      }
    }
  }
}

TEST_CASE("convolutions of random geometries") {
  std::mt19937 random(11);
  const auto below = [&](int n) {
    return static_cast<std::int64_t>(random() % static_cast<unsigned>(n));
  };
  for (int k = 0; k < 44;) {
    Geometry s{
        below(4) == 0 ? 2 + below(2) : 1, 1 + below(18), 1 + below(20), {}, below(2) ? 7 : 1};
    const std::int64_t spatial = below(8) == 0 ? 3 : below(3) == 0 ? 1 : 2;
    bool fits = true;
    for (std::int64_t a = 0; a < spatial; ++a) {
      const std::int64_t kernel = 1 + below(4);
      s.axes.push_back({1 + below(spatial == 3 ? 4 : 9), kernel, 1 + below(3), below(3), below(3),
                        1 + below(2)});
      fits = fits && s.axes.back().fits();
    }
    if (!fits) continue;
    check(s);
    ++k;
  }
}

TEST_CASE("pooling of many geometries") {
  std::vector<std::vector<Axis>> cases{
      {{8, 2, 2, 0, 0, 1}, {6, 2, 2, 0, 0, 1}},  // side by side
      {{9, 2, 2, 0, 0, 1}, {7, 2, 2, 0, 0, 1}},  // with a rest
      {{9, 3, 2, 1, 1, 1}, {8, 3, 2, 1, 1, 1}},  // overlapping
      {{5, 3, 1, 1, 1, 1}, {5, 3, 1, 1, 1, 1}},
      {{9, 2, 3, 0, 0, 1}, {9, 1, 4, 0, 0, 1}},    // gaps
      {{7, 3, 2, 0, 2, 1}},                        // a last window over the end
      {{28, 2, 2, 0, 0, 1}, {28, 2, 2, 0, 0, 1}},  // vectors and a rest
      {{20, 3, 2, 1, 1, 1}, {33, 3, 2, 1, 1, 1}},
      {{4, 2, 2, 0, 0, 1}, {4, 2, 2, 0, 0, 1}, {4, 2, 2, 0, 0, 1}},
      {{1, 1, 1, 0, 0, 1}, {1, 1, 1, 0, 0, 1}},
  };
  std::mt19937 random(5);
  const auto below = [&](int n) {
    return static_cast<std::int64_t>(random() % static_cast<unsigned>(n));
  };
  while (cases.size() < 20) {
    std::vector<Axis> axes;
    for (int a = 0; a < 2; ++a)
      axes.push_back({1 + below(12), 1 + below(3), 1 + below(3), below(2), below(2), 1 + below(2)});
    if (axes[0].fits() && axes[1].fits()) cases.push_back(axes);
  }
  for (const auto& axes : cases)
    for (const bool largest : {false, true})
      check(pooling(axes, largest, ElementType::F32), pooling(axes, largest, ElementType::F64), 5);
}
