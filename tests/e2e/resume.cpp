// Runs that are stopped, killed and taken up again: the numbers are those of a run that was left
// alone.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "runtime/checkpoint.h"
#include "tests/e2e/process.h"

using nlohmann::json;

namespace {

/// Dropout, running statistics, momentum, a partial last batch, a rate that follows step and epoch.
const char* const kNet = R"(
const hidden = 32
data points {
  x: f32[1000, 8] = normal()
  noise: f32[1000] = normal()
  label = u8(x[:, 0] * x[:, 1] + 0.1 * noise > 0)
  split(test: 0.2)
}
model net {
  input  x: f32[N, 8]
  target label: u8[N]
  logits = x |> dense(hidden) |> batch_norm |> relu |> dropout(0.2) |> dense(2)
  loss = cross_entropy(logits, label)
  metric accuracy = accuracy(logits, label)
}
train net on points {
  optimizer = momentum(lr: 0.05 * 0.99 ^ epoch / (1 + step * 0.0001))
  batch = 48
  epochs = 400
}
)";

/// A state that flows from batch to batch, whose batches begin anywhere in a text.
std::string carry_model(const TempDir& dir) {
  std::string text;
  for (int k = 0; k < 400; ++k) text += fmt::format("{} times {} is {}. ", k, k + 1, k * (k + 1));
  dir.write("text.txt", text);
  return R"(
const text = chars("text.txt")
data lines { tokens = sequences(text, 12); next = sequences(text, 12, shift: 1) }
model reader {
  input  tokens: i32[N, T]
  target next: i32[N, T]
  carry  h: f32[N, 16] = zeros()
  xs = one_hot(tokens, vocabulary(text)) |> transpose([1, 0, 2])
  hs = scan (x in xs along T; now = h) {
    now <- tanh(dense(16)(x) + dense(16)(now))
    yield now
  }
  h <- now
  logits = hs |> dense(vocabulary(text)) |> transpose([1, 0, 2])
  loss = cross_entropy(logits, next)
}
train reader on lines { optimizer = adam(lr: 0.01); batch = 8; epochs = 100 }
)";
}

void check_finished(const Finished& f) { REQUIRE_MESSAGE(f.exit_code == 0, f.out, f.err); }

std::vector<std::string> plus(std::vector<std::string> args, const std::vector<std::string>& more) {
  args.insert(args.end(), more.begin(), more.end());
  return args;
}

/// The lines of a log without what time they took.
std::vector<json> log_lines(const std::string& path) {
  std::istringstream in(read_all(path));
  std::vector<json> lines;
  for (std::string line; std::getline(in, line);) {
    lines.push_back(json::parse(line));
    lines.back().erase("seconds");
  }
  return lines;
}

/// Kills a run until it has been killed so often, each time taking it up from its checkpoint with
/// another number of threads; whenever it comes to its end, its parameters are compared.
void check_killed_runs(const std::string& model, int kills, const std::string& every) {
  TempDir dir;
  const std::string whole = dir.path("whole"), saved = dir.path("saved"), file = dir.path("run");
  const std::vector<std::string> args{"train", model};
  check_finished(dlc_command(plus(args, {"--save", whole})));
  std::mt19937 random(kills);
  std::uniform_int_distribution<int> microseconds(0, 250'000);
  int killed = 0, finished = 0;
  for (int run = 0; killed < kills || finished == 0; ++run) {
    std::vector<std::string> more{"--checkpoint", file,  "--checkpoint-every", every,
                                  "--save",       saved, "--threads",          run % 2 ? "1" : "2"};
    if (std::filesystem::exists(file)) more.insert(more.end(), {"--resume", file});
    const auto time = std::chrono::microseconds(killed < kills ? microseconds(random) : 60'000'000);
    std::optional<int> code;
    if (killed < kills)
      code = dlc_killed_after(plus(args, more), time);
    else
      code = dlc_command(plus(args, more)).exit_code;
    if (!code) {
      ++killed;
      continue;
    }
    REQUIRE(*code == 0);
    ++finished;
    CHECK(read_all(saved) == read_all(whole));
    std::filesystem::remove(file);
  }
  MESSAGE(killed, " kills, ", finished, " finished runs");
}

}  // namespace

TEST_CASE("a run that is killed 50 times ends with the bits of one that was left alone") {
  TempDir dir;
  check_killed_runs(dir.write("net.dl", kNet), 40, "37");
  check_killed_runs(dir.write("reader.dl", carry_model(dir)), 10, "7");
}

