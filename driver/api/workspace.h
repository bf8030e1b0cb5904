#pragma once
// What a run of a model needs beside its code: parameters, data rows and threads.
#include <memory>
#include <optional>
#include <string>

#include "driver/api/compile.h"
#include "runtime/thread_pool.h"
#include "runtime/trainer.h"

namespace dlc {

/// Parameters and states as `init` draws them from the seed.
TensorMap initialise(const Compilation& c, std::int64_t seed, ThreadPool& pool);

/// The rows of one split as the model reads them: computed columns are computed, files are read,
/// and every column has the element type of the model's input of that name. Columns that the model
/// does not use are left out.
Rows load_rows(const Compilation& c, const DataSplit& split, std::int64_t seed, ThreadPool& pool);

struct LoadedData {
  Rows rows;
  std::optional<Rows> test;
  TensorMap truths;  // by parameter path, see DataSplit::truths
};
/// The rows of `split` and, where it is not null, of `test`; with them, from the same run of the
/// data graph, the values that simulated data were made with. Two parts of one set of rows are read
/// and computed once.
LoadedData load_data(const Compilation& c, const DataSplit& split, const DataSplit* test,
                     std::int64_t seed, ThreadPool& pool);

/// The first split of that name; nullptr when there is none.
const DataSplit* find_split(const Module& m, std::string_view name);
/// The split that is trained on: "train", or the only one; nullptr without data.
const DataSplit* train_split(const Module& m);

/// A UserError, with what to do, unless `split` has a column for each input and target of `g`; it
/// may be null when there are none.
void check_columns(const Module& m, const Graph& g, const DataSplit* split);

/// Converts to the declared element type and checks the shape against the declared one, whose
/// symbols may take any value; a UserError names the input.
Tensor as_declared(const Tensor& t, const Type& declared, const std::string& name);
Tensor as_declared(Tensor&& t, const Type& declared, const std::string& name);

TensorMap copy_of(const TensorMap& tensors);

/// Runs a compiled graph on tensors by name, with "seed", "step" and "epoch" supplied when it asks
/// for them.
TensorMap run_graph(const dlc_program* program, TensorMap& inputs, std::int64_t seed,
                    ThreadPool& pool);

/// What the machine and the environment (DLC_THREADS) offer, when no --threads was given.
int default_threads();

}  // namespace dlc
