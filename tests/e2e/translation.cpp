// std/translation.dl against searches and counts that are written apart.
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "runtime/checkpoint.h"
#include "runtime/data/readers.h"
#include "tests/e2e/process.h"

using json = nlohmann::json;

namespace {

constexpr int kEnd = 2;
using Sentence = std::vector<int>;

Sentence before_end(Sentence s) {
  for (std::size_t k = 0; k < s.size(); ++k)
    if (s[k] == kEnd || s[k] == 0) s.resize(k);
  return s;
}

/// As the book's function does it: runs of words counted in a dictionary.
double bleu(const Sentence& p_padded, const Sentence& y_padded, int k) {
  const Sentence p = before_end(p_padded), y = before_end(y_padded);
  if (p.empty()) return 0;
  const auto np = static_cast<double>(p.size()), ny = static_cast<double>(y.size());
  double score = std::exp(std::min(0.0, 1 - ny / np));
  for (int m = 1; m <= std::min<int>(k, static_cast<int>(p.size())); ++m) {
    std::map<Sentence, int> runs;
    for (int i = 0; i + m <= static_cast<int>(y.size()); ++i)
      ++runs[Sentence(y.begin() + i, y.begin() + i + m)];
    int matches = 0;
    for (int i = 0; i + m <= static_cast<int>(p.size()); ++i)
      if (runs[Sentence(p.begin() + i, p.begin() + i + m)]-- > 0) ++matches;
    score *= std::pow(matches / (np - m + 1), std::pow(0.5, m));
  }
  return score;
}

}  // namespace

TEST_CASE("bleu counts runs of words as the book does") {
  constexpr int kRows = 200, kSteps = 9;
  std::mt19937 random(7);
  TempDir dir;
  dlc::Tensor p(DLC_I32, {kRows, kSteps}), y(DLC_I32, {kRows, kSteps});
  std::vector<Sentence> ps, ys;
  for (dlc::Tensor* t : {&p, &y})
    for (int row = 0; row < kRows; ++row) {
      Sentence s(kSteps, 0);
      const int words = static_cast<int>(random() % (kSteps + 1));
      for (int k = 0; k < words; ++k)
        s[static_cast<std::size_t>(k)] = 3 + static_cast<int>(random() % 3);
      if (words < kSteps) s[static_cast<std::size_t>(words)] = kEnd;
      for (int k = 0; k < kSteps; ++k) t->set(row * kSteps + k, s[static_cast<std::size_t>(k)]);
      (t == &p ? ps : ys).push_back(s);
    }
  dlc::write_npy(dir.path("p.npy"), p);
  dlc::write_npy(dir.path("y.npy"), y);
  const std::string model = dir.write("bleu.dl", R"(
data pairs { p = npy("p.npy"); y = npy("y.npy") }
model m {
  input p: i32[N, 9]
  input y: i32[N, 9]
  metric one   = bleu(p, y, k: 1)
  metric two   = bleu(p, y)
  metric three = bleu(p, y, k: 3)
  output p
}
)");
  const Finished f = dlc_command({"eval", model, "--json"});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  const json got = json::parse(f.out);
  for (const auto& [name, k] : {std::pair{"one", 1}, {"two", 2}, {"three", 3}}) {
    double sum = 0;
    for (std::size_t row = 0; row < kRows; ++row) sum += bleu(ps[row], ys[row], k);
    CHECK(got[name] == doctest::Approx(sum / kRows).epsilon(1e-5));
  }
}

TEST_CASE("a search with enough beams finds the likeliest sentence of all") {
  // Scores of a next word that only the word before decides.
  constexpr int kWords = 4, kSteps = 4;
  constexpr double kAlpha = 0.75;
  TempDir dir;
  const std::string model = dir.write("m.dl", R"(
const beam = 1
layer next_word()(word, h, context) {
  param w: f32[4, 4] = normal(std: 2)
  [h, gather(w, word, axis: 0)]
}
model m {
  input x: f32[N, 1]
  step = next_word()
  output text  = beam_search(step, beam, 4)(x, [x])
  output table = step(i32(iota(4)), zeros([4, 1]), [])[1]
}
)");
  dlc::write_npy(dir.path("x.npy"), dlc::Tensor(DLC_F32, {1, 1}));
  int greedy_fails = 0;
  for (const char* seed : {"1", "2", "3", "4", "5", "6", "7", "8"}) {
    CAPTURE(seed);
    dlc::Tensor table;
    const auto search = [&](const char* beam) {
      const Finished f =
          dlc_command({"predict", model, "--seed", seed, "--set", std::string("beam=") + beam,
                       "--input", "x=" + dir.path("x.npy"), "--output",
                       "text=" + dir.path("text.npy"), "--output", "table=" + dir.path("t.npy")});
      REQUIRE_MESSAGE(f.exit_code == 0, f.err);
      table = dlc::read_file("npy", dir.path("t.npy"), {});
      const dlc::Tensor t = dlc::read_file("npy", dir.path("text.npy"), {});
      Sentence s;
      for (int k = 0; k < kSteps; ++k) s.push_back(static_cast<int>(t.at(k)));
      return s;
    };
    const Sentence found = search("64"), greedy = search("1");
    const auto log_p = [&](int before, int word) {
      double sum = 0;
      for (int w = 0; w < kWords; ++w) sum += std::exp(table.at(before * kWords + w));
      return table.at(before * kWords + word) - std::log(sum);
    };
    const auto score = [&](const Sentence& s) {
      double sum = 0;
      int length = 0, before = 1;
      for (const int word : s) {
        if (before == kEnd) return word == kEnd ? sum / std::pow(length, kAlpha) : -INFINITY;
        sum += log_p(before, word);
        before = word;
        ++length;
      }
      return sum / std::pow(length, kAlpha);
    };
    Sentence best;
    for (int k = 0; k < 256; ++k) {
      Sentence s{k / 64, k / 16 % 4, k / 4 % 4, k % 4};
      // All words after the end are ends.
      for (std::size_t i = 1; i < s.size(); ++i)
        if (s[i - 1] == kEnd) s[i] = kEnd;
      if (best.empty() || score(s) > score(best)) best = s;
    }
    CHECK(found == best);
    greedy_fails += greedy != best;
    int before = 1;
    for (const int word : greedy) {
      if (before == kEnd) break;
      for (int other = 0; other < kWords; ++other)
        CHECK(log_p(before, word) >= log_p(before, other));
      before = word;
    }
  }
  CHECK(greedy_fails > 0);  // otherwise this says nothing about beams
}
