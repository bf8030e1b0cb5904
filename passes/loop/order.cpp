// Reorders kernels, within what depends on what, so that fewer bytes of temporaries are alive at
// once; the memory plan then needs a smaller arena.
//
// Two kernels keep their order when one writes memory that the other one reads or writes; an update
// writes the memory of its parameter. The bytes are those with every symbol at a typical extent
// (accesses.h), and a temporary that is written over another one counts once. Up to kExactKernels
// kernels all orders are compared, by dynamic programming over the sets of kernels that have run;
// longer programs are scheduled from the beginning, one kernel after the other, keeping the
// kBeamWidth best of the partial orders of each length. The cost is kernels * width * kernels ready
// to run, at most.
//
// Of orders with equal memory the one that comes back soonest to what it has touched is kept: that
// is still in a cache.
//
// An order replaces the given one only when its arena is provably no larger for all values of the
// symbols and smaller at the typical extent: neighbours that share a cache are not torn apart for
// nothing.
#include <algorithm>
#include <bit>
#include <limits>
#include <random>
#include <tuple>

#include "passes/loop/plan.h"
#include "passes/lower/lower.h"

namespace dlc {

namespace {

constexpr std::size_t kExactKernels = 12;
constexpr std::size_t kBeamWidth = 8;

struct Task {
  std::vector<int> temporaries;               // that it touches
  std::vector<std::pair<int, int>> in_place;  // pairs of temporaries, as in Access
  std::vector<int> next;                      // tasks that must come later
  int before = 0;                             // how many must come earlier
};

class Scheduler {
 public:
  Scheduler(const loop::Program& p, const std::vector<Access>& accesses) {
    std::vector<int> number(p.buffers.size(), -1);
    for (const Access& a : accesses) {
      Task& task = tasks_.emplace_back();
      std::vector<loop::BufferId> all = a.reads;
      all.insert(all.end(), a.writes.begin(), a.writes.end());
      std::sort(all.begin(), all.end());
      all.erase(std::unique(all.begin(), all.end()), all.end());
      for (const loop::BufferId id : all) {
        const loop::Buffer& b = p.buffers[static_cast<std::size_t>(id)];
        if (b.kind != loop::BufferKind::Temp) continue;
        int& n = number[static_cast<std::size_t>(id)];
        if (n < 0) {
          n = static_cast<int>(bytes_.size());
          bytes_.push_back(bytes_in_arena(b.type).typical());
          uses_.push_back(0);
        }
        task.temporaries.push_back(n);
        ++uses_[static_cast<std::size_t>(n)];
      }
      for (const auto& [t, u] : a.in_place)
        task.in_place.emplace_back(number[static_cast<std::size_t>(t)],
                                   number[static_cast<std::size_t>(u)]);
    }
    find_dependences(p, accesses);
  }

  std::vector<int> best() const { return tasks_.size() <= kExactKernels ? exact() : beam(); }

  std::int64_t peak(const std::vector<int>& order) const {
    std::vector<int> left = uses_;
    std::int64_t live = 0, peak = 0;
    for (const int t : order) {
      const Step s = step(t, left);
      peak = std::max(peak, live + s.during);
      live += s.after;
      for (const int b : tasks_[static_cast<std::size_t>(t)].temporaries)
        --left[static_cast<std::size_t>(b)];
    }
    return peak;
  }

  /// What some kernel needs for itself: no order has a lower peak.
  std::int64_t least() const {
    std::int64_t result = 0;
    for (const Task& task : tasks_) {
      std::int64_t bytes = 0;
      for (const int b : task.temporaries) bytes += bytes_[static_cast<std::size_t>(b)];
      for (const auto& [t, u] : task.in_place) bytes -= bytes_[static_cast<std::size_t>(u)];
      result = std::max(result, bytes);
    }
    return result;
  }

 private:
  void find_dependences(const loop::Program& p, const std::vector<Access>& accesses) {
    struct Memory {
      int writer = -1;
      std::vector<int> readers;  // since then
    };
    std::vector<Memory> memory(p.buffers.size());
    const auto depend = [&](int later, int earlier) {
      if (earlier < 0 || earlier == later) return;
      std::vector<int>& next = tasks_[static_cast<std::size_t>(earlier)].next;
      if (!next.empty() && next.back() == later) return;
      next.push_back(later);
      ++tasks_[static_cast<std::size_t>(later)].before;
    };
    for (std::size_t k = 0; k < accesses.size(); ++k) {
      const auto task = static_cast<int>(k);
      const auto at = [&](loop::BufferId b) -> Memory& {
        return memory[static_cast<std::size_t>(memory_of(p, b))];
      };
      for (const loop::BufferId b : accesses[k].reads) {
        depend(task, at(b).writer);
        at(b).readers.push_back(task);
      }
      for (const loop::BufferId b : accesses[k].writes) {
        depend(task, at(b).writer);
        for (const int reader : at(b).readers) depend(task, reader);
        at(b) = {task, {}};
      }
    }
  }

