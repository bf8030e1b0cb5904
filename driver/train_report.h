#pragma once
// What `dlc train` shows and logs: a progress bar on a terminal, a line an epoch, a line of JSON an
// epoch.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

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
/// by the first line or by start().
class TrainLog {
 public:
  explicit TrainLog(const std::string& path);  // empty: no log
  void start();
  void write(const EpochReport& r);
  /// A UserError when some line could not be written.
  void finish() const;

 private:
  struct Close {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };
  std::string path_, error_;
  std::unique_ptr<std::FILE, Close> file_;
};

/// "{"epoch": 1, "step": 235, "train": {"loss": 0.78}, "test": {"loss": 0.63}, "seconds": 0.41}"
std::string log_line(const EpochReport& r);
/// "loss 0.7812 accuracy 0.7503"
std::string show(const Metrics& metrics);
/// "[1.9998, -3.4003]", "4.2001": up to eight elements in a row, whatever the shape.
std::string show_flat(const Tensor& t);
/// "  w [1.9998, -3.4003]" for each small watched value.
std::string show_watched(const Watched& watched);

}  // namespace dlc
