// NumPy's .npy: "\x93NUMPY", version, the length of a header, the header as a Python dictionary
// {'descr': '<f4', 'fortran_order': False, 'shape': (60000, 784), }, then the elements.
#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>

#include "ir/support/check.h"
#include "runtime/atomic_file.h"
#include "runtime/data/byte_reader.h"
#include "runtime/data/formats.h"

namespace dlc {

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kLongestHeader = std::size_t{1} << 20;
constexpr std::size_t kMostAxes = 64;  // as in NumPy 2

struct NpyHeader {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
};

/// dictionary = "{" [ entry { "," entry } [","] ] "}"    entry = string ":" value
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const ByteReader& in, std::size_t first_byte)
      : text_(text), in_(in), first_byte_(first_byte) {}

  NpyHeader parse() {
    expect('{');
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      if (key == "descr") {
        once(seen_descr_, key);
        if (peek() == '[') fail("arrays of records are not supported; save each field on its own");
        header_.descr = string();
      } else if (key == "fortran_order") {
        once(seen_order_, key);
        header_.fortran_order = boolean();
      } else if (key == "shape") {
        once(seen_shape_, key);
        shape();
      } else {
        fail(fmt::format("unknown key `{}`", key));
      }
      if (!accept(',') && peek() != '}') fail("`,` or `}` is expected");
    }
    skip_spaces();
    if (at_ < text_.size()) fail("text follows the dictionary");
    if (!seen_descr_ || !seen_order_ || !seen_shape_)
      fail("`descr`, `fortran_order` and `shape` are expected");
    return std::move(header_);
  }

 private:
  [[noreturn]] void fail(std::string_view message) const {
    in_.fail(first_byte_ + at_, fmt::format("wrong npy header: {}", message));
  }
  void once(bool& seen, const std::string& key) const {
    if (seen) fail(fmt::format("`{}` is given twice", key));
    seen = true;
  }
  void skip_spaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t'))
      ++at_;
  }
  char peek() {
    skip_spaces();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char c) {
    if (peek() != c || at_ >= text_.size()) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(fmt::format("`{}` is expected", c));
  }
  std::string string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') fail("a string is expected");
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("a string is not closed");
    const std::string result(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return result;
  }
  bool boolean() {
    skip_spaces();
    for (const std::string_view word : {"True", "False"}) {
      if (!text_.substr(at_).starts_with(word)) continue;
      at_ += word.size();
      return word == "True";
    }
    fail("True or False is expected");
  }
  /// "()", "(5,)", "(2, 3)"; Python 2 wrote "5L".
  void shape() {
    expect('(');
    while (!accept(')')) {
      if (peek() < '0' || peek() > '9') fail("an extent is expected");
      std::int64_t extent = 0;
      for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
        if (extent > (std::numeric_limits<std::int64_t>::max() - 9) / 10)
          fail("an extent is too large");
        extent = extent * 10 + (text_[at_] - '0');
      }
      accept('L');
      header_.shape.push_back(extent);
      if (header_.shape.size() > kMostAxes) fail(fmt::format("more than {} axes", kMostAxes));
      if (!accept(',') && peek() != ')') fail("`,` or `)` is expected");
    }
  }

  std::string_view text_;
  const ByteReader& in_;
  std::size_t first_byte_, at_ = 0;
  NpyHeader header_;
  bool seen_descr_ = false, seen_order_ = false, seen_shape_ = false;
};

template <class From, class To>
void widen(const char* from, std::size_t count, char* to) {
  for (std::size_t k = 0; k < count; ++k) {
    From v;
    std::memcpy(&v, from + k * sizeof v, sizeof v);
    const auto w = static_cast<To>(v);
    std::memcpy(to + k * sizeof w, &w, sizeof w);
  }
}

struct ElementKind {
  std::string_view descr;  // without the byte order
  std::size_t bytes;
  dlc_dtype dtype;                                   // what a tensor holds them as
  void (*convert)(const char*, std::size_t, char*);  // nullptr: they are held as they are
};
constexpr ElementKind kKinds[] = {
    {"f4", 4, DLC_F32, nullptr},
    {"f8", 8, DLC_F64, nullptr},
    {"f2", 2, DLC_F16, nullptr},
    {"i4", 4, DLC_I32, nullptr},
    {"i8", 8, DLC_I64, nullptr},
    {"u1", 1, DLC_U8, nullptr},
    {"b1", 1, DLC_BOOL,
     [](const char* from, std::size_t n, char* to) {
       for (std::size_t k = 0; k < n; ++k) to[k] = from[k] != 0;
     }},
    {"i1", 1, DLC_I32, widen<std::int8_t, std::int32_t>},
    {"i2", 2, DLC_I32, widen<std::int16_t, std::int32_t>},
    {"u2", 2, DLC_I32, widen<std::uint16_t, std::int32_t>},
    {"u4", 4, DLC_I64, widen<std::uint32_t, std::int64_t>},
};

