// Linear regression inside a C++ program: the model is a string, the data are arrays of the
// program's own.
#include <cstdio>
#include <dlc/dlc.hpp>
#include <random>

int main() {
  auto model = dlc::Model::from_text(R"(
    model line {
      input  x: f32[N, 2]
      target y: f32[N]
      param  w: f32[2] = zeros()
      param  b: f32[]  = zeros()
      output price = x @ w + b
      loss = mean((price - y) ^ 2) / 2
    }
    train line { optimizer = sgd(lr: 0.03); batch = 10; epochs = 3 }
  )");

  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> x(2 * 1000), y(1000);
  for (float& v : x) v = normal(random);
  for (int i = 0; i < 1000; ++i)
    y[i] = 2 * x[2 * i] - 3.4f * x[2 * i + 1] + 4.2f + 0.01f * normal(random);

  const dlc::Epoch last = model.train({{"x", {x, {1000, 2}}}, {"y", y}});
  const dlc::Array w = model.parameter("w"), b = model.parameter("b");
  std::printf("loss %.6f  w = [%.3f, %.3f]  b = %.3f\n", last.train.at("loss"), w.values[0],
              w.values[1], b.values[0]);

  const std::vector<float> house{1, 1};
  std::printf("price %.3f\n", model.predict({{"x", {house, {1, 2}}}}).at("price").values[0]);
}
