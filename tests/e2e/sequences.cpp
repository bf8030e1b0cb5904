// Language models and translation, as a user runs them.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "tests/e2e/process.h"
#include "tests/e2e/train_log.h"

using json = nlohmann::json;

namespace {

/// The least perplexity of an epoch.
double best_perplexity(const std::string& model, const std::vector<std::string>& more) {
  const TempDir dir;
  std::vector<std::string> args{"train", example(model), "--log", dir.path("log")};
  args.insert(args.end(), more.begin(), more.end());
  REQUIRE(dlc_command(args).exit_code == 0);
  double best = INFINITY;
  std::istringstream lines(read_all(dir.path("log")));
  for (std::string line; std::getline(lines, line);)
    if (const json entry = json::parse(line); entry.contains("train"))
      best = std::min(best, entry["train"]["perplexity"].get<double>());
  MESSAGE(model, ": perplexity ", best);
  return best;
}

std::string generate(const std::string& model, const std::string& parameters,
                     const std::vector<std::string>& more) {
  std::vector<std::string> args{"generate", example(model), "--load", parameters};
  args.insert(args.end(), more.begin(), more.end());
  const Finished f = dlc_command(args);
  CHECK_MESSAGE(f.exit_code == 0, f.err);
  return f.out;
}

const std::string kShortRnn = R"(
const text = chars("corpus.txt")
data corpus {
  tokens = sequences(text, 6)
  next   = sequences(text, 6, shift: 1)
}
model m {
  input  tokens: i32[N, T]
  target next:   i32[N, T]
  carry h: f32[N, 16] = zeros()
  out = unroll(gru_cell(16))(one_hot(tokens, vocabulary(text)), h)
  h <- out[1]
  output logits = out[0] |> dropout(0.1) |> dense(vocabulary(text))
  loss = cross_entropy(logits, next)
}
train m on corpus { optimizer = adam(lr: 0.01); clip = global_norm(1.0); batch = 4; epochs = 30 }
)";

std::string corpus() {
  std::string text;
  for (int k = 0; k < 60; ++k) text += "the cat sat on the mat. ";
  return text;
}

}  // namespace

TEST_CASE("recurrent language models reach the book's perplexity") {
  // PyTorch: 1.23, 1.09 and 1.06.
  CHECK(best_perplexity("rnn.dl", {}) <= 1.3);
  CHECK(best_perplexity("gru.dl", {}) <= 1.12);
  CHECK(best_perplexity("lstm.dl", {}) <= 1.12);
}

TEST_CASE("generated text reads like the corpus, and is that of the seed") {
  const TempDir dir;
  dir.write("corpus.txt", corpus());
  const std::string model = dir.write("m.dl", kShortRnn), saved = dir.path("m.safetensors");
  REQUIRE(dlc_command({"train", model, "--save", saved}).exit_code == 0);
  const auto run = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"generate", model, "--load", saved, "--prompt", "the c"});
    return dlc_command(more);
  };
  CHECK(run({"--greedy", "--length", "40"}).out ==
        "the cat sat on the mat. the cat sat on the ma\n");
  const std::string drawn = run({"--seed", "3", "--length", "60"}).out;
  CHECK(run({"--seed", "3", "--length", "60"}).out == drawn);
  CHECK(run({"--seed", "3", "--length", "60", "--threads", "1"}).out == drawn);
  CHECK(run({"--top-k", "1", "--length", "19"}).out == "the cat sat on the mat. \n");

  // Another text has another vocabulary.
  dir.write("corpus.txt", corpus() + "a dog!");
  const Finished other = run({"--greedy"});
  CHECK(other.exit_code == 1);
  CHECK(other.err.find("another vocabulary") != std::string::npos);
  CHECK(dlc_command({"generate", example("mlp.dl"), "--prompt", "x"}).exit_code == 1);
}

TEST_CASE("training on sequences has the same bits on one thread and two") {
  const TempDir dir;
  dir.write("corpus.txt", corpus());
  const std::string model = dir.write("m.dl", kShortRnn);
  for (const std::string consecutive : {"true", "false"}) {
    std::string first;
    for (const std::string threads : {"1", "2"}) {
      const std::string saved = dir.path("p" + threads);
      REQUIRE(dlc_command({"train", model, "--set", "consecutive=" + consecutive, "--epochs", "3",
                           "--threads", threads, "--save", saved})
                  .exit_code == 0);
      if (first.empty())
        first = read_all(saved);
      else
        CHECK(read_all(saved) == first);
    }
  }
}

