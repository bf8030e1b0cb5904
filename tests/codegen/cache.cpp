// Compiled code on the disk and its way into the process; equal kernels; several threads.
#include <doctest/doctest.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "codegen/llvm/jit.h"
#include "codegen/native/code_cache.h"
#include "codegen/native/compile_program.h"
#include "codegen/native/elf_loader.h"
#include "codegen/native/unique_kernels.h"
#include "ir/graph/text.h"
#include "ir/loop/fingerprint.h"
#include "passes/lower/lower.h"
#include "passes/pass_manager.h"
#include "runtime/executable.h"
#include "tests/support/temp_dir.h"

using namespace dlc;

namespace {

/// Three layers of one shape, the first two equal but for their buffers; sin is the C library's.
const char* kLayers = R"(
graph layers {
  %x: f32[N, 8] = input input
  %w1: f32[8, 8] = input param
  %w2: f32[8, 8] = input param
  %w3: f32[8, 8] = input param
  %c: f32[8] = constant [1, 2, 3, 4, 5, 6, 7, 8]
  %z: f32[] = constant 0.5
  %zs: f32[N, 8] = broadcast %z {dims = [], shape = (N, 8)}
  %a1: f32[N, 8] = contract %x, %w1 {lhs = "ab", out = "ac", rhs = "bc"}
  %h1: f32[N, 8] = max %a1, %zs
  %a2: f32[N, 8] = contract %h1, %w2 {lhs = "ab", out = "ac", rhs = "bc"}
  %h2: f32[N, 8] = max %a2, %zs
  %a3: f32[N, 8] = contract %h2, %w3 {lhs = "ab", out = "ac", rhs = "bc"}
  %cs: f32[N, 8] = broadcast %c {dims = [1], shape = (N, 8)}
  %s: f32[N, 8] = add %a3, %cs
  %y: f32[N, 8] = sin %s
  output output "y" = %y
}
)";

loop::Program program_of(const std::string& text) {
  const std::vector<Graph> graphs = parse_graphs(text, "test");
  loop::Program p =
      lower(run_passes(graphs.at(0), default_pipeline(PipelineEnd::Fused, false), {}));
  run_loop_passes(p, true);
  return p;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

std::vector<float> run(const CompiledProgram& code) {
  ThreadPool pool(2);
  TensorMap in;
  for (const char* name : {"x", "w1", "w2", "w3"}) {
    Tensor t(DLC_F32, {name[0] == 'x' ? 5 : 8, 8});
    for (std::int64_t k = 0; k < t.size(); ++k)
      t.set(k, static_cast<double>((k * 7 + name[1]) % 11) / 8 - 0.5);
    in[name] = std::move(t);
  }
  std::map<std::string, Tensor*, std::less<>> bound;
  for (auto& [name, t] : in) bound[name] = &t;
  const TensorMap out = run_once(code.program(), pool, bound);
  const Tensor& y = out.at("y");
  return {y.as<float>(), y.as<float>() + y.size()};
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), 4 * a.size()) == 0;
}

/// An environment variable for as long as this lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* old = getenv(name)) old_ = old, had_ = true;
    setenv(name, value.c_str(), 1);
  }
  ~Variable() { had_ ? setenv(name_, old_.c_str(), 1) : unsetenv(name_); }

 private:
  const char* name_;
  std::string old_;
  bool had_ = false;
};

/// compile_program, and what it did.
struct Build {
  explicit Build(const loop::Program& p, bool cache = true) {
    CodegenOptions options;
    options.cache = cache;
    options.on_time = [&](std::string_view stage, double) { stages.emplace_back(stage); };
    code = compile_program(p, options);
  }
  bool did(const std::string& stage) const {
    return std::find(stages.begin(), stages.end(), stage) != stages.end();
  }
  std::vector<std::string> stages;
  std::unique_ptr<CompiledProgram> code;
};

std::size_t files_in(const TempDir& dir) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(dir.dir())) ++count;
  return count;
}

/// Not real code: what the cache holds is none of its business.
ObjectCode some_code(std::size_t bytes, char fill = 'x') {
  return {{std::string(bytes, fill), "second"}, "/proc/self/exe"};
}
Digest some_key(int n) { return sha256(std::to_string(n)); }

}  // namespace

