// include/dlc/dlc.hpp on top of Compilation and the trainer. Exceptions of the inside become
// dlc::Error.
#include "dlc/dlc.hpp"
#include "driver/api/non_finite.h"
#include "driver/api/training.h"
#include "driver/api/vocabulary.h"
#include "driver/api/workspace.h"
#include "runtime/checkpoint.h"

namespace dlc {

namespace {

dlc_dtype dtype_of(ArrayView::Type t) {
  switch (t) {
    case ArrayView::Type::F32:
      return DLC_F32;
    case ArrayView::Type::F64:
      return DLC_F64;
    case ArrayView::Type::I32:
      return DLC_I32;
    case ArrayView::Type::I64:
      return DLC_I64;
    case ArrayView::Type::U8:
      return DLC_U8;
  }
  throw InternalError("an ArrayView of no type");
}

Tensor tensor_of(const ArrayView& a) { return Tensor::copy_of(dtype_of(a.type), a.shape, a.data); }

Array array_of(const Tensor& t) {
  Array a{t.shape(), std::vector<double>(static_cast<std::size_t>(t.size()))};
  for (std::int64_t k = 0; k < t.size(); ++k) a.values[static_cast<std::size_t>(k)] = t.at(k);
  return a;
}

template <class F>
auto translated(const F& f) -> decltype(f()) {
  try {
    return f();
  } catch (const UserError& e) {
    throw Error(e.what());
  } catch (const InternalError& e) {
    throw Error(std::string("internal error: ") + e.what());
  }
}

}  // namespace

ArrayView::ArrayView(const float* d, std::vector<std::int64_t> s)
    : type(Type::F32), data(d), shape(std::move(s)) {}
ArrayView::ArrayView(const double* d, std::vector<std::int64_t> s)
    : type(Type::F64), data(d), shape(std::move(s)) {}
ArrayView::ArrayView(const std::int32_t* d, std::vector<std::int64_t> s)
    : type(Type::I32), data(d), shape(std::move(s)) {}
ArrayView::ArrayView(const std::int64_t* d, std::vector<std::int64_t> s)
    : type(Type::I64), data(d), shape(std::move(s)) {}
ArrayView::ArrayView(const std::uint8_t* d, std::vector<std::int64_t> s)
    : type(Type::U8), data(d), shape(std::move(s)) {}

namespace {

ThreadPool pool_of(const ModelOptions& o) {
  if (o.host_pool.run) return ThreadPool(o.host_pool.threads, o.host_pool.run);
  return ThreadPool(o.threads > 0 ? o.threads : default_threads());
}

}  // namespace

struct Model::Impl {
  Compilation compilation;
  ThreadPool pool;
  TensorMap tensors;
  std::map<std::string, std::unique_ptr<CompiledProgram>> programs;

  Impl(Compilation c, const ModelOptions& options)
      : compilation(std::move(c)), pool(pool_of(options)) {
    tensors = initialise(compilation, compilation.module().train.seed, pool);
  }

  const dlc_program* program(const std::string& name) {
    auto& slot = programs[name];
    if (!slot) slot = compile_graph(compilation.graph(name), compilation.options());
    return slot->program();
  }

