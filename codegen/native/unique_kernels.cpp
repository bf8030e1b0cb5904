#include "codegen/native/unique_kernels.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <unordered_map>

#include "ir/loop/fingerprint.h"

namespace dlc {

namespace {

/// Renumbers buffers in the order in which it meets them.
class Renumbering {
 public:
  explicit Renumbering(std::vector<loop::BufferId>& old_of) : old_of_(old_of) {}
  void apply(loop::BufferId& b) {
    const auto [at, fresh] = new_of_.emplace(b, static_cast<loop::BufferId>(old_of_.size()));
    if (fresh) old_of_.push_back(b);
    b = at->second;
  }

 private:
  std::vector<loop::BufferId>& old_of_;
  std::map<loop::BufferId, loop::BufferId> new_of_;
};

/// Calls f with each mention of a buffer, in the order that numbers a kernel's buffers.
template <class Kernel, class F>
void each_buffer(Kernel& k, const F& f) {
  for (auto& c : k.contraction) f(c.a), f(c.b);
  for (auto& e : k.exprs)
    if (e.kind == loop::ExprKind::Load) f(e.buffer);
  for (auto& s : k.stages)
    for (auto& st : s.stores) f(st.buffer);
}

loop::Program alone(const loop::Program& p, const loop::Kernel& k,
                    std::vector<loop::BufferId>& old_of) {
  loop::Program result;
  result.name = k.name;
  result.symbols = p.all_symbols();
  result.kernels.push_back(k);
  Renumbering numbers(old_of);
  each_buffer(result.kernels[0], [&](loop::BufferId& b) { numbers.apply(b); });
  for (const loop::BufferId b : old_of) {
    const loop::Buffer& old = p.buffers.at(static_cast<std::size_t>(b));
    const bool is_local = old.kind == loop::BufferKind::Local;
    result.buffers.push_back({old.name,
                              is_local ? old.kind : loop::BufferKind::Temp,
                              {old.type.element, is_local ? old.type.shape : Shape{}},
                              {},
                              {}});
  }
  return result;
}

std::string key_of(const loop::Program& one) {
  std::string key = loop::fingerprint(one.kernels[0]);
  for (const loop::Buffer& b : one.buffers) {
    key += static_cast<char>(b.type.element);
    if (b.kind == loop::BufferKind::Local) key += element_count(b.type.shape).str();
  }
  return key;
}

/// Roughly, in units of one scalar expression: the tiles of a contraction are many instructions.
std::size_t compile_cost(const loop::Kernel& k) {
  constexpr std::size_t kContraction = 150;
  return 10 + k.exprs.size() + kContraction * k.contraction.size();
}

}  // namespace

std::vector<loop::BufferId> buffers_of(const loop::Kernel& k) {
  std::vector<loop::BufferId> result;
  each_buffer(k, [&](loop::BufferId b) {
    if (std::find(result.begin(), result.end(), b) == result.end()) result.push_back(b);
  });
  return result;
}

std::int64_t table_entries(const loop::Program& p) {
  std::size_t sum = 0;
  for (const loop::Kernel& k : p.kernels) sum += buffers_of(k).size() + 1;
  return static_cast<std::int64_t>(sum);
}

UniqueKernels unique_kernels(const loop::Program& p) {
  UniqueKernels result;
  std::unordered_map<std::string, std::size_t> known;
  std::unordered_map<std::string, int> names;
  for (const loop::Kernel& k : p.kernels) {
    UniqueKernels::Call call{};
    loop::Program one = alone(p, k, call.buffers);
    const auto [at, fresh] = known.emplace(key_of(one), result.kernels.size());
    if (fresh) {
      // Names are symbols of the object code: the second of a name gets its number.
      if (const int count = ++names[k.name]; count > 1) one.name += "_" + std::to_string(count);
      result.kernels.push_back(std::move(one));
    }
    call.kernel = at->second;
    result.calls.push_back(std::move(call));
  }
  return result;
}

std::vector<std::vector<std::size_t>> compile_groups(const UniqueKernels& u,
                                                     std::size_t max_groups) {
  constexpr std::size_t kLeast = 100;    // less than this is not worth a module
  constexpr std::size_t kEntries = 150;  // of a step, as measured beside the kernels
  std::vector<std::size_t> costs, order(u.kernels.size());
  for (const loop::Program& one : u.kernels) costs.push_back(compile_cost(one.kernels[0]));
  const std::size_t total = std::accumulate(costs.begin(), costs.end(), std::size_t{0});
  const std::size_t count = std::clamp<std::size_t>(
      total / kLeast, 1, std::min(max_groups, std::max<std::size_t>(1, costs.size())));
  // The dearest first, each into the group that is cheapest so far.
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return costs[a] > costs[b]; });
  std::vector<std::vector<std::size_t>> groups(count);
  std::vector<std::size_t> sums(count, 0);
  sums[0] = kEntries;
  for (const std::size_t k : order) {
    const auto to =
        static_cast<std::size_t>(std::min_element(sums.begin(), sums.end()) - sums.begin());
    groups[to].push_back(k);
    sums[to] += costs[k];
  }
  for (auto& group : groups) std::sort(group.begin(), group.end());
  return groups;
}

}  // namespace dlc
