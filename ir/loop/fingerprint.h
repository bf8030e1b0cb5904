#pragma once
// The kernel IR as bytes, for equality and hashing: equal bytes mean equal machine code.
#include <string>

#include "ir/loop/loop.h"

namespace dlc::loop {

/// All that code generation may look at, except buffers' properties. Source positions and what only
/// reports use are left out, and so are the kernel's and its axes' names.
std::string fingerprint(const Kernel& k);
/// All of a program: kernels, buffers with their names, constants' bytes, sizes.
std::string fingerprint(const Program& p);

}  // namespace dlc::loop
