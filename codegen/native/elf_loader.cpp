// All sections that the code needs go into one mapping, so that relative references reach:
//
//   code of all objects | stubs | page end | constants of all objects | table of addresses
//
// A stub is a jump to a function outside, which may be too far for a call. Constants, and the table
// of addresses that some references go through, stay readable only; the code becomes executable
// when nothing is written any more.
#include "codegen/native/elf_loader.h"

#include <dlfcn.h>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <optional>
#include <stdexcept>

namespace dlc {

namespace {

/// Thrown and caught in here: the object has what this loader does not know.
struct Unknown : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::uint64_t aligned(std::uint64_t at, std::uint64_t to) { return (at + to - 1) / to * to; }

/// `count` structures at a byte offset, which lie within the file.
template <class T>
std::vector<T> read(const std::string& file, std::uint64_t at, std::uint64_t count) {
  if (at > file.size() || count > (file.size() - at) / sizeof(T)) throw Unknown("a torn object");
  std::vector<T> result(count);
  if (count > 0) std::memcpy(result.data(), file.data() + at, count * sizeof(T));
  return result;
}

struct Object {
  std::string_view string(const Elf64_Shdr& strings, std::uint32_t at) const {
    const std::uint64_t end = strings.sh_offset + strings.sh_size;
    if (end > bytes->size() || end < strings.sh_offset || at >= strings.sh_size)
      throw Unknown("a torn object");
    const char* first = bytes->data() + strings.sh_offset + at;
    return {first, strnlen(first, strings.sh_size - at)};
  }
  const Elf64_Shdr& section(std::uint64_t k) const {
    if (k >= sections.size()) throw Unknown("a torn object");
    return sections[k];
  }

  const std::string* bytes;
  std::vector<Elf64_Shdr> sections;
  std::vector<std::optional<std::uint64_t>> places;  // of sections, in the mapping
  std::vector<Elf64_Sym> symbols;
  std::vector<std::string_view> names;  // of symbols
};

Object parse(const std::string& bytes) {
  Object o;
  o.bytes = &bytes;
  const Elf64_Ehdr header = read<Elf64_Ehdr>(bytes, 0, 1)[0];
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_type != ET_REL ||
      header.e_machine != EM_X86_64 || header.e_shentsize != sizeof(Elf64_Shdr))
    throw Unknown("not an object of x86-64");
  o.sections = read<Elf64_Shdr>(bytes, header.e_shoff, header.e_shnum);
  o.places.resize(o.sections.size());
  for (const Elf64_Shdr& s : o.sections) {
    if (s.sh_type != SHT_SYMTAB) continue;
    o.symbols = read<Elf64_Sym>(bytes, s.sh_offset, s.sh_size / sizeof(Elf64_Sym));
    for (const Elf64_Sym& symbol : o.symbols)
      o.names.push_back(o.string(o.section(s.sh_link), symbol.st_name));
  }
  // Nothing unwinds through kernels: their unwind tables stay out.
  for (Elf64_Shdr& s : o.sections)
    if (o.string(o.section(header.e_shstrndx), s.sh_name) == ".eh_frame")
      s.sh_flags &= ~std::uint64_t{SHF_ALLOC};
    else if ((s.sh_flags & SHF_WRITE) &&
             o.string(o.section(header.e_shstrndx), s.sh_name).starts_with(".data.rel.ro"))
      s.sh_flags &= ~std::uint64_t{SHF_WRITE};  // written by relocations alone
  return o;
}

}  // namespace

class ElfLinker {
 public:
  explicit ElfLinker(const std::vector<std::string>& files) {
    for (const std::string& file : files) objects_.push_back(parse(file));
  }

  std::unique_ptr<LoadedCode> link() {
    lay_out();
    code_.reset(new LoadedCode);
    void* memory =
        mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw Unknown("no memory for code");
    code_->memory_ = memory;
    code_->bytes_ = bytes_;
    base_ = static_cast<char*>(memory);
    copy();
    define();
    for (const Object& o : objects_)
      for (const Elf64_Shdr& s : o.sections)
        if (s.sh_type == SHT_RELA || s.sh_type == SHT_REL) relocate(o, s);
    if (mprotect(base_, code_bytes_, PROT_READ | PROT_EXEC) != 0 ||
        mprotect(base_ + code_bytes_, bytes_ - code_bytes_, PROT_READ) != 0)
      throw Unknown("memory cannot be made executable");
    return std::move(code_);
  }

