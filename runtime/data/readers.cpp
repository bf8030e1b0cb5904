#include "runtime/data/readers.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "ir/support/check.h"
#include "runtime/data/formats.h"
#include "runtime/data/text.h"

namespace dlc {

namespace fs = std::filesystem;

namespace {

/// Where Debian's packages of data sets put their files, and what is in them.
constexpr std::string_view kDatasetFolder = "/usr/share/datasets";
struct Package {
  std::string_view name, folder;
  std::array<std::string_view, 4> files;
};
constexpr Package kPackages[] = {
    {"dataset-fashion-mnist",
     "fashion-mnist",
     {"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz",
      "t10k-labels-idx1-ubyte.gz"}},
};

const Package* package_with(const std::string& file) {
  for (const Package& p : kPackages)
    if (std::find(p.files.begin(), p.files.end(), file) != p.files.end()) return &p;
  return nullptr;
}

FileContent open_file(const std::string& reader, const std::string& path,
                      const std::vector<std::string>& options,
                      const std::vector<std::string>& further, bool only_header) {
  std::vector<std::string> paths{path};
  paths.insert(paths.end(), further.begin(), further.end());
  if (reader == "idx") return read_idx(path, only_header);
  if (reader == "npy") return read_npy(path, only_header);
  if (reader == "csv" || reader == "tsv") return read_csv(reader, paths, options, only_header);
  if (reader == "numeric") return read_numeric(paths, options, only_header);
  if (reader == "categorical") return read_categorical(paths, options, only_header);
  if (reader == "pictures") return read_pictures(path, options, only_header);
  if (reader == "classes") return read_classes(path, only_header);
  if (reader == "pairs") return read_pairs(path, options, only_header);
  if (reader == "documents")
    return read_documents(path, options, further.empty() ? "" : further[0], only_header);
  if (reader == "chars" || reader == "words")
    return read_token_numbers(reader, path, options, only_header);
  throw UserError(
      fmt::format("{}: there is no reader `{}`; the readers are idx, npy, csv, tsv, numeric, "
                  "categorical, pictures, classes, chars, words, pairs and documents",
                  path, reader));
}

}  // namespace

std::string find_data_file(const std::string& path, const std::string& model_dir,
                           const std::vector<std::string>& data_dirs) {
  std::vector<fs::path> places;
  if (fs::path(path).is_absolute()) {
    places.emplace_back(path);
  } else {
    places.push_back(fs::path(model_dir) / path);
    for (const std::string& dir : data_dirs) places.push_back(fs::path(dir) / path);
    for (const Package& p : kPackages) places.push_back(fs::path(kDatasetFolder) / p.folder / path);
    places.push_back(fs::path(kDatasetFolder) / path);  // "fashion-mnist/..."
  }
  std::string tried;
  for (const fs::path& place : places) {
    std::error_code error;
    if (!path.empty() && fs::exists(place, error)) return place.string();
    tried += "\n  " + place.string();
  }
  const Package* package = package_with(fs::path(path).filename().string());
  throw UserError(fmt::format(
      "data file `{}` was not found; tried{}{}", path, tried,
      package ? fmt::format("\nit is in a Debian package: apt-get install {}", package->name)
              : "\n--data DIR names a further directory to look in"));
}

FileHeader probe_file(const std::string& reader, const std::string& path,
                      const std::vector<std::string>& options,
                      const std::vector<std::string>& further) {
  return open_file(reader, path, options, further, true).header;
}

Tensor read_file(const std::string& reader, const std::string& path,
                 const std::vector<std::string>& options, const std::vector<std::string>& further) {
  return open_file(reader, path, options, further, false).tensor;
}

}  // namespace dlc
