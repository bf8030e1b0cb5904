#include "codegen/native/thread_shares.h"

#include <utility>

namespace dlc {

loop::Program with_shares(loop::Program p, const VectorUnit& unit) {
  constexpr std::int64_t kLeastColumns = 128;
  for (loop::Kernel& k : p.kernels) {
    if (k.contraction.empty() || k.contraction[0].folded || k.outer.size() != 2) continue;
    const ContractRoles r = contract_roles(p, k, unit);
    if (!r.matrices || r.m.size() != 1 || r.m[0]->axis != k.outer[0] || r.n->axis != k.outer[1])
      continue;
    const Dim &rows = r.m[0]->extent, &columns = r.n->extent;
    if (!rows.is_constant() && columns.is_constant() && columns.value() >= kLeastColumns)
      std::swap(k.outer[0], k.outer[1]);
  }
  return p;
}

}  // namespace dlc