TEST_CASE("SHA-256 of known texts") {
  CHECK(hex(sha256("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hex(sha256("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hex(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(hex(sha256(std::string(1000000, 'a'))) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("kernels that differ in their buffers alone are one") {
  const loop::Program p = program_of(kLayers);
  const UniqueKernels u = unique_kernels(p);
  REQUIRE(p.kernels.size() == 3);
  REQUIRE(u.kernels.size() == 2);
  CHECK(u.calls[0].kernel == u.calls[1].kernel);
  CHECK(u.calls[0].buffers != u.calls[1].buffers);
  CHECK(u.calls[2].kernel == 1);
  // Another element type of a buffer is another kernel.
  loop::Program other = p;
  for (loop::Buffer& b : other.buffers)
    if (b.name == "w1") b.type.element = ElementType::F64;
  CHECK(unique_kernels(other).kernels.size() == 3);
}

TEST_CASE("groups hold each kernel once and depend on the kernels alone") {
  const UniqueKernels u = unique_kernels(program_of(kLayers));
  for (const std::size_t most : {1, 2, 4, 100}) {
    const auto groups = compile_groups(u, most);
    CHECK(groups.size() <= most);
    std::vector<std::size_t> all;
    for (const auto& g : groups) all.insert(all.end(), g.begin(), g.end());
    std::sort(all.begin(), all.end());
    CHECK(all == std::vector<std::size_t>{0, 1});
  }
  CHECK(compile_groups({}, 4).size() == 1);
}

TEST_CASE("the code is the same whatever the number of threads") {
  const loop::Program p = program_of(kLayers);
  CodegenOptions options;
  options.threads = 1;
  const ObjectCode one = compile_objects(p, options);
  CHECK(one.objects.size() > 1);
  for (const int threads : {2, 3, 4, 9}) {
    options.threads = threads;
    CHECK(compile_objects(p, options).objects == one.objects);
  }
  CHECK(one.made_by.find("LLVM") != std::string::npos);
}

TEST_CASE("the small loader and LLVM's linker give the same results") {
  const loop::Program p = program_of(kLayers);
  const ObjectCode code = compile_objects(p, {});
  const auto small = load_program(p, code.objects);
  REQUIRE(small);
  CHECK(same_bits(run(*small), run(*link_with_llvm(p, code))));
}

TEST_CASE("the loader refuses what is no object, torn or unknown") {
  const ObjectCode code = compile_objects(program_of(kLayers), {});
  std::string why;
  CHECK(LoadedCode::load(code.objects, why));
  CHECK(!LoadedCode::load({"hello"}, why));
  CHECK(!LoadedCode::load({""}, why));
  CHECK(!LoadedCode::load({code.objects[0], code.objects[0]}, why));
  CHECK(why.find("two definitions") != std::string::npos);
  for (const std::string& object : code.objects) {
    for (std::size_t size = 0; size < object.size(); size += 37)
      CHECK(!LoadedCode::load({object.substr(0, size)}, why));
    // Any bit may be wrong: it may load, but nothing outside its memory is touched.
    for (std::size_t at = 0; at < object.size(); at += 5)
      for (const char bit : {'\x01', '\x40', '\x80'}) {
        std::string flipped = object;
        flipped[at] = static_cast<char>(flipped[at] ^ bit);
        LoadedCode::load({flipped}, why);
      }
  }
  std::string foreign = code.objects[0];
  Elf64_Ehdr header;
  std::memcpy(&header, foreign.data(), sizeof header);
  header.e_machine = EM_AARCH64;
  std::memcpy(foreign.data(), &header, sizeof header);
  CHECK(!LoadedCode::load({foreign}, why));
}

TEST_CASE("the second time the code comes from the cache, with equal results") {
  TempDir dir;
  const Variable place("DLC_CACHE_DIR", dir.path("a/b"));
  const loop::Program p = program_of(kLayers);
  const Build first(p), second(p), without(p, false);
  CHECK(first.did("cache miss"));
  CHECK(first.did("code generation"));
  CHECK(first.did("cache store"));
  CHECK(second.stages == std::vector<std::string>{"cache hit"});
  CHECK(!without.did("cache miss"));
  CHECK(!without.did("cache hit"));
  CHECK(same_bits(run(*first.code), run(*second.code)));
  CHECK(same_bits(run(*first.code), run(*without.code)));
  // For the user alone.
  struct stat s {};
  REQUIRE(stat(dir.path("a/b").c_str(), &s) == 0);
  CHECK((s.st_mode & 0777) == 0700);
  REQUIRE(stat(CodeCache(dir.path("a/b")).path(cache_key(p, 0)).c_str(), &s) == 0);
  CHECK((s.st_mode & 0777) == 0600);
  const Variable off("DLC_CACHE", "0");
  CHECK(!Build(p).did("cache hit"));
}

TEST_CASE("a file that is wrong anywhere is ignored and written anew") {
  TempDir dir;
  const Variable place("DLC_CACHE_DIR", dir.path("c"));
  const loop::Program p = program_of(kLayers);
  const Digest key = cache_key(p, 0);
  const CodeCache cache(dir.path("c"));
  const std::vector<float> expected = run(*Build(p).code);
  const std::string file = cache.path(key), good = read_all(file);
  REQUIRE(cache.find(key));
  const auto write = [&](const std::string& bytes) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
  };
  for (std::size_t at = 0; at < good.size(); at += at < 300 ? 1 : 61) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
    write(bytes);
    CHECK(!cache.find(key));
  }
  for (std::size_t size = 0; size < good.size(); size += size < 300 ? 1 : 61) {
    write(good.substr(0, size));
    CHECK(!cache.find(key));
  }
  write(good + "x");
  CHECK(!cache.find(key));
  const Build again(p);
  CHECK(again.did("cache miss"));
  CHECK(same_bits(run(*again.code), expected));
  CHECK(read_all(file) == good);
  CHECK(Build(p).did("cache hit"));
  // Another program's file under this name.
  cache.store(some_key(1), some_code(100));
  std::filesystem::copy_file(cache.path(some_key(1)), file,
                             std::filesystem::copy_options::overwrite_existing);
  CHECK(!cache.find(key));
}

TEST_CASE("code of a libLLVM that has changed is not used") {
  TempDir dir;
  const CodeCache cache(dir.path("c"));
  ObjectCode code = some_code(10);
  code.made_by = dir.write("libLLVM.so", "version 1");
  REQUIRE(cache.store(some_key(1), code));
  CHECK(cache.find(some_key(1)));
  dir.write("libLLVM.so", "version 2, longer");
  CHECK(!cache.find(some_key(1)));
  code.made_by = dir.path("none");
  CHECK(!cache.store(some_key(1), code));
}

TEST_CASE("the key follows from all that the code follows from") {
  const loop::Program p = program_of(kLayers);
  const Digest key = cache_key(p, 0, "host", "build");
  CHECK(cache_key(program_of(kLayers), 0, "host", "build") == key);
  CHECK(cache_key(p, 256, "host", "build") != key);
  CHECK(cache_key(p, 0, "other host", "build") != key);
  CHECK(cache_key(p, 0, "host", "other build") != key);
  CHECK(cache_key(p, 0, "hostb", "uild") != key);
  CHECK(cache_key(p, 0, "host", "build", true) != key);
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"[1, 2, 3", "[1, 2, 4"}, {"constant 0.5", "constant 0.25"}, {"= sin", "= cos"}})
    CHECK(cache_key(program_of(replaced(kLayers, from, to)), 0, "host", "build") != key);
  // Where a kernel comes from does not matter.
  loop::Program moved = p;
  moved.kernels[0].locs = {Loc{"elsewhere.dl", 7, 1}};
  CHECK(loop::fingerprint(moved) == loop::fingerprint(p));
  moved.buffers[0].alias = 1;
  CHECK(loop::fingerprint(moved) != loop::fingerprint(p));
}

TEST_CASE("many processes write and read one file") {
  TempDir dir;
  const CodeCache cache(dir.path("c"));
  constexpr int kWriters = 6, kRounds = 60;
  std::vector<pid_t> children;
  for (int w = 0; w < kWriters; ++w) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      bool good = true;
      for (int k = 0; k < kRounds; ++k) {
        good = cache.store(some_key(k % 2), some_code(50000 + static_cast<std::size_t>(k % 2))) &&
               good;
        const auto found = cache.find(some_key(k % 2));
        good = found && found->objects.size() == 2 && good;
      }
      _exit(good ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(status == 0);
  }
  CHECK(cache.find(some_key(0))->objects == some_code(50000).objects);
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(dir.path("c"))) ++files;
  CHECK(files == 2);
}

