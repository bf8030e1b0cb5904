#pragma once
// Object files as running code in this process, without LLVM. It knows what LLVM emits for kernels
// and refuses the rest.
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace dlc {

class LoadedCode {
 public:
  /// Places the objects beside each other; they may call each other's functions and those that
  /// `dlsym` finds. nullptr when there is anything in them that this loader does not know; `why`
  /// then says what.
  static std::unique_ptr<LoadedCode> load(const std::vector<std::string>& objects,
                                          std::string& why);
  LoadedCode(const LoadedCode&) = delete;
  ~LoadedCode();

  /// The address of a function or constant with a global name; nullptr when there is none.
  void* find(const std::string& name) const;

 private:
  friend class ElfLinker;  // fills it
  LoadedCode() = default;

  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
  std::unordered_map<std::string, void*> symbols_;
};

}  // namespace dlc
