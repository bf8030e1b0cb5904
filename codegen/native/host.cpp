#include "codegen/native/host.h"

#include <sys/auxv.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace dlc {

#if defined(__x86_64__)

namespace {

void add(std::string& out, std::uint32_t v) {
  for (int k = 0; k < 4; ++k) out += static_cast<char>(v >> (8 * k));
}

}  // namespace

bool may_use_matrices() {
  // Linux: arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILE_DATA).
  constexpr long kRequest = 0x1023, kTileData = 18;
  static const bool may = [] {
    const char* wanted = std::getenv("DLC_MATRICES");
    return (!wanted || std::string_view(wanted) != "0") &&
           syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
  }();
  return may;
}

std::string host_fingerprint() {
  std::string out = "x86-64 ";
  // What is compiled with these registers needs the permission in whichever process runs it.
  out += may_use_matrices() ? 'm' : '-';
  struct Leaf {
    std::uint32_t leaf, part;
  };
  // Vendor; family, model, stepping, features; more features of both kinds; state; AMX; AVX10.
  static constexpr Leaf kLeaves[] = {{0, 0},          {1, 0},          {7, 0},    {7, 1},
                                     {0x80000001, 0}, {0x80000008, 0}, {0xd, 1},  {0x14, 0},
                                     {0x19, 0},       {0x1e, 0},       {0x1e, 1}, {0x24, 0}};
  bool saves_vectors = false;
  for (const Leaf& l : kLeaves) {
    std::uint32_t a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid_count(l.leaf, l.part, &a, &b, &c, &d)) a = b = c = d = 0;
    if (l.leaf == 1) saves_vectors = c & bit_OSXSAVE;
    // What differs from core to core or from moment to moment: numbers of cores, sizes in use.
    if (l.leaf == 1 || l.leaf == 0xd) b = 0;
    if (l.leaf == 0x80000008) a = c = d = 0;
    for (const std::uint32_t v : {a, b, c, d}) add(out, v);
  }
  if (saves_vectors) {
    std::uint32_t low = 0, high = 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    add(out, low), add(out, high);
  }
  return out;
}

#else

bool may_use_matrices() { return false; }

std::string host_fingerprint() {
  std::ostringstream out;
  out << "hwcap " << getauxval(AT_HWCAP) << ' ' << getauxval(AT_HWCAP2) << ' ';
  std::ifstream midr("/sys/devices/system/cpu/cpu0/regs/identification/midr_el1");
  if (midr) out << midr.rdbuf();
  return out.str();
}

#endif

}  // namespace dlc
