// The convolutions of ResNet-18 beside oneDNN, one thread: forward, input gradient, weight
// gradient, turn by turn on the same operands; every result is compared with ours. Pictures are
// stored with their channels last; oneDNN may choose any layout, and bringing operands into it
// isn't timed.
//
//   OMP_NUM_THREADS=1 dlc_bench_convolution [--rounds N] [--seconds S] [--quick] [CASE...]
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <functional>

#include "bench/harness.h"
#include "bench/native_loops.h"

#ifdef DLC_BENCH_DNNL
#include <dnnl.hpp>
#endif

using namespace dlc;
using namespace dlc::bench;

namespace {

/// Square pictures and kernels; padded so that stride 1 keeps the size.
struct Layer {
  std::int64_t batch, size, in, out, kernel, stride;

  std::int64_t pad() const { return kernel / 2; }
  std::int64_t places() const { return (size + 2 * pad() - kernel) / stride + 1; }
  double flops() const {
    return 2.0 * static_cast<double>(batch * places() * places() * in * out * kernel * kernel);
  }
};

enum class Direction { Forward, InputGradient, WeightGradient };
constexpr std::array<const char*, 3> kDirections = {"forward", "input gradient", "weight gradient"};

struct Case {
  Layer layer;
  Direction direction;

  std::string name() const {
    const Layer& l = layer;
    return fmt::format("{0}x{0}{1} {2}-{3}, {4}x{4}, {5}", l.kernel, l.stride > 1 ? "/2" : "", l.in,
                       l.out, l.size, kDirections[static_cast<std::size_t>(direction)]);
  }
};

std::vector<Case> cases(bool quick) {
  const std::vector<Layer> layers =
      quick ? std::vector<Layer>{{2, 6, 3, 5, 3, 1}, {1, 7, 4, 6, 3, 2}}
            : std::vector<Layer>{
                  {16, 224, 1, 64, 7, 2},   {16, 56, 64, 64, 3, 1},   {16, 56, 64, 128, 3, 2},
                  {16, 56, 64, 128, 1, 2},  {16, 28, 128, 128, 3, 1}, {16, 28, 128, 256, 3, 2},
                  {16, 28, 128, 256, 1, 2}, {16, 14, 256, 256, 3, 1}, {16, 14, 256, 512, 3, 2},
                  {16, 14, 256, 512, 1, 2}, {16, 7, 512, 512, 3, 1}};
  std::vector<Case> result;
  for (const Layer& l : layers)
    for (const Direction d :
         {Direction::Forward, Direction::InputGradient, Direction::WeightGradient})
      if (d != Direction::InputGradient || l.in > 1) result.push_back({l, d});
  return result;
}

/// The operands "a" and "b" into "c": x and w, dy and w, or x and dy.
std::unique_ptr<Program> ours(const Case& c) {
  const Layer& l = c.layer;
  const auto window = [&](const char* place, const char* tap) {
    return fmt::format("({}{}+{}{})", l.stride > 1 ? std::to_string(l.stride) : "", place, tap,
                       l.pad() > 0 ? fmt::format("-{}", l.pad()) : "");
  };
  struct Operand {
    std::string letters, shape;
  };
  const Operand x{fmt::format("n{}{}c", window("h", "i"), window("w", "j")),
                  fmt::format("{}, {}, {}, {}", l.batch, l.size, l.size, l.in)},
      w{"ijco", fmt::format("{}, {}, {}, {}", l.kernel, l.kernel, l.in, l.out)},
      y{"nhwo", fmt::format("{}, {}, {}, {}", l.batch, l.places(), l.places(), l.out)};
  const std::array<Operand, 3> roles = c.direction == Direction::Forward ? std::array{x, w, y}
                                       : c.direction == Direction::InputGradient
                                           ? std::array{y, w, x}
                                           : std::array{x, y, w};
  return prepare(
      fmt::format("graph g {{ %a: f32[{0}] = input input %b: f32[{1}] = input input %c: f32[{2}] = "
                  "conv %a, %b {{lhs = \"{3}\", rhs = \"{4}\", out = \"{5}\", shape = ({2})}} "
                  "output output \"c\" = %c }}",
                  roles[0].shape, roles[1].shape, roles[2].shape, roles[0].letters,
                  roles[1].letters, roles[2].letters),
      l.batch);
}

/// Calls, and the result afterwards in our layout.
struct Peer {
  std::function<void()> call;
  std::function<Tensor()> result;
};

#ifdef DLC_BENCH_DNNL
Peer onednn(const Case& c, Program& mine) {
  using namespace dnnl;
  using Dims = memory::dims;
  using Tag = memory::format_tag;
  static engine cpu(engine::kind::cpu, 0);
  static stream queue(cpu);
  const Layer& l = c.layer;
  const auto any = [](const Dims& d) { return memory::desc(d, memory::data_type::f32, Tag::any); };
  const Dims dx{l.batch, l.in, l.size, l.size}, dw{l.out, l.in, l.kernel, l.kernel},
      dy{l.batch, l.out, l.places(), l.places()}, stride{l.stride, l.stride}, pad{l.pad(), l.pad()};
  const auto best = algorithm::convolution_direct;
  const convolution_forward::primitive_desc forward(
      {prop_kind::forward_training, best, any(dx), any(dw), any(dy), stride, pad, pad}, cpu);
  // Of the two operands and the result: what the primitive calls it, what we have, what it wants.
  struct Role {
    int argument;
    memory::desc plain, wanted;
  };
  const auto plain = [](const Dims& d, Tag tag) {
    return memory::desc(d, memory::data_type::f32, tag);
  };
  const memory::desc x = plain(dx, Tag::nhwc), w = plain(dw, Tag::hwio), y = plain(dy, Tag::nhwc);
  const auto bring = [](memory from, memory to) {
    reorder(from, to).execute(queue, from, to);
    queue.wait();
    return to;
  };
  const auto peer = [&](const primitive& p, const Role& a, const Role& b, const Role& c) {
    const auto operand = [&](const Role& r, const char* name) {
      return bring(memory(r.plain, cpu, mine.tensors.at(name).data()), memory(r.wanted, cpu));
    };
    const memory out(c.wanted, cpu);
    const std::unordered_map<int, memory> arguments = {
        {a.argument, operand(a, "a")}, {b.argument, operand(b, "b")}, {c.argument, out}};
    return Peer{[=] {
                  p.execute(queue, arguments);
                  queue.wait();
                },
                [=, shape = mine.tensors.at("c").shape()] {
                  Tensor t(DLC_F32, shape);
                  bring(out, memory(c.plain, cpu, t.data()));
                  return t;
                }};
  };
  if (c.direction == Direction::Forward)
    return peer(convolution_forward(forward), {DNNL_ARG_SRC, x, forward.src_desc()},
                {DNNL_ARG_WEIGHTS, w, forward.weights_desc()},
                {DNNL_ARG_DST, y, forward.dst_desc()});
  if (c.direction == Direction::InputGradient) {
    const convolution_backward_data::primitive_desc p(
        {best, any(dx), any(dw), any(dy), stride, pad, pad}, cpu, forward);
    return peer(convolution_backward_data(p), {DNNL_ARG_DIFF_DST, y, p.diff_dst_desc()},
                {DNNL_ARG_WEIGHTS, w, p.weights_desc()}, {DNNL_ARG_DIFF_SRC, x, p.diff_src_desc()});
  }
  const convolution_backward_weights::primitive_desc p(
      {best, any(dx), any(dw), any(dy), stride, pad, pad}, cpu, forward);
  return peer(convolution_backward_weights(p), {DNNL_ARG_SRC, x, p.src_desc()},
              {DNNL_ARG_DIFF_DST, y, p.diff_dst_desc()},
              {DNNL_ARG_DIFF_WEIGHTS, w, p.diff_weights_desc()});
}

bool same(const Case& c, const Tensor& mine, const Tensor& theirs) {
  double largest = 0;
  for (std::int64_t k = 0; k < mine.size(); ++k) largest = std::max(largest, std::abs(mine.at(k)));
  for (std::int64_t k = 0; k < mine.size(); ++k)
    if (std::abs(mine.at(k) - theirs.at(k)) > 1e-4 * largest) {
      fmt::print(stderr, "{}: oneDNN differs at element {}: {} instead of {}\n", c.name(), k,
                 theirs.at(k), mine.at(k));
      return false;
    }
  return true;
}
#endif

bool measure(const Case& c, const BenchmarkOptions& options) {
  const std::unique_ptr<Program> mine = ours(c);
  CaseReport report(c.name(), "GFLOP/s", true);
  const auto rate = [&](double seconds) { return c.layer.flops() / seconds / 1e9; };
#ifdef DLC_BENCH_DNNL
  const int before = threads_now();
  const Peer theirs = onednn(c, *mine);
  theirs.call();
  if (threads_now() > before) {
    fmt::print(stderr, "oneDNN runs {} threads: OMP_NUM_THREADS=1 keeps it to one\n",
               threads_now() - before + 1);
    return false;
  }
#endif
  for (int round = 0; round < options.rounds; ++round) {
    const double peak = fma_peak_gflops();
    report.add("dlc", rate(seconds_per_call([&] { mine->executable->run(); }, options.seconds)));
#ifdef DLC_BENCH_DNNL
    report.add("oneDNN", rate(seconds_per_call(theirs.call, options.seconds)));
    if (round == 0 && !same(c, mine->tensors.at("c"), theirs.result())) return false;
#endif
    report.add_limit("FMA peak", peak);
  }
  report.print();
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const BenchmarkOptions options = read_options(argc, argv);
  fmt::print("{{\"target\": \"{}\"}}\n", target_description());
#ifndef DLC_BENCH_DNNL
  fmt::print("{{\"system\": \"oneDNN\", \"package\": \"libdnnl-dev\"}}\n");
#endif
  for (const Case& c : cases(options.quick))
    if (options.wants(c.name()) && !measure(c, options)) return 1;
}