TEST_CASE("a run that was stopped logs, records and saves what an uninterrupted one does") {
  TempDir dir;
  std::string text = kNet;
  text.replace(text.find("  batch = 48"), 12,
               "  batch = 48\n  evaluate_every = 25\n  watch dense_2.b");
  const std::string model = dir.write("net.dl", text);
  const auto run = [&](const std::string& name, const std::vector<std::string>& more) {
    check_finished(dlc_command(
        plus({"train", model, "--log", dir.path(name + ".log"), "--watch",
              "dense_2.b=" + dir.path(name + ".npy"), "--save-best", dir.path(name + ".best")},
             more)));
  };
  run("whole", {"--steps", "200"});
  run("part", {"--steps", "90", "--checkpoint", dir.path("run")});
  // Within an epoch: its line is not the whole epoch's.
  CHECK(log_lines(dir.path("part.log")).back()["complete"] == false);
  run("part", {"--steps", "200", "--resume", dir.path("run")});
  CHECK(log_lines(dir.path("part.log")) == log_lines(dir.path("whole.log")));
  CHECK(read_all(dir.path("part.npy")) == read_all(dir.path("whole.npy")));
  CHECK(read_all(dir.path("part.best")) == read_all(dir.path("whole.best")));
  const std::vector<json> lines = log_lines(dir.path("whole.log"));
  int evaluations = 0;
  for (const json& line : lines) evaluations += line.contains("test");
  CHECK(evaluations == 8);
}

TEST_CASE("a run of another model, data set or setting is refused with what differs") {
  TempDir dir;
  const std::string model = dir.write("net.dl", kNet), file = dir.path("run");
  check_finished(dlc_command({"train", model, "--epochs", "2", "--checkpoint", file}));
  const auto refused = [&](const std::string& with, const std::vector<std::string>& more) {
    const Finished f = dlc_command(plus({"train", with, "--epochs", "3", "--resume", file}, more));
    CHECK(f.exit_code == 1);
    CHECK(contains(f.err, "--resume-anyway"));
    return f.err;
  };
  CHECK(contains(refused(model, {"--batch", "50"}), "batch is 50, it was 48"));
  CHECK(contains(refused(model, {"--no-shuffle"}), "shuffle is false, it was true"));
  CHECK(contains(refused(model, {"--set", "hidden=16"}), "--set hidden is 16, it was not set"));
  const std::string seed = refused(model, {"--seed", "7"});
  CHECK(contains(seed, "seed is 7, it was 0"));
  CHECK(contains(seed, "the data column `train.x` holds other values"));
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = kNet;
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
      text.replace(at, from.size(), to);
    return dir.write("net.dl", text);
  };
  CHECK(contains(refused(changed("dropout(0.2)", "dropout(0.3)"), {}),
                 "dropout(0.3) |> dense(2)`, it was `logits = x |> dense(hidden) |> batch_norm"));
  CHECK(contains(refused(changed("1000", "1200"), {}),
                 "the data column `train.x` is f32[960, 8], it was f32[800, 8]"));
  // A comment changes nothing; a setting may, where the user says so.
  const std::string same = changed("data points", "# a comment\ndata points");
  check_finished(dlc_command({"train", same, "--epochs", "3", "--resume", file}));
  const Finished anyway = dlc_command(
      {"train", same, "--epochs", "3", "--resume", file, "--batch", "50", "--resume-anyway"});
  check_finished(anyway);
  CHECK(contains(anyway.out, "other than before: batch is 50, it was 48"));
  CHECK(contains(anyway.out, "epoch 3/3"));
}

TEST_CASE("files that are no checkpoints of a run are refused") {
  TempDir dir;
  const std::string model = dir.write("net.dl", kNet), file = dir.path("run");
  check_finished(dlc_command(
      {"train", model, "--epochs", "1", "--checkpoint", file, "--save", dir.path("parameters")}));
  const auto refused = [&](const std::string& path) {
    const Finished f = dlc_command({"train", model, "--epochs", "2", "--resume", path});
    CHECK(f.exit_code == 1);
    CHECK(contains(f.err, path + ": "));
    return f.err;
  };
  CHECK(contains(refused(dir.path("parameters")), "--load FILE starts a new run"));
  const std::string good = read_all(file);
  CHECK(contains(refused(dir.write("torn", good.substr(0, good.size() - 100))), "byte "));
  refused(dir.write("foreign", "not a checkpoint at all, but some text"));
  refused(dir.write("empty", ""));
  std::string flipped = good;
  flipped[flipped.size() - 5] = static_cast<char>(flipped[flipped.size() - 5] ^ 1);
  CHECK(contains(refused(dir.write("flipped", flipped)), "checksum"));
  // Parameters of a checkpoint are good for everything else.
  check_finished(dlc_command({"eval", model, "--load", file}));
}

TEST_CASE("what cannot be written leaves the last checkpoint as it was") {
  TempDir dir;
  const std::string model = dir.write("net.dl", kNet), file = dir.path("run");
  const Finished f = dlc_command({"train", model, "--checkpoint", dir.path("no/such/run")});
  CHECK(f.exit_code == 1);
  CHECK(contains(f.err, "no/such/run: cannot be written"));
  check_finished(dlc_command({"train", model, "--epochs", "1", "--checkpoint", file}));
  const std::string good = read_all(file);
  // A file may have no more bytes than this: as on a full disk, a write fails half way.
  const std::string err = dir.path("err");
  const int status = std::system(("trap '' XFSZ; ulimit -f 4; '" DLC_BINARY "' train '" + model +
                                  "' --resume '" + file + "' --checkpoint '" + file +
                                  "' --checkpoint-every 5 >/dev/null 2>'" + err + "' </dev/null")
                                     .c_str());
  CHECK(WEXITSTATUS(status) == 1);
  CHECK(contains(read_all(err), file + ": cannot be written: "));
  CHECK(read_all(file) == good);
  int files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(dir.dir())) ++files;
  CHECK(files == 3);  // the model, the checkpoint, the messages: nothing half written
}

