#pragma once
// Who made the code and for what machine, without asking LLVM.
#include <string>

namespace dlc {

/// The processor and what the system lets programs use of it, as bytes: equal on equal machines.
std::string host_fingerprint();

/// Asks the system for the registers of the unit for matrices (AMX), which a process has to before
/// it uses them; false where there are none or it may not.
bool may_use_matrices();

/// A hash of the compiled ir/ and codegen/ and of LLVM's version (cmake/build_id.cmake).
const char* build_id();

}  // namespace dlc
