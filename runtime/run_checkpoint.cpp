#include "runtime/run_checkpoint.h"

#include <zlib.h>

#include <nlohmann/json.hpp>

#include "ir/support/check.h"

namespace dlc {

namespace {

using nlohmann::json;

constexpr const char *kState = "run", *kIdentity = "run.identity", *kChecksum = "run.checksum";
constexpr const char *kSums = "@sums", *kCarry = "@carry.", *kRecorded = "@recorded.";
constexpr int kFormat = 1;

/// Of what is said of the run, and of names, types and contents of tensors.
std::uint32_t checksum(const std::string& said, const TensorRefs& tensors) {
  uLong sum = crc32_z(0, nullptr, 0);
  const auto add = [&](const void* data, std::size_t bytes) {
    if (bytes > 0) sum = crc32_z(sum, static_cast<const Bytef*>(data), bytes);
  };
  add(said.data(), said.size());
  for (const auto& [name, t] : tensors) {
    const std::string head = name + t->type_str();
    add(head.data(), head.size());
    add(t->data(), t->bytes());
  }
  return static_cast<std::uint32_t>(sum);
}

json to_json(const RunState& s) {
  return {{"format", kFormat},
          {"epoch", s.epoch},
          {"rows", s.rows},
          {"step", s.step},
          {"last_loss", s.last_loss},
          {"seconds", s.seconds},
          {"best",
           {{"step", s.best.step},
            {"epoch", s.best.epoch},
            {"value", s.best.value},
            {"worse_since", s.best.worse_since}}}};
}

RunState state_from(const json& j) {
  RunState s;
  const auto count = [](const json& v) {
    const auto n = v.get<std::int64_t>();
    if (n < 0) throw UserError("a count is negative");
    return n;
  };
  s.epoch = count(j.at("epoch"));
  s.rows = count(j.at("rows"));
  s.step = count(j.at("step"));
  s.last_loss = j.at("last_loss").get<double>();
  s.seconds = j.at("seconds").get<double>();
  const json& best = j.at("best");
  s.best.step = count(best.at("step"));
  s.best.epoch = count(best.at("epoch"));
  s.best.value = best.at("value").get<double>();
  s.best.worse_since = count(best.at("worse_since"));
  return s;
}

/// What stands behind `prefix` in the names that begin with it, taken out of `all`.
TensorMap take(TensorMap& all, std::string_view prefix) {
  TensorMap result;
  for (auto at = all.lower_bound(prefix); at != all.end() && at->first.starts_with(prefix);
       at = all.erase(at))
    result.emplace(at->first.substr(prefix.size()), std::move(at->second));
  return result;
}

}  // namespace

void save_run(const std::string& path, const TensorMap& tensors, const TensorMap& recorded,
              const RunState& state, const RunIdentity& identity, Metadata metadata) {
  TensorRefs all = refs_to(tensors);
  for (const auto& [name, t] : state.carries) all.emplace(kCarry + name, &t);
  for (const auto& [name, t] : recorded) all.emplace(kRecorded + name, &t);
  const Tensor sums =
      Tensor::copy_of(DLC_F64, {static_cast<std::int64_t>(state.sums.size())}, state.sums.data());
  all.emplace(kSums, &sums);
  metadata[kState] = to_json(state).dump();
  metadata[kIdentity] = json(identity).dump();
  metadata[kChecksum] =
      fmt::format("{:08x}", checksum(metadata[kState] + metadata[kIdentity], all));
  save_safetensors(path, all, metadata);
}

RunCheckpoint load_run(const std::string& path) {
  Metadata metadata;
  TensorMap all = load_safetensors(path, &metadata);
  const auto state = metadata.find(kState), identity = metadata.find(kIdentity);
  if (state == metadata.end() || identity == metadata.end() || !metadata.contains(kChecksum))
    throw UserError(
        fmt::format("{}: it holds parameters, but not where a run stood, as the files of "
                    "--checkpoint do; --load FILE starts a new run from its parameters",
                    path));
  if (metadata[kChecksum] !=
      fmt::format("{:08x}", checksum(state->second + identity->second, refs_to(all))))
    throw UserError(
        fmt::format("{}: damaged: it does not hold what was written (the checksum differs)", path));
  RunCheckpoint c;
  try {
    const json j = json::parse(state->second);
    if (const auto format = j.at("format").get<int>(); format != kFormat)
      throw UserError(
          fmt::format("it has format {}, this version of dlc reads format {}", format, kFormat));
    c.state = state_from(j);
    c.identity = json::parse(identity->second).get<RunIdentity>();
  } catch (const json::exception&) {
    throw UserError(fmt::format("{}: damaged: what it says of the run cannot be read", path));
  } catch (const UserError& e) {
    throw UserError(fmt::format("{}: {}", path, e.what()));
  }
  const auto sums = all.find(kSums);
  if (sums == all.end() || sums->second.dtype() != DLC_F64)
    throw UserError(fmt::format("{}: damaged: the sums of the metrics are missing", path));
  for (std::int64_t k = 0; k < sums->second.size(); ++k) c.state.sums.push_back(sums->second.at(k));
  all.erase(sums);
  c.state.carries = take(all, kCarry);
  c.recorded = take(all, kRecorded);
  c.tensors = std::move(all);
  return c;
}

}  // namespace dlc
