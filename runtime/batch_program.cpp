#include "runtime/batch_program.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ir/support/check.h"
#include "ir/support/metric_name.h"

namespace dlc {

namespace {

constexpr std::string_view kAllRows = "rows.count", kWatch = "watch.";

}  // namespace

BatchProgram::BatchProgram(const dlc_program* program, TensorMap& tensors, const Rows& rows,
                           ThreadPool& pool)
    : program_(program), executable_(program, &pool), index_(program->rows_buffer) {
  if (index_ >= 0) {
    batch_symbol_ = lone_symbol(program->buffers[index_].shape[0]);
    DLC_CHECK(batch_symbol_ >= 0, "the extent of the row index of {} is a symbol", program->name);
  }
  for (int b = 0; b < program->num_buffers; ++b) {
    const dlc_buffer& buffer = program->buffers[b];
    const std::string_view name = buffer.name;
    if (is_carry(buffer)) {
      carries_.push_back({b, static_cast<dlc_dtype>(buffer.dtype), buffer.name, Tensor()});
    } else if (buffer.kind == DLC_PARAM || buffer.kind == DLC_STATE) {
      const auto at = tensors.find(name);
      DLC_CHECK(at != tensors.end(), "{}: no tensor for the parameter {}", program->name, name);
      Tensor& t = at->second;
      DLC_CHECK(
          t.dtype() == static_cast<dlc_dtype>(buffer.dtype) && t.shape() == executable_.shape(b),
          "{}: the tensor for the parameter {} is {}", program->name, name, t.type_str());
      executable_.bind(b, t.data());
    } else if (buffer.kind == DLC_SCALAR) {
      DLC_CHECK(buffer.dtype == DLC_I64 && buffer.rank == 0, "{}: the scalar {} is i64[]",
                program->name, name);
      std::int64_t* value = name == "seed"    ? &seed_
                            : name == "step"  ? &step_
                            : name == "epoch" ? &epoch_
                                              : nullptr;
      DLC_CHECK(value, "{}: nothing gives a value to the scalar {}", program->name, name);
      executable_.bind(b, value);
    }
  }
  bind_columns(rows);
  bind_outputs();
}

void BatchProgram::bind_columns(const Rows& rows) {
  std::vector<bool> known(static_cast<std::size_t>(program_->num_symbols), false);
  const auto is_column = [&](int b) {
    return program_->buffers[b].kind == DLC_INPUT && b != index_;
  };
  // Without a row index the batch is a slice of each column that has one row per element of it.
  for (int b = 0; b < program_->num_buffers && index_ < 0 && batch_symbol_ < 0; ++b)
    if (is_column(b) && program_->buffers[b].rank > 0)
      batch_symbol_ = lone_symbol(program_->buffers[b].shape[0]);
  for (const auto& [name, extent] : rows.extents)
    for (int s = 0; s < program_->num_symbols; ++s)
      if (name == program_->symbols[s]) {
        executable_.set_symbol(s, extent);
        known[static_cast<std::size_t>(s)] = true;
      }
  if (batch_symbol_ >= 0) {
    known[static_cast<std::size_t>(batch_symbol_)] = true;
    executable_.set_symbol(batch_symbol_, rows.count);
  }
  for (int b = 0; b < program_->num_buffers; ++b)
    if (is_column(b)) bind_column(b, rows, known);
  for (int s = 0; s < program_->num_symbols; ++s)
    if (!known[static_cast<std::size_t>(s)] && program_->symbols[s] != kAllRows)
      throw UserError(
          fmt::format("no input gives a value to the dimension {}", program_->symbols[s]));
  executable_.set_symbol(kAllRows, rows.count);
  // All symbols have their values: the shapes must be those of the columns.
  for (int b = 0; b < program_->num_buffers; ++b) {
    if (!is_column(b)) continue;
    const Tensor& t = rows.columns.find(program_->buffers[b].name)->second;
    if (executable_.shape(b) != t.shape())
      throw UserError(fmt::format("input `{}` is [{}], the data column is {}",
                                  program_->buffers[b].name, fmt::join(executable_.shape(b), ", "),
                                  t.type_str()));
  }
}

void BatchProgram::bind_column(int b, const Rows& rows, std::vector<bool>& known) {
  const dlc_buffer& buffer = program_->buffers[b];
  const auto at = rows.columns.find(std::string_view(buffer.name));
  if (at == rows.columns.end()) {
    std::string names;
    for (const auto& [name, t] : rows.columns) names += (names.empty() ? "" : ", ") + name;
    throw UserError(fmt::format("the model reads input `{}`, the data has no column of that name{}",
                                buffer.name,
                                names.empty() ? "" : fmt::format("; its columns are {}", names)));
  }
  const Tensor& t = at->second;
  if (t.dtype() != static_cast<dlc_dtype>(buffer.dtype) ||
      static_cast<int>(t.shape().size()) != buffer.rank)
    throw UserError(fmt::format("input `{}` is {} of rank {}, the data column is {}", buffer.name,
                                dtype_name(static_cast<dlc_dtype>(buffer.dtype)), buffer.rank,
                                t.type_str()));
  for (int k = 0; k < buffer.rank; ++k) {
    const int s = lone_symbol(buffer.shape[k]);
    if (s < 0 || known[static_cast<std::size_t>(s)] || program_->symbols[s] == kAllRows) continue;
    executable_.set_symbol(s, t.shape()[static_cast<std::size_t>(k)]);
    known[static_cast<std::size_t>(s)] = true;
  }
  // The program only reads its inputs.
  auto* data = static_cast<char*>(const_cast<void*>(t.data()));
  if (index_ < 0 && buffer.rank > 0 && batch_symbol_ >= 0 &&
      lone_symbol(buffer.shape[0]) == batch_symbol_)
    sliced_.push_back({b, data, static_cast<std::int64_t>(t.row_bytes())});
  executable_.bind(b, data);
}

Tensor& BatchProgram::add_output(std::deque<Output>& to, int buffer, std::string_view name) {
  MetricName metric = parse_metric_name(name);
  const auto dtype = static_cast<dlc_dtype>(program_->buffers[buffer].dtype);
  Tensor value(dtype, executable_.shape(buffer));
  executable_.bind(buffer, value.data());
  return to.emplace_back(buffer, dtype, std::move(metric.name), std::move(value), metric.of_mean)
      .value;
}

void BatchProgram::bind_outputs() {
  if (batch_symbol_ >= 0) executable_.set_symbol(batch_symbol_, 0);  // set_batch makes them larger
  for (int b = 0; b < program_->num_buffers; ++b) {
    const dlc_buffer& buffer = program_->buffers[b];
    if (buffer.kind != DLC_OUTPUT || buffer.alias >= 0) continue;
    const std::string_view name = buffer.name;
    const std::int32_t* end = program_->metrics + program_->num_metrics;
    if (std::find(program_->metrics, end, b) != end) {
      add_output(metrics_, b, name);
      continue;
    }
    const Tensor& t = add_output(others_, b, name);
    if (name.starts_with(kWatch)) watched_.emplace_back(name.substr(kWatch.size()), &t);
  }
}

void BatchProgram::set_batch(std::int64_t rows) {
  if (rows == batch_) return;
  batch_ = rows;
  if (batch_symbol_ >= 0) executable_.set_symbol(batch_symbol_, rows);
  for (Output& out : others_) {
    std::vector<std::int64_t> shape = executable_.shape(out.buffer);
    if (shape == out.value.shape()) continue;
    out.value = Tensor(out.dtype, std::move(shape));
    executable_.bind(out.buffer, out.value.data());
  }
  for (Output& c : carries_) {
    c.value = Tensor(c.dtype, executable_.shape(c.buffer));
    executable_.bind(c.buffer, c.value.data());
  }
  reset_carries();
  executable_.prepare();
}

void BatchProgram::reset_carries() {
  for (Output& c : carries_) std::memset(c.value.data(), 0, c.value.bytes());
}

TensorMap BatchProgram::carries() const {
  TensorMap result;
  for (const Output& c : carries_)
    result[c.name] = Tensor::copy_of(c.dtype, c.value.shape(), c.value.data());
  return result;
}

void BatchProgram::set_carries(const TensorMap& carries) {
  for (Output& c : carries_) {
    const auto at = carries.find(c.name);
    DLC_CHECK(at != carries.end() && at->second.dtype() == c.dtype &&
                  at->second.shape() == c.value.shape(),
              "{}: the carry {} has another type", program_->name, c.name);
    std::memcpy(c.value.data(), at->second.data(), c.value.bytes());
  }
}

void BatchProgram::set_first(std::int64_t first) {
  for (const Sliced& s : sliced_) executable_.bind(s.buffer, s.data + first * s.row_bytes);
}

void BatchProgram::run_steps(dlc_steps& steps) {
  if (program_->run_steps) return executable_.run_steps(steps);
  auto* const first = index_ >= 0 ? static_cast<std::int32_t*>(executable_.bound(index_)) : nullptr;
  const std::int64_t rows = index_ >= 0 ? batch_ : 1;
  steps.loss = 0;
  for (steps.done = 0; steps.done < steps.max_steps;) {
    if (first) set_index(first + steps.done * rows);
    run();
    ++steps.done;
    ++step_;
    steps.loss_before = steps.loss;
    steps.loss = metric(0);
    if (!std::isfinite(steps.loss)) return;
    for (std::size_t k = 0; k < metrics_.size(); ++k)
      steps.sums[k] += static_cast<double>(rows) * metric(k);
    if (__atomic_load_n(steps.stop, __ATOMIC_RELAXED) != 0) return;
  }
}

void BatchProgram::set_scalars(std::int64_t seed, std::int64_t step, std::int64_t epoch) {
  seed_ = seed;
  step_ = step;
  epoch_ = epoch;
}

}  // namespace dlc
