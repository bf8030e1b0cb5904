// The entry of the frontend: a file to a Module.
#include "frontend/frontend.h"
#include "frontend/parser.h"
#include "frontend/sema/module_builder.h"
#include "frontend/std_files.h"

namespace dlc {

namespace sema {

ModuleBuilder::ModuleBuilder(Sources& sources, Diagnostics& diagnostics,
                             const FrontendOptions& options)
    : sources_(sources),
      diagnostics_(diagnostics),
      options_(options),
      definitions_(sources, diagnostics) {}

Module ModuleBuilder::build(int source) {
  module_.file = sources_.name(source);
  definitions_.load(source);
  choose();
  read_overrides();
  // What f32 means must be known before anything is evaluated.
  read_precision();
  if (module_.train.precision == ElementType::F64) default_float_ = ElementType::F64;
  ev_ = std::make_unique<Evaluator>(sources_, diagnostics_, definitions_, options_, default_float_);
  init_ = std::make_unique<Program>("init", false, "init");
  ev_->module = &module_;
  ev_->init = init_.get();
  override_consts();
  if (train_) read_settings();
  if (model_) {
    module_.has_model = true;
    module_.model_name = model_->name.text;
    build_evaluate();
    // Also without a train block: what stands in `if training` is checked.
    build_train_step();
    module_.has_train = train_ != nullptr;
    read_monitor();
    module_.init = std::move(init_->graph);
  }
  if (data_) build_data();
  module_.train.consecutive = consecutive_.value_or(!module_.carries.empty());
  mark_sequences();
  return std::move(module_);
}

}  // namespace sema

const Type* declared_input(const Module& m, std::string_view name) {
  for (const Graph* g : {&m.train_step, &m.evaluate, &m.predict})
    if (const GraphInput* in = g->find_input(name);
        in && (in->kind == InputKind::Input || in->kind == InputKind::Target))
      return &g->type(in->value);
  return nullptr;
}

Module compile_source(Sources& sources, int source, const FrontendOptions& options,
                      Diagnostics& diagnostics) {
  return sema::ModuleBuilder(sources, diagnostics, options).build(source);
}

std::vector<StdEntry> standard_library() {
  std::vector<StdEntry> entries;
  Sources sources;
  Diagnostics diagnostics;
  for (const StdFile& f : std_files()) {
    const int id = sources.add("std/" + f.name, f.text);
    const ast::File file = parse(sources, id, diagnostics);
    for (const ast::Item& item : file.items) {
      const auto* c = std::get_if<ast::Callable>(&item.node);
      const auto* v = std::get_if<ast::Const>(&item.node);
      if (!c && !v) continue;
      static constexpr const char* kKinds[] = {"fn", "layer", "optimizer"};
      entries.push_back({c ? c->name.text : v->name.text,
                         c ? kKinds[static_cast<int>(c->kind)] : "const", f.name,
                         c ? c->doc : v->doc, std::string(sources.text(item.span))});
    }
  }
  DLC_CHECK(diagnostics.empty(), "the standard library does not parse:\n{}",
            diagnostics.render(sources, false));
  return entries;
}

}  // namespace dlc