 private:
  static constexpr std::uint64_t kStubBytes = 16;
  static constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 30;

  void place(bool code) {
    for (Object& o : objects_)
      for (std::size_t k = 0; k < o.sections.size(); ++k) {
        const Elf64_Shdr& s = o.sections[k];
        if (!(s.sh_flags & SHF_ALLOC) || ((s.sh_flags & SHF_EXECINSTR) != 0) != code) continue;
        if (s.sh_size > 0 && ((s.sh_flags & (SHF_WRITE | SHF_TLS)) || s.sh_type == SHT_NOBITS))
          throw Unknown("variables");
        if (s.sh_addralign > page_ || s.sh_size > kMostBytes) throw Unknown("a huge section");
        bytes_ = aligned(bytes_, std::max<std::uint64_t>(1, s.sh_addralign));
        o.places[k] = bytes_;
        bytes_ += s.sh_size;
        if (bytes_ > kMostBytes) throw Unknown("too much code");
      }
  }

  void lay_out() {
    std::uint64_t outside = 0, references = 0;
    for (const Object& o : objects_) {
      for (const Elf64_Sym& s : o.symbols) outside += s.st_shndx == SHN_UNDEF;
      for (const Elf64_Shdr& s : o.sections)
        if (s.sh_type == SHT_RELA) references += s.sh_size / sizeof(Elf64_Rela);
    }
    place(true);
    next_stub_ = aligned(bytes_, kStubBytes);
    bytes_ = code_bytes_ = aligned(next_stub_ + outside * kStubBytes + 1, page_);
    place(false);
    next_address_ = aligned(bytes_, 8);
    bytes_ = aligned(next_address_ + references * 8 + 1, page_);
    if (bytes_ > kMostBytes) throw Unknown("too much code");
  }

  void copy() {
    for (const Object& o : objects_)
      for (std::size_t k = 0; k < o.sections.size(); ++k) {
        if (!o.places[k] || o.sections[k].sh_size == 0) continue;
        const std::vector<char> content =
            read<char>(*o.bytes, o.sections[k].sh_offset, o.sections[k].sh_size);
        std::memcpy(base_ + *o.places[k], content.data(), content.size());
      }
  }

  void define() {
    for (const Object& o : objects_)
      for (std::size_t k = 0; k < o.symbols.size(); ++k) {
        const Elf64_Sym& s = o.symbols[k];
        if (ELF64_ST_BIND(s.st_info) == STB_LOCAL || s.st_shndx == SHN_UNDEF) continue;
        if (!code_->symbols_.emplace(o.names[k], inside(o, s)).second)
          throw Unknown("two definitions of " + std::string(o.names[k]));
      }
  }

  char* inside(const Object& o, const Elf64_Sym& s) const {
    if (s.st_shndx >= o.places.size() || !o.places[s.st_shndx] || s.st_value > kMostBytes)
      throw Unknown("a symbol of no section");
    return base_ + *o.places[s.st_shndx] + s.st_value;
  }

  struct Target {
    char* address;
    bool outside;
  };
  Target target(const Object& o, std::uint64_t number) const {
    if (number >= o.symbols.size()) throw Unknown("a torn object");
    const Elf64_Sym& s = o.symbols[number];
    if (s.st_shndx != SHN_UNDEF) return {inside(o, s), false};
    const std::string name(o.names[number]);
    if (const auto at = code_->symbols_.find(name); at != code_->symbols_.end())
      return {static_cast<char*>(at->second), false};
    if (void* found = dlsym(RTLD_DEFAULT, name.c_str())) return {static_cast<char*>(found), true};
    throw Unknown("no function " + name);
  }

