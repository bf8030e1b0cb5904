#pragma once
// Who made the code and for what machine, without asking LLVM.
#include <string>

namespace dlc {

/// The processor and what the system lets programs use of it, as bytes: equal on equal machines.
std::string host_fingerprint();

/// A hash of the compiled ir/ and codegen/ and of LLVM's version (cmake/build_id.cmake).
const char* build_id();

}  // namespace dlc
