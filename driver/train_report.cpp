#include "driver/train_report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "ir/support/check.h"

namespace dlc {

namespace {

constexpr std::int64_t kLongestRow = 8;       // elements shown in a line
constexpr std::int64_t kMostLogged = 10'000;  // elements of a watched value in the log
constexpr int kBarWidth = 30;

/// JSON has no infinity and no NaN.
std::string json_number(double v) { return std::isfinite(v) ? fmt::format("{}", v) : "null"; }

std::string json_object(const Metrics& metrics) {
  std::string out = "{";
  for (const auto& [name, value] : metrics)
    out += fmt::format("{}{}: {}", out.size() > 1 ? ", " : "", nlohmann::json(name).dump(),
                       json_number(value));
  return out + "}";
}

std::string json_array(const Tensor& t, std::size_t axis, std::int64_t first) {
  if (axis == t.shape().size()) return json_number(t.at(first));
  std::int64_t stride = 1;
  for (std::size_t k = axis + 1; k < t.shape().size(); ++k) stride *= t.shape()[k];
  std::string out = "[";
  for (std::int64_t i = 0; i < t.shape()[axis]; ++i)
    out += (i > 0 ? ", " : "") + json_array(t, axis + 1, first + i * stride);
  return out + "]";
}

std::string json_watched(const Tensor& t) {
  if (t.size() <= kMostLogged) return json_array(t, 0, 0);
  double sum = 0, least = t.at(0), largest = t.at(0);
  for (std::int64_t k = 0; k < t.size(); ++k) {
    sum += t.at(k);
    least = std::min(least, t.at(k));
    largest = std::max(largest, t.at(k));
  }
  return fmt::format(R"({{"shape": [{}], "mean": {}, "min": {}, "max": {}}})",
                     fmt::join(t.shape(), ", "), json_number(sum / static_cast<double>(t.size())),
                     json_number(least), json_number(largest));
}

/// ", "watch": {"x": [6.0]}"; empty where nothing is watched.
std::string watch_entry(const Watched& watched) {
  std::string values;
  for (const auto& [name, t] : watched)
    values += fmt::format("{}{}: {}", values.empty() ? "" : ", ", nlohmann::json(name).dump(),
                          json_watched(*t));
  return values.empty() ? "" : fmt::format(R"(, "watch": {{{}}})", values);
}

}  // namespace

ProgressBar::ProgressBar() : shown_(isatty(STDERR_FILENO) == 1) {}

void ProgressBar::draw(const StepReport& r) {
  drawn_ = true;
  const std::int64_t done = (r.step - 1) % r.steps_per_epoch + 1;
  const auto filled =
      static_cast<std::size_t>(static_cast<double>(kBarWidth) * static_cast<double>(done) /
                               static_cast<double>(r.steps_per_epoch));
  const std::string bar = std::string(filled, '=') + std::string(kBarWidth - filled, ' ');
  fmt::print(stderr, "\repoch {} [{}] step {}/{}  loss {:.4g}\x1b[K", r.epoch, bar, done,
             r.steps_per_epoch, r.loss);
  std::fflush(stderr);
}

void ProgressBar::clear() {
  if (!drawn_) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
  drawn_ = false;
}

TrainLog::TrainLog(const std::string& path) : path_(path) {
  if (path.empty()) return;
  file_.reset(std::fopen(path.c_str(), "ae"));
  if (!file_)
    throw UserError(fmt::format("--log {}: cannot be written: {}", path, std::strerror(errno)));
}

void TrainLog::start() {
  // Terminals and pipes cannot be emptied; what /dev/stdout stands for is not the log's alone.
  if (!file_ || std::exchange(started_, true) || path_.starts_with("/dev/")) return;
  if (ftruncate(fileno(file_.get()), 0) != 0 && errno != EINVAL) error_ = std::strerror(errno);
}

void TrainLog::resume(std::int64_t step) {
  if (!file_ || path_.starts_with("/dev/")) return;
  std::string kept;
  std::ifstream in(path_);
  for (std::string line; std::getline(in, line);) {
    const nlohmann::json j = nlohmann::json::parse(line, nullptr, false);
    if (j.is_object() && j.value("step", step + 1) <= step && j.value("complete", true))
      kept += line + "\n";
  }
  start();
  write_text(kept);
}

void TrainLog::write(const std::string& line) {
  if (file_) write_text(line + "\n");
}

void TrainLog::write_text(const std::string& line) {
  if (std::fwrite(line.data(), 1, line.size(), file_.get()) != line.size() ||
      std::fflush(file_.get()) != 0)
    error_ = std::strerror(errno);
}

void TrainLog::finish() const {
  if (!error_.empty()) throw UserError(fmt::format("{}: cannot be written: {}", path_, error_));
}

std::string log_line(const EpochReport& r) {
  std::string line = fmt::format(R"({{"epoch": {}, "step": {}, "train": {})", r.epoch, r.step,
                                 json_object(r.train));
  if (!r.test.empty()) line += fmt::format(R"(, "test": {})", json_object(r.test));
  if (r.watched) line += watch_entry(*r.watched);
  if (!r.complete) line += R"(, "complete": false)";
  return line + fmt::format(R"(, "seconds": {:.6g}}})", r.seconds);
}

std::string step_line(const StepReport& r) {
  return fmt::format(R"({{"step": {}, "loss": {}{}}})", r.step, json_number(r.loss),
                     watch_entry(r.watched));
}

std::string fold_line(const FoldReport& r) {
  return fmt::format(R"({{"fold": {}, "train": {}, "held_out": {}}})", r.fold, json_object(r.train),
                     json_object(r.held_out));
}

std::string folds_line(std::int64_t folds, const CrossValidation& v) {
  return fmt::format(
      R"({{"folds": {}, "train": {}, "held_out": {}, "train_spread": {}, "held_out_spread": {}}})",
      folds, json_object(v.train), json_object(v.held_out), json_object(v.train_spread),
      json_object(v.held_out_spread));
}

std::string evaluation_line(std::int64_t epoch, std::int64_t step, const Metrics& test) {
  return fmt::format(R"({{"epoch": {}, "step": {}, "test": {}}})", epoch, step, json_object(test));
}

std::string show(const Metrics& metrics) {
  std::string out;
  for (const auto& [name, value] : metrics)
    out += fmt::format("{}{} {:.4g}", out.empty() ? "" : " ", name, value);
  return out;
}

std::string show_with_spread(const Metrics& means, const Metrics& spreads) {
  std::string out;
  for (std::size_t k = 0; k < means.size(); ++k)
    out += fmt::format("{}{} {:.4g} ± {:.2g}", out.empty() ? "" : " ", means[k].first,
                       means[k].second, spreads[k].second);
  return out;
}

std::string show_flat(const Tensor& t) {
  if (t.size() == 1) return fmt::format("{:.5g}", t.at(0));
  std::string out;
  for (std::int64_t k = 0; k < std::min(t.size(), kLongestRow); ++k)
    out += fmt::format("{}{:.5g}", k > 0 ? ", " : "", t.at(k));
  return "[" + out + (t.size() > kLongestRow ? ", ...]" : "]");
}

std::string show_watched(const Watched& watched) {
  std::string out;
  for (const auto& [name, t] : watched)
    if (t->size() <= kLongestRow) out += fmt::format("  {} {}", name, show_flat(*t));
  return out;
}

}  // namespace dlc
