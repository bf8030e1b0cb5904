// One row through a model inside a process: by Model::predict of the public API, which checks and
// converts arrays, and by the compiled program alone. Prints nanoseconds of a call as JSON.
//
//   dlc_bench_predict MODEL.dl [SECONDS]
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <dlc/dlc.hpp>

#include "driver/api/compile.h"
#include "driver/api/workspace.h"
#include "runtime/executable.h"

namespace {

using Clock = std::chrono::steady_clock;

/// The median over batches of calls, in nanoseconds.
template <class F>
double ns_per_call(const F& f, double seconds) {
  constexpr int kBatch = 64;
  std::vector<double> times;
  const auto start = Clock::now();
  const auto since = [](Clock::time_point t) {
    return std::chrono::duration<double>(Clock::now() - t).count();
  };
  f();
  do {
    const auto at = Clock::now();
    for (int k = 0; k < kBatch; ++k) f();
    times.push_back(since(at) * 1e9 / kBatch);
  } while (since(start) < seconds);
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

double compiled_ns(const std::string& file, double seconds) {
  const auto c = dlc::Compilation::from_file(file, {});
  dlc::ThreadPool pool(1);
  dlc::TensorMap tensors = dlc::initialise(c, 1, pool);
  const auto code = dlc::compile_graph(c.graph("predict"), c.options());
  const dlc_program* program = code->program();
  dlc::Executable executable(program, &pool);
  for (int k = 0; k < program->num_symbols; ++k) executable.set_symbol(k, 1);  // one row
  for (int k = 0; k < program->num_buffers; ++k) {
    const dlc_buffer& b = program->buffers[k];
    if (b.kind == DLC_CONSTANT || b.kind == DLC_TEMP || b.alias >= 0) continue;
    auto& t = tensors.try_emplace(b.name, static_cast<dlc_dtype>(b.dtype), executable.shape(k))
                  .first->second;
    if (b.kind == DLC_INPUT)
      for (std::int64_t i = 0; i < t.size(); ++i) t.set(i, static_cast<double>(i * 31 % 256));
    executable.bind(k, t.data());
  }
  executable.prepare();
  return ns_per_call([&] { executable.run(); }, seconds);
}

double api_ns(const std::string& file, double seconds) {
  auto model = dlc::Model::from_file(file, {.threads = 1});
  std::vector<std::uint8_t> image(28 * 28);
  for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<std::uint8_t>(i * 31);
  const dlc::Arrays row = {{"image", {image, {1, 28, 28}}}};
  return ns_per_call([&] { model.predict(row); }, seconds);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: {} MODEL.dl [SECONDS]\n", argv[0]);
    return 2;
  }
  const double seconds = argc > 2 ? std::atof(argv[2]) : 0.5;
  try {
    fmt::print("{{\"program\": {:.6g}, \"api\": {:.6g}}}\n", compiled_ns(argv[1], seconds),
               api_ns(argv[1], seconds));
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 1;
  }
}
