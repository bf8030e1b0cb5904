#include "driver/stop_request.h"

#include <fmt/format.h>
#include <signal.h>

#include <chrono>
#include <memory>

namespace dlc {

namespace {

// A signal handler can reach nothing but such variables.
std::atomic<bool> stop{false};
std::atomic<int> caught{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

}  // namespace

struct StopRequest::Handlers {
  struct sigaction interrupt {
  }, terminate{};
};

StopRequest::StopRequest(std::optional<double> seconds)
    : handlers_(std::make_unique<Handlers>()), seconds_(seconds) {
  stop = false;
  caught = 0;
  struct sigaction action {};
  action.sa_handler = [](int signal) {
    caught.store(signal, std::memory_order_relaxed);
    stop.store(true, std::memory_order_relaxed);
  };
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &handlers_->interrupt);
  sigaction(SIGTERM, &action, &handlers_->terminate);
  if (!seconds) return;
  timer_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    if (!over_.wait_for(lock, std::chrono::duration<double>(*seconds_), [this] { return done_; }))
      stop = true;
  });
}

StopRequest::~StopRequest() {
  if (timer_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    over_.notify_all();
    timer_.join();
  }
  sigaction(SIGINT, &handlers_->interrupt, nullptr);
  sigaction(SIGTERM, &handlers_->terminate, nullptr);
}

std::atomic<bool>* StopRequest::flag() { return &stop; }

std::string StopRequest::reason() const {
  if (!stop) return "";
  if (caught == SIGINT) return "Ctrl-C";
  if (caught == SIGTERM) return "SIGTERM";
  return fmt::format("--max-seconds {:g}", *seconds_);
}

}  // namespace dlc