TEST_CASE("one compilation serves every length") {
  const TempDir dir;
  dir.write("corpus.txt", corpus());
  std::string text = kShortRnn;
  const std::string model = dir.write("m.dl", text);
  REQUIRE(dlc_command({"train", model, "--epochs", "1"}).exit_code == 0);
  for (std::size_t at = 0; (at = text.find("text, 6", at)) != std::string::npos; ++at)
    text.replace(at, 7, "text, 50");
  const std::string longer = dir.write("longer.dl", text);
  const Finished f = dlc_command({"train", longer, "--epochs", "1", "--time-passes"});
  CHECK(f.exit_code == 0);
  const std::string all = f.out + f.err;
  // Of the two the data alone differ: the step is what it was.
  CHECK_MESSAGE(all.find("cache hit") != std::string::npos, all);
}

TEST_CASE("translation learns its phrases") {
  const TempDir dir;
  const std::string saved = dir.path("t.safetensors"), model = example("seq2seq_attention.dl");
  REQUIRE(dlc_command({"train", model, "--save", saved}).exit_code == 0);
  const Finished eval = dlc_command({"eval", model, "--load", saved, "--json"});
  CHECK(json::parse(eval.out)["exact"] >= 0.95);
  CHECK(generate("seq2seq_attention.dl", saved, {"--prompt", "thank you"}) == "danke\n");
  CHECK(generate("seq2seq_attention.dl", saved, {"--prompt", "where is the station ?"}) ==
        "wo ist der Bahnhof?\n");
  CHECK(generate("seq2seq_attention.dl", saved, {"--prompt", "thank you", "--beam", "3"}) ==
        "danke\n");
  CHECK(json::parse(eval.out)["bleu"] >= 0.95);
}

TEST_CASE("the same model learns to reverse sequences") {
  const TempDir dir;
  std::mt19937 random(3);
  std::set<std::string> lines;
  while (lines.size() < 120) {
    std::string forward, backward;
    for (std::size_t left = 2 + random() % 5; left > 0; --left) {
      const std::string word(1, static_cast<char>('a' + random() % 8));
      forward += (forward.empty() ? "" : " ") + word;
      backward = word + (backward.empty() ? "" : " ") + backward;
    }
    lines.insert(forward + "\t" + backward + "\n");
  }
  std::string text;
  for (const std::string& line : lines) text += line;
  dir.write("phrases.tsv", text);
  // Beside the model, in the stead of the example's phrases.
  const std::string model = dir.write("m.dl", read_all(example("seq2seq_attention.dl")));
  const std::string saved = dir.path("r.safetensors");
  REQUIRE(dlc_command({"train", model, "--save", saved}).exit_code == 0);
  const Finished eval = dlc_command({"eval", model, "--load", saved, "--json"});
  CHECK(json::parse(eval.out)["exact"] >= 0.95);
}

TEST_CASE("checkpoints in a scan save memory, those of every root of its turns most") {
  const TempDir dir;
  std::map<std::string, double> bytes, loss;
  for (const std::string kept : {"false", "true", "sqrt"}) {
    const std::string model = dir.write("m.dl", R"(
data d { x: f32[32, 144, 8] = normal(); y: f32[32, 1] = normal() }
model m {
  input x: f32[N, 144, 8]
  target y: f32[N, 1]
  cell = lstm_cell(32)
  scan (v in x along 144; s = zero_state(cell, shape(x)[0]), checkpoint: )" +
                                                    kept + R"() { s <- cell(v, s) }
  loss = mse(s[0] |> dense(1), y)
}
train m on d { optimizer = adam(lr: 0.01); batch = 16; epochs = 5 }
)");
    loss[kept] = train({model})["train"]["loss"];
    const Finished check = dlc_command({"check", model});
    const std::size_t at = check.out.find("intermediates ");
    REQUIRE(at != std::string::npos);
    double size = 0;
    char unit[8] = "";
    REQUIRE(std::sscanf(check.out.c_str() + at, "intermediates %lf %7[A-Za-z]", &size, unit) == 2);
    bytes[kept] = size * (std::string(unit) == "MiB" ? 1024 : 1);
  }
  MESSAGE("KiB of intermediates: ", bytes["false"], ", ", bytes["true"], ", ", bytes["sqrt"]);
  CHECK(bytes["true"] < bytes["false"] / 2);
  CHECK(bytes["sqrt"] < bytes["true"] / 1.3);
  CHECK(loss["true"] == doctest::Approx(loss["false"]).epsilon(1e-4));
  CHECK(loss["sqrt"] == doctest::Approx(loss["false"]).epsilon(1e-4));
}

