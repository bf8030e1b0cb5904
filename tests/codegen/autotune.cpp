// Schedules by the clock: they are kept, found again by whoever compiles the same contraction, and
// change no bit.
#include "codegen/native/autotune.h"

#include <doctest/doctest.h>

#include <cstring>
#include <fstream>

#include "codegen/native/compile_program.h"
#include "passes/lower/lower.h"
#include "runtime/executable.h"
#include "tests/support/temp_dir.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

// Products of matrices have one schedule.
constexpr int kVectors = 512;

loop::Program program_of(const char* bias) {
  const Graph g = graph_of(
      fmt::format("graph g {{ %x: f32[N, 96] = input input %w: f32[96, 80] = input param "
                  "%v: f32[80, 80] = input param %c: f32[] = constant {} "
                  "%cs: f32[N, 80] = broadcast %c {{dims = [], shape = (N, 80)}} "
                  "%a: f32[N, 80] = contract %x, %w {{lhs = \"nk\", rhs = \"km\", out = \"nm\"}} "
                  "%b: f32[N, 80] = contract %a, %v {{lhs = \"nk\", rhs = \"km\", out = \"nm\"}} "
                  "%y: f32[N, 80] = add %b, %cs output output \"y\" = %y }}",
                  bias));
  loop::Program p = lower(run_passes(g, default_pipeline(PipelineEnd::Fused, false), {}));
  run_loop_passes(p, true);
  return p;
}

std::vector<float> run(const loop::Program& p) {
  const auto code = compile_program(p, {.vector_bits = kVectors});
  ThreadPool pool(1);
  TensorMap in;
  in["x"] = Tensor(DLC_F32, {61, 96});
  in["w"] = Tensor(DLC_F32, {96, 80});
  in["v"] = Tensor(DLC_F32, {80, 80});
  std::map<std::string, Tensor*, std::less<>> bound;
  for (auto& [name, t] : in) {
    for (std::int64_t k = 0; k < t.size(); ++k)
      t.set(k, static_cast<double>((k * 7 + name[0]) % 23) / 23 - 0.4);
    bound[name] = &t;
  }
  const TensorMap out = run_once(code->program(), pool, bound);
  const Tensor& y = out.at("y");
  return {y.as<float>(), y.as<float>() + y.size()};
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), 4 * a.size()) == 0;
}

struct CacheDir {
  TempDir dir;
  std::string before = getenv("DLC_CACHE_DIR") ? getenv("DLC_CACHE_DIR") : "";
  CacheDir() { setenv("DLC_CACHE_DIR", dir.path("c").c_str(), 1); }
  ~CacheDir() { setenv("DLC_CACHE_DIR", before.c_str(), 1); }
  CodeCache cache() const { return CodeCache(dir.path("c")); }
  std::vector<std::filesystem::path> files() const {
    std::vector<std::filesystem::path> result;
    for (const auto& e : std::filesystem::directory_iterator(dir.path("c")))
      result.push_back(e.path());
    return result;
  }
};

std::vector<TuningReport> tune(const loop::Program& p) {
  std::vector<TuningReport> reports;
  autotune(p, {{"N", 61}}, {.vector_bits = kVectors},
           [&](const TuningReport& r) { reports.push_back(r); });
  return reports;
}

}  // namespace

TEST_CASE("what is found is kept for equal contractions, and changes no bit") {
  const CacheDir place;
  const loop::Program p = program_of("0.5");
  const std::vector<float> want = run(p);
  CHECK(!with_tuned_schedules(p, place.cache(), kVectors));
  const std::vector<TuningReport> reports = tune(p);
  REQUIRE(reports.size() == 2);
  CHECK(reports[0].shape == "Nx80x96");
  for (const TuningReport& r : reports) {
    CHECK(r.stored);
    CHECK(r.timed.size() > 1);
    for (const TimedSchedule& t : r.timed) CHECK(t.seconds > 0);
    for (const TimedSchedule& t : r.timed) CHECK(r.timed[r.best].seconds <= t.seconds * 1.03);
  }
  const auto tuned = with_tuned_schedules(p, place.cache(), kVectors);
  REQUIRE(tuned);
  CHECK(tuned->kernels[0].contraction[0].schedule == reports[0].timed[reports[0].best].schedule);
  CHECK(tuned->kernels[1].contraction[0].schedule == reports[1].timed[reports[1].best].schedule);
  CHECK(same_bits(run(p), want));
  // The first contraction is the same in another program, the second is not: its epilogue differs.
  const auto other = with_tuned_schedules(program_of("0.25"), place.cache(), kVectors);
  REQUIRE(other);
  CHECK(other->kernels[0].contraction[0].schedule.rows > 0);
  CHECK(other->kernels[1].contraction[0].schedule.rows == 0);
  CHECK(!with_tuned_schedules(p, place.cache(), 256));
}

TEST_CASE("a product in a loop is timed as in its first turn") {
  const CacheDir place;
  const Graph g = graph_of(R"(graph g {
    %h0: f32[N, 48] = input input
    %x: f32[T, N, 48] = input input
    %w: f32[48, 48] = input param
    %s: (f32[N, 48]) = scan %h0, %x, %w {body = graph body {
      %h: f32[N, 48] = input carried
      %x: f32[N, 48] = input scanned
      %w: f32[48, 48] = input captured
      %y: f32[N, 48] = contract %h, %w {lhs = "nk", rhs = "km", out = "nm"}
      %sum: f32[N, 48] = add %x, %y
      output carry "h" = %sum
    }, length = (T), reverse = 0}
    %last: f32[N, 48] = part %s {index = 0}
    output output "y" = %last
  })");
  loop::Program p = lower(run_passes(g, default_pipeline(PipelineEnd::Fused, false), {}));
  run_loop_passes(p, true);
  std::vector<TuningReport> reports;
  autotune(p, {{"N", 16}, {"T", 5}}, {.vector_bits = kVectors},
           [&](const TuningReport& r) { reports.push_back(r); });
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].stored);
  const auto tuned = with_tuned_schedules(p, place.cache(), kVectors);
  REQUIRE(tuned);
  int schedules = 0;
  for (const loop::Kernel& k : tuned->kernels)
    for (const loop::Contraction& c : k.contraction) schedules += c.schedule.rows > 0;
  CHECK(schedules == 1);
}

TEST_CASE("files that are torn are not used") {
  const CacheDir place;
  const loop::Program p = program_of("0.5");
  tune(p);
  for (const auto& file : place.files()) {
    const auto size = std::filesystem::file_size(file);
    std::filesystem::resize_file(file, size / 2);
  }
  CHECK(!with_tuned_schedules(p, place.cache(), kVectors));
  for (const TuningReport& r : tune(p)) CHECK(r.stored);
  CHECK(with_tuned_schedules(p, place.cache(), kVectors));
}

TEST_CASE("where nothing can be kept, that is said") {
  const CacheDir place;
  setenv("DLC_CACHE", "0", 1);
  for (const TuningReport& r : tune(program_of("0.5"))) CHECK(!r.stored);
  unsetenv("DLC_CACHE");
}
