// From a table with texts and gaps to folds and a table of predictions, by the example of house
// prices on a table like the book's.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "tests/e2e/process.h"

using nlohmann::json;

namespace {

constexpr int kSold = 400, kUnsold = 50;
constexpr double kNoise = 0.05;

/// The log of a price is linear in what a row says, but for noise.
struct House {
  std::string row;
  double log_price;
};
House house(int id, std::mt19937& random) {
  std::normal_distribution<double> normal;
  const double area = normal(random), age = normal(random);
  const int zone = static_cast<int>(random() % 3);
  const bool no_alley = random() % 4 == 0, unknown_age = random() % 10 == 0;
  static constexpr const char* kZones[] = {"RL", "RM", "FV"};
  const double log_price = 12 + 0.4 * area - 0.2 * (unknown_age ? 0 : age) + 0.1 * zone -
                           (no_alley ? 0.15 : 0) + kNoise * normal(random);
  return {fmt::format("{},{:.0f},{},{},{}", id, 1500 + 500 * area,
                      unknown_age ? "NA" : fmt::format("{:.2f}", 40 + 20 * age), kZones[zone],
                      no_alley ? "NA" : "Pave"),
          log_price};
}

}  // namespace

TEST_CASE("house prices: folds, and a table of predictions") {
  TempDir dir;
  std::mt19937 random(1);
  const std::string header = "Id,Area,Age,Zone,Alley";
  std::string sold = header + ",SalePrice\n", unsold = header + "\n";
  std::vector<double> truth;
  for (int k = 1; k <= kSold + kUnsold; ++k) {
    const House h = house(k, random);
    if (k <= kSold)
      sold += fmt::format("{},{:.0f}\n", h.row, std::exp(h.log_price));
    else
      unsold += h.row + "\n", truth.push_back(h.log_price);
  }
  dir.write("train.csv", sold);
  dir.write("test.csv", unsold);
  const std::string saved = dir.path("saved"), table = dir.path("out.csv"), log = dir.path("log");
  Finished f = dlc_command({"train", example("house_prices.dl"), "--data", dir.dir().string(),
                            "--set", "optimizer=adam(lr: 0.02)", "--save", saved, "--log", log});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  std::istringstream in(read_all(log));
  std::vector<json> folds;
  json summary;
  for (std::string line; std::getline(in, line);) {
    const json j = json::parse(line);
    if (j.contains("fold")) folds.push_back(j);
    if (j.contains("folds")) summary = j;
  }
  REQUIRE(folds.size() == 5);
  double mean = 0, squares = 0;
  for (const json& fold : folds) mean += fold["held_out"]["log_rmse"].get<double>() / 5;
  for (const json& fold : folds)
    squares += std::pow(fold["held_out"]["log_rmse"].get<double>() - mean, 2);
  CHECK(summary["held_out"]["log_rmse"] == doctest::Approx(mean));
  CHECK(summary["held_out_spread"]["log_rmse"] == doctest::Approx(std::sqrt(squares / 4)));
  // At the noise, which is the floor.
  CHECK(mean > 0.8 * kNoise);
  CHECK(mean < 1.4 * kNoise);

  f = dlc_command({"predict", example("house_prices.dl"), "--data", dir.dir().string(), "--load",
                   saved, "--csv", table});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  std::istringstream rows(read_all(table));
  std::string line;
  std::getline(rows, line);
  CHECK(line == "Id,SalePrice");
  double error = 0;
  for (int k = 0; k < kUnsold; ++k) {
    REQUIRE(std::getline(rows, line));
    int id = 0;
    double price = 0;
    REQUIRE(std::sscanf(line.c_str(), "%d,%lf", &id, &price) == 2);
    CHECK(id == kSold + 1 + k);
    error += std::pow(std::log(price) - truth[static_cast<std::size_t>(k)], 2) / kUnsold;
  }
  CHECK(!std::getline(rows, line));
  CHECK(std::sqrt(error) < 1.6 * kNoise);
}

TEST_CASE("folds need rows to cut") {
  TempDir dir;
  const std::string model = dir.write("few.dl", R"(
data points { x: f32[4, 2] = normal(); y: f32[4, 1] = normal() }
model m { input x: f32[N, 2]; target y: f32[N, 1]; loss = mse(x |> dense(1), y) }
train m on points { optimizer = sgd(lr: 0.1); folds = 5 }
)");
  const Finished f = dlc_command({"train", model});
  CHECK(f.exit_code == 1);
  CHECK(contains(f.err, "4 rows cannot be cut into 5 folds"));
}
