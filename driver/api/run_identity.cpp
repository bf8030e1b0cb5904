#include "driver/api/run_identity.h"

#include <zlib.h>

#include <algorithm>

#include "codegen/native/sha256.h"
#include "driver/api/version.h"
#include "ir/graph/scan.h"
#include "ir/graph/text.h"

namespace dlc {

namespace {

constexpr std::string_view kSource = "source ", kData = "data ", kGraph = "graph ", kSet = "--set ";

/// Without what does not change the numbers: places in the source and names of values.
Graph bare(const Graph& g) {
  Graph result = map_regions(g, bare);
  for (Node& n : result.nodes) {
    n.loc = {};
    if (n.op != Op::input) n.name.clear();
  }
  return result;
}

std::string describe_column(const Tensor& t) {
  const auto* bytes = static_cast<const Bytef*>(t.data());
  return fmt::format("{} #{:08x}", t.type_str(), crc32_z(0, bytes, t.bytes()));
}

void add_data(RunIdentity& id, const std::string& split, const Rows& rows) {
  for (const auto& [name, t] : rows.columns)
    id[fmt::format("{}{}.{}", kData, split, name)] = describe_column(t);
}

/// The first line that differs, as both texts have it.
std::string first_difference(std::string_view was, std::string_view is) {
  const auto next = [](std::string_view& text) -> std::optional<std::string_view> {
    if (text.empty()) return std::nullopt;
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return line;
  };
  const auto shown = [](std::optional<std::string_view> line) -> std::string {
    if (!line) return "nothing";
    const std::size_t first = line->find_first_not_of(' ');
    return first == std::string_view::npos ? "an empty line"
                                           : fmt::format("`{}`", line->substr(first));
  };
  for (int number = 1;; ++number) {
    const auto a = next(was), b = next(is);
    if (a != b) return fmt::format("line {} is {}, it was {}", number, shown(b), shown(a));
    if (!a) return "";
  }
}

/// A sentence for one entry; empty where another one says it better.
std::string difference(const std::string& key, const std::string* was, const std::string* is) {
  if (key.starts_with(kGraph)) return "";
  if (key.starts_with(kSource)) {
    const std::string file = key.substr(kSource.size());
    if (!was) return fmt::format("{} was not part of the model", file);
    if (!is) return fmt::format("{} was part of the model", file);
    return fmt::format("{}: {}", file, first_difference(*was, *is));
  }
  if (key.starts_with(kData)) {
    const std::string column = key.substr(kData.size());
    const auto type = [](const std::string& text) { return text.substr(0, text.find(" #")); };
    if (!was) return fmt::format("the data had no column `{}`", column);
    if (!is) return fmt::format("the data had a column `{}`", column);
    return type(*was) == type(*is) ? fmt::format("the data column `{}` holds other values", column)
                                   : fmt::format("the data column `{}` is {}, it was {}", column,
                                                 type(*is), type(*was));
  }
  const auto shown = [](const std::string* value) {
    return !value || value->empty() ? std::string("not set") : *value;
  };
  return fmt::format("{} is {}, it was {}", key, shown(is), shown(was));
}

}  // namespace

RunIdentity run_identity(const Compilation& c, const TrainOptions& options, const Rows& rows,
                         const Rows* test) {
  const Module& m = c.module();
  RunIdentity id;
  id["the version"] = kVersion;
  id["the model"] = m.model_name;
  id["batch"] = fmt::format("{}", options.batch);
  id["seed"] = fmt::format("{}", options.seed);
  id["shuffle"] = options.shuffle ? "true" : "false";
  id["consecutive"] = options.consecutive ? "true" : "false";
  id["precision"] = name(m.train.precision);
  id["--disable-pass"] = fmt::format("{}", fmt::join(c.options().disabled_passes, " "));
  for (const auto& [name, value] : c.options().sets)
    if (!id.contains(name)) id[fmt::format("{}{}", kSet, name)] = value;
  for (int k = 0; k < c.sources().size(); ++k)
    if (const std::string& file = c.sources().name(k);
        !file.starts_with("std/") && !file.starts_with(kSet))
      id[fmt::format("{}{}", kSource, file)] = c.sources().text(k);
  for (const Graph* g : {&m.init, &m.train_step, &m.evaluate})
    id[fmt::format("{}{}", kGraph, g->name)] = hex(sha256(print(bare(*g))));
  add_data(id, "train", rows);
  if (test) add_data(id, "test", *test);
  return id;
}

std::vector<std::string> differences(const RunIdentity& checkpoint, const RunIdentity& now) {
  std::vector<std::string> result;
  bool same_graphs = true;
  const auto visit = [&](const auto& f) {
    RunIdentity all = checkpoint;
    all.insert(now.begin(), now.end());
    for (const auto& [key, value] : all) {
      const auto was = checkpoint.find(key), is = now.find(key);
      const std::string *a = was == checkpoint.end() ? nullptr : &was->second,
                        *b = is == now.end() ? nullptr : &is->second;
      if (!a || !b || *a != *b) f(key, a, b);
    }
  };
  visit([&](const std::string& key, const std::string*, const std::string*) {
    if (key.starts_with(kGraph)) same_graphs = false;
  });
  visit([&](const std::string& key, const std::string* was, const std::string* is) {
    // A comment, an option that sets what the file says, a file moved elsewhere: the same model.
    if (same_graphs && (key.starts_with(kSource) || key.starts_with(kSet))) return;
    if (const std::string text = difference(key, was, is); !text.empty()) result.push_back(text);
  });
  if (!same_graphs && result.empty())
    result.emplace_back("the model is computed otherwise, though its source is the same");
  return result;
}

}  // namespace dlc