TEST_CASE("the files that were used longest ago make room") {
  TempDir dir;
  const CodeCache cache(dir.path("c"), 10000);
  const auto age = [&](int n, int seconds) {
    const timespec then{time(nullptr) - seconds, 0}, both[2] = {then, then};
    REQUIRE(utimensat(AT_FDCWD, cache.path(some_key(n)).c_str(), both, 0) == 0);
  };
  for (int n = 0; n < 3; ++n) {
    REQUIRE(cache.store(some_key(n), some_code(2500)));
    age(n, 100 - n);
  }
  CHECK(cache.find(some_key(0)));  // used now
  REQUIRE(cache.store(some_key(3), some_code(2500)));
  CHECK(cache.find(some_key(0)));
  CHECK(!cache.find(some_key(1)));
  CHECK(cache.find(some_key(2)));
  CHECK(cache.find(some_key(3)));
  // More than the whole cache may hold is not kept.
  CHECK(!cache.store(some_key(4), some_code(20000)));
  // What a writer left that died, long ago and just now.
  dir.write("c/tmp-1-1-1", "half");
  dir.write("c/tmp-2-2-2", "half");
  const timespec old{time(nullptr) - 100000, 0}, both[2] = {old, old};
  REQUIRE(utimensat(AT_FDCWD, dir.path("c/tmp-1-1-1").c_str(), both, 0) == 0);
  REQUIRE(cache.store(some_key(5), some_code(10)));
  CHECK(!std::filesystem::exists(dir.path("c/tmp-1-1-1")));
  CHECK(std::filesystem::exists(dir.path("c/tmp-2-2-2")));
}

