// A safetensors file: the length of the header as a little-endian u64, the header as JSON
//   {"w": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]}, ...}
// padded with spaces, then the tensors' bytes one after the other, without gaps. Offsets count from
// the end of the header.
#include "runtime/checkpoint.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <vector>

#include "ir/support/check.h"
#include "ir/support/pattern.h"
#include "runtime/atomic_file.h"
#include "runtime/data/byte_reader.h"

namespace dlc {

namespace {

using nlohmann::json;

constexpr std::size_t kLongestHeader = 100'000'000;  // the limit of the safetensors package
constexpr std::size_t kAlignment = 8;
constexpr int kDeepestNesting = 3;  // {name: {key: [number]}}
constexpr const char* kMetadata = "__metadata__";
constexpr std::string_view kDtypes[] = {"F32", "F64", "BF16", "F16", "I32", "I64", "U8", "BOOL"};

struct Entry {
  std::string name;
  dlc_dtype dtype;
  std::vector<std::int64_t> shape;
  std::uint64_t begin, end;
};

class HeaderReader {
 public:
  HeaderReader(const std::string& path, const std::string& text) : path_(path), text_(text) {}

  /// The tensors in the order of their bytes, which are contiguous.
  std::vector<Entry> entries() {
    const json header = parse();
    if (!header.is_object()) fail("the header is not an object");
    std::vector<Entry> result;
    for (const auto& [name, value] : header.items())
      if (name != kMetadata) result.push_back(entry(name, value));
    std::sort(result.begin(), result.end(), [](const Entry& a, const Entry& b) {
      return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
    });
    std::uint64_t at = 0;
    for (const Entry& e : result) {
      if (e.begin != at)
        fail(fmt::format("tensor `{}` begins at byte {} of the data, the one before ends at {}",
                         e.name, e.begin, at));
      at = e.end;
    }
    return result;
  }

  Metadata metadata() {
    const json header = parse();
    Metadata result;
    if (!header.is_object() || !header.contains(kMetadata)) return result;
    const json& all = header[kMetadata];
    if (!all.is_object()) fail("`__metadata__` is not an object");
    for (const auto& [key, value] : all.items()) {
      if (!value.is_string()) fail(fmt::format("`{}` of `__metadata__` is not text", key));
      result[key] = value.get<std::string>();
    }
    return result;
  }

 private:
  [[noreturn]] void fail(const std::string& message) const {
    throw UserError(fmt::format("{}: wrong safetensors header: {}", path_, message));
  }

  json parse() const {
    std::set<std::string> names;
    try {
      return json::parse(text_, [&](int depth, json::parse_event_t event, json& value) {
        if (depth > kDeepestNesting) fail(fmt::format("it nests deeper than {}", kDeepestNesting));
        if (event == json::parse_event_t::key && depth == 1 &&
            !names.insert(value.get<std::string>()).second)
          fail(fmt::format("`{}` is there twice", value.get<std::string>()));
        return true;
      });
    } catch (const json::parse_error& e) {
      fail(fmt::format("byte {}: no valid JSON", 8 + e.byte));
    } catch (const json::exception&) {
      fail("a number is too large");
    }
  }

  std::uint64_t number(const json& v, const std::string& name, const char* key) const {
    if (!v.is_number_unsigned())
      fail(fmt::format("tensor `{}`: `{}` holds something else than numbers from 0", name, key));
    return v.get<std::uint64_t>();
  }

  Entry entry(const std::string& name, const json& value) const {
    const auto wrong = [&](const std::string& what) {
      fail(fmt::format("tensor `{}`: {}", name, what));
    };
    if (!value.is_object() || value.size() != 3 || !value.contains("dtype") ||
        !value.contains("shape") || !value.contains("data_offsets"))
      wrong("`dtype`, `shape` and `data_offsets` are expected");
    const json &dtype = value["dtype"], &shape = value["shape"], &offsets = value["data_offsets"];
    if (!dtype.is_string() || !shape.is_array() || !offsets.is_array() || offsets.size() != 2)
      wrong("`dtype` is text, `shape` a list, `data_offsets` a list of two");
    const auto* known =
        std::find(std::begin(kDtypes), std::end(kDtypes), dtype.get_ref<const std::string&>());
    if (known == std::end(kDtypes))
      wrong(fmt::format("elements of type {} are not supported",
                        dtype.get_ref<const std::string&>()));
    Entry e{name, static_cast<dlc_dtype>(known - std::begin(kDtypes)), {}, 0, 0};
    e.begin = number(offsets[0], name, "data_offsets");
    e.end = number(offsets[1], name, "data_offsets");
    std::uint64_t bytes = dtype_size(e.dtype);
    bool empty = false;
    for (const json& d : shape) {
      const std::uint64_t extent = number(d, name, "shape");
      if (extent == 0) {
        empty = true;
      } else {
        if (bytes > (std::uint64_t{1} << 46) / extent) wrong("the shape is too large");
        bytes *= extent;
      }
      e.shape.push_back(static_cast<std::int64_t>(extent));
    }
    if (empty) bytes = 0;
    if (e.end < e.begin || e.end - e.begin != bytes)
      wrong(fmt::format("{}[{}] takes {} bytes, `data_offsets` are [{}, {}]", *known,
                        fmt::join(e.shape, ", "), bytes, e.begin, e.end));
    return e;
  }

