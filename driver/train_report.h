#pragma once
// What `dlc train` shows and logs: a progress bar on a terminal, a line an epoch, a line of JSON an
// epoch.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "driver/cross_validation.h"
#include "runtime/trainer.h"

namespace dlc {

/// A bar on stderr when that is a terminal; nothing otherwise.
class ProgressBar {
 public:
  ProgressBar();
  ~ProgressBar() { clear(); }
  bool shown() const { return shown_; }
  void draw(const StepReport& r);
  /// Takes the bar off the screen, so that a line can be printed.
  void clear();

 private:
  bool shown_, drawn_ = false;
};

/// The file of --log: one JSON object a line. Opened at once (a UserError when that fails), emptied
/// by the first start().
class TrainLog {
 public:
  explicit TrainLog(const std::string& path);  // empty: no log
  bool open() const { return file_ != nullptr; }
  void start();
  /// Instead, for a run that goes on after so many steps: keeps the lines of whole epochs and of
  /// evaluations up to there.
  void resume(std::int64_t step);
  void write(const std::string& line);
  /// A UserError when some line could not be written.
  void finish() const;

 private:
  void write_text(const std::string& text);
  struct Close {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };
  std::string path_, error_;
  bool started_ = false;
  std::unique_ptr<std::FILE, Close> file_;
};

/// "{"epoch": 1, "step": 235, "train": {"loss": 0.78}, "test": {"loss": 0.63}, "seconds": 0.41}"
/// Of an epoch that was stopped, with "complete": false.
std::string log_line(const EpochReport& r);
/// "{"step": 3, "loss": 0.5, "watch": {"x": [6.0]}}"
std::string step_line(const StepReport& r);
/// "{"fold": 1, "train": {"loss": 0.5}, "held_out": {"loss": 0.6}}"
std::string fold_line(const FoldReport& r);
/// "{"folds": 5, "train": ..., "held_out": ..., "train_spread": ..., "held_out_spread": ...}"
std::string folds_line(std::int64_t folds, const CrossValidation& v);
/// "{"epoch": 1, "step": 100, "test": {"loss": 0.63}}"
std::string evaluation_line(std::int64_t epoch, std::int64_t step, const Metrics& test);
/// "loss 0.7812 accuracy 0.7503"
std::string show(const Metrics& metrics);
/// "loss 0.7812 ± 0.0123 accuracy 0.7503 ± 0.0101"
std::string show_with_spread(const Metrics& means, const Metrics& spreads);
/// "[1.9998, -3.4003]", "4.2001": up to eight elements in a row, whatever the shape.
std::string show_flat(const Tensor& t);
/// "  w [1.9998, -3.4003]" for each small watched value.
std::string show_watched(const Watched& watched);

}  // namespace dlc
