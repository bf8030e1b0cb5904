// Damaged texts: the parser gives a message or a graph that verifies, whatever it reads.
#include <doctest/doctest.h>

#include <random>

#include "ir/graph/text.h"
#include "tests/support/finite_difference.h"
#include "tests/support/random_graph.h"

using namespace dlc;

namespace {

class Damage {
 public:
  explicit Damage(unsigned seed) : random_(seed) {}

  std::string operator()(std::string text) {
    static const std::vector<std::string> tokens{"%",
                                                 "-1",
                                                 "99999999999999999999",
                                                 "9223372036854775807",
                                                 "N",
                                                 "f32[",
                                                 "]",
                                                 "{",
                                                 "}",
                                                 "nan",
                                                 "constant splat 1",
                                                 "\"",
                                                 "input",
                                                 "=",
                                                 "axes",
                                                 "f16",
                                                 "0",
                                                 ",",
                                                 "(N*N*N*N*N)",
                                                 "-N",
                                                 "grad",
                                                 "#",
                                                 "@",
                                                 ":",
                                                 "\\",
                                                 "\n",
                                                 "[1, 2]",
                                                 "output update \"w\" = ",
                                                 "kernel",
                                                 "bool",
                                                 "~2"};
    for (int k = below(3) + 1; k-- > 0;) {
      const std::size_t at = text.empty() ? 0 : below(static_cast<int>(text.size()));
      const std::size_t length = std::min<std::size_t>(text.size() - at, below(12));
      switch (below(5)) {
        case 0:
          text.erase(at, length);
          break;
        case 1:
          text.insert(at, tokens[below(static_cast<int>(tokens.size()))]);
          break;
        case 2:
          text.replace(at, length, tokens[below(static_cast<int>(tokens.size()))]);
          break;
        case 3:
          if (at < text.size()) text[at] = static_cast<char>(below(256));
          break;
        default: {  // a piece from elsewhere
          const std::size_t from = text.empty() ? 0 : below(static_cast<int>(text.size()));
          text.replace(at, length, text.substr(from, below(40)));
        }
      }
    }
    return text;
  }

 private:
  std::size_t below(int n) { return random_() % static_cast<unsigned>(n); }
  std::mt19937 random_;
};

}  // namespace

TEST_CASE("damaged text is refused with a place, or means something") {
  int accepted = 0, refused = 0;
  for (unsigned seed = 0; seed < 60; ++seed) {
    const std::string text = print(with_gradients(random_graph(seed, ElementType::F32)));
    Damage damage(seed);
    for (int k = 0; k < 60; ++k) {
      const std::string damaged = damage(text);
      CAPTURE(damaged);
      try {
        for (const Graph& g : parse_graphs(damaged, "fuzz.ir")) {
          verify(g);
          const std::string again = print(g);
          CHECK(print(parse_graphs(again, "again.ir").at(0)) == again);
        }
        ++accepted;
      } catch (const UserError& e) {
        CHECK(std::string(e.what()).starts_with("fuzz.ir:"));
        ++refused;
      } catch (const std::exception& e) {
        FAIL_CHECK(std::string(e.what()));
      }
    }
  }
  CHECK(accepted > 100);
  CHECK(refused > 1000);
}
