#pragma once
// dlc in a C++ program: compile a model from text or a file, train it on your own arrays, read its
// parameters, predict. Link the CMake target `dlc`. Every mistake is a dlc::Error with a message
// for people.
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace dlc {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// An array of yours: row-major, read during the call only. Its element type is converted to the
/// declared one when they differ.
struct ArrayView {
  enum class Type { F32, F64, I32, I64, U8 };
  ArrayView(const float* data, std::vector<std::int64_t> shape);
  ArrayView(const double* data, std::vector<std::int64_t> shape);
  ArrayView(const std::int32_t* data, std::vector<std::int64_t> shape);
  ArrayView(const std::int64_t* data, std::vector<std::int64_t> shape);
  ArrayView(const std::uint8_t* data, std::vector<std::int64_t> shape);
  /// A vector as a column of rows: shape [size], or `shape` when given.
  template <class T>
  ArrayView(const std::vector<T>& values, std::vector<std::int64_t> shape = {})
      : ArrayView(values.data(),
                  shape.empty()
                      ? std::vector<std::int64_t>{static_cast<std::int64_t>(values.size())}
                      : std::move(shape)) {}

  Type type;
  const void* data;
  std::vector<std::int64_t> shape;
};
using Arrays = std::map<std::string, ArrayView>;

/// A result: row-major values as doubles, whatever the model computes with.
struct Array {
  std::vector<std::int64_t> shape;
  std::vector<double> values;
};

/// Threads of yours in place of dlc's own, which then starts none. `run(count, task)` calls task(0)
/// to task(count - 1), each once, on any threads, in any order, at once or one after the other, and
/// returns when all are done; it does not throw. Results are the same whatever it does.
struct HostPool {
  int threads = 1;  // work is cut into at most so many tasks
  std::function<void(int count, const std::function<void(int)>& task)> run;
};

struct ModelOptions {
  std::map<std::string, std::string> sets;  // as --set NAME=VALUE
  std::string model;                        // which, when the text has several
  std::string data_dir;
  int threads = 0;     // 0: all cores
  HostPool host_pool;  // with `run` set: used instead, and `threads` is not read
};
struct TrainingOptions {
  std::optional<std::int64_t> batch, epochs, steps, seed;  // unset: as the train block says
  std::optional<bool> shuffle;
  /// Where the whole state of the run goes, in the end and after every `checkpoint_every` steps (0:
  /// about every ten seconds); and a file of that kind from which to go on, bit for bit as if the
  /// run had not stopped. An Error where its model, data or settings were others, unless
  /// `resume_anyway`.
  std::string checkpoint, resume;
  std::int64_t checkpoint_every = 0;
  bool resume_anyway = false;
  /// The training ends after the step during which it becomes true.
  const std::atomic<bool>* stop = nullptr;
};
/// One epoch: its number from 1, and loss and metrics by name.
struct Epoch {
  std::int64_t number = 0;
  double seconds = 0;
  std::map<std::string, double> train;
};

class Model {
 public:
  static Model from_text(const std::string& text, const ModelOptions& options = {});
  static Model from_file(const std::string& path, const ModelOptions& options = {});
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;
  ~Model();

  /// Trains on your rows; without arrays on the data block of the train block. Returns the last
  /// epoch. An Error, with the parameters before it happened, where the loss or a parameter is not
  /// finite: it names the first value that is not, and its source line.
  Epoch train(const Arrays& rows = {}, const TrainingOptions& options = {},
              const std::function<void(const Epoch&)>& on_epoch = {});
  /// Loss and metrics by name over the given rows.
  std::map<std::string, double> evaluate(const Arrays& rows);
  /// Outputs by name, for any number of rows.
  std::map<std::string, Array> predict(const Arrays& rows);

  std::vector<std::string> parameter_names() const;
  Array parameter(const std::string& path) const;
  void set_parameter(const std::string& path, const ArrayView& value);
  void save(const std::string& path) const;  // .safetensors
  /// All parameters and states of a file, or `only` those whose names fit one of the patterns
  /// ("conv2d_*"); an Error, with nothing changed, when they are not those of the model.
  void load(const std::string& path, const std::vector<std::string>& only = {});

 private:
  struct Impl;
  explicit Model(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dlc
