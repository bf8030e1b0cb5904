#pragma once
// A .dl file to graphs: parses it and its imports, evaluates what is static, checks names, types
// and shapes, and emits one graph per program of the model. The one entry into the frontend.
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph/graph.h"
#include "ir/support/diagnostics.h"

namespace dlc {

/// A file that a data block reads: which reader with which options, as written.
struct FileSource {
  std::string input;   // the name of the data graph's input that holds its content
  std::string reader;  // "idx", "csv", "npy", "pictures", ... (runtime/data/readers.h)
  std::string path;    // as written in the model file
  std::vector<std::string> further;  // more files of a table, whose rows come after
  std::vector<std::string> options;  // of the reader, for instance the columns of a csv
  Type type;                         // what the probe said
  Loc loc;
};
/// Looks at a file without reading all of it: its element type and shape, or a UserError saying
/// what is wrong with it (not found, and what to install; malformed, and at which byte or row).
/// Handed in by the driver, because the readers belong to the runtime.
using Probe = std::function<Type(const FileSource& file)>;
/// How many different tokens a text has; a UserError as of a probe.
using CountTokens = std::function<std::int64_t(const FileSource& text)>;

struct FrontendOptions {
  Probe probe;
  CountTokens count_tokens;
  std::map<std::string, std::string> sets;  // --set name=expression
  std::string model;      // which model or train block; empty: the only or last one
  std::string precision;  // of the train block's setting, before what it says; empty: as it says
};

/// A column of a data split: rows along axis 0. Either a file's content as it is, or computed.
struct DataColumn {
  std::string name;
  Type type;
  int file = -1;  // index into DataSplit::files when the column is the file's content itself
  /// Of `sequences(text, steps, shift)`: by how many tokens the rows are moved; else -1.
  std::int64_t shift = -1;
};
/// The rows of a split are sequences of one text. What is trained on begins anywhere in it.
struct SequenceRows {
  int file = -1;  // of DataSplit::files
  std::int64_t steps = 0;
  std::string length;  // the model's symbol for the steps; empty where it says a number
};
struct DataSplit {
  std::string name;  // "train", "test"
  std::vector<FileSource> files;
  std::vector<DataColumn> columns;
  Graph graph;  // inputs: the files and "seed"; outputs: the computed columns
  std::int64_t rows = 0;
  /// Rows [first, first + rows) of the columns belong to this split (`split(test: 0.2)`).
  std::int64_t first = 0;
  std::optional<SequenceRows> sequences;
  /// Outputs of `graph` that have the path of a parameter and as many elements: the values that the
  /// simulated data were made with, printed beside the learned ones.
  std::vector<std::string> truths;
};
struct DataSet {
  std::string name;
  std::vector<DataSplit> splits;  // the first is the one trained on
};

struct ParamInfo {
  std::string path;  // "dense_1.w"; optimiser states: "momentum.dense_1.w.v"
  Type type;
  InputKind kind;  // Param or State
  Loc loc;
};
/// One layer instance, for `dlc check`. Nodes [first, last) of the evaluate graph belong to it.
struct LayerInfo {
  std::string path, definition;  // "dense_1", "dense"
  Type output;
  Dim parameters;  // element count, nested layers included
  std::uint32_t first = 0, last = 0;
  int depth = 0;
  Loc loc;
};

struct TrainSettings {
  std::int64_t batch = 32;
  std::optional<std::int64_t> epochs, steps;
  std::int64_t seed = 0;
  bool shuffle = true;
  /// Batches of sequences go on where the batch before ended; otherwise they begin anywhere. By
  /// default a model with a carry wants this.
  bool consecutive = false;
  /// f64: what `f32` means in the file. bf16, f16: what the training step multiplies matrices in.
  ElementType precision = ElementType::F32;
  /// Gradients are those of loss * loss_scale, divided by it.
  double loss_scale = 1;
  std::int64_t accumulate = 1;  // steps whose gradients make one update
  /// Parts of the rows for cross-validation; below 2: none.
  std::int64_t folds = 0;
  std::int64_t evaluate_every = 0;  // steps between evaluations; 0: after each epoch
  std::int64_t patience = 0;        // evaluations without a better one that end the run; 0: none
  /// `monitor = max(accuracy)`: which metric says what is better, and which way.
  std::string monitor = "loss";
  bool larger_is_better = false;
  Loc loc;
};

/// Everything a model file says. Graphs are as the user wrote them: `grad` nodes are not expanded.
struct Module {
  std::string file, model_name;
  bool has_model = false, has_train = false;
  std::vector<ParamInfo> params;  // parameters and states, in order of appearance
  std::vector<LayerInfo> layers;
  Graph init;        // inputs: seed; outputs: every param and state by path (kind Output)
  Graph train_step;  // loss and metrics, updates; only with a train block
  Graph evaluate;    // loss and metrics
  Graph predict;     // outputs
  Graph generate;    // outputs, and updates of the carries
  /// Paths of states that have the rows of a batch, begin every epoch as zeros and are not saved.
  std::vector<std::string> carries;
  DataSet data;
  TrainSettings train;
};

/// The declared type of a model's input or target; nullptr when no program of the model reads it.
const Type* declared_input(const Module& m, std::string_view name);

/// Returns what could be built; use it only when `diagnostics` is empty afterwards.
Module compile_source(Sources& sources, int source, const FrontendOptions& options,
                      Diagnostics& diagnostics);

/// The embedded standard library: name, kind, doc and source text of each entry, in file order.
struct StdEntry {
  std::string name, kind, file, doc, source;
};
std::vector<StdEntry> standard_library();

}  // namespace dlc
