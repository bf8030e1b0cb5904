#pragma once
// How a contraction's loops are laid out and cut, and what that should cost. No LLVM here, so that
// reports and `--autotune` can use it.
//
// C[.., m, n] = sum over k of U[.., m, k] * V[.., k, n]
//
// n is an axis of C that runs in vectors: V has it with step 1 and U not at all. It is the last
// axis of C unless that is narrow and another one fills the vectors better (the weight gradient of
// a 10-class head: C is [784, 10], and the vectors run along 784). Where no operand has the last
// axis with step 1 (A times the transpose of B), V is the one that has it, and its panels are
// turned over as they are packed. m are the further axes of C that only U has, run through as one:
// the rows. A tile of `rows` by `vectors` of C stays in registers while k runs: each step loads the
// vectors of V, spreads the elements of U and does rows * vectors fused multiply-adds.
//
// Where every axis of C is much shorter than a vector (a weight gradient of few channels and taps)
// and k runs along memory in both operands, the vectors run along k: a grid of dot products.
//
// Where n is shorter than a vector and V has a further axis of C, the vectors of a tile are rows of
// that one: the stack (the last places of a picture of few channels, for several heights).
//
// Several m's that are evenly spaced in U (sequences and their steps) are one. Else several m's or
// k's (the places and taps of a convolution) are one by way of tables: a block of rows and a block
// of k's have the offsets of their elements in two short lists, and V is packed.
//
// The cost model, in cycles of one core (Core; kMachine in contract_schedule.cpp):
//   a tile    per k: the largest of its multiply-adds, its loads, the latency of one of its sums,
//             in short vectors its instructions (a step of 4 x 3 has 12 multiply-adds and 7 loads),
//             and what memory needs for its vectors of V (each tile of rows reads the whole panel
//             again, from the smallest cache that holds it) and its elements of U; plus the tile's
//             beginning and end
//   caches    rows a power of two apart share a few of a cache's sets, which makes it smaller; many
//             rows in pages of their own need more page translations than a core keeps
//   packing   a copy of the panel for each pass over the rows
// Symbolic sizes count as 256. Where the number of rows is not known and V is far, packed panels
// come first.
//
// A unit for matrices of bf16 (AMX) takes the products of bf16, and those of f32 in parts, where
// its time for them, for the copies of both operands and for the sums that wait is clearly shorter
// than the best schedule's (matrices_pay). Such a contraction has one schedule.
#include <vector>

#include "ir/loop/loop.h"

namespace dlc {

/// The speeds of a core that the cost model asks for, in cycles and bytes; where nothing is known,
/// those of a Zen 4.
struct Core {
  double wide_fma = 1;  // multiply-adds of 512 bits, and loads of as much, a cycle
  std::int64_t l1_way = 4096, l1_ways = 8, l2_way = 131072, l2_ways = 8;
  double l2_bytes = 26, far_bytes = 20;  // a cycle: from L2, from beyond

  std::int64_t l2_size() const { return l2_way * l2_ways; }
};

/// A matrix of the unit for them: rows of an operand, products of each.
constexpr int kMatrixRows = 16, kMatrixProducts = 32;

/// What the code for a contraction may use.
struct VectorUnit {
  int bits;                    // of a vector: 128, 256 or 512
  bool bf16_dot = false;       // sums of two products of bf16 in one instruction
  bool bf16_matrices = false;  // products of matrices of bf16 (AMX)
  Core core = {};
};

/// The roles of a contraction's indices, which its strides decide.
struct ContractRoles {
  int lanes = 0;                           // of a vector of the accumulator's type
  const loop::ContractIndex* n = nullptr;  // null: no axis of C runs in vectors
  const loop::ContractIndex* stack =
      nullptr;                                // along which the vectors of a tile lie, else along n
  std::vector<const loop::ContractIndex*> m;  // the rows, outermost first; may be none
  bool skips = false;      // rows that meet a frame at a tap are left out of its block
  bool even_rows = false;  // each row is one step of the last m from the one before, in U
  std::vector<const loop::ContractIndex*> other, k;
  const loop::ContractIndex* dot = nullptr;  // without n: of k, the one that runs in vectors
  // Without n: short axes of C, one of each operand, whose dot products are summed at a time.
  const loop::ContractIndex *grid_a = nullptr, *grid_b = nullptr;
  std::int64_t grid_sums = 0;  // the elements of C
  // Without n: an axis of C along which one operand has rows of a few elements side by side.
  const loop::ContractIndex* short_rows = nullptr;
  bool u_is_a = true;     // and V is b; else the other way round
  bool turned = false;    // V does not step by 1 along n; along the last k it does, if along any
  bool pairs = false;     // products are taken two at a time (bf16)
  bool matrices = false;  // products are taken by the unit for matrices
  int parts = 1;          // which an operand is the sum of there: f32 is three of bf16

