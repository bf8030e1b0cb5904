#pragma once
// Metrics that are a function of a mean: the exponential of the mean loss over many batches is not
// the mean of their exponentials. A graph's output has the mean's value, and the function in its
// name: "exp(perplexity)", "sqrt(rmse)".
#include <cmath>
#include <string>
#include <string_view>

namespace dlc {

struct MetricName {
  std::string name;  // "perplexity"
  double (*of_mean)(double) = [](double mean) { return mean; };
};

inline MetricName parse_metric_name(std::string_view output) {
  const auto inside = [&](std::string_view function) -> std::string {
    const std::size_t n = function.size();
    const bool fits = output.starts_with(function) && output.ends_with(')') && output[n] == '(';
    return fits ? std::string(output.substr(n + 1, output.size() - n - 2)) : "";
  };
  if (std::string name = inside("exp"); !name.empty())
    return {std::move(name), [](double mean) { return std::exp(mean); }};
  if (std::string name = inside("sqrt"); !name.empty())
    return {std::move(name), [](double mean) { return std::sqrt(mean); }};
  return {std::string(output)};
}

}  // namespace dlc
