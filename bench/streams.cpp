// Elementwise chains and reductions that come from memory, beside the same loop in plain C++ and
// beside what the memory gives: GB/s of what is read and written, one thread.
//
//   dlc_bench_streams [--rounds N] [--seconds S] [--quick] [CASE...]
#include <fmt/format.h>

#include <cmath>
#include <functional>

#include "bench/harness.h"
#include "bench/native_loops.h"

using namespace dlc;
using namespace dlc::bench;

namespace {

/// A program's buffers, or what a loop in C++ takes instead.
struct Buffers {
  const float *x = nullptr, *w = nullptr, *z = nullptr;
  float* y = nullptr;
  std::int64_t n = 0;
};
constexpr std::int64_t kColumns = 1024;

struct Case {
  const char* name;
  int inputs;
  bool chain;        // as many results as elements; otherwise a reduction
  std::string body;  // nodes from %x, %w, %z to %y
  std::function<void(const Buffers&, Stores)> native;
};

std::vector<Case> cases() {
  const std::string one =
      "%k1: f32[] = constant 1.0 %ones: f32[N] = broadcast %k1 {shape = (N), dims = []} ";
  const std::string relu =
      "%k0: f32[] = constant 0.0 %zeros: f32[N] = broadcast %k0 {shape = (N), dims = []} "
      "%r: f32[N] = max %s, %zeros ";
  const std::string twice =
      "%k2: f32[] = constant 2.0 %twos: f32[N] = broadcast %k2 {shape = (N), dims = []} "
      "%p: f32[N] = mul %x, %twos %s: f32[N] = add %p, %ones ";
  return {
      {"relu(2x + 1)", 1, true, one + twice + relu + "%y: f32[N] = mul %r, %ones",
       [](const Buffers& b, Stores s) { chain1(b.x, b.y, b.n, s); }},
      {"relu(2x + 1) z", 2, true, one + twice + relu + "%y: f32[N] = mul %r, %z",
       [](const Buffers& b, Stores s) { chain2(b.x, b.z, b.y, b.n, s); }},
      {"relu(w x + 1) z", 3, true,
       one + "%p: f32[N] = mul %w, %x %s: f32[N] = add %p, %ones " + relu +
           "%y: f32[N] = mul %r, %z",
       [](const Buffers& b, Stores s) { chain3(b.x, b.w, b.z, b.y, b.n, s); }},
      {"sum", 1, false, "%y: f32[] = reduce_sum %x {axes = [0]}",
       [](const Buffers& b, Stores) { *b.y = sum(b.x, b.n); }},
      {"max", 1, false, "%y: f32[] = reduce_max %x {axes = [0]}",
       [](const Buffers& b, Stores) { *b.y = bench::max(b.x, b.n); }},
      {"sum of squares", 1, false, "%p: f32[N] = mul %x, %x %y: f32[] = reduce_sum %p {axes = [0]}",
       [](const Buffers& b, Stores) { *b.y = sum_of_squares(b.x, b.n); }},
      {"row sums", 1, false, "%y: f32[N] = reduce_sum %x {axes = [1]}",
       [](const Buffers& b, Stores) { row_sums(b.x, b.y, b.n / kColumns, kColumns); }},
  };
}

bool has_rows(const Case& c) { return std::string_view(c.name) == "row sums"; }

/// False when dlc and the loop differ: then they are not the same work.
bool measure(const Case& c, std::int64_t n, const BenchmarkOptions& options) {
  const bool rows = has_rows(c);
  const std::string type = rows ? fmt::format("f32[N, {}]", kColumns) : "f32[N]";
  std::string inputs = fmt::format("%x: {} = input input ", type);
  if (c.inputs > 2) inputs += "%w: f32[N] = input input ";
  if (c.inputs > 1) inputs += "%z: f32[N] = input input ";
  const auto p = prepare("graph g { " + inputs + c.body + " output output \"y\" = %y }",
                         rows ? n / kColumns : n);
  const auto input = [&](const char* name) -> const float* {
    const auto at = p->tensors.find(name);
    return at == p->tensors.end() ? nullptr : at->second.as<float>();
  };
  Tensor& y = p->tensors.at("y");
  Tensor out(DLC_F32, y.shape());
  const Buffers b{input("x"), input("w"), input("z"), out.as<float>(), n};
  const double bytes = 4.0 * (static_cast<double>(n) * c.inputs + static_cast<double>(y.size()));
  const auto rate = [&](auto&& call, double of_bytes) {
    return of_bytes / seconds_per_call(call, options.seconds) / 1e9;
  };

  p->executable->run();
  c.native(b, Stores::Ordinary);
  for (std::int64_t k = 0; k < y.size(); k += 1 + y.size() / 1000)
    // Millions of f32 in a few accumulators: the order of a sum shows in its third digit.
    if (std::abs(y.at(k) - out.at(k)) > 1e-2 * std::abs(y.at(k)) + 1e-3) {
      fmt::print(stderr, "{}: the loop differs at element {}: {} instead of {}\n", c.name, k,
                 out.at(k), y.at(k));
      return false;
    }

  CaseReport report(c.name, "GB/s", true);
  float sink = 0;
  for (int round = 0; round < options.rounds; ++round) {
    report.add("dlc", rate([&] { p->executable->run(); }, bytes));
    report.add("C++ loop", rate([&] { c.native(b, Stores::Ordinary); }, bytes));
    if (!c.chain) {
      report.add_limit("read", rate([&] { sink += read(b.x, n); }, 4.0 * n));
      continue;
    }
    if (has_non_temporal_stores())
      report.add("C++ loop, non-temporal stores",
                 rate([&] { c.native(b, Stores::NonTemporal); }, bytes));
    // The bandwidth over the same memory by a loop that does next to nothing.
    for (const Stores s : {Stores::Ordinary, Stores::NonTemporal}) {
      if (s == Stores::NonTemporal && !has_non_temporal_stores()) continue;
      const std::string name = fmt::format("{}{}", c.inputs == 1 ? "copy" : "triad",
                                           s == Stores::Ordinary ? "" : ", non-temporal stores");
      report.add_limit(name, c.inputs == 1 ? rate([&] { copy(b.x, b.y, n, s); }, 8.0 * n)
                                           : rate([&] { triad(b.x, b.z, b.y, n, s); }, 12.0 * n));
    }
  }
  asm volatile("" : "+m"(sink));  // the reads are wanted
  report.print();
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const BenchmarkOptions options = read_options(argc, argv);
  const std::int64_t n = options.quick ? std::int64_t{1} << 16 : std::int64_t{1} << 26;
  for (const Case& c : cases())
    if (options.wants(c.name) && !measure(c, n, options)) return 1;
}
