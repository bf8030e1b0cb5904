#include "codegen/native/step_buffers.h"

#include <algorithm>

namespace dlc {

StepBuffers step_buffers(const loop::Program& p) {
  StepBuffers result;
  for (loop::BufferId id = 0; id < static_cast<loop::BufferId>(p.buffers.size()); ++id) {
    const loop::Buffer& b = p.buffers[static_cast<std::size_t>(id)];
    if (b.kind == loop::BufferKind::Input && b.name == "rows" && b.type.rank() == 1 &&
        b.type.element == ElementType::I32 && result.rows < 0)
      result.rows = id;
    else if (b.kind == loop::BufferKind::Scalar && b.name == "step")
      result.step = id;
    else if (b.kind == loop::BufferKind::Output && b.alias < 0 && b.type.rank() == 0 &&
             !b.name.starts_with("watch."))
      result.metrics.push_back(id);
  }
  return result;
}

bool is_step(const loop::Program& p) {
  return std::any_of(p.buffers.begin(), p.buffers.end(),
                     [](const loop::Buffer& b) { return b.alias >= 0; }) &&
         !step_buffers(p).metrics.empty();
}

}  // namespace dlc
