#include "driver/api/memory_limit.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "ir/support/check.h"

namespace dlc {

namespace {

struct Unit {
  std::string_view name;
  double bytes;
};
constexpr Unit kUnits[] = {{"GiB", 0x1p30}, {"MiB", 0x1p20}, {"KiB", 0x1p10}, {"GB", 1e9},
                           {"MB", 1e6},     {"kB", 1e3},     {"KB", 1e3},     {"B", 1}};

/// With one decimal, rounded up, and readable by parse_bytes.
std::string show(std::int64_t bytes) {
  const auto b = static_cast<double>(bytes);
  for (const Unit& u : kUnits)
    if (u.name.ends_with("iB") && b >= 10 * u.bytes)
      return fmt::format("{:.1f}{}", std::ceil(b / u.bytes * 10) / 10, u.name);
  return b >= 10 * 0x1p10 ? fmt::format("{:.1f}KiB", std::ceil(b / 0x1p10 * 10) / 10)
                          : fmt::format("{}B", bytes);
}

std::string counted(std::int64_t n, const std::string& what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

Extents extents_of(const loop::Program& p, const MemoryLimit& limit, std::int64_t batch) {
  Extents result = limit.extents;
  for (const std::string& s : p.symbols) result.emplace(s, batch);
  return result;
}

bool fits(const loop::Program& p, const Extents& extents, std::int64_t bytes) {
  return fit_memory(p, extents, bytes).arena_bytes <= bytes;
}

/// Fitting it takes more than an instant: what an error advises may be coarse.
bool is_long(const loop::Program& p) { return p.kernels.size() > 300; }

/// In the user's file, if any of the kernel is from there.
std::string made_at(const loop::Kernel& k) {
  if (k.locs.empty()) return "kernel " + k.name;
  const auto own = std::find_if(k.locs.begin(), k.locs.end(),
                                [](const Loc& loc) { return !loc.file().starts_with("std/"); });
  const Loc& loc = own == k.locs.end() ? k.locs[0] : *own;
  return fmt::format("{}:{}", loc.file(), loc.line);
}

/// A type whose symbols have their values.
std::string sized(const Type& t, const Extents& extents) {
  Type result{t.element, {}};
  for (const Dim& d : t.shape) result.shape.emplace_back(d.evaluate(extents));
  return result.str();
}

/// The largest temporaries at the peak, one a line.
std::string show_peak(const loop::Program& p, const Extents& extents) {
  constexpr std::size_t kMost = 8;
  const MemoryPeak peak = memory_peak(p, extents);
  const loop::Kernel& worst = p.kernels.at(static_cast<std::size_t>(peak.kernel));
  std::string out = fmt::format("  alive at the peak, while {} runs{}:\n", worst.name,
                                worst.locs.empty() ? "" : fmt::format(" ({})", made_at(worst)));
  std::int64_t rest = 0;
  for (std::size_t k = 0; k < peak.alive.size(); ++k) {
    const MemoryPeak::Temporary& t = peak.alive[k];
    if (k >= kMost) {
      rest += t.bytes;
      continue;
    }
    const loop::Buffer& b = p.buffers[static_cast<std::size_t>(t.buffer)];
    out += fmt::format("  {:>10}  {}: {}  {}\n", show(t.bytes), b.name, sized(b.type, extents),
                       made_at(p.kernels[static_cast<std::size_t>(t.made_by)]));
  }
  if (rest > 0) out += fmt::format("  {:>10}  {} more\n", show(rest), peak.alive.size() - kMost);
  return out;
}

/// The smallest limit that would do, nearly, as an option.
std::string enough(const loop::Program& p, const MemoryLimit& limit, const Extents& extents) {
  const int halvings = is_long(p) ? 3 : 8;
  std::int64_t low = limit.bytes, high = p.arena_bytes.evaluate(extents);
  const std::string whole = show(high);
  for (int k = 0; k < halvings; ++k) {
    const std::int64_t middle = low + (high - low) / 2;
    (fits(p, extents, middle) ? high : low) = middle;
  }
  // As rounded; the search is greedy, so more memory might, rarely, lead it astray.
  std::string text = show(high);
  return fits(p, extents, parse_bytes(text, "--mem-limit")) ? text : whole;
}

/// The largest batch that fits, of long programs a little less; 0 when none does. The search begins
/// where it would be if memory grew with the batch, from `least` bytes for the batch given.
std::int64_t fitting_batch(const loop::Program& p, const MemoryLimit& limit, std::int64_t least) {
  std::int64_t low = 0, high = limit.batch;  // low fits
  auto middle =
      static_cast<std::int64_t>(static_cast<double>(limit.batch) *
                                static_cast<double>(limit.bytes) / static_cast<double>(least));
  while (high - low > (is_long(p) ? std::max<std::int64_t>(1, limit.batch / 8) : 1)) {
    middle = std::clamp(middle, low + 1, high - 1);
    (fits(p, extents_of(p, limit, middle), limit.bytes) ? low : high) = middle;
    middle = low + (high - low) / 2;
  }
  return low;
}

[[noreturn]] void fail(const loop::Program& p, const MemoryLimit& limit, const Extents& extents) {
  const std::string least = enough(p, limit, extents);
  const Fitted best = fit_memory(p, extents, parse_bytes(least, "--mem-limit"));
  std::string out =
      fmt::format("{} needs {} for the intermediates of {}, --mem-limit allows {}\n", p.name,
                  show(p.arena_bytes.evaluate(extents)), counted(limit.batch, "row"), limit.text);
  if (best.recomputed > 0)
    out += fmt::format("  with {} computed again it needs {}\n", counted(best.recomputed, "kernel"),
                       show(best.arena_bytes));
  out += show_peak(best.program, extents);
  const std::int64_t batch = fitting_batch(p, limit, best.arena_bytes);
  out += fmt::format(
      "  --mem-limit {} is enough for {}; {}", least, counted(limit.batch, "row"),
      batch > 0 ? fmt::format("{} in a batch fit into {}", counted(batch, "row"), limit.text)
                : "no batch is small enough for " + limit.text);
  throw UserError(out);
}

}  // namespace

std::int64_t parse_bytes(const std::string& text, const std::string& option) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit =
      std::string_view(text).substr(static_cast<std::size_t>(end - text.data()));
  if (unit.starts_with(' ')) unit.remove_prefix(1);
  const auto* known = std::find_if(std::begin(kUnits), std::end(kUnits),
                                   [&](const Unit& u) { return u.name == unit; });
  const double bytes = number * (unit.empty() ? 1 : known == std::end(kUnits) ? 0 : known->bytes);
  if (error != std::errc{} || (!unit.empty() && known == std::end(kUnits)) || !(bytes >= 1) ||
      bytes > 0x1p60)
    throw UserError(
        fmt::format("{} {}: a size is expected: 64MiB, 1.5GiB or a number of bytes", option, text));
  return static_cast<std::int64_t>(bytes);
}

MemoryLimit memory_limit(const std::string& text, const Graph& g, const DataSplit* split,
                         std::int64_t batch) {
  MemoryLimit limit{text, parse_bytes(text, "--mem-limit"), batch, {}};
  if (!split) return limit;
  if (split->rows > 0) limit.batch = std::min(batch, split->rows);
  limit.extents = extents_in(g, *split);
  return limit;
}

Extents extents_in(const Graph& g, const DataSplit& split) {
  Extents extents;
  for (const GraphInput& in : g.inputs)
    for (const DataColumn& c : split.columns) {
      const Shape& shape = g.type(in.value).shape;
      if (c.name != in.name || c.type.shape.size() != shape.size()) continue;
      for (std::size_t k = 1; k < shape.size(); ++k)
        for (const std::string& s : shape[k].symbols())
          if (shape[k] == Dim::symbol(s) && c.type.shape[k].is_constant())
            extents.emplace(s, c.type.shape[k].value());
    }
  return extents;
}

int apply_memory_limit(loop::Program& p, const MemoryLimit& limit) {
  const Extents extents = extents_of(p, limit, limit.batch);
  Fitted fitted = fit_memory(p, extents, limit.bytes);
  if (fitted.arena_bytes > limit.bytes) fail(p, limit, extents);
  p = std::move(fitted.program);
  return fitted.recomputed;
}

}  // namespace dlc