  const Dim& u_stride(const loop::ContractIndex& i) const {
    return u_is_a ? i.a_stride : i.b_stride;
  }
  const Dim& v_stride(const loop::ContractIndex& i) const {
    return u_is_a ? i.b_stride : i.a_stride;
  }
};
/// How the products of a sum are cut into blocks: `rest` one by one, `split` in pieces of `chunk`,
/// and `inner` whole.
struct KBlocks {
  std::vector<const loop::ContractIndex*> rest, inner;
  const loop::ContractIndex* split = nullptr;
  std::int64_t chunk = 1;                                           // of split, in a block
  std::int64_t inner_products = 1;                                  // of the extents of inner
  std::int64_t products() const { return chunk * inner_products; }  // of a block
};
/// `r` has a k. A block has about `most` products.
KBlocks k_blocks(const ContractRoles& r, std::int64_t most);

/// There may be several blocks: between them the sums of C wait in memory.
bool sums_wait(const ContractRoles& r, const KBlocks& blocks);

/// The panels that rows go through one after the other in a block, and the most rows (whole tiles):
/// a block of V and the sums that wait for the next one stay in the second cache; beside copies of
/// U, in the third.
struct BlockShape {
  std::int64_t panels = 1, rows = 0;
};
BlockShape block_shape(const ContractRoles& r, const VectorUnit& unit,
                       const loop::ContractSchedule& s, const KBlocks& blocks);

/// `kernel` has a contraction; the pointers are into it.
ContractRoles contract_roles(const loop::Program& p, const loop::Kernel& kernel,
                             const VectorUnit& unit);

/// An operand, at typical extents, takes more than half of the second cache.
bool exceeds_cache(const loop::Program& p, const loop::Contraction& c, bool is_a, const Core& core);
/// V does not stay in the second cache: every block of every panel comes from beyond.
bool is_far(const loop::Program& p, const loop::Contraction& c, const ContractRoles& r,
            const VectorUnit& unit);
/// And it is one matrix: not many small ones, each of which few rows meet.
bool comes_from_far(const loop::Program& p, const loop::Contraction& c, const ContractRoles& r,
                    const VectorUnit& unit);
/// U has a row of memory for each product: a tile uses a few elements of each.
bool is_u_strided(const ContractRoles& r);
/// U does not stay in the second cache, and a line of it is used for few columns.
bool is_u_streamed(const loop::Program& p, const loop::Contraction& c, const ContractRoles& r,
                   const VectorUnit& unit);

/// Of a tile of so many vectors: registers hold the sums, a row of V, and one element of U: 32 of
/// 512 bits, else 16. 1 where not even two rows fit.
int most_rows(int vectors, int bits);

struct ScheduleCost {
  loop::ContractSchedule schedule;
  double cycles;
};
/// The sensible schedules of a kernel that has an n, the cheapest first; at least one.
std::vector<ScheduleCost> contract_schedules(const loop::Program& p, const loop::Kernel& kernel,
                                             const VectorUnit& unit);
/// For rows that are too few for matrices.
loop::ContractSchedule few_rows_schedule(const ContractRoles& r, const VectorUnit& unit);
/// The one that the kernel names, else the first of those.
loop::ContractSchedule contract_schedule(const loop::Program& p, const loop::Kernel& kernel,
                                         const VectorUnit& unit);

}  // namespace dlc
