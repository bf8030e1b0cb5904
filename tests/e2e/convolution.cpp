// Convolutional models from end to end: what does not depend on how they are run.
#include <doctest/doctest.h>

#include "tests/e2e/process.h"
#include "tests/support/files.h"

namespace {

const char* const kModel = R"(
data pictures {
  x: f32[96, 3, 12, 12] = normal()
  y: u8[96] = u8(4 * random_uniform([96]))
}
model net {
  input  x: f32[N, 3, 12, 12]
  target y: u8[N]
  logits = x |> random_crop(2) |> random_flip |> random_erase
             |> conv2d(16, kernel: 3, pad: 1) |> batch_norm |> relu |> max_pool(3, stride: 2, pad: 1)
             |> conv2d(24, kernel: 3, stride: 2, groups: 2) |> gelu |> dropout(0.3)
             |> flatten |> dropout(0.5) |> dense(4)
  loss = cross_entropy(logits, y, smoothing: 0.1)
}
train net on pictures { optimizer = adam(lr: 0.01); batch = 40; epochs = 3 }
)";

}  // namespace

TEST_CASE("a convolutional net with dropout and changed pictures: the same bits on any threads") {
  TempDir dir;
  const std::string model = dir.write("net.dl", kModel);
  std::vector<std::string> files;
  for (const char* threads : {"1", "2", "3"}) {
    const std::string file = dir.path(std::string("p") + threads + ".safetensors");
    REQUIRE(dlc_command({"train", model, "--threads", threads, "--save", file}).exit_code == 0);
    files.push_back(read_all(file));
  }
  CHECK(files[0].size() > 100);
  CHECK(files[0] == files[1]);
  CHECK(files[0] == files[2]);
}

TEST_CASE("pictures that are changed at random in training are left alone elsewhere") {
  TempDir dir;
  const std::string model = dir.write("net.dl", kModel);
  const std::vector<std::string> command{"eval", model, "--split", "train", "--json"};
  const Finished first = dlc_command(command), second = dlc_command(command);
  CHECK(first.exit_code == 0);
  CHECK(first.out == second.out);
}