  const std::string& path_;
  const std::string& text_;
};

}  // namespace

TensorRefs refs_to(const TensorMap& tensors) {
  TensorRefs refs;
  for (const auto& [name, t] : tensors) refs.emplace(name, &t);
  return refs;
}

void save_safetensors(const std::string& path, const TensorMap& tensors, const Metadata& metadata) {
  save_safetensors(path, refs_to(tensors), metadata);
}

void save_safetensors(const std::string& path, const TensorRefs& tensors,
                      const Metadata& metadata) {
  // Wide elements first, so that each tensor is aligned for its type.
  std::vector<std::pair<std::string_view, const Tensor*>> order(tensors.begin(), tensors.end());
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return dtype_size(a.second->dtype()) > dtype_size(b.second->dtype());
  });
  std::string header = "{";
  if (!metadata.empty()) header += fmt::format("\"{}\":{}", kMetadata, json(metadata).dump());
  std::vector<std::span<const std::byte>> pieces(2);
  std::size_t at = 0;
  for (const auto& [name, tensor] : order) {
    const Tensor& t = *tensor;
    std::string key;
    try {
      key = json(name).dump();
    } catch (const json::exception&) {
      throw UserError(fmt::format("{}: the name of a tensor is not UTF-8: {}", path, name));
    }
    header += fmt::format(R"({}{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                          header.size() == 1 ? "" : ",", key, kDtypes[t.dtype()],
                          fmt::join(t.shape(), ","), at, at + t.bytes());
    at += t.bytes();
    pieces.emplace_back(static_cast<const std::byte*>(t.data()), t.bytes());
  }
  header += "}";
  header.resize((header.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  const std::uint64_t length = header.size();  // little-endian, as are all machines we generate for
  pieces[0] = std::as_bytes(std::span(&length, 1));
  pieces[1] = std::as_bytes(std::span(header));
  write_file_atomically(path, pieces);
}

namespace {

std::string read_header(ByteReader& in) {
  std::uint64_t length = 0;
  in.read(&length, sizeof length, "the length of the header");
  if (length > kLongestHeader || length > in.bound())
    in.fail(0, fmt::format("this is not a safetensors file: a header of {} bytes does not fit",
                           length));
  std::string text(length, '\0');
  in.read(text.data(), length, "the header");
  if (!text.starts_with('{'))
    in.fail(8, "this is not a safetensors file: its header begins with {");
  return text;
}

}  // namespace

Metadata load_metadata(const std::string& path) {
  ByteReader in(path);
  const std::string text = read_header(in);
  return HeaderReader(path, text).metadata();
}

TensorMap load_safetensors(const std::string& path, Metadata* metadata) {
  ByteReader in(path);
  const std::string text = read_header(in);
  HeaderReader header(path, text);
  if (metadata) *metadata = header.metadata();
  TensorMap tensors;
  for (const Entry& e : header.entries()) {
    in.checked_count(e.shape, dtype_size(e.dtype));
    Tensor t(e.dtype, e.shape);
    in.read(t.data(), t.bytes(), fmt::format("tensor `{}`", e.name));
    if (e.dtype == DLC_BOOL)
      for (std::size_t k = 0; k < t.bytes(); ++k)
        if (t.as<std::uint8_t>()[k] > 1)
          in.fail(in.offset() - t.bytes() + k,
                  fmt::format("tensor `{}`: a BOOL is 0 or 1", e.name));
    tensors.emplace(e.name, std::move(t));
  }
  in.expect_end();
  return tensors;
}

namespace {

/// What keeps `name` from being loaded, as a line of a message; empty: nothing.
std::string difference(const std::string& name, const Tensor& t, const TensorMap& from) {
  const auto at = from.find(name);
  if (at == from.end())
    return fmt::format("\n  `{}` ({}) is missing in the file", name, t.type_str());
  if (at->second.dtype() == t.dtype() && at->second.shape() == t.shape()) return "";
  return fmt::format("\n  `{}` is {} in the model, {} in the file", name, t.type_str(),
                     at->second.type_str());
}

void refuse(const std::string& differences, const std::string& path) {
  if (!differences.empty())
    throw UserError(
        fmt::format("{}: the parameters are not those of the model:{}", path, differences));
}

void copy(Tensor& to, const Tensor& from) {
  if (to.bytes() > 0) std::memcpy(to.data(), from.data(), to.bytes());
}

}  // namespace

void load_into(TensorMap& into, const TensorMap& from, const std::string& path) {
  std::string differences;
  for (const auto& [name, t] : into) differences += difference(name, t, from);
  for (const auto& [name, t] : from)
    if (!into.contains(name))
      differences += fmt::format("\n  `{}` ({}) is in the file only", name, t.type_str());
  refuse(differences, path);
  for (auto& [name, t] : into) copy(t, from.find(name)->second);
}

void load_part(TensorMap& into, const TensorMap& from, const std::string& path,
               const std::vector<std::string>& patterns) {
  std::string differences;
  std::vector<std::string> names;
  for (const std::string& pattern : patterns) {
    const std::size_t before = names.size();
    for (const auto& [name, t] : into)
      if (fits_pattern(pattern, name)) names.push_back(name);
    if (names.size() == before)
      differences += fmt::format("\n  no parameter of the model is called `{}`", pattern);
  }
  for (const std::string& name : names) differences += difference(name, into.at(name), from);
  refuse(differences, path);
  for (const std::string& name : names) copy(into.at(name), from.find(name)->second);
}

void load_parameters(TensorMap& into, const std::string& path,
                     const std::vector<std::string>& patterns) {
  TensorMap from = load_safetensors(path);
  std::erase_if(from, [](const auto& item) { return item.first.starts_with('@'); });
  if (patterns.empty())
    load_into(into, from, path);
  else
    load_part(into, from, path, patterns);
}

}  // namespace dlc
