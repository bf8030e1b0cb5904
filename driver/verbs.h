#pragma once
// The verbs of the command line: each file driver/<verb>.cpp adds its subcommand with its options;
// the callback runs it. Errors leave as exceptions that main() turns into messages and exit codes.
#include <CLI/CLI.hpp>

namespace dlc {

void add_train(CLI::App& app);
void add_check(CLI::App& app);
void add_dump(CLI::App& app);
void add_eval(CLI::App& app);
void add_predict(CLI::App& app);
void add_gradcheck(CLI::App& app);
void add_bench(CLI::App& app);
void add_profile(CLI::App& app);
void add_std(CLI::App& app);
void add_opt(CLI::App& app);
void add_run(CLI::App& app);
void add_generate(CLI::App& app);

}  // namespace dlc
