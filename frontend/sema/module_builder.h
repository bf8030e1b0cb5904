#pragma once
// A file's definitions to a Module: which model, its settings, its programs, its data.
#include <map>
#include <memory>
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

  // ---- programs.cpp: the model as train_step, evaluate, predict and init ----
  void build_evaluate();
  void build_train_step();
  bool run_model(Program& p);
  Val optimizer_setting(Program& p);
  bool clip(Program& p, std::vector<Val>& gradients);
  void add_optimizer(Program& p, const Function& optimizer);
  Value scaled_loss(Program& p, Value loss, Span span);
  Val gradient(Program& p, Value scaled_loss, Value w, Span span);
  void watch_parameters(Program& p);

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
};

}  // namespace dlc::sema
