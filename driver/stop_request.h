#pragma once
// What may ask a run to end: Ctrl-C or SIGTERM, and a limit of time.
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace dlc {

/// While this lives, the first SIGINT or SIGTERM, or the end of the time, sets the flag that the
/// trainer looks at after each step; a second one of the same kind ends the program at once. One at
/// a time.
class StopRequest {
 public:
  /// Without `seconds` only signals count.
  explicit StopRequest(std::optional<double> seconds);
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;
  ~StopRequest();

  std::atomic<bool>* flag();
  /// "Ctrl-C", "SIGTERM", "--max-seconds 60"; empty while nothing has asked.
  std::string reason() const;

 private:
  struct Handlers;
  std::unique_ptr<Handlers> handlers_;
  std::optional<double> seconds_;
  std::mutex mutex_;
  std::condition_variable over_;
  bool done_ = false;
  std::thread timer_;
};

}  // namespace dlc
