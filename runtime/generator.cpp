#include "runtime/generator.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "ir/support/check.h"
#include "ir/support/mix.h"

namespace dlc {

TokenGenerator::TokenGenerator(const dlc_program* program, TensorMap& tensors,
                               const std::string& input, const std::string& logits,
                               ThreadPool& pool)
    : executable_(program, &pool),
      input_(executable_.find(input)),
      logits_(executable_.find(logits)) {
  const auto buffer = [&](int b) -> const dlc_buffer& { return program->buffers[b]; };
  if (input_ < 0 || buffer(input_).dtype != DLC_I32 || buffer(input_).rank != 2)
    throw UserError(
        fmt::format("to generate, the model reads its tokens as `{}: i32[N, T]`", input));
  if (logits_ < 0 || buffer(logits_).dtype != DLC_F32 || buffer(logits_).rank != 3)
    throw UserError(fmt::format(
        "to generate, the model has an `output {}`, f32[N, T, tokens]: a score for each next token",
        logits));
  steps_symbol_ = lone_symbol(buffer(input_).shape[1]);
  const int rows = lone_symbol(buffer(input_).shape[0]);
  if (steps_symbol_ < 0 || rows < 0)
    throw UserError(
        fmt::format("to generate, `{}` has any number of rows and tokens: i32[N, T]", input));
  executable_.set_symbol(rows, 1);
  executable_.set_symbol(steps_symbol_, 1);
  vocabulary_ = executable_.shape(logits_)[2];
  carried_.reserve(static_cast<std::size_t>(program->num_buffers));
  others_.reserve(static_cast<std::size_t>(program->num_buffers));
  for (int b = 0; b < program->num_buffers; ++b) {
    const dlc_buffer& own = buffer(b);
    if (is_carry(own)) {
      carried_.emplace_back(static_cast<dlc_dtype>(own.dtype), executable_.shape(b));
      std::memset(carried_.back().data(), 0, carried_.back().bytes());
      executable_.bind(b, carried_.back().data());
    } else if (own.kind == DLC_PARAM || own.kind == DLC_STATE) {
      const auto at = tensors.find(std::string_view(own.name));
      DLC_CHECK(at != tensors.end(), "no tensor for the parameter {}", own.name);
      executable_.bind(b, at->second.data());
    } else if (own.kind == DLC_SCALAR) {
      executable_.bind(b, &scalars_[std::string_view(own.name) == "seed" ? 0 : 1]);
    } else if (own.kind == DLC_INPUT && b != input_) {
      throw UserError(fmt::format("to generate, the model reads `{}` alone, not `{}` as well",
                                  input, own.name));
    }
  }
}

std::span<const float> TokenGenerator::read(std::span<const std::int32_t> tokens) {
  DLC_CHECK(!tokens.empty(), "no tokens to read");
  if (!carries()) {
    all_.insert(all_.end(), tokens.begin(), tokens.end());
    tokens = all_;
    if (context_ > 0 && static_cast<std::int64_t>(tokens.size()) > context_)
      tokens = tokens.last(static_cast<std::size_t>(context_));
  }
  const auto count = static_cast<std::int64_t>(tokens.size());
  if (tokens_.data() == nullptr || tokens_.shape()[1] != count) {
    executable_.set_symbol(steps_symbol_, count);
    tokens_ = Tensor(DLC_I32, {1, count});
    executable_.bind(input_, tokens_.data());
    others_.clear();
    const dlc_program* p = executable_.program();
    for (int b = 0; b < p->num_buffers; ++b) {
      if (p->buffers[b].kind != DLC_OUTPUT || p->buffers[b].alias >= 0) continue;
      Tensor& t = b == logits_ ? result_ : others_.emplace_back();
      t = Tensor(static_cast<dlc_dtype>(p->buffers[b].dtype), executable_.shape(b));
      executable_.bind(b, t.data());
    }
    executable_.prepare();
  }
  std::copy(tokens.begin(), tokens.end(), tokens_.as<std::int32_t>());
  executable_.run();
  return {result_.as<float>() + (count - 1) * vocabulary_, static_cast<std::size_t>(vocabulary_)};
}

std::int32_t sample(std::span<const float> logits, const SamplingOptions& options,
                    std::int64_t position) {
  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto likelier = [&](std::int32_t a, std::int32_t b) {
    const float x = logits[static_cast<std::size_t>(a)], y = logits[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  };
  if (options.temperature <= 0 || options.top_k == 1)
    return *std::min_element(order.begin(), order.end(), likelier);
  if (options.top_k > 0 && options.top_k < static_cast<std::int64_t>(order.size())) {
    std::nth_element(order.begin(), order.begin() + options.top_k, order.end(), likelier);
    order.resize(static_cast<std::size_t>(options.top_k));
    std::sort(order.begin(), order.end());
  }
  double most = -INFINITY, sum = 0;
  for (const std::int32_t t : order)
    most = std::max<double>(most, logits[static_cast<std::size_t>(t)]);
  std::vector<double> weights;
  for (const std::int32_t t : order) {
    weights.push_back(std::exp((logits[static_cast<std::size_t>(t)] - most) / options.temperature));
    sum += weights.back();
  }
  const std::uint64_t bits = mix(mix(static_cast<std::uint64_t>(options.seed) + kGolden) +
                                 static_cast<std::uint64_t>(position));
  double left = static_cast<double>(bits >> 11) * 0x1p-53 * sum;
  for (std::size_t k = 0; k + 1 < order.size(); ++k) {
    left -= weights[k];
    if (left < 0) return order[k];
  }
  return order.back();
}

}  // namespace dlc
