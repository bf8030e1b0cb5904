// dlc: the command line. Exit codes: 0 done, 1 a mistake in the model, the data or the options, 2
// wrong usage, 3 a bug in dlc.
#include <fmt/format.h>

#include "driver/api/compile.h"
#include "driver/api/version.h"
#include "driver/verbs.h"

namespace {

int run(int argc, char** argv) {
  CLI::App app{"dlc: a compiler for deep-learning models"};
  app.name("dlc");
  app.require_subcommand(1);
  app.set_version_flag("--version", dlc::kVersion);
  app.failure_message(CLI::FailureMessage::simple);
  dlc::add_train(app);
  dlc::add_check(app);
  dlc::add_dump(app);
  dlc::add_eval(app);
  dlc::add_predict(app);
  dlc::add_generate(app);
  dlc::add_gradcheck(app);
  dlc::add_bench(app);
  dlc::add_profile(app);
  dlc::add_std(app);
  dlc::add_opt(app);
  dlc::add_run(app);
  try {
    app.parse(argc, argv);  // runs the callback of the verb
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const dlc::SourceError& e) {
    fmt::print(stderr, "{}", e.what());
    return 1;
  } catch (const dlc::UserError& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return 1;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "error: out of memory\n");
    return 1;
  } catch (const std::exception& e) {
    fmt::print(stderr,
               "internal error: {}\nThis is a bug in dlc; please report it with the model file.\n",
               e.what());
    return 3;
  }
}
