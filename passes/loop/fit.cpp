// A temporary that is made early and read again late need not be kept in between: the kernel that
// made it runs once more, just before the later reader.
//
//   k1: a = ...   k2: reads a   k3, k4: the peak   k5: reads a
//   k1: a = ...   k2: reads a   k3, k4: the peak   k1': a' = ...   k5: reads a'
//
// Only kernels without a contraction and without a scatter are repeated: elementwise and row
// kernels. What they read must still be there. Inputs, parameters (unless they have been updated
// in between) and temporaries that live on anyway are; another temporary is either kept a little
// longer or computed anew itself, and so on down the chain.
//
// A repeated kernel is a copy of the whole kernel over other buffers: it runs the same code on the
// same values, so the bits are the same, and it costs no compile time. Outputs that it would store
// again go to temporaries that nobody reads.
//
// Greedy: while some kernel has more bytes alive than allowed, all temporaries that are alive but
// not used at the worst kernel are tried, and the one with the most excess (bytes over the limit,
// summed over all kernels) removed per scalar operation repeated wins. The excess falls with each
// step, so this ends.
#include "passes/loop/fit.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>

#include "passes/loop/plan.h"
#include "passes/lower/lower.h"

namespace dlc {

namespace {

using loop::BufferId;
using loop::BufferKind;

/// What stands in a buffer: buffer b itself is version b; what a repeated kernel writes are new
/// versions.
using Version = int;

/// One run of a kernel.
struct Step {
  int kernel;
  bool repeated = false;
  std::vector<std::pair<BufferId, Version>> reads, writes;
  std::vector<std::pair<Version, Version>> in_place;
};
struct Schedule {
  std::vector<std::shared_ptr<const Step>> steps;
  std::vector<BufferId> buffers;    // of each version
  std::vector<std::int64_t> bytes;  // of each version; 0 for what is not in the arena
};

/// Where versions are touched.
struct Uses {
  std::vector<int> first, last, writer;  // steps; the writer is -1 where there are none or several
  std::vector<std::int64_t> alive;       // bytes, by step
};

class Fitter {
 public:
  Fitter(const loop::Program& p, const Extents& extents) : p_(p), extents_(extents) {
    const std::vector<Access> all = accesses(p);
    for (std::size_t b = 0; b < p.buffers.size(); ++b) {
      now_.buffers.push_back(static_cast<int>(b));
      now_.bytes.push_back(p.buffers[b].kind == BufferKind::Temp ? size(static_cast<int>(b)) : 0);
    }
    for (std::size_t k = 0; k < all.size(); ++k) {
      auto step = std::make_shared<Step>();
      step->kernel = static_cast<int>(k);
      for (const BufferId b : all[k].reads) step->reads.emplace_back(b, b);
      for (const BufferId b : all[k].writes) step->writes.emplace_back(b, b);
      step->in_place = all[k].in_place;
      now_.steps.push_back(std::move(step));
    }
  }

  /// Repeats kernels until no kernel has more than `allowed` bytes alive, or nothing helps.
  void reduce(std::int64_t allowed) {
    uses_ = uses_of(now_);
    while (!uses_.alive.empty()) {
      const auto worst = static_cast<int>(std::max_element(uses_.alive.begin(), uses_.alive.end()) -
                                          uses_.alive.begin());
      if (uses_.alive[static_cast<std::size_t>(worst)] <= allowed) return;
      std::optional<Schedule> better = best_change(worst, allowed);
      if (!better) return;
      now_ = std::move(*better);
      uses_ = uses_of(now_);
    }
  }

  std::int64_t peak() const {
    return uses_.alive.empty() ? 0 : *std::max_element(uses_.alive.begin(), uses_.alive.end());
  }

