#pragma once
// A file's definitions to a Module: which model, its settings, its programs, its data.
#include <map>
#include <memory>
#include <set>
#include <string>

#include "frontend/frontend.h"
#include "frontend/sema/evaluator.h"

namespace dlc::sema {

class ModuleBuilder {
 public:
  ModuleBuilder(Sources& sources, Diagnostics& diagnostics, const FrontendOptions& options);
  Module build(int source);

 private:
  // ---- settings.cpp: what is built, and the settings of the train block and of --set ----
  void choose();
  void read_overrides();
  void read_precision();
  void read_settings();
  void read_monitor();
  void override_consts();
  /// The expression of a setting: --set first, then the train block; null when neither has it.
  const ast::Expr* setting(const std::string& name) const;
  /// Those of the parameters that the setting `frozen` names: the optimizer leaves them alone.
  std::vector<std::string> frozen(const std::vector<std::string>& parameters);
  /// Whether a pattern fits one of the parameters; otherwise a report.
  bool fitting(const std::string& pattern, const std::vector<std::string>& parameters, Span span);

  // ---- programs.cpp: the model as train_step, evaluate, predict and init ----
  void build_evaluate();
  void build_train_step();
  bool run_model(Program& p);
  void watch_parameters(Program& p);

  // ---- updates.cpp: what the train block adds to the training step ----
  using Parameters = std::vector<std::pair<std::string, Value>>;  // by path
  Frame train_frame(Program& p) const;
  Val optimizer_setting(Program& p);
  Val checked_optimizer(const Val& v, Span span);
  std::vector<Val> optimizers_of(Program& p, const Parameters& params, const Val& common);
  bool clip(Program& p, std::vector<Val>& gradients);
  void add_optimizer(Program& p, const Val& optimizer);
  bool update(Program& p, const Function& optimizer, const std::string& path, Value w,
              const Val& gradient, Span span);
  Value scaled_loss(Program& p, Value loss, Span span);
  Val gradient(Program& p, Value scaled_loss, Value w, Span span);
  std::optional<Value> add_state(Program& p, const std::string& path, const Type& type,
                                 Value initial);
  Value if_updating(Program& p, Value updated, Value before);
  bool accumulate(Program& p, const Parameters& params, std::vector<Val>& gradients);
  bool add_averages(Program& p, const Parameters& params);
  void read_averages(Graph& g) const;

  // ---- data.cpp ----
  void build_data();
  void mark_sequences();
  DataSplit build_split(const ast::Data& data, const ast::Stmt* split);
  void find_sequences(DataSplit& split, const Frame& f);
  void match_columns(DataSplit& split, Program& p, const Frame& f, const ast::Data& data);

  Sources& sources_;
  Diagnostics& diagnostics_;
  const FrontendOptions& options_;
  Definitions definitions_;
  Module module_;
  std::unique_ptr<Evaluator> ev_;
  std::unique_ptr<Program> init_;

  const ast::Model* model_ = nullptr;
  const ast::Data* data_ = nullptr;
  const ast::Train* train_ = nullptr;
  std::map<std::string, ast::ExprPtr> overrides_;  // --set
  ElementType default_float_ = ElementType::F32;
  std::optional<bool> consecutive_;  // the setting
  std::map<std::string, Span> input_spans_;
  Value updating_;                  // whether a step ends with an update; invalid: every one does
  std::set<std::string> averaged_;  // paths of parameters
};

}  // namespace dlc::sema
