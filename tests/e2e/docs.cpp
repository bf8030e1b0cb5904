// README.md and docs/ are true: links lead somewhere, models compile, commands run, messages and
// dumps are the compiler's own. DLC_UPDATE=1 writes the dump of docs/backprop.md anew.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <regex>

#include "runtime/data/readers.h"
#include "tests/e2e/process.h"

namespace fs = std::filesystem;

namespace {

const fs::path kRoot = DLC_SOURCE_DIR;

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// A fenced block of a page.
struct Block {
  std::string kind;       // what follows the opening fence
  std::size_t begin = 0;  // the line after the opening fence
  std::vector<std::string> lines;

  std::string text() const {
    std::string out;
    for (const std::string& line : lines) out += line + "\n";
    return out;
  }
};

std::vector<Block> blocks_of(const std::vector<std::string>& page) {
  std::vector<Block> blocks;
  bool inside = false;
  for (std::size_t k = 0; k < page.size(); ++k) {
    if (page[k].starts_with("```")) {
      if (!inside) blocks.push_back({page[k].substr(3), k + 1, {}});
      inside = !inside;
    } else if (inside) {
      blocks.back().lines.push_back(page[k]);
    }
  }
  return blocks;
}

std::vector<Block> blocks_of(const fs::path& page) {
  return blocks_of(lines_of(read_all(page.string())));
}

/// A directory like the repository as far as commands of the pages look: examples/ and what they
/// write.
class Desk {
 public:
  Desk() {
    for (const char* folder : {"examples", "tests"})
      fs::create_directory_symlink(kRoot / folder, dir_.dir() / folder);
  }

  void write(const std::string& file, const std::string& text) { dir_.write(file, text); }
  std::string path(const std::string& file) const { return dir_.path(file); }

  /// A line as the page shows it, through the shell.
  Finished run(std::string line) {
    for (const std::string name : {"scripts/dlc ", "dlc "})
      if (line.starts_with(name)) line = "'" DLC_BINARY "' " + line.substr(name.size());
    line = std::regex_replace(line, std::regex(" +#.*"), "");
    if (line.find(" > ") == std::string::npos) line += " >" + dir_.path("out.txt");
    line = "cd '" + dir_.path("") + "' && " + line + " 2>" + dir_.path("err.txt") + " </dev/null";
    const int status = std::system(line.c_str());
    return {WEXITSTATUS(status), read_all(dir_.path("out.txt")), read_all(dir_.path("err.txt"))};
  }

 private:
  TempDir dir_;
};

/// Long work made short: one epoch, a short measurement, few rows.
std::string shortened(std::string line) {
  line = std::regex_replace(line, std::regex(" --epochs [0-9]+"), "");
  if (line.find(" train ") != std::string::npos) return line + " --epochs 1";
  if (line.find(" bench ") != std::string::npos) return line + " --seconds 0.05";
  if (line.find(" gradcheck ") != std::string::npos) return line + " --samples 3";
  return line;
}

bool is_command(const std::string& line) {
  return line.starts_with("scripts/dlc ") || line.starts_with("dlc ");
}

/// The indented commands of README.md.
std::vector<std::string> commands_of(const std::vector<std::string>& page) {
  std::vector<std::string> commands;
  for (const std::string& line : page)
    if (line.starts_with("    ") && is_command(line.substr(4))) commands.push_back(line.substr(4));
  return commands;
}

/// Files that blocks of a page are: `# name.dl` in the first line.
void write_files(Desk& desk, const std::vector<Block>& blocks) {
  for (const Block& b : blocks)
    if (b.kind == "dl" && !b.lines.empty() && b.lines[0].starts_with("# ") &&
        b.lines[0].ends_with(".dl"))
      desk.write(b.lines[0].substr(2), b.text());
}

std::string without_places(const std::string& dump) {
  return std::regex_replace(dump, std::regex(" *@ \"[^\"\n]*\":[0-9]+:[0-9]+"), "");
}

}  // namespace

TEST_CASE("every relative link leads to a file") {
  std::vector<fs::path> pages{kRoot / "README.md"};
  for (const auto& entry : fs::directory_iterator(kRoot / "docs"))
    if (entry.path().extension() == ".md") pages.push_back(entry.path());
  CHECK(pages.size() >= 5);
  const std::regex link(R"(\]\(([^)#\s]+)[^)]*\))");
  for (const fs::path& page : pages) {
    const std::string text = read_all(page.string());
    for (std::sregex_iterator at(text.begin(), text.end(), link), end; at != end; ++at) {
      const std::string target = (*at)[1];
      if (target.find("://") != std::string::npos) continue;
      CHECK_MESSAGE(fs::exists(page.parent_path() / target), page.string(), ": ", target);
    }
  }
}

