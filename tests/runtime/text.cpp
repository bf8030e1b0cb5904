// Texts and pairs of sentences as numbers of tokens.
#include "runtime/data/text.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "ir/support/check.h"
#include "runtime/generator.h"
#include "runtime/row_order.h"
#include "runtime/trainer.h"
#include "tests/support/temp_dir.h"

using namespace dlc;

namespace {

using Tokens = std::vector<std::string>;
using Numbers = std::vector<std::int32_t>;
const Tokens kPlain{"", "", " ", "", "1"};  // options: first, lower, newline, size, min_count

Text read(const std::string& reader, const std::string& bytes, const Tokens& options = kPlain) {
  const TempDir dir;
  return read_text(reader, dir.write("file.txt", bytes), options);
}

Tokens spelt(const Text& t) {
  Tokens result;
  for (const std::int32_t n : t.numbers)
    result.push_back(t.vocabulary.tokens[static_cast<std::size_t>(n)]);
  return result;
}

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const UserError& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("characters are code points, the most frequent first") {
  const Text t = read("chars", "äbb\na漢");
  CHECK(spelt(t) == Tokens{"ä", "b", "b", " ", "a", "漢"});
  CHECK(t.vocabulary.tokens == Tokens{"b", " ", "a", "ä", "漢"});
  CHECK(spelt(read("chars", "a\r\nb", {"", "", "|", "", "1"})) == Tokens{"a", "|", "b"});
  CHECK(spelt(read("chars", "abcdef", {"3", "", " ", "", "1"})) == Tokens{"a", "b", "c"});
  CHECK(spelt(read("chars", "AÄЖΣß", {"", "true", " ", "", "1"})) ==
        Tokens{"a", "ä", "ж", "σ", "ß"});
}

TEST_CASE("words are runs of letters, single signs, single ideographs") {
  CHECK(spelt(read("words", "It's 3 o'clock, isn't it?\nÜber 漢字!")) ==
        Tokens{"It's", "3", "o'clock", ",", "isn't", "it", "?", "Über", "漢", "字", "!"});
  const Text t = read("words", "a a a b b c", {"", "", " ", "2", "1"});
  CHECK(t.vocabulary.tokens == Tokens{"<unk>", "a"});
  CHECK(t.numbers == Numbers{1, 1, 1, 0, 0, 0});
  CHECK(read("words", "a a a b b c", {"", "", " ", "", "2"}).vocabulary.tokens ==
        Tokens{"<unk>", "a", "b"});
}

TEST_CASE("a text is written as it was read") {
  const Text t = read("words", "We drink tea , do we ? 漢 字");
  CHECK(decode("words", t.numbers, t.vocabulary) == "We drink tea, do we?漢字");
  CHECK(encode("words", "tea we", kPlain, t.vocabulary).size() == 2);
  CHECK(contains(error_of([&] { encode("words", "coffee", kPlain, t.vocabulary); }), "`coffee`"));
}

TEST_CASE("what is no UTF-8 is named by its byte") {
  for (const std::string& bad :
       {std::string("ab\xff"), std::string("ab\xc3"), std::string("ab\xe2\x82"),
        std::string("ab\xc0\x80"), std::string("ab\xed\xa0\x80"),
        std::string("ab\xf5\x80\x80\x80")}) {
    CAPTURE(bad);
    CHECK(contains(error_of([&] { read("chars", bad); }), "byte 2: the text is not UTF-8"));
  }
  CHECK(contains(error_of([] { read("words", " \n "); }), "no tokens"));
}

TEST_CASE("sentences end with their sign and are padded") {
  const TempDir dir;
  const std::string path = dir.write("pairs.tsv", "# a comment\ngo on\tweiter\n\nstop\thalt an\n");
  const Tokens source{"0", "words", "", "4", "tokens"};
  const Vocabulary v = read_pair_vocabulary(path, source);
  CHECK(v.tokens == Tokens{"<pad>", "<bos>", "<eos>", "<unk>", "go", "on", "stop"});
  const FileContent c = read_pairs(path, source, false);
  CHECK(c.header.shape == std::vector<std::int64_t>{2, 4});
  const auto* n = c.tensor.as<std::int32_t>();
  CHECK(Numbers(n, n + 8) == Numbers{4, 5, 2, 0, 6, 2, 0, 0});
  const FileContent lengths = read_pairs(path, {"1", "words", "", "", "lengths"}, false);
  CHECK(lengths.tensor.at(0) == 2);
  CHECK(lengths.tensor.at(1) == 3);
  const std::string bad = dir.write("bad.tsv", "a\tb\nonly one\n");
  CHECK(contains(error_of([&] { read_pairs(bad, source, true); }), "line 2"));
}

TEST_CASE("sequences of an epoch: at random or consecutive, each token at most once") {
  constexpr std::int64_t kTokens = 1000, kSteps = 7, kBatch = 4;
  std::set<std::vector<std::int32_t>> orders;
  for (std::int64_t epoch = 1; epoch <= 20; ++epoch)
    for (const bool consecutive : {false, true}) {
      const SequenceOrder o = sequence_order(kTokens, kSteps, kBatch, 5, epoch, consecutive);
      REQUIRE(o.begins.size() == static_cast<std::size_t>(o.batches * kBatch));
      CHECK(o.batches == (consecutive ? (kTokens - kSteps - 1) / kBatch / kSteps
                                      : (kTokens - kSteps) / kSteps / kBatch));
      std::vector<std::int32_t> sorted = o.begins;
      std::sort(sorted.begin(), sorted.end());
      CHECK(sorted.front() >= 0);
      CHECK(sorted.back() + kSteps < kTokens);  // with the token after the last
      for (std::size_t k = 1; k < sorted.size(); ++k) CHECK(sorted[k] - sorted[k - 1] >= kSteps);
      // Row r of a batch goes on where row r of the one before ended.
      if (consecutive)
        for (std::size_t k = kBatch; k < o.begins.size(); ++k)
          CHECK(o.begins[k] == o.begins[k - kBatch] + kSteps);
      orders.insert(o.begins);
    }
  CHECK(orders.size() > 20);  // the offset and the shuffle differ from epoch to epoch
  CHECK(sequence_order(20, 7, 4, 5, 1, true).batches == 0);
}

TEST_CASE("tokens are drawn by their logits") {
  const std::vector<float> logits{0, 3, 1, 2};
  SamplingOptions o;
  o.temperature = 0;
  CHECK(sample(logits, o, 9) == 1);
  o.temperature = 1;
  std::vector<int> counts(4, 0);
  constexpr int kDraws = 20000;
  for (int k = 0; k < kDraws; ++k) ++counts[static_cast<std::size_t>(sample(logits, o, k))];
  double sum = 0;
  for (const float l : logits) sum += std::exp(l);
  for (std::size_t t = 0; t < 4; ++t)
    CHECK(counts[t] == doctest::Approx(kDraws * std::exp(logits[t]) / sum).epsilon(0.1));
  o.top_k = 2;
  for (int k = 0; k < 200; ++k) CHECK(sample(logits, o, k) % 2 == 1);  // 1 or 3
  CHECK(sample(logits, o, 7) == sample(logits, o, 7));
}

TEST_CASE("documents: a folder for each class, a row for each text") {
  const TempDir dir;
  const auto write = [&](const std::string& path, const std::string& text) {
    std::filesystem::create_directories((dir.dir() / path).parent_path());
    dir.write(path, text);
  };
  write("train/bad/1.txt", "So bad, so bad");
  write("train/good/a.txt", "good");
  write("train/good/b.txt", "So so good film");
  write("test/good/1.txt", "a good film!");
  const std::string train = dir.path("train"), test = dir.path("test");
  const std::vector<std::string> tokens{"words", "true", "", "1", "5", "sentences"};
  CHECK(read_vocabulary("documents", train, tokens).tokens ==
        std::vector<std::string>{"<pad>", "<bos>", "<eos>", "<unk>", "so", "bad", "good", ",",
                                 "film"});
  Tensor t = read_file("documents", train, tokens);
  const auto row = [&](std::int64_t k) {
    std::vector<int> all;
    for (std::int64_t j = 0; j < t.shape()[1]; ++j)
      all.push_back(static_cast<int>(t.at(k * t.shape()[1] + j)));
    return all;
  };
  CHECK(t.shape() == std::vector<std::int64_t>{3, 5});
  CHECK(row(0) == std::vector<int>{4, 5, 7, 4, 5});
  CHECK(row(1) == std::vector<int>{6, 0, 0, 0, 0});
  CHECK(row(2) == std::vector<int>{4, 4, 6, 8, 0});
  // Cut, and with the vocabulary of others.
  t = read_file("documents", test, {"words", "true", "", "1", "", "sentences"}, {train});
  CHECK(t.shape() == std::vector<std::int64_t>{1, 4});
  CHECK(row(0) == std::vector<int>{3, 6, 8, 3});
  t = read_file("documents", train, {"words", "true", "6", "2", "2", "sentences"});
  CHECK(row(0) == std::vector<int>{4, 5});
  CHECK(row(2) == std::vector<int>{4, 4});
  t = read_file("documents", train, {"words", "true", "", "1", "3", "lengths"});
  CHECK(t.shape() == std::vector<std::int64_t>{3});
  CHECK(t.at(0) == 3);
  CHECK(t.at(1) == 1);
  t = read_file("classes", train, {});
  CHECK(t.type_str() == "u8[3]");
  CHECK(t.at(0) == 0);
  CHECK(t.at(2) == 1);
  CHECK(contains(error_of([&] { read_file("documents", dir.path("none"), tokens); }),
                 "not a folder of texts"));
  write("train/ugly/picture.png", "");
  CHECK(contains(error_of([&] { read_file("documents", train, tokens); }),
                 "ugly: there is no .txt file in it"));
  write("train/ugly/1.txt", "\xff");
  CHECK(contains(error_of([&] { read_file("documents", train, tokens); }),
                 "1.txt: byte 0: the text is not UTF-8"));
}
