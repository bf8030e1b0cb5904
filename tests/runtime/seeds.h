#pragma once
// Small files of each format, which readers accept: what damaged ones are made of.
#include <string>
#include <vector>

#include "runtime/run_checkpoint.h"
#include "tests/runtime/bytes.h"
#include "tests/runtime/read_format.h"
#include "tests/support/temp_dir.h"

struct Seed {
  std::string format;  // a reader, or "safetensors", or "run" for a run's checkpoint
  std::string bytes;
};

/// The file of a run that stands between two steps.
inline std::string run_checkpoint() {
  const TempDir dir;
  dlc::TensorMap tensors, recorded;
  tensors["w"] = dlc::Tensor(DLC_F32, {2, 3});
  recorded["w"] = dlc::Tensor(DLC_F32, {7, 2, 3});
  dlc::RunState state;
  state.epoch = 2, state.rows = 48, state.step = 7, state.sums = {0.25, 0.5};
  state.carries["h"] = dlc::Tensor(DLC_F32, {4, 2});
  dlc::save_run(dir.path("run"), tensors, recorded, state, {{"batch", "16"}},
                {{"vocabulary", "[\"a\"]"}});
  return read_all(dir.path("run"));
}

inline std::vector<Seed> seeds() {
  const std::string floats = little<float>({1, 2, 3, 4, 5, 6});
  const std::string tensors = R"({"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                              R"("b":{"dtype":"BOOL","shape":[],"data_offsets":[24,25]}})";
  return {
      {"idx", idx(8, {2, 3}, "123456")},
      {"idx", idx(0x0D, {2, 3}, floats)},
      {"idx", gzip(idx(0x0B, {2, 3}, "123456123456"))},
      {"npy", npy_of("<f4", "(2, 3)", floats)},
      {"npy", npy_of("<f4", "(3, 2)", floats, true)},
      {"npy", npy("{'descr': '<i2', 'fortran_order': False, 'shape': (6,)}", "123456123456", 2)},
      {"csv", "a,\"b\"\n1,2\n\"3\",4.5e1\n"},
      {"tsv", "1\t2\r\n3\t4\r\n"},
      {"numeric", "a,kind,b\n1,x,NA\n2,\"y, z\",3\n"},
      {"categorical", "a,kind,b\n1,x,NA\n2,\"y, z\",3\n"},
      {"safetensors", safetensors(tensors, floats + '\x01')},
      {"run", run_checkpoint()},
  };
}