const ElementKind& kind_of(const ByteReader& in, std::size_t byte, const std::string& descr) {
  const char order = descr.empty() ? ' ' : descr[0];
  const std::string_view rest = std::string_view(descr).substr(descr.empty() ? 0 : 1);
  const auto* kind = std::find_if(std::begin(kKinds), std::end(kKinds),
                                  [&](const ElementKind& k) { return k.descr == rest; });
  if (kind == std::end(kKinds) || std::string_view("<>|=").find(order) == std::string_view::npos)
    in.fail(byte, fmt::format("elements of type '{}' are not supported; convert the array in "
                              "NumPy, for instance with a.astype('<f4'), before saving it",
                              descr));
  if (order == '>' && kind->bytes > 1)
    in.fail(byte, fmt::format("big-endian elements ('{}') are not supported; convert the array in "
                              "NumPy with a.astype('<{}') before saving it",
                              descr, rest));
  return *kind;
}

NpyHeader read_header(ByteReader& in) {
  std::array<std::uint8_t, 8> start{};
  in.read(start.data(), start.size(), "the header");
  if (std::memcmp(start.data(), kMagic.data(), kMagic.size()) != 0)
    in.fail(0, "this is not an npy file: it starts with \\x93NUMPY");
  const int version = start[6];
  if (version < 1 || version > 3)
    in.fail(6, fmt::format("npy version {}.{} is not known", version, start[7]));
  std::array<std::uint8_t, 4> digits{};
  in.read(digits.data(), version == 1 ? 2 : 4, "the length of the header");
  std::size_t length = 0;
  for (std::size_t k = 0; k < 4; ++k) length |= static_cast<std::size_t>(digits[k]) << (8 * k);
  if (length > kLongestHeader || length > in.bound())
    in.fail(8, fmt::format("a header of {} bytes does not fit in the file", length));
  std::string text(length, '\0');
  const std::size_t first_byte = in.offset();
  in.read(text.data(), length, "the header");
  return HeaderParser(text, in, first_byte).parse();
}

/// Elements with the first axis fastest to elements with the last axis fastest.
Tensor transposed(const Tensor& fortran) {
  Tensor t(fortran.dtype(), fortran.shape());
  const std::size_t size = dtype_size(t.dtype()), rank = t.shape().size();
  std::vector<std::int64_t> index(rank, 0), stride(rank, 1);
  for (std::size_t k = 1; k < rank; ++k) stride[k] = stride[k - 1] * t.shape()[k - 1];
  std::int64_t from = 0;
  for (std::int64_t to = 0; to < t.size(); ++to) {
    std::memcpy(t.as<char>() + static_cast<std::size_t>(to) * size,
                fortran.as<char>() + static_cast<std::size_t>(from) * size, size);
    for (std::size_t k = rank; k-- > 0;) {
      from += stride[k];
      if (++index[k] < t.shape()[k]) break;
      from -= stride[k] * t.shape()[k];
      index[k] = 0;
    }
  }
  return t;
}

}  // namespace

FileContent read_npy(const std::string& path, bool only_header) {
  ByteReader in(path);
  const NpyHeader header = read_header(in);
  const ElementKind& kind = kind_of(in, 8, header.descr);
  const std::size_t count = in.checked_count(header.shape, kind.bytes);
  FileContent result;
  result.header = {kind.dtype, header.shape};
  if (only_header) return result;
  result.tensor = Tensor(kind.dtype, header.shape);
  if (!kind.convert) {
    in.read(result.tensor.data(), count * kind.bytes, "the elements");
  } else {
    std::vector<char> part(std::min<std::size_t>(count, 1 << 16) * kind.bytes);
    for (std::size_t first = 0; first < count;) {
      const std::size_t n = std::min<std::size_t>(count - first, 1 << 16);
      in.read(part.data(), n * kind.bytes, "the elements");
      kind.convert(part.data(), n, result.tensor.as<char>() + first * dtype_size(kind.dtype));
      first += n;
    }
  }
  in.expect_end();
  if (header.fortran_order && header.shape.size() > 1) result.tensor = transposed(result.tensor);
  return result;
}

void write_npy(const std::string& path, const Tensor& t) {
  static constexpr std::string_view kDescr[] = {"<f4", "<f8", "",    "<f2",
                                                "<i4", "<i8", "|u1", "|b1"};
  if (t.dtype() == DLC_BF16) return write_npy(path, t.convert(DLC_F32));  // NumPy has no bf16
  const std::string_view descr = kDescr[t.dtype()];
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", descr,
                  fmt::join(t.shape(), ", "), t.shape().size() == 1 ? "," : "");
  constexpr std::size_t kStart = 10, kAlignment = 64;  // the elements start at a multiple of 64
  header.resize((kStart + header.size() + kAlignment) / kAlignment * kAlignment - kStart - 1, ' ');
  header += '\n';
  std::string start(kMagic);
  start += {'\x01', '\x00', static_cast<char>(header.size() & 0xFF),
            static_cast<char>(header.size() >> 8)};
  start += header;
  const std::span<const std::byte> pieces[] = {
      std::as_bytes(std::span(start)), {static_cast<const std::byte*>(t.data()), t.bytes()}};
  write_file_atomically(path, pieces);
}

}  // namespace dlc
