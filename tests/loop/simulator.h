#pragma once
// Runs a planned program without values: who stored each byte of the arena, and who reads it.
#include <cstdint>
#include <string>

#include "ir/loop/loop.h"

/// Where a place of the arena begins when the sizes are known: offsets are rounded up.
std::int64_t whole_lines(std::int64_t bytes);

/// Empty when, with every symbol at `extent`, each load of a temporary finds what was stored to
/// that element of that temporary, whatever the order of the points of a kernel: they may run at
/// once. Else the first violation.
std::string memory_error(const dlc::loop::Program& p, std::int64_t extent);