TEST_CASE("a place that cannot be used or trusted is no cache, and no error") {
  TempDir dir;
  dir.write("file", "");
  CHECK(!CodeCache(dir.path("file")).store(some_key(1), some_code(10)));
  CHECK(!CodeCache(dir.path("file/below")).store(some_key(1), some_code(10)));
  CHECK(!CodeCache("/proc/none/dlc").store(some_key(1), some_code(10)));
  CHECK(!CodeCache("").store(some_key(1), some_code(10)));
  CHECK(!CodeCache("/proc/none/dlc").find(some_key(1)));
  CHECK(files_in(dir) == 1);
  {
    const Variable place("DLC_CACHE_DIR", dir.path("file/below"));
    CHECK(Build(program_of(kLayers)).code);
  }
  // Others may write the directory, or the file.
  const CodeCache cache(dir.path("c"));
  REQUIRE(cache.store(some_key(1), some_code(10)));
  REQUIRE(chmod(dir.path("c").c_str(), 0777) == 0);
  CHECK(!cache.find(some_key(1)));
  CHECK(!cache.store(some_key(2), some_code(10)));
  REQUIRE(chmod(dir.path("c").c_str(), 0700) == 0);
  CHECK(cache.find(some_key(1)));
  REQUIRE(chmod(cache.path(some_key(1)).c_str(), 0666) == 0);
  CHECK(!cache.find(some_key(1)));
  // A link in place of the file.
  REQUIRE(cache.store(some_key(1), some_code(10)));
  std::filesystem::rename(cache.path(some_key(1)), dir.path("target"));
  std::filesystem::create_symlink(dir.path("target"), cache.path(some_key(1)));
  CHECK(!cache.find(some_key(1)));
  if (geteuid() != 0) return;
  REQUIRE(cache.store(some_key(3), some_code(10)));
  REQUIRE(chown(dir.path("c").c_str(), 12345, 12345) == 0);  // somebody else's
  CHECK(!cache.find(some_key(3)));
  REQUIRE(chown(dir.path("c").c_str(), 0, 0) == 0);
}

TEST_CASE("the environment says where the cache is") {
  TempDir dir;
  const Digest key = some_key(1);
  const auto place = [&] {
    const auto cache = CodeCache::from_environment();
    return cache ? std::filesystem::path(cache->path(key)).parent_path().string()
                 : std::string("none");
  };
  const Variable on("DLC_CACHE", ""), home("HOME", "/home/me"), xdg("XDG_CACHE_HOME", ""),
      own("DLC_CACHE_DIR", "");
  CHECK(place() == "/home/me/.cache/dlc");
  {
    const Variable x("XDG_CACHE_HOME", "/cache");
    CHECK(place() == "/cache/dlc");
    const Variable o("DLC_CACHE_DIR", "/mine");
    CHECK(place() == "/mine");
    const Variable off("DLC_CACHE", "0");
    CHECK(place() == "none");
  }
  const Variable relative("XDG_CACHE_HOME", "cache"), nowhere("HOME", "");
  CHECK(place() == "none");
}