  /// jmp *[rip]; the address
  char* stub(char* to) {
    char*& known = stubs_[to];
    if (known) return known;
    known = base_ + next_stub_;
    next_stub_ += kStubBytes;
    static constexpr unsigned char kJump[6] = {0xff, 0x25, 0, 0, 0, 0};
    std::memcpy(known, kJump, sizeof kJump);
    std::memcpy(known + sizeof kJump, &to, sizeof to);
    return known;
  }

  char* address_of(char* to) {
    char*& known = addresses_[to];
    if (known) return known;
    known = base_ + next_address_;
    next_address_ += 8;
    std::memcpy(known, &to, sizeof to);
    return known;
  }

  /// In numbers that wrap: an addend may be anything.
  static std::uint64_t sum(const char* to, std::int64_t addend) {
    return reinterpret_cast<std::uint64_t>(to) + static_cast<std::uint64_t>(addend);
  }
  static std::int64_t distance(const char* at, const char* to, std::int64_t addend) {
    return static_cast<std::int64_t>(sum(to, addend) - reinterpret_cast<std::uint64_t>(at));
  }
  static void put_relative(char* at, const char* to, std::int64_t addend) {
    const std::int64_t far = distance(at, to, addend);
    const auto narrow = static_cast<std::int32_t>(far);
    if (narrow != far) throw Unknown("a reference that is too far");
    std::memcpy(at, &narrow, sizeof narrow);
  }

  void relocate(const Object& o, const Elf64_Shdr& list) {
    if (list.sh_info >= o.places.size()) throw Unknown("a torn object");
    if (!o.places[list.sh_info]) return;
    if (list.sh_type == SHT_REL) throw Unknown("relocations without addends");
    const std::uint64_t size = o.sections[list.sh_info].sh_size;
    for (const Elf64_Rela& r :
         read<Elf64_Rela>(*o.bytes, list.sh_offset, list.sh_size / sizeof(Elf64_Rela))) {
      const auto type = ELF64_R_TYPE(r.r_info);
      const bool wide = type == R_X86_64_64 || type == R_X86_64_PC64;
      if (r.r_offset > size || size - r.r_offset < (wide ? 8 : 4)) throw Unknown("a torn object");
      char* at = base_ + *o.places[list.sh_info] + r.r_offset;
      const Target to = target(o, ELF64_R_SYM(r.r_info));
      switch (type) {
        case R_X86_64_64: {
          const std::uint64_t value = sum(to.address, r.r_addend);
          std::memcpy(at, &value, sizeof value);
          break;
        }
        case R_X86_64_PC64: {
          const std::int64_t value = distance(at, to.address, r.r_addend);
          std::memcpy(at, &value, sizeof value);
          break;
        }
        case R_X86_64_PC32:
          put_relative(at, to.address, r.r_addend);
          break;
        case R_X86_64_PLT32:
          put_relative(at, to.outside ? stub(to.address) : to.address, r.r_addend);
          break;
        case R_X86_64_GOTPCREL:
        case R_X86_64_GOTPCRELX:
        case R_X86_64_REX_GOTPCRELX:
          put_relative(at, address_of(to.address), r.r_addend);
          break;
        default:
          throw Unknown("relocation " + std::to_string(type));
      }
    }
  }

  const std::uint64_t page_ = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  std::vector<Object> objects_;
  std::unique_ptr<LoadedCode> code_;
  char* base_ = nullptr;
  std::uint64_t bytes_ = 0, code_bytes_ = 0, next_stub_ = 0, next_address_ = 0;
  std::map<char*, char*> stubs_, addresses_;
};

std::unique_ptr<LoadedCode> LoadedCode::load(const std::vector<std::string>& objects,
                                             std::string& why) {
  try {
    return ElfLinker(objects).link();
  } catch (const Unknown& e) {
    why = e.what();
    return nullptr;
  }
}

LoadedCode::~LoadedCode() {
  if (memory_) munmap(memory_, bytes_);
}

void* LoadedCode::find(const std::string& name) const {
  const auto at = symbols_.find(name);
  return at == symbols_.end() ? nullptr : at->second;
}

}  // namespace dlc
