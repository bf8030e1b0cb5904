#pragma once
// Compiled graphs beside the reference interpreter.
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "codegen/llvm/jit.h"
#include "ir/graph/graph.h"
#include "runtime/tensor.h"

/// A graph through the whole pipeline, verified after every pass, and compiled.
class Compiled {
 public:
  /// `change`, if any, works on the planned kernels.
  explicit Compiled(const dlc::Graph& g, int vector_bits = 0,
                    const std::function<void(dlc::loop::Program&)>& change = {});
  /// The outputs, in the graph's order.
  std::vector<dlc::Tensor> run(const std::map<std::string, dlc::Literal>& inputs,
                               int threads = 1) const;
  const dlc::Graph& graph() const { return graph_; }

 private:
  dlc::Graph graph_;  // without grad nodes
  std::unique_ptr<dlc::CompiledProgram> code_;
};

/// Whether `b` begins with all of `a`, to the bit.
bool same_bits(const dlc::Tensor& a, const dlc::Tensor& b);
/// Whether every output is the same to the bit on one thread and on three.
bool same_on_threads(const Compiled& c, const std::map<std::string, dlc::Literal>& inputs);

/// The largest difference between two tensors, relative to the largest finite value wanted (at
/// least 1); infinite where one is NaN and the other is not, or where the shapes differ.
double distance(const dlc::Tensor& got, const dlc::Literal& want);

/// The largest difference over the outputs of `g`, compiled and interpreted in the declared types.
/// Integers count as they are.
double compiled_distance(const Compiled& c, const std::map<std::string, dlc::Literal>& inputs,
                         int threads = 1);
double compiled_distance(const dlc::Graph& g, const std::map<std::string, dlc::Literal>& inputs,
                         int threads = 1, int vector_bits = 0);