TEST_CASE("docs/backprop.md shows the dump as it is") {
  const fs::path path = kRoot / "docs" / "backprop.md";
  const Finished f =
      dlc_command({"dump", "examples/backprop.dl", "--stage", "backward", "--of", "train_step"});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  const std::string dump = without_places(f.out);
  const std::vector<std::string> page = lines_of(read_all(path.string()));
  std::string shown;
  std::vector<Block> parts;
  for (const Block& b : blocks_of(page))
    if (b.kind == "dump") {
      parts.push_back(b);
      shown += b.text();
    }
  if (shown != dump && std::getenv("DLC_UPDATE")) {
    // Each block begins with a line of its own, which the new dump still has.
    std::vector<std::string> now = lines_of(dump), result(page);
    std::size_t end = now.size();
    for (std::size_t k = parts.size(); k-- > 0;) {
      std::size_t begin = end;
      while (begin > 0 && now[begin - 1] != parts[k].lines[0]) --begin;
      REQUIRE_MESSAGE(begin > 0, "no line is now `", parts[k].lines[0], "`");
      --begin;
      const auto at = result.begin() + static_cast<std::ptrdiff_t>(parts[k].begin);
      const auto next = result.erase(at, at + static_cast<std::ptrdiff_t>(parts[k].lines.size()));
      result.insert(next, now.begin() + static_cast<std::ptrdiff_t>(begin),
                    now.begin() + static_cast<std::ptrdiff_t>(end));
      end = begin;
    }
    REQUIRE(end == 0);
    std::ofstream out(path, std::ios::binary);
    for (const std::string& line : result) out << line << "\n";
    return;
  }
  INFO("DLC_UPDATE=1 writes it anew");
  CHECK(shown == dump);
  const std::vector<Block> blocks = blocks_of(page);
  REQUIRE(blocks[0].kind == "dl");  // the model as the example file has it, but for its output
  std::string example = read_all(::example("backprop.dl")), model = blocks[0].text();
  example = std::regex_replace(example, std::regex("  output [^\n]*\n"), "");
  CHECK(example.find(model) != std::string::npos);
}

TEST_CASE("README.md: the model trains, the mistake is explained as shown") {
  Desk desk;
  const std::vector<Block> blocks = blocks_of(kRoot / "README.md");
  std::vector<std::string> models;
  for (const Block& b : blocks) {
    if (b.kind == "dl") models.push_back(b.text());
    if (b.kind != "console") continue;
    REQUIRE(b.lines[0].starts_with("$ scripts/dlc "));
    const Finished f = desk.run(b.lines[0].substr(2));
    CHECK(f.exit_code == 1);
    const std::string shown = b.text().substr(b.lines[0].size() + 1);
    CHECK(f.err == shown);
  }
  REQUIRE(!models.empty());
  desk.write("model.dl", models[0]);
  const Finished f = desk.run("dlc train model.dl");
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  CHECK(f.out.find("epoch 3/3") != std::string::npos);
}

TEST_CASE("README.md: every command runs") {
  Desk desk;
  const std::vector<std::string> commands = commands_of(lines_of(read_all(kRoot / "README.md")));
  CHECK(commands.size() >= 9);
  for (const std::string& line : commands) {
    const std::string without_comment = std::regex_replace(line, std::regex(" +#.*"), "");
    const Finished f = desk.run(shortened(without_comment));
    CHECK_MESSAGE(f.exit_code == 0, line, "\n", f.err);
  }
}

TEST_CASE("docs/tour.md: every command runs, mistakes are explained as shown") {
  Desk desk;
  const std::vector<Block> blocks = blocks_of(kRoot / "docs" / "tour.md");
  write_files(desk, blocks);
  const std::vector<float> rows{1, 1, 0, 0, 2, -1};
  dlc::write_npy(desk.path("my_houses.npy"), dlc::Tensor::copy_of(DLC_F32, {3, 2}, rows.data()));
  int commands = 0;
  for (const Block& b : blocks) {
    if (b.kind != "console") continue;
    std::string shown;  // after the last command of the block
    Finished f{0, "", ""};
    std::string last;
    for (const std::string& line : b.lines) {
      if (!line.starts_with("$ ")) {
        shown += line + "\n";
        continue;
      }
      REQUIRE_MESSAGE(is_command(line.substr(2)), line);
      last = line.substr(2);
      shown.clear();
      f = desk.run(shortened(last));
      ++commands;
      const bool mistake = b.text().find(": error: ") != std::string::npos;
      CHECK_MESSAGE(f.exit_code == (mistake ? 1 : 0), last, "\n", f.err);
    }
    if (shown.find(": error: ") != std::string::npos) CHECK(f.err == shown);
  }
  CHECK(commands > 20);
}