  struct Step {
    std::int64_t during, after;  // added to the bytes alive while the kernel runs, and from then on
  };
  /// `left` counts the kernels to come that touch each temporary.
  Step step(int t, const std::vector<int>& left) const {
    const Task& task = tasks_[static_cast<std::size_t>(t)];
    const auto is_first = [&](int b) {
      return left[static_cast<std::size_t>(b)] == uses_[static_cast<std::size_t>(b)];
    };
    const auto is_last = [&](int b) { return left[static_cast<std::size_t>(b)] == 1; };
    Step s{0, 0};
    for (const int b : task.temporaries) {
      const std::int64_t bytes = bytes_[static_cast<std::size_t>(b)];
      if (is_first(b)) s.during += bytes, s.after += bytes;
      if (is_last(b)) s.after -= bytes;
    }
    // Each temporary takes over from one and is taken over by one.
    for (std::size_t k = 0; k < task.in_place.size(); ++k) {
      const auto [from, to] = task.in_place[k];
      bool taken = !is_last(from) || !is_first(to);
      for (std::size_t j = 0; j < k && !taken; ++j)
        taken = task.in_place[j].first == from || task.in_place[j].second == to;
      if (!taken) s.during -= bytes_[static_cast<std::size_t>(to)];
    }
    return s;
  }

  // ---- All orders ----

  struct Sets {
    std::vector<std::int64_t> best;  // the lowest peak of what is to come, by set; -1: not known
    std::vector<std::uint32_t> before;
  };

  std::vector<int> left_after(std::uint32_t done) const {
    std::vector<int> left = uses_;
    for (std::size_t t = 0; t < tasks_.size(); ++t)
      if (done >> t & 1U)
        for (const int b : tasks_[t].temporaries) --left[static_cast<std::size_t>(b)];
    return left;
  }
  std::int64_t live(const std::vector<int>& left) const {
    std::int64_t sum = 0;
    for (std::size_t b = 0; b < left.size(); ++b)
      if (left[b] > 0 && left[b] < uses_[b]) sum += bytes_[b];
    return sum;
  }

  std::int64_t best_from(std::uint32_t done, Sets& sets) const {
    std::int64_t& best = sets.best[done];
    if (best >= 0) return best;
    best = 0;
    if (static_cast<std::size_t>(std::popcount(done)) == tasks_.size()) return best;
    best = std::numeric_limits<std::int64_t>::max();
    const std::vector<int> left = left_after(done);
    const std::int64_t now = live(left);
    for (std::size_t t = 0; t < tasks_.size(); ++t) {
      if ((done >> t & 1U) || (sets.before[t] & ~done)) continue;
      const std::int64_t during = now + step(static_cast<int>(t), left).during;
      if (during >= best) continue;
      best = std::min(best, std::max(during, best_from(done | 1U << t, sets)));
    }
    return best;
  }

  /// Of the best orders the first in the given one's sense.
  std::vector<int> exact() const {
    Sets sets{std::vector<std::int64_t>(std::size_t{1} << tasks_.size(), -1),
              std::vector<std::uint32_t>(tasks_.size(), 0)};
    for (std::size_t t = 0; t < tasks_.size(); ++t)
      for (const int later : tasks_[t].next)
        sets.before[static_cast<std::size_t>(later)] |= 1U << t;
    const std::int64_t peak = best_from(0, sets);
    std::vector<int> order;
    std::uint32_t done = 0;
    while (order.size() < tasks_.size()) {
      const std::vector<int> left = left_after(done);
      const std::int64_t now = live(left);
      for (std::size_t t = 0; t < tasks_.size(); ++t) {
        if ((done >> t & 1U) || (sets.before[t] & ~done)) continue;
        if (now + step(static_cast<int>(t), left).during > peak ||
            best_from(done | 1U << t, sets) > peak)
          continue;
        order.push_back(static_cast<int>(t));
        done |= 1U << t;
        break;
      }
    }
    return order;
  }

  // ---- A beam of orders ----