TEST_CASE("a loop ends on its condition, and gradients go through the turns that were made") {
  const TempDir dir;
  const std::string model = dir.write("m.dl", R"(
model m {
  param x: f32[2] = [3.0, 4.0]
  sums = scan (along 30; point = x, n = 0, while: sum(point ^ 2) > 1) {
    point <- 0.9 * point
    n <- n + 1
    yield sum(point)
  }
  output inside = point
  output turns = n
  output last = sums[15]
  output after = sums[16]
  loss = sum(point ^ 2)
  output slope = grad(loss, x)[0]
}
train m { optimizer = sgd(lr: 0.1); steps = 1 }
)");
  const Finished f = dlc_command({"predict", model});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  CHECK(contains(f.out, "turns: f32[] = 16\n"));  // 5 * 0.9^16 = 0.93
  CHECK(contains(f.out, "inside: f32[2] = [0.555906, 0.741208]"));
  CHECK(contains(f.out, "slope: f32[] = 0.206021"));  // 2 * 3 * 0.9^32
  CHECK(contains(f.out, "last: f32[] = 1.29711"));
  CHECK(contains(f.out, "after: f32[] = 0\n"));
  CHECK(dlc_command({"gradcheck", model}).exit_code == 0);
  CHECK(dlc_command({"check", model, "--against=interpreter"}).exit_code == 0);
}

TEST_CASE("folders of texts are learned, and their vocabulary is saved and checked") {
  const TempDir dir;
  const auto write = [&](const std::string& path, const std::string& text) {
    std::filesystem::create_directories((dir.dir() / path).parent_path());
    dir.write(path, text);
  };
  const std::string bad[] = {"awful", "boring", "poor", "dull"},
                    good[] = {"lovely", "funny", "great", "bright"};
  for (int k = 0; k < 40; ++k) {
    const std::string part = k < 32 ? "train" : "test", n = std::to_string(k);
    write(part + "/bad/" + n + ".txt",
          "the film " + n + " was " + bad[k % 4] + " and " + bad[(k / 4) % 4]);
    write(part + "/good/" + n + ".txt",
          "a " + good[k % 4] + " film, and " + good[(k / 4) % 4] + " " + n);
  }
  const std::string model = dir.write("m.dl", R"(
const train_texts = documents("train", min_count: 2)
data reviews {
  train { words = sentences(train_texts, 10); length = lengths(train_texts, 10); kind = classes("train") }
  test  { words = sentences(documents("test", like: train_texts), 10)
          length = lengths(documents("test", like: train_texts), 10); kind = classes("test") }
}
model m {
  input  words: i32[N, 10]
  input  length: i32[N]
  target kind: u8[N]
  x = words |> embedding(vocabulary(train_texts), 8)
  mask = f32(reshape(length_mask(length, 10), [shape(words)[0], 10, 1]))
  output logits = sum(x * mask, axis: 1) |> dense(2)
  loss = cross_entropy(logits, kind)
  metric accuracy = accuracy(logits, kind)
}
train m on reviews { optimizer = adam(lr: 0.05); batch = 8; epochs = 10 }
)");
  const std::string saved = dir.path("saved");
  const json last = train({model, "--save", saved});
  CHECK(last["test"]["accuracy"] == 1.0);
  REQUIRE(dlc_command({"eval", model, "--load", saved}).exit_code == 0);
  // Other words, as many of them.
  for (int k = 0; k < 32; ++k)
    write("train/bad/" + std::to_string(k) + ".txt", "the film was ugly " + std::to_string(k) +
                                                         (k % 2 ? " dumb" : " poor") +
                                                         (k % 3 ? " awful" : " boring"));
  const Finished f = dlc_command({"eval", model, "--load", saved});
  CHECK(f.exit_code == 1);
  CHECK(f.err.find("another vocabulary") != std::string::npos);
}

TEST_CASE("the other models of sequences train") {
  for (const char* model :
       {"deep_rnn.dl", "bidirectional_rnn.dl", "rnn_from_scratch.dl", "char_transformer.dl",
        "word2vec.dl", "sentiment_rnn.dl", "sentiment_cnn.dl"}) {
    CAPTURE(model);
    const TempDir dir;
    REQUIRE(dlc_command({"train", example(model), "--epochs", "4", "--log", dir.path("log")})
                .exit_code == 0);
    std::vector<double> losses;
    std::istringstream lines(read_all(dir.path("log")));
    for (std::string line; std::getline(lines, line);)
      if (const json entry = json::parse(line); entry.contains("train"))
        losses.push_back(entry["train"]["loss"].get<double>());
    REQUIRE(losses.size() == 4);
    CHECK(losses.back() < losses.front());
  }
}
