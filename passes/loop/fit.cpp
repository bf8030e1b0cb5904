// A temporary that is made early and read again late need not be kept in between: it is computed
// again just before the later reader.
//
//   k1: a = ...   k2: reads a   k3, k4: the peak   k5: reads a
//   k1: a = ...   k2: reads a   k3, k4: the peak   k1_again: a.again = ...   k5: reads a.again
//
// What is repeated has no contraction and no scatter:
//   a slice      the part of a kernel that computes one stored value, elementwise; of a
//   contraction's
//                epilogue from the stored sum on (slice.h)
//   a whole row kernel, where the value needs a reduction. Its other stores go to temporaries that
//                nobody reads: it runs the same code, so its sums have the same bits.
// What it reads must still be there. Inputs, parameters (unless they have been updated in between)
// and temporaries that live on anyway are; another temporary is either kept a little longer or
// computed again itself, and so on down the chain; or the value is made while they are still there,
// before a parameter that it reads is updated. A value that is no longer read where it was made
// at first is made only once, later.
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
#include "passes/loop/slice.h"
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
  std::shared_ptr<const loop::Kernel> kernel;  // over the given program's buffers
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
      now_.steps.push_back(std::make_shared<Step>(make_step(
          std::make_shared<loop::Kernel>(p.kernels[k]), all[k], [](BufferId b) { return b; })));
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
  template <class VersionOf>
  static Step make_step(std::shared_ptr<const loop::Kernel> kernel, const Access& access,
                        const VersionOf& version_of) {
    Step step;
    step.kernel = std::move(kernel);
    for (const BufferId b : access.reads) step.reads.emplace_back(b, version_of(b));
    for (const BufferId b : access.writes) step.writes.emplace_back(b, version_of(b));
    for (const auto& [t, u] : access.in_place)
      step.in_place.emplace_back(version_of(t), version_of(u));
    return step;
  }
  static std::size_t at(int index) { return static_cast<std::size_t>(index); }
  std::int64_t size(BufferId b) const {
    return bytes_in_arena(p_.buffers[at(b)].type).evaluate(extents_);
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
    extend_over_loops(p_.loops, u.first, u.last);  // only the given schedule has any
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
    const loop::Kernel& k = *s.kernel;
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

  // ---- Changes ----

  /// Steps to insert before a reader, and the versions that they make anew.
  struct Change {
    std::vector<Step> steps;
    std::set<Version> made;
    bool keeps = false;  // an input longer than it would live
  };

  std::optional<Schedule> best_change(int worst, std::int64_t allowed) const {
    std::vector<Version> candidates;
    for (std::size_t v = 0; v < now_.bytes.size(); ++v)
      if (now_.bytes[v] > 0 && uses_.first[v] <= worst && worst < uses_.last[v])
        candidates.push_back(static_cast<Version>(v));
    // The largest and longest first. Of long programs fewer changes are compared: they take longer
    // to try, and more of them are needed.
    constexpr std::size_t kComparedSteps = 6000, kMost = 24, kFewest = 4;
    const std::size_t enough = std::clamp(kComparedSteps / now_.steps.size(), kFewest, kMost);
    const auto area = [&](Version v) {
      return static_cast<double>(now_.bytes[at(v)]) * (uses_.last[at(v)] - uses_.first[at(v)]);
    };
    std::stable_sort(candidates.begin(), candidates.end(),
                     [&](Version a, Version b) { return area(a) > area(b); });
    const std::int64_t before = excess(uses_, allowed);
    std::optional<Schedule> best;
    double best_score = 0;
    std::size_t compared = 0;
    for (const Version v : candidates) {
      for (const int place : places(v, worst))
        for (const bool chain : {false, true}) {
          Change change;
          std::set<Version> in_progress;
          if (!make(v, place, chain, change, in_progress)) break;
          Schedule s = changed(change, place);
          const std::int64_t removed = before - excess(uses_of(s), allowed);
          double cost = 1;
          for (const Step& step : change.steps) cost += work(step);
          const double score = static_cast<double>(removed) / cost;
          compared += removed > 0;
          if (score > best_score) {
            best_score = score;
            best = std::move(s);
          }
          if (!change.keeps) break;  // the chain would be the same
        }
      if (compared >= enough) break;
    }
    return best;
  }

  /// The steps before which `v`, not used at `worst`, may be made again: its next use, and while
  /// what it is made from is still there.
  std::vector<int> places(Version v, int worst) const {
    const int reader = next_use(v, worst), writer = uses_.writer[at(v)];
    if (reader < 0 || writer < 0) return {};
    for (int k = worst + 1; k < reader; ++k)
      for (const auto* list : {&now_.steps[at(writer)]->reads, &now_.steps[at(writer)]->writes})
        for (const auto& [b, other] : *list)
          if (other != v && (uses_.last[at(other)] == k ||
                             (now_.bytes[at(other)] == 0 && overwritten(b, k, k + 1))))
            return {reader, k};
    return {reader};
  }

  /// The first use of `v` after `worst`; -1 when it is used there.
  int next_use(Version v, int worst) const {
    for (int k = worst; k <= uses_.last[at(v)]; ++k)
      if (find_version(now_.steps[at(k)]->reads, v)) return k == worst ? -1 : k;
    return -1;
  }

  static bool find_version(const std::vector<std::pair<BufferId, Version>>& list, Version v) {
    return std::any_of(list.begin(), list.end(),
                       [&](const auto& item) { return item.second == v; });
  }

  static Version version_in(const Step& s, BufferId b) {
    for (const auto* list : {&s.writes, &s.reads})
      for (const auto& [buffer, version] : *list)
        if (buffer == b) return version;
    throw InternalError("a part of a kernel uses a buffer that the kernel does not use");
  }

  /// Whether memory `b`, which is no temporary, is written by a step from `from` until before `to`.
  bool overwritten(BufferId b, int from, int to) const {
    for (int k = from; k < to; ++k)
      for (const auto& [written, v] : now_.steps[at(k)]->writes)
        if (now_.bytes[at(v)] == 0 && memory_of(p_, written) == memory_of(p_, b)) return true;
    return false;
  }

  /// Adds to `change` what computes `v` again before `reader`. `chain`: inputs that are gone by
  /// then are computed again where they can be, else kept. False when that is not possible.
  bool make(Version v, int reader, bool chain, Change& change,
            std::set<Version>& in_progress) const {
    if (change.made.contains(v)) return true;
    const int writer = uses_.writer[at(v)];
    if (writer < 0 || writer >= reader || !in_progress.insert(v).second) return false;
    const Step& s = *now_.steps[at(writer)];
    std::optional<Step> again = part(s, v, reader);
    if (!again) {
      again = whole(s);
      if (!again) return false;
      for (const auto& [b, written] : again->writes)
        if (change.made.contains(written)) return false;
    }
    again->repeated = true;
    for (const auto& [b, read] : again->reads) {
      if (find_version(again->writes, read)) continue;  // in an earlier stage
      if (p_.buffers[at(b)].kind != BufferKind::Temp) {
        const bool own = find_version(s.writes, read);
        if (overwritten(b, own ? writer + 1 : writer, reader)) return false;
        continue;
      }
      if (uses_.writer[at(read)] < 0) return false;
      constexpr std::int64_t kSmall = 8;  // a value for each row beside the rows: kept
      if (uses_.last[at(read)] >= reader || now_.bytes[at(read)] * kSmall <= now_.bytes[at(v)])
        continue;
      Change with = change;
      if (chain && make(read, reader, chain, with, in_progress))
        change = std::move(with);
      else
        change.keeps = true;
    }
    for (const auto& [b, written] : again->writes) change.made.insert(written);
    change.steps.push_back(std::move(*again));
    return true;
  }

  /// What computes `v` alone.
  std::optional<Step> part(const Step& s, Version v, int reader) const {
    auto kernel = slice_of(*s.kernel, now_.buffers[at(v)], [&](BufferId b) {
      const Version other = version_in(s, b);
      return now_.bytes[at(other)] > 0 && uses_.writer[at(other)] >= 0 &&
             uses_.last[at(other)] >= reader;
    });
    if (!kernel) return std::nullopt;
    const Access access = access_of(p_, *kernel);
    return make_step(std::make_shared<loop::Kernel>(std::move(*kernel)), access,
                     [&](BufferId b) { return version_in(s, b); });
  }

  static std::optional<Step> whole(const Step& s) {
    if (!s.kernel->contraction.empty() || s.kernel->scatter != loop::Scatter::None)
      return std::nullopt;
    return s;
  }

  Schedule changed(const Change& change, int reader) const {
    Schedule s = now_;
    std::vector<std::pair<Version, Version>> renamed;
    const auto rename = [&](Version& v) {
      for (const auto& [from, to] : renamed)
        if (v == from) {
          v = to;
          return;
        }
    };
    std::vector<std::shared_ptr<const Step>> copies;
    for (const Step& step : change.steps) {
      auto copy = std::make_shared<Step>(step);
      for (const auto& [b, v] : copy->writes) {
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
      if (std::none_of(renamed.begin(), renamed.end(), [&](const auto& pair) {
            return find_version(s.steps[k]->reads, pair.first);
          }))
        continue;
      auto step = std::make_shared<Step>(*s.steps[k]);
      rename_all(*step, rename);
      s.steps[k] = std::move(step);
    }
    s.steps.insert(s.steps.begin() + reader, copies.begin(), copies.end());
    for (const auto& [from, to] : renamed) drop_unread(s, from, to);
    return s;
  }

  template <class Rename>
  static void rename_all(Step& s, const Rename& rename) {
    for (auto& [b, v] : s.reads) rename(v);
    for (auto& [b, v] : s.writes) rename(v);
    for (auto& [from, to] : s.in_place) rename(from), rename(to);
  }

  /// Where nobody reads `old` any more it is not made: what makes `now` makes it for the first
  /// time.
  void drop_unread(Schedule& s, Version old, Version now) const {
    std::size_t writer = s.steps.size(), later = s.steps.size();
    for (std::size_t k = 0; k < s.steps.size(); ++k) {
      if (find_version(s.steps[k]->reads, old)) return;
      if (find_version(s.steps[k]->writes, old)) writer = k;
      if (find_version(s.steps[k]->writes, now)) later = k;
    }
    if (writer == s.steps.size() || later == s.steps.size()) return;
    const Step step = *s.steps[writer];
    if (step.writes.size() > 1) {
      auto kernel = without_store(*step.kernel, s.buffers[at(old)]);
      if (!kernel) return;
      const Access access = access_of(p_, *kernel);
      auto less = std::make_shared<Step>(
          make_step(std::make_shared<loop::Kernel>(std::move(*kernel)), access,
                    [&](BufferId b) { return version_in(step, b); }));
      less->repeated = step.repeated;
      s.steps[writer] = std::move(less);
    }
    auto first = std::make_shared<Step>(*s.steps[later]);
    first->repeated = step.writes.size() == 1 && step.repeated;
    s.steps[later] = std::move(first);
    if (step.writes.size() == 1)
      s.steps.erase(s.steps.begin() + static_cast<std::ptrdiff_t>(writer));
  }

  // ---- The program ----

  loop::Kernel kernel_of(const Step& s) const {
    loop::Kernel k = *s.kernel;
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
  // A scan's kernels run in turns: nothing is made again between them.
  if (best.arena_bytes <= limit || !p.loops.empty()) return best;
  Fitter fitter(p, extents);
  // The arena may have gaps: then less has to be alive, in steps that are worth the trouble.
  constexpr int kTries = 16;
  const std::int64_t step = limit / 64 + 1;
  std::int64_t allowed = limit;
  for (int k = 0; k < kTries; ++k) {
    fitter.reduce(allowed);
    Fitted now = fitter.result();
    const std::int64_t arena = now.arena_bytes;
    if (arena < best.arena_bytes) best = std::move(now);
    if (arena <= limit || fitter.peak() > allowed) break;
    allowed = std::min(allowed, fitter.peak()) - std::max(arena - limit, step);
  }
  return best;
}

MemoryPeak memory_peak(const loop::Program& p, const Extents& extents) {
  return Fitter(p, extents).peak_of_given();
}

}  // namespace dlc
