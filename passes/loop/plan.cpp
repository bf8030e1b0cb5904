// The memory plan: temporaries that are not alive at the same time share places in one arena.
// Kernels run in order, so a temporary lives from the first kernel that writes it to the last one
// that reads it. Sizes are polynomials in the symbolic dimensions; a place is taken over only by
// what provably fits for all values.
#include <algorithm>

#include "ir/support/check.h"
#include "passes/lower/lower.h"

namespace dlc {

namespace {

constexpr std::int64_t kAlignment = 64;

struct Life {
  int buffer;
  int first, last;
  Dim bytes;
};

/// Bytes, with every coefficient a multiple of the alignment: sums of such sizes stay aligned.
Dim aligned_bytes(const Type& t) {
  const Dim bytes = element_count(t.shape) * Dim(size_in_bytes(t.element));
  const auto up = [](std::int64_t v) { return (v + kAlignment - 1) / kAlignment * kAlignment; };
  Dim result = up(bytes.constant());
  for (const auto& [monomial, coefficient] : bytes.terms()) {
    DLC_CHECK(coefficient > 0, "a buffer of {} bytes cannot be planned", bytes.str());
    Dim term = up(coefficient);
    for (const std::string& s : monomial) term = term * Dim::symbol(s);
    result = result + term;
  }
  return result;
}

std::vector<Life> lives(const loop::Program& p) {
  std::vector<Life> result(p.buffers.size());
  for (std::size_t b = 0; b < p.buffers.size(); ++b)
    result[b] = {static_cast<int>(b), -1, -1, Dim(0)};
  const auto touch = [&](int buffer, int kernel) {
    Life& life = result.at(static_cast<std::size_t>(buffer));
    if (life.first < 0) life.first = kernel;
    life.last = kernel;
  };
  for (int k = 0; k < static_cast<int>(p.kernels.size()); ++k) {
    const loop::Kernel& kernel = p.kernels[static_cast<std::size_t>(k)];
    for (const loop::Expr& e : kernel.exprs)
      if (e.kind == loop::ExprKind::Load) touch(e.buffer, k);
    for (const loop::Contraction& c : kernel.contraction) touch(c.a, k), touch(c.b, k);
    for (const loop::Stage& s : kernel.stages)
      for (const loop::Store& store : s.stores) touch(store.buffer, k);
  }
  std::erase_if(result, [&](const Life& l) {
    return l.first < 0 ||
           p.buffers[static_cast<std::size_t>(l.buffer)].kind != loop::BufferKind::Temp;
  });
  for (Life& l : result)
    l.bytes = aligned_bytes(p.buffers[static_cast<std::size_t>(l.buffer)].type);
  return result;
}

}  // namespace

void run_plan(loop::Program& p) {
  struct Place {
    Dim offset, bytes;
    int busy_until;
  };
  std::vector<Place> places;
  std::vector<Life> all = lives(p);
  std::stable_sort(all.begin(), all.end(),
                   [](const Life& a, const Life& b) { return a.first < b.first; });
  Dim end = 0;
  for (const Life& life : all) {
    Place* best = nullptr;
    for (Place& place : places) {
      if (place.busy_until >= life.first || !place.bytes.provably_ge(life.bytes)) continue;
      if (!best || best->bytes.provably_ge(place.bytes)) best = &place;
    }
    if (!best) {
      places.push_back({end, life.bytes, 0});
      end = end + life.bytes;
      best = &places.back();
    }
    best->busy_until = life.last;
    p.buffers[static_cast<std::size_t>(life.buffer)].arena_offset = best->offset;
  }
  p.arena_bytes = end;
}

}  // namespace dlc
