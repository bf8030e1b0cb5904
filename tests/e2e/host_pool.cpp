// A program that embeds dlc lends its own threads: the bits do not depend on what it does with
// them.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <random>
#include <string>
#include <thread>

#include "dlc/dlc.hpp"

namespace {

const char* kModel = R"(
model net {
  input  x: f32[N, 96]
  target y: u8[N]
  logits = x |> dense(160) |> relu |> dense(10)
  loss   = cross_entropy(logits, y)
}
train net {
  optimizer = sgd(lr: 0.1)
  batch = 128
  epochs = 2
}
)";

struct Result {
  std::vector<double> w, b;
  double loss;
  bool operator==(const Result&) const = default;
};

Result train_with(const dlc::ModelOptions& options) {
  constexpr std::int64_t kRows = 400;
  std::vector<float> x(kRows * 96);
  std::vector<std::uint8_t> y(kRows);
  for (std::size_t k = 0; k < x.size(); ++k) x[k] = static_cast<float>(k * 37 % 101) / 101 - 0.5F;
  for (std::size_t k = 0; k < y.size(); ++k) y[k] = static_cast<std::uint8_t>(k * 7 % 10);
  dlc::Model m = dlc::Model::from_text(kModel, options);
  const dlc::Epoch last = m.train({{"x", {x, {kRows, 96}}}, {"y", y}});
  const std::vector<std::string> names = m.parameter_names();
  return {m.parameter(names[0]).values, m.parameter(names[1]).values, last.train.at("loss")};
}

int threads_now() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word)
    if (word == "Threads:") {
      int count = 0;
      status >> count;
      return count;
    }
  return 0;
}

}  // namespace

TEST_CASE("a host's pool, in random order, one by one and on threads of its own: the same bits") {
  dlc::ModelOptions own;
  own.threads = 1;
  const Result want = train_with(own);

  std::mt19937 random(1);
  std::atomic<int> tasks{0};
  dlc::ModelOptions shuffled;
  shuffled.host_pool.threads = 3;
  shuffled.host_pool.run = [&](int count, const std::function<void(int)>& task) {
    std::vector<int> order(static_cast<std::size_t>(count));
    for (int k = 0; k < count; ++k) order[static_cast<std::size_t>(k)] = k;
    std::shuffle(order.begin(), order.end(), random);
    CHECK(count <= 3);
    for (const int k : order) task(k), ++tasks;
  };
  const int before = threads_now();
  CHECK(train_with(shuffled) == want);
  CHECK(tasks > 0);
  CHECK(threads_now() <= before);  // none of dlc's own was started

  dlc::ModelOptions threaded;
  threaded.host_pool.threads = 5;
  threaded.host_pool.run = [&](int count, const std::function<void(int)>& task) {
    std::vector<std::thread> threads;
    for (int k = 0; k < count; ++k) threads.emplace_back([&task, k] { task(k); });
    for (std::thread& t : threads) t.join();
  };
  CHECK(train_with(threaded) == want);
}
