// ops.def to definitions: an operation without one does not link.
#include <array>

#include "ir/op_def.h"
#include "ir/support/check.h"

namespace dlc {

namespace ops {
#define DLC_OP(name) extern const OpDef name##_def;
#include "ir/ops/ops.def"
#undef DLC_OP
}  // namespace ops

namespace {

constexpr std::array kDefinitions = {
#define DLC_OP(name) &ops::name##_def,
#include "ir/ops/ops.def"
#undef DLC_OP
};

constexpr std::array<std::string_view, kDefinitions.size()> kNames = {
#define DLC_OP(name) #name,
#include "ir/ops/ops.def"
#undef DLC_OP
};

}  // namespace

const OpDef& op_def(Op op) { return *kDefinitions[static_cast<std::size_t>(op)]; }
std::string_view op_name(Op op) { return kNames[static_cast<std::size_t>(op)]; }

std::optional<Op> parse_op_name(std::string_view s) {
  for (std::size_t k = 0; k < kNames.size(); ++k)
    if (kNames[k] == s) return static_cast<Op>(k);
  return std::nullopt;
}

std::vector<std::int64_t> reduced_axes(const Node& n) {
  if (n.attrs.contains("axes")) return n.ints_attr("axes");
  return {n.int_attr("axis")};
}

Inferred infer_type(Op op, std::span<const Type> operands, const Attrs& attrs) {
  Inferred r = op_def(op).infer(operands, attrs);
  if (!r.type) r.error = fmt::format("{}: {}", op_name(op), r.error);
  return r;
}

}  // namespace dlc