  /// The arrays as the inputs and targets of `g`: all of them, with equal numbers of rows.
  Rows rows_for(const Graph& g, const Arrays& arrays) const {
    Rows rows;
    rows.count = -1;
    for (const GraphInput& in : g.inputs) {
      if (in.kind != InputKind::Input && in.kind != InputKind::Target) continue;
      const auto at = arrays.find(in.name);
      if (at == arrays.end())
        throw UserError(fmt::format("no array was given for input `{}`", in.name));
      Tensor t = as_declared(tensor_of(at->second), g.type(in.value), in.name);
      const std::int64_t count = t.shape().empty() ? 0 : t.shape()[0];
      if (rows.count >= 0 && count != rows.count)
        throw UserError(
            fmt::format("input `{}` has {} rows, another has {}", in.name, count, rows.count));
      rows.count = count;
      rows.columns[in.name] = std::move(t);
    }
    for (const auto& [name, array] : arrays)
      if (!compilation.module().evaluate.find_input(name) && !g.find_input(name))
        throw UserError(fmt::format("the model has no input `{}`", name));
    rows.count = std::max<std::int64_t>(rows.count, 0);
    return rows;
  }
};

Model::Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

namespace {

CompileOptions compile_options(const ModelOptions& options) {
  CompileOptions o;
  o.sets = options.sets;
  o.model = options.model;
  if (!options.data_dir.empty()) o.data_dirs = {options.data_dir};
  return o;
}

}  // namespace

Model Model::from_text(const std::string& text, const ModelOptions& options) {
  return translated([&] {
    return Model(std::make_unique<Impl>(
        Compilation::from_text("model", text, compile_options(options)), options));
  });
}

Model Model::from_file(const std::string& path, const ModelOptions& options) {
  return translated([&] {
    return Model(
        std::make_unique<Impl>(Compilation::from_file(path, compile_options(options)), options));
  });
}

Epoch Model::train(const Arrays& arrays, const TrainingOptions& options,
                   const std::function<void(const Epoch&)>& on_epoch) {
  return translated([&] {
    const Module& m = impl_->compilation.module();
    const Graph& g = impl_->compilation.graph("train_step");
    TrainOptions o = training_options(
        m, {options.batch, options.epochs, options.steps, options.seed, options.shuffle});
    o.stop = options.stop;
    // They are about test rows, of which there are none here.
    o.evaluate_every = 0;
    const DataSplit* split = train_split(m);
    const Rows rows = arrays.empty() && split
                          ? load_rows(impl_->compilation, *split, o.seed, impl_->pool)
                          : impl_->rows_for(g, arrays);
    Epoch last;
    TrainObserver observer;
    observer.on_epoch = [&](const EpochReport& r) {
      last = Epoch{r.epoch, r.seconds, {r.train.begin(), r.train.end()}};
      if (on_epoch) on_epoch(last);
    };
    observer.explain = [&](const BadStep& bad) {
      return explain_non_finite(impl_->compilation, bad, impl_->tensors, rows, o.seed, impl_->pool);
    };
    const bool keeps = !options.checkpoint.empty() || !options.resume.empty();
    const RunIdentity identity =
        keeps ? run_identity(impl_->compilation, o, rows, nullptr) : RunIdentity{};
    const Metadata metadata = keeps ? checkpoint_metadata(impl_->compilation) : Metadata{};
    const auto save = [&](const RunState& s) {
      save_run(options.checkpoint, impl_->tensors, {}, s, identity, metadata);
    };
    if (!options.checkpoint.empty()) {
      observer.on_checkpoint = save;
      observer.checkpoint_every = options.checkpoint_every;
    }
    std::optional<Resumed> from;
    if (!options.resume.empty())
      from = resume_run(impl_->compilation, impl_->tensors, options.resume, identity,
                        options.resume_anyway);
    const RunState end =
        dlc::train(impl_->program("train_step"), nullptr, impl_->tensors, rows, nullptr, o,
                   impl_->pool, observer, from ? &from->state : nullptr);
    if (!options.checkpoint.empty()) save(end);
    return last;
  });
}

std::map<std::string, double> Model::evaluate(const Arrays& arrays) {
  return translated([&] {
    const Rows rows = impl_->rows_for(impl_->compilation.graph("evaluate"), arrays);
    const Metrics metrics = dlc::evaluate(impl_->program("evaluate"), impl_->tensors, rows,
                                          impl_->compilation.module().train.batch, impl_->pool);
    return std::map<std::string, double>(metrics.begin(), metrics.end());
  });
}

std::map<std::string, Array> Model::predict(const Arrays& arrays) {
  return translated([&] {
    Rows rows = impl_->rows_for(impl_->compilation.graph("predict"), arrays);
    const dlc_program* program = impl_->program("predict");
    // Parameters are lent to the call and come back.
    for (auto& [name, t] : impl_->tensors) rows.columns[name] = std::move(t);
    const auto give_back = [&] {
      for (auto& [name, t] : impl_->tensors) t = std::move(rows.columns.at(name));
    };
    TensorMap outputs;
    try {
      outputs =
          run_graph(program, rows.columns, impl_->compilation.module().train.seed, impl_->pool);
    } catch (...) {
      give_back();
      throw;
    }
    give_back();
    std::map<std::string, Array> result;
    for (const auto& [name, t] : outputs) result[name] = array_of(t);
    return result;
  });
}

std::vector<std::string> Model::parameter_names() const {
  std::vector<std::string> names;
  for (const auto& [name, t] : impl_->tensors) names.push_back(name);
  return names;
}

Array Model::parameter(const std::string& path) const {
  const auto at = impl_->tensors.find(path);
  if (at == impl_->tensors.end()) {
    const std::string near = nearest(path, parameter_names());
    throw Error(fmt::format("the model has no parameter `{}`{}", path,
                            near.empty() ? "" : fmt::format("; did you mean `{}`?", near)));
  }
  return array_of(at->second);
}

void Model::set_parameter(const std::string& path, const ArrayView& value) {
  translated([&] {
    const auto at = impl_->tensors.find(path);
    if (at == impl_->tensors.end())
      throw UserError(fmt::format("the model has no parameter `{}`", path));
    if (at->second.shape() != value.shape)
      throw UserError(fmt::format("parameter `{}` is {}, the value given has another shape", path,
                                  at->second.type_str()));
    at->second = tensor_of(value).convert(at->second.dtype());
  });
}

void Model::save(const std::string& path) const {
  translated(
      [&] { save_safetensors(path, impl_->tensors, checkpoint_metadata(impl_->compilation)); });
}

void Model::load(const std::string& path, const std::vector<std::string>& only) {
  translated([&] {
    check_vocabulary(impl_->compilation, path);
    load_parameters(impl_->tensors, path, only);
  });
}

}  // namespace dlc
