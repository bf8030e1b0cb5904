#pragma once
// What the functions that C++ knows share. What can be said in the language itself is in
// frontend/std.
#include "frontend/sema/evaluator.h"

namespace dlc::sema {

using Args = std::vector<Bound>;

std::vector<Builtin> math_builtins();
std::vector<Builtin> shape_builtins();
std::vector<Builtin> conv_builtins();
std::vector<Builtin> data_builtins();

/// The program that is being built; nullptr after a report where everything is static.
Program* program_of(Evaluator& ev, Frame& f, Span span);
bool is_none(const Bound& b);
/// A bool argument; nullopt after a report.
std::optional<bool> flag(Evaluator& ev, const Bound& b, const char* name, bool otherwise);
/// The axes named by an integer, a list of integers or none (all), sorted; nullopt after a report.
std::optional<std::vector<std::int64_t>> axes_of(Evaluator& ev, const Bound& b, int rank);

}  // namespace dlc::sema
