// Mutated programs through the whole frontend: whatever the text, there is a Module or a list of
// mistakes, in little time; and what compiles gives graphs that verify and survive as text.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>

#include "frontend/frontend.h"
#include "tests/support/files.h"
#include "tests/support/modules.h"

using namespace dlc;
namespace fs = std::filesystem;

namespace {

/// The examples count many times: the texts of tests/errors fail early.
std::vector<std::string> corpus() {
  std::vector<std::string> texts;
  std::vector<fs::path> paths;
  for (const char* folder : {"examples", "frontend/std", "tests/errors"})
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(DLC_SOURCE_DIR) / folder))
      if (entry.path().extension() == ".dl") paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  for (const fs::path& p : paths)
    texts.insert(texts.end(), p.parent_path().filename() == "errors" ? 1 : 16, read_all(p));
  return texts;
}

/// Where words and marks begin: tokens, nearly.
std::vector<std::size_t> boundaries(const std::string& text) {
  const auto word = [](char ch) {
    return std::isalnum(static_cast<unsigned char>(ch)) || ch == '_';
  };
  std::vector<std::size_t> at{0};
  for (std::size_t k = 1; k < text.size(); ++k)
    if (!(word(text[k]) && word(text[k - 1]))) at.push_back(k);
  at.push_back(text.size());
  return at;
}

class Mutator {
 public:
  Mutator(std::vector<std::string> texts, std::uint32_t seed)
      : texts_(std::move(texts)), random_(seed) {}

  std::string next() {
    std::string text = any();
    for (std::size_t k = 0, n = 1 + below(4); k < n; ++k) mutate(text);
    return text;
  }

 private:
  std::size_t below(std::size_t n) { return n == 0 ? 0 : random_() % n; }
  const std::string& any() { return texts_[below(texts_.size())]; }
  /// A run of a few tokens.
  std::pair<std::size_t, std::size_t> piece(const std::string& text) {
    const std::vector<std::size_t> at = boundaries(text);
    const std::size_t first = below(at.size());
    const std::size_t last = std::min(at.size() - 1, first + 1 + below(8));
    return {at[first], at[std::max(first, last)]};
  }
  void mutate(std::string& text) {
    static const char* kTokens[] = {"(",     ")",      "[",        "]",    "{",
                                    "}",     ",",      ":",        ";",    "\n",
                                    "=",     "<-",     "|>",       "...",  "-",
                                    "^",     "@",      "0",        "-1",   "1e9",
                                    "N",     "if",     "for",      "else", "999999999999",
                                    "grad(", "\"",     "training", "x",    "w",
                                    "none",  "param ", "input ",   "0..9", "1000000"};
    const auto [from, to] = piece(text);
    switch (below(7)) {
      case 0:
        if (!text.empty()) text[below(text.size())] = static_cast<char>(random_() % 256);
        break;
      case 1:
        text.erase(from, to - from);
        break;
      case 2:
        text.insert(to, text.substr(from, to - from));
        break;
      case 3: {
        const std::string& other = any();
        const auto [a, b] = piece(other);
        text.replace(from, to - from, other.substr(a, b - a));
        break;
      }
      case 4:
        if (below(4) == 0) text.resize(below(text.size() + 1));
        break;
      case 5:
        text.replace(from, to - from, kTokens[below(std::size(kTokens))]);
        break;
      default:
        text.insert(from, std::string(" ") + kTokens[below(std::size(kTokens))] + " ");
    }
  }

  std::vector<std::string> texts_;
  std::mt19937 random_;
};

void check_module(const Module& m) { CHECK_NOTHROW(require_sound(m)); }

}  // namespace

TEST_CASE("mutated programs neither crash nor hang nor throw") {
  Mutator mutator(corpus(), 20240229);
  int good = 0;
  for (int k = 0; k < 6000; ++k) {
    const std::string text = mutator.next();
    Sources sources;
    Diagnostics diagnostics;
    const auto start = std::chrono::steady_clock::now();
    try {
      const int source = sources.add("fuzz.dl", text);
      const Module m = compile_source(sources, source, stand_in_files(), diagnostics);
      if (diagnostics.empty()) {
        ++good;
        check_module(m);
      } else {
        CHECK(!diagnostics.render(sources, false).empty());
      }
    } catch (const std::exception& e) {
      FAIL_CHECK("program ", k, ": ", e.what(), "\n", text);
    }
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    CHECK_MESSAGE(taken.count() < 10, text);
  }
  CHECK(good > 300);  // otherwise the mutations are too coarse to test what comes after parsing
}

TEST_CASE("the graphs of the examples verify and survive as text") {
  int seen = 0;
  for (const auto& entry :
       fs::recursive_directory_iterator(fs::path(DLC_SOURCE_DIR) / "examples")) {
    if (entry.path().extension() != ".dl") continue;
    CAPTURE(entry.path().filename().string());
    Sources sources;
    Diagnostics diagnostics;
    const int source = sources.add(entry.path().string(), read_all(entry.path()));
    const Module m = compile_source(sources, source, stand_in_files(), diagnostics);
    // The files stand-in has shapes of its own, which may not be what the model reads.
    for (const Diagnostic& d : diagnostics.all()) CHECK(d.kind == Diag::data_mismatch);
    check_module(m);
    ++seen;
  }
  CHECK(seen > 0);
}
