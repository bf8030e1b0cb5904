#include "runtime/data/class_folders.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <functional>

#include "ir/support/check.h"

namespace dlc {

namespace fs = std::filesystem;

const FileKind kPictures{"pictures", {".png", ".jpg", ".jpeg"}}, kTexts{"texts", {".txt"}};

namespace {

/// What `wanted` says yes to in a folder, by name. Hidden entries are left out.
std::vector<fs::path> entries(const std::string& folder,
                              const std::function<bool(const fs::directory_entry&)>& wanted) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (it->path().filename().string()[0] != '.' && wanted(*it)) found.push_back(it->path());
  if (error) throw UserError(fmt::format("{}: {}", folder, error.message()));
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<fs::path> folders_in(const std::string& folder) {
  return entries(folder, [](const fs::directory_entry& e) {
    std::error_code error;
    return e.is_directory(error);
  });
}

std::vector<fs::path> files_in(const std::string& folder, const FileKind& kind) {
  return entries(folder, [&](const fs::directory_entry& e) {
    std::string ending = e.path().extension().string();
    for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    std::error_code error;
    return std::find(kind.endings.begin(), kind.endings.end(), ending) != kind.endings.end() &&
           !e.is_directory(error);
  });
}

[[noreturn]] void no_files(const std::string& folder, const FileKind& kind) {
  throw UserError(
      fmt::format("{}: there is no {} file in it", folder, fmt::join(kind.endings, " or ")));
}

bool holds(const std::string& path, const FileKind& kind) {
  if (!files_in(path, kind).empty()) return true;
  const std::vector<fs::path> folders = folders_in(path);
  return std::any_of(folders.begin(), folders.end(),
                     [&](const fs::path& f) { return !files_in(f.string(), kind).empty(); });
}

}  // namespace

ClassFolders list_class_folders(const std::string& path, const FileKind& kind) {
  std::error_code error;
  if (!fs::is_directory(path, error))
    throw UserError(fmt::format("{}: this is not a folder of {}", path, kind.name));
  ClassFolders all;
  for (const fs::path& folder : folders_in(path)) {
    const std::vector<fs::path> inside = files_in(folder.string(), kind);
    if (inside.empty()) no_files(folder.string(), kind);
    for (const fs::path& p : inside) all.files.push_back({p.string(), all.classes.size()});
    all.classes.push_back(folder.filename().string());
  }
  if (all.classes.empty())
    for (const fs::path& p : files_in(path, kind)) all.files.push_back({p.string(), 0});
  if (all.files.empty()) no_files(path, kind);
  return all;
}

FileContent read_classes(const std::string& path, bool only_header) {
  std::error_code error;
  const bool texts =
      fs::is_directory(path, error) && !holds(path, kPictures) && holds(path, kTexts);
  const ClassFolders all = list_class_folders(path, texts ? kTexts : kPictures);
  if (all.classes.empty())
    throw UserError(
        fmt::format("{}: its {} are in no folders; classes are folders with their files in them",
                    path, texts ? kTexts.name : kPictures.name));
  FileContent result;
  result.header = {all.classes.size() <= 256 ? DLC_U8 : DLC_I32,
                   {static_cast<std::int64_t>(all.files.size())}};
  if (only_header) return result;
  result.tensor = Tensor(result.header.dtype, result.header.shape);
  for (std::size_t k = 0; k < all.files.size(); ++k)
    result.tensor.set(static_cast<std::int64_t>(k), static_cast<double>(all.files[k].folder));
  return result;
}

}  // namespace dlc
