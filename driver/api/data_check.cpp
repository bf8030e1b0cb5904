#include "driver/api/data_check.h"

#include <algorithm>

#include "ir/graph/scan.h"

namespace dlc {

namespace {

/// What a value is made of, as far as this looks: the values of an input, or 0, 1, ..., n - 1.
struct Origin {
  std::string input;        // or empty
  std::int64_t places = 0;  // n, or 0
};

class BoundFinder {
 public:
  explicit BoundFinder(std::map<std::string, IndexBound>& bounds) : bounds_(bounds) {}

  void visit(const Graph& g, std::vector<Origin> origins) {
    origins.resize(g.nodes.size());
    for (std::size_t id = 0; id < g.nodes.size(); ++id) visit(g, g.nodes[id], origins, origins[id]);
  }

 private:
  void visit(const Graph& g, const Node& n, const std::vector<Origin>& origins, Origin& own) {
    const auto of = [&](std::size_t k) -> const Origin& { return origins[n.operands[k].id]; };
    switch (n.op) {
      case Op::iota: {
        const Dim& extent = n.shape_attr("shape")[static_cast<std::size_t>(n.int_attr("axis"))];
        if (extent.is_constant()) own.places = extent.value();
        break;
      }
      case Op::broadcast:
      case Op::reshape:
      case Op::transpose:
      case Op::convert:
      case Op::slice:
      case Op::reverse:
        own = of(0);
        break;
      case Op::eq:
        bound(of(0), of(1).places, n);
        bound(of(1), of(0).places, n);
        break;
      case Op::gather: {
        const Dim& rows = g.type(n.operands[0]).shape[static_cast<std::size_t>(n.int_attr("axis"))];
        if (rows.is_constant()) bound(of(1), rows.value(), n);
        break;
      }
      case Op::scan: {
        const Scan s(n);
        std::vector<Origin> inside(s.body.nodes.size());
        // What is carried becomes another value after a turn.
        for (std::size_t k = s.carried; k < s.operands(); ++k) inside[s.input(k).id] = of(k);
        visit(s.body, std::move(inside));
        break;
      }
      default:
        break;
    }
  }

  void bound(const Origin& of, std::int64_t places, const Node& by) {
    if (of.input.empty() || places < 1) return;
    const auto [at, fresh] = bounds_.emplace(of.input, IndexBound{places, by.loc});
    // What is compared with fewer may be one of several tests; the most tells what there is.
    if (!fresh && at->second.size < places) at->second = {places, by.loc};
  }

  std::map<std::string, IndexBound>& bounds_;
};

void check_column(const Module& m, const DataSplit& split, const std::string& name, const Tensor& t,
                  const IndexBound& bound) {
  const std::int64_t rows = t.shape().empty() ? 0 : t.shape()[0];
  for (std::int64_t k = 0; k < t.size(); ++k) {
    const double v = t.at(k);
    if (v >= 0 && v < static_cast<double>(bound.size)) continue;
    std::string where = fmt::format("data `{}`, the {} rows", m.data.name, split.name);
    for (const DataColumn& column : split.columns)
      if (column.name == name && column.file >= 0)
        where = split.files[static_cast<std::size_t>(column.file)].path;
    const std::int64_t row = split.first + k / std::max<std::int64_t>(1, t.size() / rows) + 1;
    throw UserError(fmt::format(
        "{}: row {}: `{}` is {:.0f}; the model tells {} apart, 0 to {} ({}:{}:{})", where, row,
        name, v, bound.size, bound.size - 1, bound.loc.file(), bound.loc.line, bound.loc.column));
  }
}

}  // namespace

std::map<std::string, IndexBound> index_bounds(const Graph& g) {
  std::map<std::string, IndexBound> bounds;
  std::vector<Origin> origins(g.nodes.size());
  for (const GraphInput& in : g.inputs)
    if ((in.kind == InputKind::Input || in.kind == InputKind::Target) &&
        !is_float(g.type(in.value).element))
      origins[in.value.id].input = in.name;
  BoundFinder(bounds).visit(g, std::move(origins));
  return bounds;
}

void check_indices(const Module& m, const DataSplit& split, const Rows& rows) {
  if (!m.has_model || rows.steps > 0) return;  // tokens of a text have its vocabulary's numbers
  for (const auto& [name, bound] : index_bounds(m.evaluate))
    if (const auto at = rows.columns.find(name); at != rows.columns.end())
      check_column(m, split, name, at->second, bound);
}

}  // namespace dlc
