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

/// With one blank where there are several.
std::string squeezed(const std::string& text) {
  std::string result;
  for (const char ch : text)
    if (ch != ' ' || result.empty() || result.back() != ' ') result += ch;
  return result;
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

TEST_CASE("check --read-data tells what is in the rows, without training") {
  TempDir dir;
  dir.write("points.csv", "x,kind\n1,0\n2.5,1\n-4,1\n");
  const std::string model = dir.write("points.dl", R"(
const points = csv("points.csv")
data d { x = points[["x"]]; label = u8(points["kind"]) }
model m {
  input x: f32[N, 1]
  target label: u8[N]
  loss = cross_entropy(x |> dense(2), label)
}
train m on d { optimizer = sgd(lr: 0.1) }
)");
  const Finished f = dlc_command({"check", model, "--read-data"});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  CHECK(contains(f.out, "data d.train: 3 rows"));
  CHECK(contains(squeezed(f.out), "x f32[3, 1] -4 2.5 -0.16667 2.7789 -"));
  CHECK(contains(f.out, "2 classes, 1 to 2 rows each: 0: 1 1: 2"));
  dir.write("gaps.csv", "x,kind\n1,a\nNA,b\n3,\n");
  const Finished gaps = dlc_command(
      {"check", dir.write("gaps.dl", R"(data d { x = numeric(csv("gaps.csv")) })"), "--read-data"});
  REQUIRE_MESSAGE(gaps.exit_code == 0, gaps.err);
  CHECK(contains(squeezed(gaps.out), "x f32[3, 1] 1 3 2 1 1"));
}

TEST_CASE("labels and tokens outside of what the model tells apart are named by their row") {
  TempDir dir;
  const auto refused = [&](const std::string& model_text) {
    const std::string model = dir.write("model.dl", model_text);
    for (const std::vector<std::string>& verb :
         std::vector<std::vector<std::string>>{{"train", model}, {"check", model, "--read-data"}}) {
      const Finished f = dlc_command(verb);
      CHECK(f.exit_code == 1);
      if (verb[0] == "train") return f.err;
    }
    return std::string();
  };
  dir.write("kinds.csv", "x,kind\n1,0\n2,1\n3,3\n4,1\n");
  const std::string head = R"(
const table = csv("kinds.csv")
data d { x = table[["x"]]; kind = i32(table["kind"]) }
)";
  const std::string tail = "\ntrain m on d { optimizer = sgd(lr: 0.1) }\n";
  const std::string label = head + R"(
model m {
  input x: f32[N, 1]
  target kind: i32[N]
  loss = cross_entropy(x |> dense(3), kind)
})" + tail;
  CHECK(contains(refused(label), "row 3: `kind` is 3; the model tells 3 apart, 0 to 2"));
  const std::string token = head + R"(
model m {
  input kind: i32[N]
  target x: f32[N, 1]
  loss = mse(kind |> embedding(2, 4) |> dense(1), x)
})" + tail;
  CHECK(contains(refused(token), "row 3: `kind` is 3; the model tells 2 apart"));
  // Enough of them: no error.
  std::string good = label;
  good.replace(good.find("dense(3)"), 8, "dense(4)");
  CHECK(dlc_command({"train", dir.write("model.dl", good)}).exit_code == 0);
}