  struct Partial {
    std::vector<int> left, before, ready, order;
    std::vector<int>
        last;  // the kernel that touched each temporary last, by its place in the order
    std::int64_t live = 0, peak = 0, distance = 0;
    std::uint64_t set = 0;  // a hash of what has run
  };
  struct Choice {
    std::int64_t peak, live, distance;
    std::size_t from;
    int task;
    std::uint64_t set;
  };

  std::vector<int> beam() const {
    std::mt19937_64 random(1);
    std::vector<std::uint64_t> hash(tasks_.size());
    for (std::uint64_t& h : hash) h = random();
    Partial start;
    start.left = uses_;
    start.last.assign(uses_.size(), -1);
    for (std::size_t t = 0; t < tasks_.size(); ++t) {
      start.before.push_back(tasks_[t].before);
      if (tasks_[t].before == 0) start.ready.push_back(static_cast<int>(t));
    }
    std::vector<Partial> beam{start};
    for (std::size_t length = 0; length < tasks_.size(); ++length) {
      std::vector<Choice> choices;
      for (std::size_t from = 0; from < beam.size(); ++from)
        for (const int t : beam[from].ready) {
          const Step s = step(t, beam[from].left);
          choices.push_back({std::max(beam[from].peak, beam[from].live + s.during),
                             beam[from].live + s.after,
                             beam[from].distance + distance(t, beam[from]), from, t,
                             beam[from].set ^ hash[static_cast<std::size_t>(t)]});
        }
      // A heap: only the first few are looked at, and many may be ready.
      const auto is_worse = [](const Choice& a, const Choice& b) {
        return std::tie(a.peak, a.live, a.distance, a.task, a.from) >
               std::tie(b.peak, b.live, b.distance, b.task, b.from);
      };
      std::make_heap(choices.begin(), choices.end(), is_worse);
      std::vector<Partial> next;
      while (!choices.empty() && next.size() < kBeamWidth) {
        std::pop_heap(choices.begin(), choices.end(), is_worse);
        const Choice c = choices.back();
        choices.pop_back();
        // Of two orders of one set of kernels the better one, which came first, is enough.
        if (std::none_of(next.begin(), next.end(),
                         [&](const Partial& p) { return p.set == c.set; }))
          next.push_back(extended(beam[c.from], c));
      }
      beam = std::move(next);
    }
    return beam[0].order;
  }

  /// How far back what a kernel reads has been touched: bytes times kernels in between.
  std::int64_t distance(int t, const Partial& p) const {
    std::int64_t sum = 0;
    for (const int b : tasks_[static_cast<std::size_t>(t)].temporaries)
      if (const int last = p.last[static_cast<std::size_t>(b)]; last >= 0)
        sum += bytes_[static_cast<std::size_t>(b)] *
               (static_cast<std::int64_t>(p.order.size()) - last - 1);
    return sum;
  }

  Partial extended(const Partial& from, const Choice& c) const {
    Partial p = from;
    p.live = c.live, p.peak = c.peak, p.distance = c.distance, p.set = c.set;
    std::erase(p.ready, c.task);
    const Task& task = tasks_[static_cast<std::size_t>(c.task)];
    for (const int b : task.temporaries) {
      --p.left[static_cast<std::size_t>(b)];
      p.last[static_cast<std::size_t>(b)] = static_cast<int>(p.order.size());
    }
    p.order.push_back(c.task);
    for (const int t : task.next)
      if (--p.before[static_cast<std::size_t>(t)] == 0) p.ready.push_back(t);
    return p;
  }

  std::vector<Task> tasks_;
  std::vector<std::int64_t> bytes_;  // by temporary
  std::vector<int> uses_;            // kernels that touch it
};

}  // namespace

void run_order(loop::Program& p) {
  if (!p.loops.empty()) return;  // a loop's kernels stay together, in their order
  const std::vector<Access> all = accesses(p);
  const Scheduler scheduler(p, all);
  const std::vector<int> given = given_order(p);
  const std::int64_t peak = scheduler.peak(given);
  if (peak <= scheduler.least()) return;
  const std::vector<int> best = scheduler.best();
  if (scheduler.peak(best) >= peak) return;
  const Dim before = make_plan(p, all, given).arena_bytes,
            after = make_plan(p, all, best).arena_bytes;
  if (!before.provably_ge(after) || after.typical() >= before.typical()) return;
  std::vector<loop::Kernel> kernels;
  for (const int k : best) kernels.push_back(std::move(p.kernels[static_cast<std::size_t>(k)]));
  p.kernels = std::move(kernels);
}

}  // namespace dlc
