#include "driver/watch_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "driver/options.h"
#include "ir/support/check.h"
#include "runtime/atomic_file.h"
#include "runtime/data/readers.h"

namespace dlc {

WatchFiles::WatchFiles(const std::vector<std::string>& assignments, const Graph& train_step,
                       const Rows& rows, std::int64_t batch) {
  const bool last_is_smaller =
      rows.steps == 0 && rows.count > batch && rows.count % std::max<std::int64_t>(1, batch) != 0;
  for (const auto& [name, path] : split_assignments(assignments, "--watch")) {
    const GraphOutput* out = nullptr;  // a parameter's update has its name too
    std::vector<std::string> all;
    for (const GraphOutput& o : train_step.outputs) {
      if (o.kind != OutputKind::Watch) continue;
      if (o.name == name) out = &o;
      all.push_back(o.name);
    }
    if (!out)
      throw UserError(fmt::format(
          "--watch {}: the model does not watch it; {}", name,
          all.empty() ? fmt::format("write `watch {}` into the model or the train block", name)
                      : fmt::format("it watches {}", fmt::join(all, ", "))));
    const Shape& shape = train_step.type(out->value).shape;
    const bool fixed =
        std::all_of(shape.begin(), shape.end(), [](const Dim& d) { return d.is_constant(); });
    if (!fixed && last_is_smaller)
      throw UserError(
          fmt::format("--watch {}: {} has another shape in the last batch, of {} rows; choose a "
                      "batch that divides the {} rows",
                      name, train_step.type(out->value).str(), rows.count % batch, rows.count));
    check_writable(path);
    files_[name].path = path;
  }
}

void WatchFiles::record(const Watched& watched) {
  for (const auto& [name, value] : watched) {
    const auto at = files_.find(name);
    if (at == files_.end()) continue;
    File& file = at->second;
    if (file.steps == 0) file.like = Tensor(value->dtype(), value->shape());
    DLC_CHECK(file.like.shape() == value->shape(), "a watched value changed its shape");
    const auto* data = static_cast<const std::byte*>(value->data());
    file.bytes.insert(file.bytes.end(), data, data + value->bytes());
    ++file.steps;
  }
}

TensorMap WatchFiles::recorded() const {
  TensorMap result;
  for (const auto& [name, file] : files_) {
    std::vector<std::int64_t> shape = file.like.shape();
    shape.insert(shape.begin(), file.steps);
    result[name] = Tensor::copy_of(file.like.dtype(), shape, file.bytes.data());
  }
  return result;
}

void WatchFiles::restore(const TensorMap& recorded) {
  for (const auto& [name, all] : recorded) {
    const auto at = files_.find(name);
    if (at == files_.end() || all.shape().empty()) continue;
    File& file = at->second;
    file.like = Tensor(all.dtype(), {all.shape().begin() + 1, all.shape().end()});
    file.steps = all.shape()[0];
    const auto* data = static_cast<const std::byte*>(all.data());
    file.bytes.assign(data, data + all.bytes());
  }
}

std::vector<std::string> WatchFiles::write() const {
  std::vector<std::string> paths;
  const TensorMap all = recorded();
  for (const auto& [name, file] : files_) {
    write_npy(file.path, all.at(name));
    paths.push_back(file.path);
  }
  return paths;
}

}  // namespace dlc
