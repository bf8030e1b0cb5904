// Each structure is taken apart by a structured binding: a new field fails to compile here until
// somebody decides whether it is part of the identity.
#include "ir/loop/fingerprint.h"

#include <bit>
#include <type_traits>

namespace dlc::loop {

namespace {

class Writer {
 public:
  template <class T>
  requires std::is_integral_v<T> || std::is_enum_v<T>
  void add(T v) {
    const auto wide = static_cast<std::int64_t>(v);
    char bytes[sizeof wide];
    for (std::size_t k = 0; k < sizeof wide; ++k)
      bytes[k] = static_cast<char>(static_cast<std::uint64_t>(wide) >> (8 * k));
    out_.append(bytes, sizeof wide);
  }
  void add(double v) { add(std::bit_cast<std::int64_t>(v)); }
  void add(const std::string& s) {
    add(s.size());
    out_ += s;
  }
  void add(const Dim& d) {
    add(d.constant());
    add(d.terms().size());
    for (const auto& [monomial, coefficient] : d.terms()) {
      add(monomial);
      add(coefficient);
    }
  }
  template <class T>
  void add(const std::vector<T>& items) {
    add(items.size());
    for (const T& item : items) add(item);
  }
  void add(const std::vector<std::uint8_t>& bytes) {
    add(bytes.size());
    out_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  void add(const Axis& a) {
    const auto& [name, extent, piece] = a;
    add(extent), add(piece);
  }
  void add(const Reduction& r) {
    const auto& [kind, value] = r;
    add(kind), add(value);
  }
  void add(const Store& s) {
    const auto& [buffer, offset, value] = s;
    add(buffer), add(offset), add(value);
  }
  void add(const Stage& s) {
    const auto& [axes, reductions, stores] = s;
    add(axes), add(reductions), add(stores);
  }
  void add(const Expr& e) {
    const auto& [kind, type, op, operands, value, integer, axis, buffer, stage, reduction, dim] = e;
    add(kind), add(type), add(op), add(operands), add(value), add(integer);
    add(axis), add(buffer), add(stage), add(reduction), add(dim);
  }
  void add(const ContractIndex& i) {
    const auto& [letter, extent, a_stride, b_stride, axis, in_a, in_b] = i;
    add(letter), add(extent), add(a_stride), add(b_stride), add(axis), add(in_a), add(in_b);
  }
  void add(const ContractSchedule& s) {
    const auto& [rows, vectors, k_block, packed] = s;
    add(rows), add(vectors), add(k_block), add(packed);
  }
  void add(const Contraction& c) {
    const auto& [a, b, type, indices, a_base, b_base, schedule, frames, folded, copied, panel,
                 bands] = c;
    add(a), add(b), add(type), add(indices), add(a_base), add(b_base), add(schedule), add(frames),
        add(folded), add(copied), add(panel), add(bands);
  }
  void add(const Band& b) {
    const auto& [low, high, offset] = b;
    add(low), add(high), add(offset);
  }
  void add(const Matrix& m) {
    const auto& [buffer, base, k_stride, n_stride] = m;
    add(buffer), add(base), add(k_stride), add(n_stride);
  }
  void add(const Frame& f) {
    const auto& [at, tap, step, dilation, begin, extent] = f;
    add(at), add(tap), add(step), add(dilation), add(begin), add(extent);
  }
  void add(const Kernel& k) {
    const auto& [name, locs, axes, outer, stages, exprs, contraction, scatter, flops] = k;
    add(axes), add(outer), add(stages), add(exprs), add(contraction), add(scatter);
  }
  void add(const Type& t) {
    const auto& [element, shape, parts] = t;
    add(element), add(shape);
  }
  void add(const Buffer& b) {
    const auto& [name, kind, type, data, arena_offset, alias, in_place_of] = b;
    add(name), add(kind), add(type), add(data), add(arena_offset), add(alias);
  }
  void add(const Loop& l) {
    const auto& [first, last, index, odd, extent, reverse, condition, condition_offset] = l;
    add(first), add(last), add(index), add(odd), add(extent), add(reverse), add(condition),
        add(condition_offset);
  }
  void add(const Program& p) {
    const auto& [name, buffers, kernels, symbols, arena_bytes, loops] = p;
    add(name), add(buffers), add(kernels), add(symbols), add(arena_bytes), add(loops);
  }

  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

template <class T>
std::string bytes_of(const T& what) {
  Writer w;
  w.add(what);
  return w.take();
}

}  // namespace

std::string fingerprint(const Kernel& k) { return bytes_of(k); }
std::string fingerprint(const Program& p) { return bytes_of(p); }

}  // namespace dlc::loop
