#include "driver/api/training.h"

#include <fmt/ranges.h>

#include "driver/api/vocabulary.h"

namespace dlc {

TrainOptions training_options(const Module& m, const TrainOverrides& given) {
  const bool length = given.epochs || given.steps;
  TrainOptions t;
  t.batch = given.batch.value_or(m.train.batch);
  t.epochs = length ? given.epochs : m.train.epochs;
  t.steps = length ? given.steps : m.train.steps;
  t.seed = given.seed.value_or(m.train.seed);
  t.shuffle = given.shuffle.value_or(m.train.shuffle && m.carries.empty());
  t.consecutive = m.train.consecutive;
  t.evaluate_every = m.train.evaluate_every;
  t.patience = m.train.patience;
  t.monitor = {m.train.monitor, m.train.larger_is_better};
  return t;
}

Resumed resume_run(const Compilation& c, TensorMap& tensors, const std::string& path,
                   const RunIdentity& identity, bool anyway) {
  check_vocabulary(c, path);
  RunCheckpoint from = load_run(path);
  Resumed result{std::move(from.state), std::move(from.recorded),
                 differences(from.identity, identity)};
  if (!result.changed.empty() && !anyway)
    throw UserError(fmt::format(
        "{}: this is not the run of that checkpoint:\n  {}\n--resume-anyway goes on all the same",
        path, fmt::join(result.changed, "\n  ")));
  load_into(tensors, from.tensors, path);
  if (!result.changed.empty()) {
    // A place among other rows means nothing.
    result.state.rows = 0;
    result.state.sums.clear();
    result.state.carries.clear();
  }
  return result;
}

}  // namespace dlc
