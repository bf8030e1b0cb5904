#include "tests/e2e/process.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

Finished dlc_command(const std::vector<std::string>& args) {
  TempDir dir;
  const std::string out = dir.path("out"), err = dir.path("err");
  std::string line = "cd '" DLC_SOURCE_DIR "' && '" DLC_BINARY "'";
  for (const std::string& a : args) {
    line += " '";
    for (const char ch : a) line += ch == '\'' ? std::string("'\\''") : std::string(1, ch);
    line += "'";
  }
  const int status = std::system((line + " >" + out + " 2>" + err + " </dev/null").c_str());
  REQUIRE(WIFEXITED(status));
  return {WEXITSTATUS(status), read_all(out), read_all(err)};
}

std::optional<int> dlc_killed_after(const std::vector<std::string>& args,
                                    std::chrono::microseconds time) {
  std::vector<std::string> words{DLC_BINARY};
  words.insert(words.end(), args.begin(), args.end());
  std::vector<char*> argv;
  for (std::string& w : words) argv.push_back(w.data());
  argv.push_back(nullptr);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const int null = open("/dev/null", O_RDWR);
    for (const int fd : {0, 1, 2}) dup2(null, fd);
    execv(argv[0], argv.data());
    _exit(127);
  }
  std::this_thread::sleep_for(time);
  kill(child, SIGKILL);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? std::optional<int>(WEXITSTATUS(status)) : std::nullopt;
}