TEST_CASE("a run ends when its time is over, or nothing gets better") {
  TempDir dir;
  const std::string model = dir.write("net.dl", kNet), best = dir.path("best");
  const Finished limited = dlc_command({"train", model, "--epochs", "1000000000", "--max-seconds",
                                        "0.3", "--save", dir.path("saved")});
  check_finished(limited);
  CHECK(contains(limited.out, "stopped by --max-seconds 0.3 after step "));
  CHECK(dlc::load_safetensors(dir.path("saved")).contains("dense_1.w"));

  const Finished patient =
      dlc_command({"train", model, "--epochs", "100000", "--set", "patience=5", "--set",
                   "monitor=max(accuracy)", "--save-best", best, "--log", dir.path("log")});
  check_finished(patient);
  CHECK(contains(patient.out, ": no better accuracy in 5 evaluations"));
  double most = 0;
  std::size_t at = 0;
  const std::vector<json> lines = log_lines(dir.path("log"));
  for (std::size_t k = 0; k < lines.size(); ++k)
    if (const double accuracy = lines[k]["test"]["accuracy"]; accuracy > most)
      most = accuracy, at = k;
  CHECK(at + 6 == lines.size());
  // The parameters that were saved are those of that evaluation.
  const Finished eval = dlc_command({"eval", model, "--load", best, "--json"});
  check_finished(eval);
  CHECK(json::parse(eval.out)["accuracy"] == doctest::Approx(most));
}

TEST_CASE("SIGTERM ends a run as Ctrl-C does, and its checkpoint goes on" *
          doctest::skip(kSignalsWait)) {
  TempDir dir;
  const std::string model = dir.write("net.dl", kNet), out = dir.path("out"),
                    file = dir.path("run");
  const int status = std::system(
      ("timeout --foreground --preserve-status -s TERM 1 '" DLC_BINARY "' train '" + model +
       "' --epochs 1000000000 --checkpoint '" + file + "' >'" + out + "' 2>&1 </dev/null")
          .c_str());
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(contains(read_all(out), "stopped by SIGTERM after step "));
  const Finished f = dlc_command({"train", model, "--epochs", "1", "--resume", file});
  check_finished(f);
  CHECK(contains(f.out, "nothing is left to do"));
}

TEST_CASE("the first value that is not finite is named, with its line") {
  TempDir dir;
  dir.write("bad.csv", "x,y\n1,1\n2,2\n3,3\n");
  const auto fails = [&](const std::string& body, const std::string& rate) {
    const std::string model = dir.write("bad.dl", R"(
data points { x: f32[64, 6] = normal(); y: f32[64] = normal() }
model bad {
  input  x: f32[N, 6]
  target y: f32[N]
  param  w: f32[6] = ones()
)" + body + "\n}\ntrain bad on points { optimizer = sgd(lr: " +
                                                      rate + "); batch = 8; epochs = 50 }\n");
    const std::string saved = dir.write("saved", "a good one");
    const Finished f = dlc_command({"train", model, "--save", saved, "--checkpoint",
                                    dir.path("run"), "--checkpoint-every", "1"});
    CHECK(f.exit_code == 1);
    CHECK(read_all(saved) == "a good one");
    return f.err;
  };
  std::string err = fails("  p = log((x @ w) * 0 - 1)\n  loss = mean((p - y) ^ 2)", "0.1");
  CHECK(contains(err, "the loss is not a number in epoch 1, step 1"));
  CHECK(contains(err, "NaN from `p` (log), in the forward pass of step 1"));
  CHECK(contains(err, "bad.dl:7:7: p = log((x @ w) * 0 - 1)"));
  // The loss is finite, its gradient is not: 0 * infinity.
  err = fails("  p = sqrt((x @ w - x @ w) ^ 2)\n  loss = mean((p - y) ^ 2)", "0.1");
  CHECK(contains(err, "in the backward pass of step 1"));
  CHECK(contains(err, "bad.dl:7:7: p = sqrt("));
  // The rate is too large for the parameter: the update overflows.
  err = fails("  loss = 100 * mean((x @ w - y) ^ 2)", "1e38");
  CHECK(contains(err, "in the update of step 1"));
  CHECK(contains(err, "std/optimizers.dl:"));
  // In the third turn of a loop.
  err = fails(R"(  s = scan (v in transpose(x, [1, 0]) along 6; h = zeros([N])) {
    h <- h + 1
    z = log(v * v + 2.5 - h)
    yield z * w[0]
  }
  loss = mean((s[5] - y) ^ 2))",
              "0.1");
  CHECK(contains(err, "bad.dl:9:"));
  CHECK(contains(err, "in a loop in the forward pass of step 1"));
}