  Fitted result() const {
    Fitted f;
    f.program = p_;
    f.program.kernels.clear();
    std::vector<int> copies(p_.buffers.size(), 0);
    for (std::size_t v = p_.buffers.size(); v < now_.buffers.size(); ++v) {
      const auto old = static_cast<std::size_t>(now_.buffers[v]);
      loop::Buffer b;
      b.kind = BufferKind::Temp;
      b.type = p_.buffers[old].type;
      b.name = p_.buffers[old].name + ".again";
      if (const int n = ++copies[old]; n > 1) b.name += std::to_string(n);
      f.program.buffers.push_back(std::move(b));
    }
    for (const auto& step : now_.steps) {
      f.program.kernels.push_back(kernel_of(*step));
      f.recomputed += step->repeated;
    }
    run_plan_of(f.program);
    f.arena_bytes = f.program.arena_bytes.evaluate(extents_);
    return f;
  }

  MemoryPeak peak_of_given() {
    uses_ = uses_of(now_);
    MemoryPeak result;
    if (uses_.alive.empty()) return result;
    result.bytes = peak();
    result.kernel = static_cast<int>(std::max_element(uses_.alive.begin(), uses_.alive.end()) -
                                     uses_.alive.begin());
    for (std::size_t v = 0; v < now_.bytes.size(); ++v)
      if (now_.bytes[v] > 0 && uses_.first[v] <= result.kernel && result.kernel <= uses_.last[v])
        result.alive.push_back({static_cast<int>(v), now_.bytes[v], uses_.first[v]});
    std::stable_sort(result.alive.begin(), result.alive.end(),
                     [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
    return result;
  }

 private:
  const loop::Kernel& kernel(const Step& s) const {
    return p_.kernels[static_cast<std::size_t>(s.kernel)];
  }
  static std::size_t at(int index) { return static_cast<std::size_t>(index); }
  std::int64_t size(BufferId b) const {
    return aligned_bytes(p_.buffers[at(b)].type).evaluate(extents_);
  }

  Uses uses_of(const Schedule& s) const {
    Uses u;
    u.first.assign(s.buffers.size(), -1);
    u.last.assign(s.buffers.size(), -1);
    u.writer.assign(s.buffers.size(), -1);
    std::vector<int> writers(s.buffers.size(), 0);
    for (std::size_t k = 0; k < s.steps.size(); ++k) {
      for (const auto* list : {&s.steps[k]->reads, &s.steps[k]->writes})
        for (const auto& [b, v] : *list) {
          if (u.first[at(v)] < 0) u.first[at(v)] = static_cast<int>(k);
          u.last[at(v)] = static_cast<int>(k);
        }
      for (const auto& [b, v] : s.steps[k]->writes)
        u.writer[at(v)] = ++writers[at(v)] == 1 ? static_cast<int>(k) : -1;
    }
    std::vector<std::int64_t> change(s.steps.size() + 1, 0);
    for (std::size_t v = 0; v < s.buffers.size(); ++v)
      if (u.first[v] >= 0) {
        change[at(u.first[v])] += s.bytes[v];
        change[at(u.last[v]) + 1] -= s.bytes[v];
      }
    std::int64_t now = 0;
    for (std::size_t k = 0; k < s.steps.size(); ++k) {
      now += change[k];
      u.alive.push_back(now - shared(s, u, k));
    }
    return u;
  }

  /// Bytes that kernel `k` writes over what it reads last.
  static std::int64_t shared(const Schedule& s, const Uses& u, std::size_t k) {
    std::int64_t bytes = 0;
    std::set<Version> taken, taking;
    for (const auto& [from, to] : s.steps[k]->in_place) {
      if (u.last[at(from)] != static_cast<int>(k) || u.first[at(to)] != static_cast<int>(k))
        continue;
      if (taken.contains(from) || taking.contains(to)) continue;
      taken.insert(from), taking.insert(to);
      bytes += s.bytes[at(to)];
    }
    return bytes;
  }

  static std::int64_t excess(const Uses& u, std::int64_t allowed) {
    std::int64_t sum = 0;
    for (const std::int64_t bytes : u.alive) sum += std::max<std::int64_t>(0, bytes - allowed);
    return sum;
  }

  /// Scalar operations, roughly.
  double work(const Step& s) const {
    const loop::Kernel& k = kernel(s);
    const auto extent = [&](loop::AxisId a) {
      return static_cast<double>(k.axes[at(a)].extent.evaluate(extents_));
    };
    double points = 1, each = 0;
    for (const loop::AxisId a : k.outer) points *= extent(a);
    for (const loop::Stage& stage : k.stages) {
      double inner = 1;
      for (const loop::AxisId a : stage.axes) inner *= extent(a);
      each += inner;
    }
    return points * each * static_cast<double>(k.exprs.size()) /
           static_cast<double>(k.stages.size());
  }

  bool repeatable(int step) const {
    if (step < 0) return false;
    const loop::Kernel& k = kernel(*now_.steps[at(step)]);
    return k.contraction.empty() && !k.scatter;
  }

  // ---- Changes ----

  std::optional<Schedule> best_change(int worst, std::int64_t allowed) const {
    std::vector<Version> candidates;
    for (std::size_t v = 0; v < now_.bytes.size(); ++v)
      if (now_.bytes[v] > 0 && uses_.first[v] < worst && worst < uses_.last[v] &&
          uses_.writer[v] >= 0 && uses_.writer[v] < worst && repeatable(uses_.writer[v]))
        candidates.push_back(static_cast<Version>(v));
    constexpr std::size_t kMostTried = 48;  // the largest: so that long programs do not take long
    std::stable_sort(candidates.begin(), candidates.end(),
                     [&](Version a, Version b) { return now_.bytes[at(a)] > now_.bytes[at(b)]; });
    if (candidates.size() > kMostTried) candidates.resize(kMostTried);
    const std::int64_t before = excess(uses_, allowed);
    std::optional<Schedule> best;
    double best_score = 0;
    for (const Version v : candidates) {
      const int reader = next_use(v, worst);
      if (reader < 0) continue;
      for (const bool chain : {false, true}) {
        std::vector<int> again;
        if (!collect(uses_.writer[at(v)], reader, chain, again)) continue;
        Schedule s = repeated(again, reader);
        const std::int64_t removed = before - excess(uses_of(s), allowed);
        if (removed <= 0) continue;
        double cost = 1;
        for (const int step : again) cost += work(*now_.steps[at(step)]);
        const double score = static_cast<double>(removed) / cost;
        if (score <= best_score) continue;
        best_score = score;
        best = std::move(s);
      }
    }
    return best;
  }

  /// The first use of `v` after `worst`; -1 when it is used there.
  int next_use(Version v, int worst) const {
    for (int k = worst; k <= uses_.last[at(v)]; ++k)
      for (const auto& [b, read] : now_.steps[at(k)]->reads)
        if (read == v) return k == worst ? -1 : k;
    return -1;
  }

  static bool writes(const Step& s, Version v) {
    return std::any_of(s.writes.begin(), s.writes.end(),
                       [&](const auto& w) { return w.second == v; });
  }

  /// Whether memory `b` (which is no temporary) is written by a step from `from` until before `to`.
  bool overwritten(BufferId b, int from, int to) const {
    for (int k = from; k < to; ++k)
      for (const auto& [written, v] : now_.steps[at(k)]->writes)
        if (memory_of(p_, written) == memory_of(p_, b) && now_.bytes[at(v)] == 0) return true;
    return false;
  }

  /// The steps that have to be repeated before `reader` so that `step` can be, itself the last one.
  /// `chain`: inputs that are gone by then are repeated where they can be, else kept. False when an
  /// input is lost.
  bool collect(int step, int reader, bool chain, std::vector<int>& again) const {
    if (std::find(again.begin(), again.end(), step) != again.end()) return true;
    const Step& s = *now_.steps[at(step)];
    std::int64_t made = 0;
    for (const auto& [b, v] : s.writes) made = std::max(made, now_.bytes[at(v)]);
    for (const auto& [b, v] : s.reads) {
      if (writes(s, v)) continue;  // in an earlier stage
      if (p_.buffers[at(b)].kind != BufferKind::Temp) {
        if (overwritten(b, step, reader)) return false;
        continue;
      }
      const int writer = uses_.writer[at(v)];
      if (writer < 0) return false;
      constexpr std::int64_t kSmall = 8;  // a value for each row beside the rows: kept
      if (uses_.last[at(v)] >= reader || !chain || now_.bytes[at(v)] * kSmall <= made) continue;
      if (!repeatable(writer)) continue;
      std::vector<int> with = again;
      if (collect(writer, reader, chain, with)) again = std::move(with);
    }
    again.push_back(step);
    return true;
  }

  Schedule repeated(const std::vector<int>& again, int reader) const {
    Schedule s = now_;
    std::vector<std::pair<Version, Version>> renamed;
    const auto rename = [&](Version& v) {
      for (const auto& [from, to] : renamed)
        if (v == from) v = to;
    };
    std::vector<std::shared_ptr<const Step>> copies;
    for (const int old : again) {
      auto copy = std::make_shared<Step>(*now_.steps[at(old)]);
      copy->repeated = true;
      for (auto& [b, v] : copy->writes) {
        renamed.emplace_back(v, static_cast<Version>(s.buffers.size()));
        s.buffers.push_back(b);
        s.bytes.push_back(size(b));
      }
      rename_all(*copy, rename);
      copies.push_back(std::move(copy));
    }
    // Readers from here on read the new versions of temporaries that one kernel makes; outputs, and
    // what others write as well, stay what they are.
    std::erase_if(renamed, [&](const auto& pair) {
      return now_.bytes[at(pair.first)] == 0 || uses_.writer[at(pair.first)] < 0;
    });
    for (std::size_t k = at(reader); k < s.steps.size(); ++k) {
      const auto& reads = s.steps[k]->reads;
      if (std::none_of(reads.begin(), reads.end(), [&](const auto& read) {
            return std::any_of(renamed.begin(), renamed.end(),
                               [&](const auto& pair) { return pair.first == read.second; });
          }))
        continue;
      auto step = std::make_shared<Step>(*s.steps[k]);
      rename_all(*step, rename);
      s.steps[k] = std::move(step);
    }
    s.steps.insert(s.steps.begin() + reader, copies.begin(), copies.end());
    return s;
  }

  template <class Rename>
  static void rename_all(Step& s, const Rename& rename) {
    for (auto& [b, v] : s.reads) rename(v);
    for (auto& [b, v] : s.writes) rename(v);
    for (auto& [from, to] : s.in_place) rename(from), rename(to);
  }

  // ---- The program ----

  loop::Kernel kernel_of(const Step& s) const {
    loop::Kernel k = kernel(s);
    const auto rename = [](BufferId& b, const auto& list) {
      for (const auto& [buffer, version] : list)
        if (b == buffer) {
          b = version;
          return;
        }
    };
    for (loop::Expr& e : k.exprs)
      if (e.kind == loop::ExprKind::Load) rename(e.buffer, s.reads);
    for (loop::Contraction& c : k.contraction) rename(c.a, s.reads), rename(c.b, s.reads);
    for (loop::Stage& stage : k.stages)
      for (loop::Store& store : stage.stores) rename(store.buffer, s.writes);
    if (s.repeated) k.name += "_again";
    return k;
  }

  static void run_plan_of(loop::Program& p) { find_loop_pass("plan")->run(p); }

  const loop::Program& p_;
  const Extents& extents_;
  Schedule now_;
  Uses uses_;
};

}  // namespace

Fitted fit_memory(const loop::Program& p, const Extents& extents, std::int64_t limit) {
  Fitted best{p, p.arena_bytes.evaluate(extents), 0};
  if (best.arena_bytes <= limit) return best;
  Fitter fitter(p, extents);
  // The arena may have gaps: then a little less has to be alive.
  constexpr int kTries = 6;
  std::int64_t allowed = limit;
  for (int k = 0; k < kTries; ++k) {
    fitter.reduce(allowed);
    Fitted now = fitter.result();
    const std::int64_t arena = now.arena_bytes;
    if (arena < best.arena_bytes) best = std::move(now);
    if (arena <= limit || fitter.peak() > allowed) break;
    allowed -= arena - limit;
  }
  return best;
}

MemoryPeak memory_peak(const loop::Program& p, const Extents& extents) {
  return Fitter(p, extents).peak_of_given();
}

}  // namespace dlc
